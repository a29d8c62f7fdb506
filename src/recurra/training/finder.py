"""The learning-rate finder: a short run with a growing rate (Smith 2017, section 3.3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from recurra.spec import Training
from recurra.training.batches import mixed_seed, steps_of_epoch
from recurra.training.gradients import clip_gradients, compute_gradients, make_leaves, norms_by_layer
from recurra.training.optimizers import make_optimizer
from recurra.training.problem import IndexArray, Problem

STEPS = 100
LOWEST, HIGHEST = 1e-6, 1.0
SGD_FACTOR = 10.0
"""Plain gradient steps bear rates an order of magnitude above those of rules that normalise the gradient."""
SMOOTHING = 0.9
WORSE = 2.0
"""The search ends where the smoothed loss is so many times its lowest."""


@dataclass(frozen=True, kw_only=True)
class FoundRate:
    """What the finder tried: `rates` and the smoothed `losses` at them, and the `rate` that it advises."""

    rate: float
    rates: tuple[float, ...]
    losses: tuple[float, ...]


def find_learning_rate(
    problem: Problem,
    training: Training,
    *,
    device: str = "cpu",
    steps: int = STEPS,
    watch: Callable[[], None] | None = None,
) -> FoundRate:
    """Train copies of the parameters with a rate that grows from 1e-6 to 1 (sgd: 10); watch the loss.

    The advice is a tenth of the rate at which the smoothed loss was lowest, or 0.001 (sgd: 0.01) where the
    loss never fell. It depends on the problem and the seed alone. watch: called before every step; may raise.
    """
    parameters = make_leaves(problem.parameters, device)
    optimizer = make_optimizer(training, parameters, problem.roles)
    factor = SGD_FACTOR if training.optimizer == "sgd" else 1.0
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    for place, batches in zip(range(steps), _endless(problem, training), strict=False):
        rate = factor * LOWEST * (HIGHEST / LOWEST) ** (place / max(1, steps - 1))
        if watch is not None:
            watch()
        optimizer.clear()
        done = compute_gradients(problem, parameters, batches, seed=mixed_seed(training.seed, -1, place))
        norm, _ = norms_by_layer(parameters, problem.layers)
        if not (math.isfinite(done.loss) and math.isfinite(norm)):
            break
        mean = SMOOTHING * mean + (1.0 - SMOOTHING) * done.loss
        rates.append(rate)
        losses.append(mean / (1.0 - SMOOTHING ** (place + 1)))
        if place >= steps // 10 and losses[-1] > WORSE * min(losses):
            break
        clip_gradients(parameters, training.gradient_clip, training.clip_by, norm)
        optimizer.step(rate)
    return FoundRate(rate=_advice(rates, losses, factor), rates=tuple(rates), losses=tuple(losses))


def _advice(rates: list[float], losses: list[float], factor: float) -> float:
    if not losses or min(losses) >= losses[0]:
        return factor * 1e-3
    lowest = rates[losses.index(min(losses))]
    return float(f"{lowest / 10:.2g}")


def _endless(problem: Problem, training: Training) -> Iterator[list[IndexArray]]:
    """The steps of epochs -1, -2, ..., which are no epochs of the training itself."""
    epoch = -1
    while True:
        yield from steps_of_epoch(
            problem.lengths,
            batch_size=training.batch_size,
            batch_tokens=training.batch_tokens,
            accumulate=training.accumulate,
            bucket=training.bucket,
            seed=training.seed,
            epoch=epoch,
        )
        epoch -= 1
