"""The score that a comparison is judged by, from what is counted sequence by sequence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.ragged import Array


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Turns answers into per-sequence ingredients (S, k) whose means combine into the task's main score.

    score: its name; rises: whether more is better; unit: how a difference is said; factor: from score to unit.
    additive: whether the score is the mean of its one ingredient, so that a test of means is a test of it.
    """

    score: str
    rises: bool
    unit: str
    factor: float
    ingredients: Callable[[Any, Any], Array]
    combine: Callable[[Array], Array]
    additive: bool = False

    @property
    def sign(self) -> float:
        """1.0 where more is better, else -1.0."""
        return 1.0 if self.rises else -1.0

    def of(self, answers: Any, targets: Any) -> float:
        """The score of all sequences."""
        means = self.ingredients(answers, targets).mean(axis=0)
        return float(self.combine(means[None, :])[0])

    def better(self, first: float, second: float) -> bool:
        """Whether the first score is better."""
        return self.sign * first > self.sign * second


def f1_of_counts(means: Array) -> Array:
    """F1 from the means (..., 3) of what was found, what was extra and what was missed."""
    hits, extra, missed = means[..., 0], means[..., 1], means[..., 2]
    found: Array = 2 * hits / np.maximum(2 * hits + extra + missed, 1e-12)
    return found
