"""How sure a difference is, to every baseline, and the comparison in a sentence."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recurra.evaluation.judging import Evidence, Judge
from recurra.metrics.checks import MetricWarning
from recurra.metrics.regression import finite_or_none
from recurra.metrics.significance import (
    Significance,
    bootstrap_interval,
    effect_size,
    holm,
    paired_bootstrap,
    paired_bootstrap_of,
)

LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Difference:
    """By how much the candidate is better than a baseline on the test sequences (positive: better).

    low, high: 95% interval. p_value: of the paired bootstrap; p_adjusted: after Holm, over all baselines.
    units: how many test sequences, or groups of them, it rests on; never seeds. effect_size: Hedges' g of the
    per-unit differences, with its interval; None for scores that no unit has by itself.
    fold_p: of the corrected resampled t-test over folds, where there are several, as a second opinion.
    """

    baseline: str
    value: float
    low: float
    high: float
    p_value: float
    p_adjusted: float
    test: str
    units: int
    effect_size: float | None = None
    effect_interval: tuple[float, float] | None = None
    fold_p: float | None = None

    @property
    def shown(self) -> bool:
        """Whether the adjusted p-value is at most 0.05."""
        return self.p_adjusted <= LEVEL

    def to_dict(self) -> dict[str, Any]:
        """As plain values; what is undefined is None."""
        ends = self.effect_interval
        return {
            "baseline": self.baseline,
            "value": finite_or_none(self.value),
            "interval": [finite_or_none(self.low), finite_or_none(self.high)],
            "p_value": finite_or_none(self.p_value),
            "p_adjusted": finite_or_none(self.p_adjusted),
            "test": self.test,
            "units": self.units,
            "effect_size": None if self.effect_size is None else finite_or_none(self.effect_size),
            "effect_interval": None if ends is None else [finite_or_none(end) for end in ends],
            "fold_p": None if self.fold_p is None else finite_or_none(self.fold_p),
        }


def difference(candidate: Evidence, other: Evidence, name: str = "", *, seed: int = 0) -> Difference:
    """The paired test of one difference; `p_adjusted` is `p_value` until `adjusted` has seen all of them."""
    with warnings.catch_warnings():
        # What is undefined (one test sequence, no spread) stays nan and is shown as such in the table.
        warnings.simplefilter("ignore", MetricWarning)
        found = _tested(candidate, other, seed)
        size = _effect(candidate, other)
    return Difference(
        baseline=name,
        value=found.effect,
        low=found.interval[0],
        high=found.interval[1],
        p_value=found.p,
        p_adjusted=found.p,
        test=found.test,
        units=found.units,
        effect_size=None if size is None else size.effect,
        effect_interval=None if size is None else size.interval,
    )


def _tested(candidate: Evidence, other: Evidence, seed: int) -> Significance:
    judge = candidate.judge
    if judge.additive and candidate.units is None:
        return paired_bootstrap(judge.sign * candidate.per_unit(), judge.sign * other.per_unit(), seed=seed)
    count = candidate.count

    def by(drawn: Any) -> float:
        shares = np.bincount(drawn, minlength=count) / len(drawn)
        return judge.sign * float(candidate.scores(shares).mean() - other.scores(shares).mean())

    return paired_bootstrap_of(by, count, seed=seed)


def _effect(candidate: Evidence, other: Evidence) -> Significance | None:
    if candidate.ingredients.shape[2] > 1:
        return None
    # Squared errors fall where accuracy rises: the sign of the judge makes both "positive is better".
    sign = candidate.judge.sign
    return effect_size(sign * candidate.per_unit(), sign * other.per_unit())


def adjusted(found: Sequence[Difference]) -> tuple[Difference, ...]:
    """The same differences with Holm's adjusted p-values."""
    values = holm([one.p_value for one in found])
    return tuple(replace(one, p_adjusted=float(p)) for one, p in zip(found, values, strict=True))


def interval(evidence: Evidence, *, seed: int = 0) -> tuple[float, float]:
    """95% interval of the main score over test sequences (or groups) and seeds."""
    return bootstrap_interval(evidence.scores, evidence.count, seed=seed)


def verdict(name: str, found: Sequence[Difference], judge: Judge, neural: Mapping[str, bool]) -> str:
    """The comparison in a sentence.

    The candidate "beats" only where it is better than every baseline, each with an adjusted p of at most 0.05;
    a baseline beats it likewise. neural: of each baseline, whether it is a network of like size: a tie with one
    of those says nothing against a recurrent model, a tie with a cheap one does.
    """
    if not found:
        return f"{name} was compared with no baseline, so nothing can be said about whether it is justified"
    ahead = [one for one in found if one.shown and one.value < 0]
    if ahead:
        worst = min(ahead, key=lambda one: one.value)
        return f"a recurrent model is not justified here: {worst.baseline} beats {name} by {_by(worst, judge, -1)}"
    level = [one for one in found if not (one.shown and one.value > 0)]
    cheap = [one for one in level if not neural.get(one.baseline, False)]
    if cheap:
        rival = min(cheap, key=lambda one: one.value)
        return (
            f"no difference that this data can show between {name} and {rival.baseline} ({_span(rival, judge)}); "
            "the cheaper one will do: a recurrent model is not justified here"
        )
    if level:
        rival = min(level, key=lambda one: one.value)
        beaten = [one for one in found if one not in level]
        more = f"; {name} beats {_strongest(beaten, judge)}" if beaten else ""
        return (
            f"no difference that this data can show between {name} and {rival.baseline}, a network of like size "
            f"({_span(rival, judge)}){more}"
        )
    return f"{name} beats {_strongest(found, judge)}"


def _strongest(found: Sequence[Difference], judge: Judge) -> str:
    nearest = min(found, key=lambda one: one.value)
    which = f", the strongest of {len(found)} baselines," if len(found) > 1 else ""
    return f"{nearest.baseline}{which} by {_by(nearest, judge, 1)}"


def _by(one: Difference, judge: Judge, side: int) -> str:
    low, high = (one.low, one.high) if side > 0 else (-one.high, -one.low)
    return (
        f"{_number(abs(one.value), judge)} {judge.unit} (95% interval {_number(low, judge)} to "
        f"{_number(high, judge)}, {_p(one)})"
    )


def said(one: Difference, judge: Judge) -> str:
    """A difference in words without its direction: "2.1 points (95% interval 1.2 to 3.0, p = 0.004)"."""
    return _by(one, judge, 1 if one.value >= 0 else -1) if not np.isnan(one.p_value) else _span(one, judge)


def _span(one: Difference, judge: Judge) -> str:
    size = judge.factor * one.value
    text = f"{size:+.1f}" if judge.factor == 100.0 else f"{size:+.4g}"
    if np.isnan(one.p_value):
        return f"{text} {judge.unit}, too few test sequences for a test"
    return f"{text} {judge.unit}, 95% interval {_number(one.low, judge)} to {_number(one.high, judge)}, {_p(one)}"


def _number(value: float, judge: Judge) -> str:
    scaled = judge.factor * value
    return f"{scaled:.1f}" if judge.factor == 100.0 else f"{scaled:.4g}"


def _p(one: Difference) -> str:
    return "p < 0.001" if one.p_adjusted < 0.001 else f"p = {one.p_adjusted:.3f}"
