"""The learning-rate finder: a short run with a growing rate (after Smith 2017, section 3.3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from recurra.spec import Training
from recurra.training.batches import mixed_seed, steps_of_epoch
from recurra.training.device import one_torch_thread
from recurra.training.gradients import clip_gradients, compute_gradients, make_leaves, norms_by_layer
from recurra.training.optimizers import make_optimizer
from recurra.training.problem import IndexArray, Problem

STEPS = 100
RANGES = {"sgd": (1e-4, 10.0)}
USUAL_RANGE = (1e-6, 0.1)
SHARES = {"sgd": 0.5}
USUAL_SHARE = 0.1
FALLBACKS = {"sgd": 0.1}
USUAL_FALLBACK = 1e-3
WIDTH = 4.0
"""Standard deviation, in steps, of the smoothing over the course."""


@dataclass(frozen=True, kw_only=True)
class FoundRate:
    """What the finder tried, and what it advises.

    rates: in growing order. gains: at each rate, smoothed, how much lower the loss was than that of the
    untrained parameters on the same batch (below 0: higher). rate: the advice.
    """

    rate: float
    rates: tuple[float, ...]
    gains: tuple[float, ...]


def find_learning_rate(
    problem: Problem,
    training: Training,
    *,
    device: str = "cpu",
    steps: int = STEPS,
    watch: Callable[[], None] | None = None,
) -> FoundRate:
    """Train copies of the parameters with a rate that grows from 1e-6 to 0.1 (sgd: 1e-4 to 10).

    The loss of each batch is compared with that of the untrained parameters on the same batch, which
    cancels the differences between batches. The advice is a tenth (sgd: a half) of the rate at which the
    smoothed gain was largest, or 0.001 (sgd: 0.1) where nothing was gained. It depends on the problem and
    the seed alone.
    watch: called before every step; it may raise.
    """
    low, high = RANGES.get(training.optimizer, USUAL_RANGE)
    rates: list[float] = []
    gains: list[float] = []
    with one_torch_thread():
        for gain in _gains(problem, training, device, low, high, steps):
            if watch is not None:
                watch()
            rates.append(low * (high / low) ** (len(rates) / max(1, steps - 1)))
            gains.append(gain)
    smoothed = _smoothed(gains)
    return FoundRate(rate=_advice(training, rates, smoothed), rates=tuple(rates), gains=tuple(smoothed))


def _gains(
    problem: Problem, training: Training, device: str, low: float, high: float, steps: int
) -> Iterator[float]:
    """Train step by step and yield the gain before each; ends early where the loss has doubled or is not finite."""
    parameters, untrained = make_leaves(problem.parameters, device), make_leaves(problem.parameters, device)
    optimizer = make_optimizer(training, parameters, problem.roles, problem.layers)
    worse = 0.0
    for place, batches in zip(range(steps), _endless(problem, training), strict=False):
        seed = mixed_seed(training.seed, -1, place)
        optimizer.clear()
        done = compute_gradients(problem, parameters, batches, seed=seed)
        with torch.no_grad():
            before = compute_gradients(problem, untrained, batches, seed=seed, backward=False)
        norm, _ = norms_by_layer(parameters, problem.layers)
        if not (math.isfinite(done.loss) and math.isfinite(norm)):
            return
        gain = before.loss - done.loss
        worse = 0.8 * worse + 0.2 * max(0.0, -gain)
        yield gain
        if worse > abs(before.loss):
            return
        scale = clip_gradients(parameters, training.gradient_clip, training.clip_by, norm)
        optimizer.step(low * (high / low) ** (place / max(1, steps - 1)), scale)


def _smoothed(values: list[float]) -> list[float]:
    """Means over the neighbourhood, weighted by a bell curve; unlike a running mean they do not lag behind."""
    if not values:
        return []
    bell = np.exp(-0.5 * (np.arange(-12, 13) / WIDTH) ** 2)
    whole = np.convolve(np.asarray(values), bell)
    counts = np.convolve(np.ones(len(values)), bell)
    return [float(value) for value in (whole / counts)[12 : 12 + len(values)]]


def _advice(training: Training, rates: list[float], gains: list[float]) -> float:
    if not gains or max(gains) <= 0.0:
        return FALLBACKS.get(training.optimizer, USUAL_FALLBACK)
    best = rates[gains.index(max(gains))]
    return float(f"{best * SHARES.get(training.optimizer, USUAL_SHARE):.2g}")


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
