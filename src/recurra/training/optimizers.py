"""Optimizers: how gradients change parameters. Own small rules, so that their slots are plain named arrays.

torch.optim serves as the oracle in the tests; it is not used here because its first use loads the compiler
stack of torch (1.5 s) and because its state is keyed by position rather than by parameter name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

import torch

from recurra.errors import CorruptBundleError
from recurra.spec import Training
from recurra.training.device import flushed_subnormals
from recurra.training.problem import UNDECAYED

Slots = dict[str, torch.Tensor]


class Rule(Protocol):
    """One update rule for one tensor; slots are made by `start` and changed in place by `update`."""

    def start(self, parameter: torch.Tensor) -> Slots:
        """Return the rule's fresh memory for this parameter."""
        ...

    def update(
        self,
        parameter: torch.Tensor,
        gradient: torch.Tensor,
        slots: Slots,
        step: int,
        rate: float,
        decay: float,
    ) -> None:
        """Change parameter and slots in place; `step` counts from 1; the gradient may serve as scratch."""
        ...


class Adam:
    """Kingma & Ba 2015 with bias correction, beta 0.9 and 0.999, eps 1e-8.

    Weight decay is added to the gradient; `decoupled` makes it AdamW (Loshchilov & Hutter 2019), where the
    decay, times the rate, acts on the weight itself.
    """

    def __init__(
        self, *, decoupled: bool = False, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
    ):
        self.decoupled, self.beta1, self.beta2, self.eps = decoupled, beta1, beta2, eps

    def start(self, parameter: torch.Tensor) -> Slots:
        return {"mean": torch.zeros_like(parameter), "square": torch.zeros_like(parameter)}

    def update(
        self,
        parameter: torch.Tensor,
        gradient: torch.Tensor,
        slots: Slots,
        step: int,
        rate: float,
        decay: float,
    ) -> None:
        if decay and self.decoupled:
            parameter.mul_(1.0 - rate * decay)
        elif decay:
            gradient.add_(parameter, alpha=decay)
        mean, square = slots["mean"], slots["square"]
        mean.mul_(self.beta1).add_(gradient, alpha=1.0 - self.beta1)
        square.mul_(self.beta2).addcmul_(gradient, gradient, value=1.0 - self.beta2)
        size = torch.sqrt(square).div_(math.sqrt(1.0 - self.beta2**step)).add_(self.eps)
        parameter.addcdiv_(mean, size, value=-rate / (1.0 - self.beta1**step))


class Sgd:
    """Stochastic gradient descent with momentum m, torch's variant: velocity = m * velocity + gradient."""

    def __init__(self, *, momentum: float = 0.0):
        self.momentum = momentum

    def start(self, parameter: torch.Tensor) -> Slots:
        return {"velocity": torch.zeros_like(parameter)} if self.momentum else {}

    def update(
        self,
        parameter: torch.Tensor,
        gradient: torch.Tensor,
        slots: Slots,
        step: int,
        rate: float,
        decay: float,
    ) -> None:
        if decay:
            gradient.add_(parameter, alpha=decay)
        if self.momentum:
            gradient = slots["velocity"].mul_(self.momentum).add_(gradient)
        parameter.add_(gradient, alpha=-rate)


class RmsProp:
    """Tieleman & Hinton 2012, smoothing 0.99, eps 1e-8 outside the root; momentum as in torch."""

    def __init__(self, *, momentum: float = 0.0, smoothing: float = 0.99, eps: float = 1e-8):
        self.momentum, self.smoothing, self.eps = momentum, smoothing, eps

    def start(self, parameter: torch.Tensor) -> Slots:
        slots = {"square": torch.zeros_like(parameter)}
        return slots | ({"velocity": torch.zeros_like(parameter)} if self.momentum else {})

    def update(
        self,
        parameter: torch.Tensor,
        gradient: torch.Tensor,
        slots: Slots,
        step: int,
        rate: float,
        decay: float,
    ) -> None:
        if decay:
            gradient.add_(parameter, alpha=decay)
        square = slots["square"].mul_(self.smoothing).addcmul_(gradient, gradient, value=1.0 - self.smoothing)
        size = torch.sqrt(square).add_(self.eps)
        if self.momentum:
            velocity = slots["velocity"].mul_(self.momentum).addcdiv_(gradient, size)
            parameter.add_(velocity, alpha=-rate)
        else:
            parameter.addcdiv_(gradient, size, value=-rate)


class Optimizer:
    """One rule over all parameters of a model.

    parameters: name -> leaf tensor, changed in place by `step`. decays: name -> weight decay. A parameter
    without a gradient is left alone. `slots` (by parameter, then by name) and `steps` are its whole memory.
    """

    def __init__(
        self, rule: Rule, parameters: Mapping[str, torch.Tensor], decays: Mapping[str, float]
    ) -> None:
        self.rule, self.parameters, self.decays = rule, parameters, decays
        self.slots = {name: rule.start(parameter.detach()) for name, parameter in parameters.items()}
        self.steps = 0

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Apply the gradients at this learning rate; the gradients are used up."""
        self.steps += 1
        with flushed_subnormals():
            for name, parameter in self.parameters.items():
                if parameter.grad is not None:
                    slots, decay = self.slots[name], self.decays[name]
                    self.rule.update(parameter, parameter.grad, slots, self.steps, rate, decay)

    def clear(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters.values():
            parameter.grad = None

    @torch.no_grad()
    def load(self, slots: Mapping[str, Mapping[str, torch.Tensor]], steps: int) -> None:
        """Take over the memory of an earlier optimizer of the same kind."""
        for name, own in self.slots.items():
            for key, tensor in own.items():
                if name not in slots or key not in slots[name] or slots[name][key].shape != tensor.shape:
                    raise CorruptBundleError(f"the checkpoint holds no fitting {key!r} of parameter {name!r}")
                tensor.copy_(slots[name][key])
        self.steps = steps


def make_optimizer(
    training: Training, parameters: Mapping[str, torch.Tensor], roles: Mapping[str, str]
) -> Optimizer:
    """Return the optimizer that `training` asks for; biases, norms and learnt states never decay."""
    momentum = training.momentum or 0.0
    rules: dict[str, Rule] = {
        "adam": Adam(),
        "adamw": Adam(decoupled=True),
        "sgd": Sgd(momentum=momentum),
        "rmsprop": RmsProp(momentum=momentum),
    }
    decays = {name: decay_of(training, roles[name]) for name in parameters}
    return Optimizer(rules[training.optimizer], parameters, decays)


def decay_of(training: Training, role: str) -> float:
    """Return the weight decay of a parameter of this role."""
    if role in UNDECAYED or (role == "recurrent" and not training.decay_recurrent):
        return 0.0
    return training.weight_decay
