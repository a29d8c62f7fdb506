"""Scores by group: by length, by unknown words, by class and by a column, each with its interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import DataError
from recurra.metrics.shares import Z, share_interval
from recurra.ragged import Array

SMALL = 20
"""A group of fewer sequences is said to be small: its interval is wide, and its score no ground for anything."""

PARTS = 5
MOST_GROUPS = 12


@dataclass(frozen=True, kw_only=True)
class Group:
    """Sequences that have something in common.

    name: what it is. count: how many. score: share that is right, or mean absolute error. interval: its 95%
    interval (Wilson's for shares; of the mean for errors; NaN for a single error).
    """

    name: str
    count: int
    score: float
    interval: tuple[float, float]

    @property
    def small(self) -> bool:
        """Whether it has fewer than 20 sequences."""
        return self.count < SMALL


def share_of(values: Array) -> tuple[float, tuple[float, float]]:
    """Share of right answers with its interval."""
    share = float(np.mean(values))
    return share, share_interval(share, len(values))


def mean_of(values: Array) -> tuple[float, tuple[float, float]]:
    """Mean with its interval."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, (float("nan"), float("nan"))
    half = Z * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return mean, (mean - half, mean + half)


def grouped(
    values: Array, names: Array, order: list[str], score: Callable[[Array], Any] = share_of
) -> tuple[Group, ...]:
    """One group per name of `order` that occurs in `names` (S,)."""
    made = []
    for name in order:
        mine = values[names == name]
        if len(mine):
            found, interval = score(mine)
            made.append(Group(name=name, count=len(mine), score=found, interval=interval))
    return tuple(made)


def by_number(
    values: Array, numbers: Array, score: Callable[[Array], Any] = share_of, *, whole: bool = False
) -> tuple[Group, ...]:
    """Groups of about equal size by a number of each sequence; of few different numbers each is a group."""
    different = np.unique(numbers[np.isfinite(numbers)])
    if not len(different):
        return ()
    if len(different) <= PARTS:
        names = np.array([_number(number) for number in numbers], dtype=object)
        return grouped(values, names, [_number(number) for number in different] + [_MISSING], score)
    inner = np.quantile(numbers[np.isfinite(numbers)], np.linspace(0, 1, PARTS + 1)[1:-1])
    edges = np.unique(np.floor(inner) if whole else inner)
    place = np.searchsorted(edges, numbers, side="left")
    order, names = [], np.full(len(numbers), _MISSING, dtype=object)
    for part in range(len(edges) + 1):
        mine = (place == part) & np.isfinite(numbers)
        if mine.any():
            low, high = numbers[mine].min(), numbers[mine].max()
            name = _number(low) if low == high else f"{_number(low)} to {_number(high)}"
            names[mine] = name
            order.append(name)
    return grouped(values, names, [*dict.fromkeys(order), _MISSING], score)


def by_unknown(values: Array, rates: Array, score: Callable[[Array], Any] = share_of) -> tuple[Group, ...]:
    """Groups by the share of unknown tokens: none, up to 5%, up to 10%, up to 20%, more."""
    order = ["none", "up to 5%", "up to 10%", "up to 20%", "more than 20%"]
    place = np.searchsorted([0.0, 0.05, 0.10, 0.20], rates, side="left")
    return grouped(values, np.array(order, dtype=object)[place], order, score)


def by_column(
    values: Array, column: Any, score: Callable[[Array], Any] = share_of, name: str = "column"
) -> tuple[Group, ...]:
    """Groups by a column: numbers in parts of about equal size, names by their frequency, rare ones together.

    Raises DataError for a column of another length.
    """
    given = np.asarray(column)
    if given.shape != values.shape:
        raise DataError(f"{name} must have one value per sequence ({len(values)}), got shape {given.shape}")
    if given.dtype.kind in "iuf":
        return by_number(values, given.astype(np.float64), score, whole=given.dtype.kind in "iu")
    names = np.array([str(cell) if str(cell) else _MISSING for cell in given], dtype=object)
    found, counts = np.unique(names, return_counts=True)
    order = [str(name) for name in found[np.argsort(-counts, kind="stable")]]
    if len(order) > MOST_GROUPS:
        rest = f"{len(order) - MOST_GROUPS + 1} others"
        kept = order[: MOST_GROUPS - 1]
        names[~np.isin(names, kept)] = rest
        order = [*kept, rest]
    return grouped(values, names, order, score)


def told(groups: Mapping[str, tuple[Group, ...]], *, low_is_good: bool, whole: float) -> list[str]:
    """A sentence for each division with a group that is worse than all sequences beyond its interval."""
    sentences = []
    for by, members in groups.items():
        worse = [
            group
            for group in members
            if not group.small and (group.interval[0] > whole if low_is_good else group.interval[1] < whole)
        ]
        if worse:
            worst = (max if low_is_good else min)(worse, key=lambda group: group.score)
            sentences.append(
                f"By {by}, the weakest group is {worst.name!r}: {worst.score:.3f} "
                f"({worst.interval[0]:.3f} to {worst.interval[1]:.3f}) on {worst.count:,} sequences, "
                f"against {whole:.3f} overall."
            )
    return sentences


_MISSING = "missing"


def _number(value: float) -> str:
    return _MISSING if not np.isfinite(value) else f"{value:,.0f}" if value == int(value) else f"{value:.4g}"
