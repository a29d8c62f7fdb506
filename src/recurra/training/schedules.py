"""Learning rates: pure functions of the place in training, so that a resumed run takes up the same rates."""

from __future__ import annotations

import math
from dataclasses import dataclass

from recurra.spec import Training

RISE = 0.3
"""Share of all steps over which one_cycle rises (Smith & Topin 2018)."""
FIRST = 25.0
"""one_cycle starts at learning_rate / FIRST ..."""
LAST = 1e4
"""... and ends at this fraction of its start; both as in torch's OneCycleLR."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a step stands: in `epoch` (from 0), between the shares `begin` and `end` (0 to 1) of it.

    cuts: how many plateaus were met before.
    """

    epoch: int
    begin: float
    end: float
    cuts: int = 0


def rate_at(training: Training, base: float, place: Place) -> float:
    """Return the learning rate of one step.

    base: the highest rate: `training.learning_rate`, or what the finder found. Times run from 0 (first
    step) to 1 (end of the last epoch); steps weigh so that every epoch takes the same share, however many
    batches it has.
    """
    settings = training.resolved()
    done = (place.epoch + place.begin) / settings.passes
    ahead = (place.epoch + place.end) / settings.passes
    if settings.schedule == "one_cycle":
        return base * _one_cycle(done)
    if done < settings.warmup:
        return base * min(1.0, ahead / settings.warmup)
    return base * _factor(settings, place, (done - settings.warmup) / (1.0 - settings.warmup))


def _factor(settings: Training, place: Place, time: float) -> float:
    if settings.schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * time))
    if settings.schedule == "step" and settings.decay_factor is not None and settings.decay_every is not None:
        return float(settings.decay_factor ** (place.epoch // settings.decay_every))
    if settings.schedule == "plateau" and settings.decay_factor is not None:
        return float(settings.decay_factor**place.cuts)
    return 1.0


def _one_cycle(time: float) -> float:
    """Cosine from 1/FIRST up to 1 over the first RISE, then down to 1/(FIRST * LAST)."""
    if time < RISE:
        return _between(1.0 / FIRST, 1.0, time / RISE)
    return _between(1.0, 1.0 / (FIRST * LAST), (time - RISE) / (1.0 - RISE))


def _between(begin: float, end: float, time: float) -> float:
    return end + (begin - end) * 0.5 * (1.0 + math.cos(math.pi * time))
