"""How answers are judged per sequence, and how sure a difference is: the paired bootstrap over test sequences.

The unit is the test sequence, never the seed: each draw takes sequences with replacement, the same ones for both
models, and each model's score is its mean over the seeds on them (Efron & Tibshirani 1993, chapter 16).
"""

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
    """

    score: str
    rises: bool
    unit: str
    factor: float
    ingredients: Callable[[Any, Array], Array]
    combine: Callable[[Array], Array]

    def of(self, answers: Any, targets: Array) -> float:
        """The score of all sequences."""
        means = self.ingredients(answers, targets).mean(axis=0)
        return float(self.combine(means[None, :])[0])


def _right(decided: Array, targets: Array) -> Array:
    right: Array = (decided == targets).astype(np.float64)[:, None]
    return right


def _hits(decided: Array, targets: Array) -> Array:
    called, true = decided.astype(bool), targets.astype(bool)
    counts = [(called & true).sum(axis=1), (called & ~true).sum(axis=1), (~called & true).sum(axis=1)]
    return np.stack(counts, axis=1).astype(np.float64)


def _f1(means: Array) -> Array:
    hits, extra, missed = means[..., 0], means[..., 1], means[..., 2]
    found: Array = 2 * hits / np.maximum(2 * hits + extra + missed, 1e-12)
    return found


def _squares(numbers: Array, targets: Array) -> Array:
    squares: Array = ((numbers - targets) ** 2).reshape(len(targets), -1).mean(axis=1)[:, None]
    return squares


ACCURACY = Judge(
    score="accuracy", rises=True, unit="points", factor=100.0, ingredients=_right, combine=lambda m: m[..., 0]
)
F1_MICRO = Judge(score="f1_micro", rises=True, unit="points", factor=100.0, ingredients=_hits, combine=_f1)
RMSE = Judge(
    score="rmse",
    rises=False,
    unit="in RMSE",
    factor=1.0,
    ingredients=_squares,
    combine=lambda m: np.sqrt(m[..., 0]),
)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much better the first model is than the second (positive: better), with a 95% interval and a p-value.

    p_value: two-sided, from the share of draws on the other side of zero; `draws` bounds it from below.
    """

    value: float
    low: float
    high: float
    p_value: float
    draws: int


DRAWS = 2000


def scores_drawn(ingredients: Array, judge: Judge, *, seed: int, draws: int = DRAWS) -> Array:
    """(draws,) scores of resampled sequences; the mean over the seeds. ingredients: (seeds, S, k)."""
    rows = ingredients.shape[1]
    generator = np.random.Generator(np.random.Philox(seed))
    found = []
    for begin in range(0, draws, 100):
        count = min(100, draws - begin)
        shares = generator.multinomial(rows, np.full(rows, 1.0 / rows), size=count) / rows
        means = np.einsum("bs,rsk->rbk", shares, ingredients)
        found.append(judge.combine(means).mean(axis=0))
    return np.concatenate(found)


def interval(ingredients: Array, judge: Judge, *, seed: int = 0) -> tuple[float, float]:
    """95% percentile interval of the score over test sequences."""
    drawn = scores_drawn(ingredients, judge, seed=seed)
    return float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))


def difference(first: Array, second: Array, judge: Judge, *, seed: int = 0) -> Difference:
    """By how much `first` is better than `second` on the same sequences; each (seeds, S, k)."""
    sign = 1.0 if judge.rises else -1.0
    drawn = sign * (scores_drawn(first, judge, seed=seed) - scores_drawn(second, judge, seed=seed))
    actual = [float(judge.combine(part.mean(axis=1)).mean()) for part in (first, second)]
    other = min(np.sum(drawn <= 0), np.sum(drawn >= 0))
    return Difference(
        value=sign * (actual[0] - actual[1]),
        low=float(np.quantile(drawn, 0.025)),
        high=float(np.quantile(drawn, 0.975)),
        p_value=float(min(1.0, 2 * (other + 1) / (len(drawn) + 1))),
        draws=len(drawn),
    )


def verdict(name: str, baseline: str | None, found: Difference | None, judge: Judge) -> str:
    """The comparison in a sentence."""
    if baseline is None or found is None:
        return f"{name} was compared with no baseline, so nothing can be said about whether it is justified"
    size, low, high = (judge.factor * value for value in (found.value, found.low, found.high))
    span = f"{abs(size):.1f} {judge.unit}" if judge.factor == 100.0 else f"{abs(size):.4g} {judge.unit}"
    digits = ".1f" if judge.factor == 100.0 else ".4g"
    if found.low > 0:
        return f"{name} beats {baseline} by {span} (95% interval {low:{digits}} to {high:{digits}})"
    if found.high < 0:
        return (
            f"a recurrent model is not justified here: {baseline} beats {name} by {span} "
            f"(95% interval {-high:{digits}} to {-low:{digits}})"
        )
    return (
        f"no difference that this data can show between {name} and {baseline} "
        f"({size:+{digits}} {judge.unit}, 95% interval {low:{digits}} to {high:{digits}}); "
        "the cheaper one will do: a recurrent model is not justified here"
    )
