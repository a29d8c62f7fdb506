"""Paired bootstrap over independent units: of a mean difference, and of any corpus-level score."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from recurra.errors import SpecError
from recurra.metrics.checks import Floats, Integers, MetricWarning
from recurra.metrics.significance.result import (
    LEVEL,
    Significance,
    checked_level,
    checked_pair,
    mean_of,
    no_difference,
    no_result,
)

RESAMPLES = 9_999
CELLS_AT_ONCE = 2_000_000
FEW_VALUES = 50


def paired_bootstrap(
    a: Any, b: Any, *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0
) -> Significance:
    """Test the mean difference of two scores that were measured on the same units.

    The differences d = a - b are drawn with replacement; the test is studentised and symmetric (Hall 1988;
    Davison & Hinkley 1997, section 5.2): p is the share of resamples with |mean* - mean| / se* >= |mean| /
    se, counted with the sample itself, and the interval is mean ± q se with the quantile q of the same ratio,
    so that both always agree. It holds its level from about 10 units on; n = 5 folds are too few.

    a, b: (units,) one score per item, sequence or series (for accuracy: 0 and 1).
    resamples: number of resamples; the smallest p is 1 / (resamples + 1). seed: of the resampling.
    statistic: mean / se. effect: mean difference. All differences equal and not 0: the sign test's p.
    Fewer than two units: `nan` and a `MetricWarning`.
    """
    differences, level = checked_pair(a, b), checked_level(level)
    name, measure, units = "paired bootstrap", "mean difference", len(differences)
    if units < 2:
        return no_result(name, "it needs at least two units", mean_of(differences), measure, level, units)
    mean, spread = float(differences.mean()), float(differences.std())
    if not differences.any():
        return no_difference(name, measure, level, units)
    if np.ptp(differences) == 0:
        return _without_spread(mean, level, units, resamples)
    rng = np.random.default_rng(seed)
    ratios = np.concatenate(
        [
            _ratios(means - mean, spreads)
            for means, spreads in _resampled(differences, _checked(resamples), rng)
        ]
    )
    ratio = mean / spread
    quantile = _quantile(ratios, level)
    return Significance(
        test=name,
        statistic=ratio * (units - 1) ** 0.5,
        p=float((1 + np.sum(ratios >= abs(ratio) * (1 - 1e-9))) / (resamples + 1)),
        effect=mean,
        effect_name=measure,
        interval=(mean - quantile * spread, mean + quantile * spread),
        level=level,
        units=units,
    )


def paired_bootstrap_of(
    difference: Callable[[Integers], float],
    units: int,
    *,
    resamples: int = 1_999,
    level: float = LEVEL,
    seed: int = 0,
) -> Significance:
    """Test the difference of a score that is no mean over units, for example of span F1, BLEU or macro F1.

    difference: takes (units,) indices of the units drawn, with repetitions, and returns score(a) - score(b)
        on them; with 0, 1, ..., units - 1 it gives the effect.
    units: number of sequences or documents; resample these, not the tokens within.
    p is the share of resamples whose difference is off the effect by at least the effect (Efron & Tibshirani
    1993, chapter 16; Koehn 2004 for BLEU); the interval is effect ± the quantile of those distances.
    statistic: effect / bootstrap standard error. Resamples without a score (`nan`) are left out with a
    `MetricWarning`; fewer than two units: `nan`.
    """
    level = checked_level(level)
    name, measure = "paired bootstrap of a score", "difference of the score"
    effect = float(difference(np.arange(units))) if units else float("nan")
    if units < 2 or np.isnan(effect):
        return no_result(name, "it needs two units and a score of all units", effect, measure, level, units)
    rng = np.random.default_rng(seed)
    drawn = np.array(
        [difference(rng.integers(0, units, units)) for _ in range(_checked(resamples))], dtype=float
    )
    usable = drawn[~np.isnan(drawn)]
    if len(usable) < len(drawn):
        reason = f"{len(drawn) - len(usable)} of {len(drawn)} resamples have no score and are left out"
        warnings.warn(f"{name}: {reason}", MetricWarning, stacklevel=2)
    distances = np.abs(usable - effect)
    quantile, error = _quantile(distances, level), float(usable.std())
    return Significance(
        test=name,
        statistic=effect / error if error else 0.0,
        p=float((1 + np.sum(distances >= abs(effect) * (1 - 1e-9))) / (len(usable) + 1)),
        effect=effect,
        effect_name=measure,
        interval=(effect - quantile, effect + quantile),
        level=level,
        units=units,
    )


def bootstrap_interval(
    scores: Callable[[Floats], Floats],
    units: int,
    *,
    resamples: int = 1_999,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of a score over units and over repetitions of the training (seeds).

    Units and repetitions are drawn with replacement, independently of each other (Owen 2007, "The pigeonhole
    bootstrap", which errs on the wide side), and the scores of the drawn repetitions are averaged. With one
    repetition the units alone are drawn. It says how far a score may be off; a difference is tested by
    `paired_bootstrap` or `paired_bootstrap_of`, whose units are never repetitions.

    scores: takes (units,) shares that add up to 1 and returns (repetitions,) the score of each on them.
    No units: `nan`.
    """
    level = checked_level(level)
    if units < 1:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    even = np.full(units, 1.0 / units)
    drawn = np.empty(_checked(resamples))
    for at in range(len(drawn)):
        found = scores(rng.multinomial(units, even) / units)
        drawn[at] = found[rng.integers(0, len(found), len(found))].mean()
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _checked(resamples: int) -> int:
    if resamples < 99:
        raise SpecError(f"resamples must be at least 99, got {resamples}; use for example resamples=9999")
    return resamples


def _without_spread(mean: float, level: float, units: int, resamples: int) -> Significance:
    return Significance(
        test="paired bootstrap",
        statistic=float(np.copysign(np.inf, mean)),
        p=max(0.5 ** (units - 1), 1 / (resamples + 1)),
        effect=mean,
        effect_name="mean difference",
        interval=(mean, mean),
        level=level,
        units=units,
    )


def _resampled(values: Floats, resamples: int, rng: np.random.Generator) -> Iterator[tuple[Floats, Floats]]:
    """Yield means and standard deviations of resamples, in parts that fit into memory."""
    distinct, counts = np.unique(values, return_counts=True)
    few = len(distinct) <= FEW_VALUES
    size = max(1, CELLS_AT_ONCE // (len(distinct) if few else len(values)))
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        if few:
            # How often each distinct value is drawn is multinomial: the same law, at a fraction of the work.
            shares = rng.multinomial(len(values), counts / len(values), size=rows) / len(values)
            means = (shares * distinct).sum(axis=1)
            yield means, np.sqrt((shares * (distinct - means[:, None]) ** 2).sum(axis=1))
        else:
            drawn = values[rng.integers(0, len(values), (rows, len(values)))]
            yield drawn.mean(axis=1), drawn.std(axis=1)


def _ratios(distances: Floats, spreads: Floats) -> Floats:
    """Return distance / spread without signs, infinite where a resample has no spread (against the claim)."""
    sizes = np.abs(distances)
    flat = spreads <= 1e-12 * (sizes + 1e-300)
    return np.where(flat, np.where(sizes == 0, 0.0, np.inf), sizes / np.where(flat, 1.0, spreads))


def _quantile(distances: Floats, level: float) -> float:
    """Return the distance that leaves the share 1 - level above it, counting the sample itself."""
    rank = int(np.ceil(level * (len(distances) + 1))) - 1
    return float(np.sort(distances)[rank]) if rank < len(distances) else float("inf")
