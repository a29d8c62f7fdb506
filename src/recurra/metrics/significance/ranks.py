"""Wilcoxon's signed-rank test with the exact law of the ranks at hand, and Hodges and Lehmann's estimate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from recurra.metrics.checks import Floats
from recurra.metrics.significance.result import (
    LEVEL,
    Significance,
    checked_level,
    checked_pair,
    no_difference,
    no_result,
    scipy_module,
)

EXACT_UP_TO = 100


def wilcoxon(a: Any, b: Any, *, level: float = LEVEL) -> Significance:
    """Wilcoxon's signed-rank test over folds, series or data sets (Wilcoxon 1945; Demšar 2006).

    |a - b| is ranked, ties get their mean rank, and the ranks of zeros are split evenly between both sides,
    as Demšar does. Up to 100 units p is exact: over all signs of the ranks that occur, ties and zeros as they
    are; above, the normal approximation without continuity correction.
    a, b: (units,). statistic: min(R+, R-). effect: Hodges and Lehmann's estimate, the median of the means of
    all pairs of differences; interval: the pair means at the ranks that the law without ties gives (at 95%
    fewer than six units bound nothing: infinite limits).
    No units: `nan` and a `MetricWarning`.
    """
    differences, level = checked_pair(a, b), checked_level(level)
    name, measure, units = "Wilcoxon signed-rank", "median difference (Hodges-Lehmann)", len(differences)
    if units == 0:
        return no_result(name, "there are no units", math.nan, measure, level, 0)
    if not differences.any():
        return no_difference(name, measure, level, units)
    ranks = mean_ranks(np.abs(differences))
    upper = float(ranks[differences > 0].sum() + ranks[differences == 0].sum() / 2)
    lower = float(ranks.sum() - upper)
    return Significance(
        test=name,
        statistic=min(upper, lower),
        p=_two_sided(ranks[differences != 0], float(ranks[differences > 0].sum())),
        effect=_pair_mean(differences, 0.5),
        effect_name=measure,
        interval=_limits(differences, level),
        level=level,
        units=units,
    )


def mean_ranks(sizes: Floats) -> Floats:
    """Return ranks from 1 for the smallest; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(sizes, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse], dtype=np.float64)


def _two_sided(ranks: Floats, positive: float) -> float:
    if len(ranks) > EXACT_UP_TO:
        deviation = (positive - ranks.sum() / 2) / math.sqrt(float((ranks**2).sum()) / 4)
        return 2.0 * float(scipy_module("stats").norm.sf(abs(deviation)))
    law = _law_of_doubled_sums(np.rint(2 * ranks).astype(int).tolist())
    smaller = min(positive, float(ranks.sum()) - positive)
    return min(1.0, 2.0 * float(law[: round(2 * smaller) + 1].sum()))


def _law_of_doubled_sums(doubled: list[int]) -> Floats:
    """Return the chances of twice the sum of the positive ranks, each rank positive with chance 1/2."""
    law = np.zeros(sum(doubled) + 1)
    law[0] = 1.0
    for rank in doubled:
        shifted = np.zeros_like(law)
        shifted[rank:] = law[: len(law) - rank]
        law = (law + shifted) / 2
    return law


def _limits(differences: Floats, level: float) -> tuple[float, float]:
    units = len(differences)
    pairs = units * (units + 1) // 2
    if units <= EXACT_UP_TO:
        cumulated = np.cumsum(_law_of_doubled_sums(list(range(1, units + 1))))
        below = int(np.searchsorted(cumulated, (1 - level) / 2, side="right"))
    else:
        deviation = math.sqrt(units * (units + 1) * (2 * units + 1) / 24)
        below = math.floor(pairs / 2 + float(scipy_module("stats").norm.ppf((1 - level) / 2)) * deviation)
    if below == 0:
        return -math.inf, math.inf
    values = np.sort(differences)
    return _kth_pair_mean(values, below), _kth_pair_mean(values, pairs + 1 - below)


def _pair_mean(differences: Floats, share: float) -> float:
    values, pairs = np.sort(differences), len(differences) * (len(differences) + 1) // 2
    position = share * (pairs - 1) + 1
    low, high = _kth_pair_mean(values, math.floor(position)), _kth_pair_mean(values, math.ceil(position))
    return (low + high) / 2


def _kth_pair_mean(values: Floats, k: int) -> float:
    """Return the k-th smallest of (x_i + x_j) / 2, i <= j, by bisection: no table of n² / 2 means is made."""
    low, high = float(values[0]), float(values[-1])
    if _pairs_up_to(values, low) >= k:
        return low
    while True:
        middle = low + (high - low) / 2
        if not low < middle < high:
            return high
        if _pairs_up_to(values, middle) >= k:
            high = middle
        else:
            low = middle


def _pairs_up_to(values: Floats, limit: float) -> int:
    ordered = int(np.searchsorted(values, 2 * limit - values, side="right").sum())
    return (ordered + int(np.searchsorted(values, limit, side="right"))) // 2
