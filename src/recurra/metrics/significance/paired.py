"""Tests on paired units: exact McNemar, Wilcoxon's signed ranks, the corrected resampled t, effect size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from recurra.errors import SpecError
from recurra.metrics.checks import Floats, as_floats, as_outcomes, same_length, undefined
from recurra.metrics.significance.result import (
    LEVEL,
    Significance,
    checked_level,
    checked_pair,
    mean_of,
    no_difference,
    no_result,
    scipy_module,
)


def mcnemar(right_a: Any, right_b: Any, *, level: float = LEVEL) -> Significance:
    """Exact McNemar test: do two classifiers differ in accuracy on the same items?

    Of the items that exactly one of them gets right, n10 (only a) and n01 (only b), n10 is binomial with 1/2
    if
    they are equally good: p = min(1, 2 P(X <= min(n10, n01))) (McNemar 1947; exact form: Agresti, Categorical
    Data Analysis, section 11.1).
    right_a, right_b: (items,) whether a and b are right, 0/1.
    statistic: min(n10, n01). effect: difference in accuracy; interval: adjusted Wald of Bonett & Price
    (2012), which adds one item to both discordant cells. No items: `nan` and a `MetricWarning`.
    """
    first, second = as_outcomes("right_a", right_a), as_outcomes("right_b", right_b)
    items, level = same_length(right_a=first, right_b=second), checked_level(level)
    only_a, only_b = int((first & ~second).sum()), int((second & ~first).sum())
    name, measure = "exact McNemar", "difference in accuracy"
    if items == 0:
        return no_result(name, "there are no items", math.nan, measure, level, 0)
    stats = scipy_module("stats")
    smaller, discordant = min(only_a, only_b), only_a + only_b
    share_a, share_b = (only_a + 1) / (items + 2), (only_b + 1) / (items + 2)
    width = stats.norm.ppf(0.5 + level / 2) * math.sqrt(
        (share_a + share_b - (share_a - share_b) ** 2) / (items + 2)
    )
    return Significance(
        test=name,
        statistic=float(smaller),
        p=min(1.0, 2.0 * float(stats.binom.cdf(smaller, discordant, 0.5))),
        effect=(only_a - only_b) / items,
        effect_name=measure,
        interval=(
            max(-1.0, float(share_a - share_b - width)),
            min(1.0, float(share_a - share_b + width)),
        ),
        level=level,
        units=items,
    )


def corrected_resampled_t(
    a: Any, b: Any, *, train_size: float, test_size: float, level: float = LEVEL
) -> Significance:
    """t-test over the folds or repetitions of a resampling, corrected for the overlap of the training sets.

    t = mean(d) / sqrt((1 / J + test_size / train_size) var(d)) with J - 1 degrees of freedom (Nadeau & Bengio
    2003, "Inference for the generalization error"; Bouckaert & Frank 2004 for repeated cross-validation).
    The plain t-test (without the second term) finds differences where there are none.
    a, b: (J,) scores of the folds or repetitions; train_size, test_size: items, or shares, of one of them.
    effect: mean difference. Fewer than two folds, or no spread: `nan` and a `MetricWarning`.
    """
    if not (train_size > 0 and test_size > 0):
        raise SpecError(f"train_size and test_size must be above 0, got {train_size} and {test_size}")
    differences, level = checked_pair(a, b), checked_level(level)
    return _t_test(
        "corrected resampled t", differences, 1 / max(1, len(differences)) + test_size / train_size, level
    )


def _t_test(name: str, differences: Floats, factor: float, level: float) -> Significance:
    units, measure, mean = len(differences), "mean difference", mean_of(differences)
    if units < 2:
        return no_result(name, "it needs at least two folds", mean, measure, level, units)
    if not differences.any():
        return no_difference(name, measure, level, units)
    error = math.sqrt(factor * float(differences.var(ddof=1)))
    if np.ptp(differences) == 0:
        return no_result(name, "all differences are equal", mean, measure, level, units)
    law = scipy_module("stats").t(units - 1)
    width = float(law.ppf(0.5 + level / 2)) * error
    return Significance(
        test=name,
        statistic=mean / error,
        p=2.0 * float(law.sf(abs(mean) / error)),
        effect=mean,
        effect_name=measure,
        interval=(mean - width, mean + width),
        level=level,
        units=units,
    )


def effect_size(a: Any, b: Any, *, level: float = LEVEL) -> Significance:
    """Standardised mean difference of pairs: Hedges' g_z = J mean(d) / sd(d), with the paired t-test.

    J = 1 - 3 / (4 (n - 1) - 1) takes away the upward bias of small samples (Hedges 1981). The interval comes
    from the non-central t law of the statistic (Cumming & Finch 2001), above 200 units or |t| > 30 from its
    normal approximation. By custom 0.2 is small, 0.5 medium, 0.8 large (Cohen 1988).
    a, b: (units,). Fewer than two units, or no spread: `nan` and a `MetricWarning`.
    """
    differences, level = checked_pair(a, b), checked_level(level)
    plain = _t_test("paired t", differences, 1 / max(1, len(differences)), level)
    if math.isnan(plain.p) or not differences.any():
        standard = math.nan if math.isnan(plain.p) else 0.0
        return _as_effect_size(plain, standard, (standard, standard))
    bias = 1.0 - 3.0 / (4.0 * (plain.units - 1) - 1.0)
    standard = plain.statistic / math.sqrt(plain.units)
    low, high = _standardised_limits(plain.statistic, plain.units, level)
    return _as_effect_size(plain, bias * standard, (bias * low, bias * high))


def _as_effect_size(plain: Significance, effect: float, interval: tuple[float, float]) -> Significance:
    return Significance(
        test=plain.test,
        statistic=plain.statistic,
        p=plain.p,
        effect=effect,
        effect_name="standardised mean difference (Hedges g)",
        interval=interval,
        level=plain.level,
        units=plain.units,
    )


def _standardised_limits(statistic: float, units: int, level: float) -> tuple[float, float]:
    stats, root = scipy_module("stats"), math.sqrt(units)
    if units > 200 or abs(statistic) > 30:
        width = float(stats.norm.ppf(0.5 + level / 2)) * math.sqrt(1 + statistic**2 / (2 * units)) / root
        return statistic / root - width, statistic / root + width
    brentq = scipy_module("optimize").brentq

    def chance(shift: float) -> float:
        found = float(stats.nct.cdf(statistic, units - 1, shift))
        # SciPy's law is nan far out in some tails, where it is as good as 0 or 1.
        return found if not math.isnan(found) else float(shift < statistic)

    def limit(tail: float) -> float:
        reach = 10 + 2 * abs(statistic)
        excess = brentq(lambda shift: chance(shift) - tail, statistic - reach, statistic + reach)
        return float(excess) / root

    return limit(0.5 + level / 2), limit(0.5 - level / 2)


def mean_interval(values: Any, *, level: float = LEVEL) -> tuple[float, float]:
    """Return Student's t interval for the mean of independent values, for example of the scores of seeds.

    values: (n,); fewer than two: `nan` and a `MetricWarning`. It describes how results spread over seeds; it
    is no test of a difference.
    """
    scores, level = as_floats("values", values, ndim=1), checked_level(level)
    if len(scores) < 2:
        value = undefined("the interval of a mean", "it needs at least two values")
        return value, value
    error = float(scores.std(ddof=1)) / math.sqrt(len(scores))
    width = float(scipy_module("stats").t.ppf(0.5 + level / 2, len(scores) - 1)) * error
    return float(scores.mean()) - width, float(scores.mean()) + width
