"""The record that every test of significance returns, and what the tests share."""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from recurra.errors import SpecError, missing_extra
from recurra.metrics.checks import Floats, MetricWarning, as_floats, same_length
from recurra.metrics.regression import finite_or_none

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Significance:
    """The outcome of a two-sided test of "no difference between a and b".

    test: name of the test.
    statistic: its statistic, as the function that made it says.
    p: chance of a difference at least as large, if there were none.
    effect: how large the difference a - b is, and `effect_name` in which measure.
    interval: lower and upper limit for the effect; level: its confidence, 0.95 by default.
    units: how many independent items, sequences, series or folds it rests on: never seeds.
    """

    test: str
    statistic: float
    p: float
    effect: float
    effect_name: str
    interval: tuple[float, float]
    level: float
    units: int

    @property
    def significant(self) -> bool:
        """Whether p is at most 1 - level; an undefined p is not."""
        return self.p <= 1.0 - self.level + 1e-12

    def to_dict(self) -> dict[str, Any]:
        """Return the record for JSON; what is undefined or infinite is `None`."""
        values = asdict(self)
        for name in ("statistic", "p", "effect"):
            values[name] = finite_or_none(values[name])
        values["interval"] = [finite_or_none(limit) for limit in self.interval]
        return values

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{self.effect_name} {self.effect:.4g} ({self.level:.0%} interval {low:.4g} to {high:.4g}), "
            f"{self.test}, p = {self.p:.3g}, {self.units} units"
        )


def scipy_module(name: str) -> ModuleType:
    """Return a part of SciPy, for example `stats`, or say how to install it."""
    try:
        return import_module(f"scipy.{name}")
    except ImportError:
        raise missing_extra("SciPy", "train", "a test of significance") from None


def checked_level(level: float) -> float:
    """Return a confidence level that lies strictly between 0 and 1."""
    if not 0.0 < level < 1.0:
        raise SpecError(f"level must lie between 0 and 1, got {level}; use for example level=0.95")
    return float(level)


def checked_pair(a: Any, b: Any) -> Floats:
    """Return the differences a - b, unit by unit."""
    first, second = as_floats("a", a, ndim=1), as_floats("b", b, ndim=1)
    same_length(a=first, b=second)
    return np.asarray(first - second)


def no_result(
    test: str, reason: str, effect: float, effect_name: str, level: float, units: int
) -> Significance:
    """Return a record without p, interval or statistic, and warn why."""
    warnings.warn(f"{test} is undefined: {reason}; p is nan", MetricWarning, stacklevel=3)
    return Significance(
        test=test,
        statistic=math.nan,
        p=math.nan,
        effect=effect,
        effect_name=effect_name,
        interval=(math.nan, math.nan),
        level=level,
        units=units,
    )


def no_difference(test: str, effect_name: str, level: float, units: int) -> Significance:
    """Return the record of pairs that do not differ at all: p = 1 and an interval of no width."""
    return Significance(
        test=test,
        statistic=0.0,
        p=1.0,
        effect=0.0,
        effect_name=effect_name,
        interval=(0.0, 0.0),
        level=level,
        units=units,
    )


def mean_of(differences: Floats) -> float:
    """Return the mean, `nan` of nothing."""
    return float(differences.mean()) if len(differences) else math.nan
