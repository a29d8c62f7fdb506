"""Many comparisons at once: Holm's adjustment, and mean ranks of methods over data sets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import DataError
from recurra.metrics.checks import Floats, as_floats, same_length, undefined
from recurra.metrics.significance.ranks import mean_ranks
from recurra.metrics.significance.result import LEVEL, checked_level, scipy_module


def holm(p_values: Any) -> Floats:
    """Return Holm's adjusted p-values: the k-th smallest of m times (m - k + 1), made monotone, at most 1.

    Holm (1979), "A simple sequentially rejective multiple test procedure". Rejecting where the adjusted p is
    at most alpha keeps the chance of any false rejection at alpha, whatever the dependence.
    p_values: (m,) between 0 and 1; a `nan` is a test that was not made: it stays and is not counted.
    """
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1 or np.any((values < 0) | (values > 1)):
        raise DataError("p_values must be one row of numbers between 0 and 1")
    adjusted = np.full(len(values), math.nan)
    made = np.flatnonzero(~np.isnan(values))
    order = made[np.argsort(values[made], kind="stable")]
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


@dataclass(frozen=True, kw_only=True)
class RankComparison:
    """Methods compared over data sets, folds or series by their mean ranks: what a critical-difference plot shows.

    names: of the methods, best mean rank first; mean_ranks: theirs, 1 is best.
    statistic, p: of Friedman's test in Iman and Davenport's form ("all methods are alike").
    critical_difference: two methods differ (Nemenyi) where their mean ranks are at least so far apart.
    cliques: the largest groups of neighbours that do not differ, as names.
    """

    names: tuple[str, ...]
    mean_ranks: tuple[float, ...]
    statistic: float
    p: float
    critical_difference: float
    cliques: tuple[tuple[str, ...], ...]


def compare_ranks(
    scores: Any, names: Sequence[str], *, higher_is_better: bool = True, level: float = LEVEL
) -> RankComparison:
    """Compare several methods over several data sets, folds or series (Demšar 2006).

    Friedman: chi² = 12 N / (k (k + 1)) (sum R_j² - k (k + 1)² / 4), as F = (N - 1) chi² / (N (k - 1) - chi²)
    with k - 1 and (k - 1)(N - 1) degrees of freedom (Iman & Davenport 1980); Nemenyi: CD = q sqrt(k (k + 1) /
    (6 N)) with the studentised range q over sqrt 2.
    scores: (N, k), N units of which each scored all k methods; names: of the k methods. Ties share a mean
    rank. Fewer than two units or methods: p is `nan`, with a `MetricWarning`; perfect agreement of all: p =
    0.
    """
    table, level = as_floats("scores", scores, ndim=2), checked_level(level)
    units, methods = table.shape
    same_length(names=names, score_columns=range(methods))
    ranks = np.array([mean_ranks(-row if higher_is_better else row) for row in table]).reshape(units, methods)
    means = ranks.mean(axis=0) if units else np.full(methods, math.nan)
    order = np.argsort(means, kind="stable")
    if units < 2 or methods < 2:
        gap, statistic = math.inf, math.nan
        p = undefined("Friedman's test", "it needs at least two units and two methods")
    else:
        statistic, p = _iman_davenport(means, units, methods)
        studentised = float(scipy_module("stats").studentized_range.ppf(level, methods, np.inf)) / math.sqrt(
            2
        )
        gap = studentised * math.sqrt(methods * (methods + 1) / (6 * units))
    ordered, ordered_means = [str(names[i]) for i in order], means[order].tolist()
    return RankComparison(
        names=tuple(ordered),
        mean_ranks=tuple(ordered_means),
        statistic=statistic,
        p=p,
        critical_difference=gap,
        cliques=_cliques(ordered, ordered_means, gap),
    )


def _iman_davenport(means: Floats, units: int, methods: int) -> tuple[float, float]:
    squares = float((means**2).sum()) - methods * (methods + 1) ** 2 / 4
    chi = 12 * units / (methods * (methods + 1)) * squares
    rest = units * (methods - 1) - chi
    if rest <= 1e-9:
        return math.inf, 0.0
    statistic = (units - 1) * chi / rest
    return statistic, float(scipy_module("stats").f.sf(statistic, methods - 1, (methods - 1) * (units - 1)))


def _cliques(names: list[str], means: list[float], gap: float) -> tuple[tuple[str, ...], ...]:
    found: list[tuple[str, ...]] = []
    furthest = 0
    for first in range(len(names)):
        end = first + 1
        while end < len(names) and means[end] - means[first] < gap:
            end += 1
        if end > furthest and end - first > 1:
            found.append(tuple(names[first:end]))
        furthest = max(furthest, end)
    return tuple(found)
