"""Gradients of one step: computed over several batches as one mean, measured, and clipped."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from recurra.kernels import norms, weighted_mean
from recurra.training.batches import mixed_seed
from recurra.training.problem import Carried, IndexArray, Problem

Parameters = Mapping[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Pass:
    """What one forward and backward pass over the batches of a step found.

    loss: mean over all sequences of the step by their weights; weight: the sum of these (0: nothing to
        learn from);
    carried: per batch, the detached state for its next window.
    """

    loss: float
    weight: float
    carried: list[Carried]


def compute_gradients(
    problem: Problem,
    parameters: Parameters,
    batches: Sequence[IndexArray],
    *,
    seed: int,
    window: int = 0,
    carried: Sequence[Carried] = (),
    backward: bool = True,
) -> Pass:
    """Leave in `.grad` the gradient of the mean loss over all sequences of `batches` in this window.

    The gradient of each batch is taken times the batch's weight and the sum divided by all weight, so
    that several small batches make the same step as one large one, up to rounding. Batches that have no
    such window are left out. Without `backward` the loss alone is measured.
    """
    parts: list[tuple[float, float]] = []
    states: list[Carried] = []
    for place, index in enumerate(batches):
        if window >= problem.windows(index):
            states.append(None)
            continue
        state = carried[place] if carried else None
        part_seed = mixed_seed(seed, place, window)
        losses, weights, state = problem.loss(parameters, index, seed=part_seed, window=window, state=state)
        mean = weighted_mean(losses, weights)
        weight = math.fsum(weights.detach().tolist())
        if weight > 0 and backward:
            mean.backward(None if len(batches) == 1 else torch.full_like(mean, weight))
        parts.append((float(mean.detach()), weight))
        states.append(detached(state))
    total = math.fsum(weight for _, weight in parts)
    if len(batches) > 1 and total > 0 and backward:
        scale_gradients(parameters, 1.0 / total)
    return Pass(loss=_mean_loss(parts, total), weight=total, carried=states)


def _mean_loss(parts: Sequence[tuple[float, float]], total: float) -> float:
    if len(parts) == 1:
        return parts[0][0]
    if total == 0:
        return 0.0
    return sum(mean * weight for mean, weight in parts) / total


def detached(state: Carried) -> Carried:
    """Return the same state cut off from the gradients of the window that made it."""
    if isinstance(state, torch.Tensor):
        return state.detach()
    if isinstance(state, Mapping):
        return {key: detached(item) for key, item in state.items()}
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*(detached(item) for item in state))
    if isinstance(state, (tuple, list)):
        return type(state)(detached(item) for item in state)
    return state


def norms_by_layer(parameters: Parameters, layers: Mapping[str, str]) -> tuple[float, dict[str, float]]:
    """Return the norm of the whole gradient and that of each layer, as the gradients are now."""
    found = {name: parameter.grad for name, parameter in parameters.items() if parameter.grad is not None}
    by_layer: dict[str, list[float]] = {layers[name]: [] for name in parameters}
    for name, norm in zip(found, norms(list(found.values())).tolist(), strict=True):
        by_layer[layers[name]].append(norm)
    whole = math.hypot(*(norm for parts in by_layer.values() for norm in parts))
    return whole, {layer: math.hypot(*parts) for layer, parts in by_layer.items()}


def clip_gradients(parameters: Parameters, limit: float | None, by: str, norm: float) -> float:
    """Clip each number to `limit` in size, in place; or return the factor that brings the norm down to `limit`.

    The factor (1 where there is nothing to do) is for `Optimizer.step`, which spares a pass over the
    gradients.
    """
    if limit is None:
        return 1.0
    if by == "norm":
        return limit / norm if norm > limit else 1.0
    for parameter in parameters.values():
        if parameter.grad is not None:
            parameter.grad.clamp_(-limit, limit)
    return 1.0


def scale_gradients(parameters: Parameters, factor: float) -> None:
    """Multiply all gradients by a number, in place."""
    for parameter in parameters.values():
        if parameter.grad is not None:
            parameter.grad.mul_(factor)


def make_leaves(values: Mapping[str, Any], device: str) -> dict[str, torch.Tensor]:
    """Return copies of the arrays as float32 leaf tensors on the device."""
    return {
        name: torch.tensor(value, dtype=torch.float32, device=device, requires_grad=True)
        for name, value in values.items()
    }
