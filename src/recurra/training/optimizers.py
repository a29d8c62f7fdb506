"""Optimizers: how gradients change parameters. Own small rules, so that their slots are plain named arrays.

torch.optim serves as the oracle in the tests; it is not used here because its first use loads the
compiler stack of torch (1.5 s) and because its state is keyed by position rather than by parameter name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch

from recurra.errors import CorruptBundleError
from recurra.kernels import adam_step
from recurra.spec import Training
from recurra.training.device import flushed_subnormals
from recurra.training.problem import UNDECAYED

Slots = dict[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one update is told.

    number: from 1; rate: the learning rate; decay: weight decay of this parameter; scale: factor of the
    gradient.
    """

    number: int
    rate: float
    decay: float
    scale: float


class Rule(Protocol):
    """One update rule for one tensor; slots are made by `start` and changed in place by `update`."""

    def start(self, parameter: torch.Tensor) -> Slots:
        """Return the rule's fresh memory for this parameter."""
        ...

    def update(self, parameter: torch.Tensor, gradient: torch.Tensor, slots: Slots, step: Step) -> None:
        """Change parameter and slots in place; the gradient may serve as scratch."""
        ...


class Adam:
    """Kingma & Ba 2015 with bias correction, beta 0.9 and 0.999, eps 1e-8; one pass of a native operator.

    Weight decay is added to the gradient; `decoupled` makes it AdamW (Loshchilov & Hutter 2019), where
    the decay, times the rate, acts on the weight itself.
    """

    def __init__(self, *, decoupled: bool = False) -> None:
        self.decoupled = decoupled

    def start(self, parameter: torch.Tensor) -> Slots:
        return {"mean": torch.zeros_like(parameter), "square": torch.zeros_like(parameter)}

    def update(self, parameter: torch.Tensor, gradient: torch.Tensor, slots: Slots, step: Step) -> None:
        adam_step(
            parameter,
            gradient,
            slots["mean"],
            slots["square"],
            step=step.number,
            rate=step.rate,
            decay=step.decay,
            decoupled=self.decoupled,
            scale=step.scale,
        )


class Sgd:
    """Stochastic gradient descent with momentum m, torch's variant: velocity = m * velocity + gradient."""

    def __init__(self, *, momentum: float = 0.0) -> None:
        self.momentum = momentum

    def start(self, parameter: torch.Tensor) -> Slots:
        return {"velocity": torch.zeros_like(parameter)} if self.momentum else {}

    def update(self, parameter: torch.Tensor, gradient: torch.Tensor, slots: Slots, step: Step) -> None:
        change = _decayed(parameter, gradient, step)
        if self.momentum:
            change = slots["velocity"].mul_(self.momentum).add_(change)
        parameter.add_(change, alpha=-step.rate)


class RmsProp:
    """Tieleman & Hinton 2012, smoothing 0.99, eps 1e-8 outside the root; momentum as in torch."""

    def __init__(self, *, momentum: float = 0.0, smoothing: float = 0.99, eps: float = 1e-8) -> None:
        self.momentum, self.smoothing, self.eps = momentum, smoothing, eps

    def start(self, parameter: torch.Tensor) -> Slots:
        slots = {"square": torch.zeros_like(parameter)}
        return slots | ({"velocity": torch.zeros_like(parameter)} if self.momentum else {})

    def update(self, parameter: torch.Tensor, gradient: torch.Tensor, slots: Slots, step: Step) -> None:
        change = _decayed(parameter, gradient, step)
        square = slots["square"].mul_(self.smoothing).addcmul_(change, change, value=1.0 - self.smoothing)
        size = torch.sqrt(square).add_(self.eps)
        if self.momentum:
            velocity = slots["velocity"].mul_(self.momentum).addcdiv_(change, size)
            parameter.add_(velocity, alpha=-step.rate)
        else:
            parameter.addcdiv_(change, size, value=-step.rate)


def _decayed(parameter: torch.Tensor, gradient: torch.Tensor, step: Step) -> torch.Tensor:
    """The gradient, scaled and with the weight decay added, in place."""
    if step.scale != 1.0:
        gradient.mul_(step.scale)
    return gradient.add_(parameter, alpha=step.decay) if step.decay else gradient


class Optimizer:
    """One rule over all parameters of a model.

    parameters: name -> leaf tensor, changed in place by `step`. decays: name -> weight decay; factors: name -> what
    the learning rate is multiplied by; None: 1 for all. A parameter without a gradient is left alone. `slots` (by
    parameter, then by name) and `steps` are its whole memory.
    """

    def __init__(
        self,
        rule: Rule,
        parameters: Mapping[str, torch.Tensor],
        decays: Mapping[str, float],
        factors: Mapping[str, float] | None = None,
    ) -> None:
        self.rule, self.parameters, self.decays = rule, parameters, decays
        self.factors = factors or dict.fromkeys(parameters, 1.0)
        self.slots = {name: rule.start(parameter.detach()) for name, parameter in parameters.items()}
        self.steps = 0

    @torch.no_grad()
    def step(self, rate: float, scale: float = 1.0) -> None:
        """Apply the gradients, times `scale`, at this learning rate; the gradients are used up."""
        self.steps += 1
        with flushed_subnormals():
            for name, parameter in self.parameters.items():
                if parameter.grad is not None:
                    own = rate * self.factors[name]
                    told = Step(number=self.steps, rate=own, decay=self.decays[name], scale=scale)
                    self.rule.update(parameter, parameter.grad, self.slots[name], told)

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
    training: Training,
    parameters: Mapping[str, torch.Tensor],
    roles: Mapping[str, str],
    layers: Mapping[str, str] | None = None,
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
    factors = {name: training.layer_decay**depth for name, depth in depths(layers or {}).items()}
    return Optimizer(rules[training.optimizer], parameters, decays, factors)


def depths(layers: Mapping[str, str]) -> dict[str, int]:
    """Parameter name -> how many parts of the model stand above its own: 0 for the head.

    layers: parameter name -> part, from the input to the head.
    """
    order = list(dict.fromkeys(layers.values()))
    return {name: len(order) - 1 - order.index(layer) for name, layer in layers.items()}


def decay_of(training: Training, role: str) -> float:
    """Return the weight decay of a parameter of this role."""
    if role in UNDECAYED or (role == "recurrent" and not training.decay_recurrent):
        return 0.0
    return training.weight_decay
