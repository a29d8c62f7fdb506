"""Folds for cross-validation: stratified, by group, in blocks, forward in time, by times, and nested for tuning.

A list of folds is what scikit-learn takes as `cv`: each unpacks into the positions of train and test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from recurra.data.splits import Index, finite_times, group_codes, over_before, strata_of, time_border
from recurra.errors import DataError, SpecError, nearest

IN_TIME = ("expanding", "rolling", "blocked")
"""Kinds of folds in time order, for `timed_folds`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Fold:
    """Positions to learn from and positions to score on, both ascending, without a common one."""

    train: Index
    test: Index

    def __iter__(self) -> Any:
        return iter((self.train, self.test))


@dataclass(frozen=True, kw_only=True, eq=False)
class NestedFold(Fold):
    """A fold with folds inside of its train rows, for choices (a network, a threshold) that test must not decide.

    inner: folds of positions in the whole data, all of them in `train`.
    """

    inner: tuple[Fold, ...]


def stratified_folds(targets: Any, k: int = 10, seed: int = 0) -> list[Fold]:
    """Return k folds; every sequence is tested once, and classes are spread evenly over the folds.

    Targets that are numbers or several labels are treated as in `recurra.data.splits.stratified`.
    """
    strata = strata_of(targets)
    _check_folds(k, len(strata), "sequences")
    generator = np.random.default_rng(seed)
    shuffled = [
        generator.permutation(np.flatnonzero(strata == code)) for code in range(int(strata.max()) + 1)
    ]
    dealt = np.empty(len(strata), dtype=np.int64)
    dealt[np.concatenate(shuffled)] = np.arange(len(strata)) % k
    return [_fold(dealt == fold) for fold in range(k)]


def grouped_folds(groups: Sequence[Any], k: int = 5, seed: int = 0) -> list[Fold]:
    """Return k folds of like size; no group is in train and test of one fold."""
    codes, count = group_codes(groups)
    _check_folds(k, count, "groups")
    sizes = np.bincount(codes, minlength=count)
    order = np.random.default_rng(seed).permutation(count)
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled, dealt = np.zeros(k, dtype=np.int64), np.zeros(count, dtype=np.int64)
    for group in order:
        dealt[group] = int(np.argmin(filled))
        filled[dealt[group]] += sizes[group]
    return [_fold(dealt[codes] == fold) for fold in range(k)]


def blocked_folds(count: int, k: int = 5, gap: int = 0) -> list[Fold]:
    """Return k folds, each of which tests one block of `count` rows in order.

    gap: rows on both sides of the block that are in neither part, so that neighbours in time do not leak.
    """
    _check_folds(k, count, "rows")
    _check_gap(gap)
    edges = np.linspace(0, count, k + 1).astype(np.int64)
    rows = np.arange(count)
    pairs = list(pairwise(edges))
    folds = [
        Fold(train=rows[(rows < begin - gap) | (rows >= end + gap)], test=rows[begin:end])
        for begin, end in pairs
    ]
    if any(not len(fold.train) for fold in folds):
        raise DataError(
            f"gap={gap} leaves nothing to learn from with {count} rows in {k} blocks; use a smaller one"
        )
    return folds


def rolling_folds(
    count: int,
    k: int = 5,
    *,
    horizon: int = 1,
    gap: int = 0,
    window: int | None = None,
    step: int | None = None,
) -> list[Fold]:
    """Return k folds that only ever learn from the past of what they are tested on, the last ending at the end.

    horizon: rows tested in each fold. gap: rows between train and test that are in neither. window: rows to
    learn from (rolling); None: all of the past (expanding). step: rows from one fold to the next; None: horizon.
    """
    stride = horizon if step is None else step
    if k < 1 or horizon < 1 or stride < 1 or (window is not None and window < 1):
        raise DataError("k, horizon, step and window must be at least 1")
    _check_gap(gap)
    begins = [count - horizon - stride * back for back in range(k - 1, -1, -1)]
    least = begins[0] - gap - (window or 1)
    if least < 0:
        raise DataError(
            f"{count} rows are {-least} too few for k={k} folds with horizon={horizon}, step={stride}, gap={gap}"
            + (f" and window={window}" if window else "")
        )
    rows = np.arange(count)
    ends = [begin - gap for begin in begins]
    starts = [0 if window is None else end - window for end in ends]
    return [
        Fold(train=rows[start:end], test=rows[begin : begin + horizon])
        for start, end, begin in zip(starts, ends, begins, strict=True)
    ]


def timed_folds(
    times: Any, k: int = 5, *, kind: str = "expanding", ends: Any = None, gap: float = 0.0
) -> list[Fold]:
    """Return k folds of sequences that have times, in the order of the times they test; what overlaps is dropped.

    times, ends: (S,) when each sequence begins and ends, as of `recurra.data.splits.chronological`.
    kind: "expanding": of 2 k parts of like size in time the last k are tested, each by a model of all that came
        before it; "rolling": by a model of the k parts before it; "blocked": of k parts each is tested, by a model
        of all the others, later ones too.
    gap: least time between what is learnt from and what is tested, on both sides.
    Sequences that begin at the same time stay together; one that reaches into the gap or the tested part is not
    learnt from.
    """
    if kind not in IN_TIME:
        raise SpecError(f"kind must be one of {', '.join(IN_TIME)}, got {kind!r}{nearest(kind, IN_TIME)}")
    starts = finite_times(times, "times")
    stops = starts if ends is None else finite_times(ends, "ends")
    _check_folds(k, len(np.unique(starts)), "distinct times")
    _check_gap(gap)
    count = k if kind == "blocked" else 2 * k
    borders = [time_border(starts, part / count) for part in range(1, count)]
    part_of = np.searchsorted(borders, starts, side="left")
    folds: list[Fold] = []
    for tested in range(count - k, count):
        test = np.flatnonzero(part_of == tested)
        least = 0 if kind != "rolling" else tested - k
        past = (part_of >= least) & (part_of < tested)
        if not len(test):
            raise DataError(f"fold {len(folds) + 1} of {k} has nothing to test: too many equal times")
        past &= over_before(stops, starts[test].min(), gap)
        after = (part_of > tested) & over_before(np.full(len(starts), stops[test].max()), starts, gap)
        train = np.flatnonzero(past | after if kind == "blocked" else past)
        if not len(train):
            raise DataError(
                f"fold {len(folds) + 1} of {k} has nothing to learn from: gap={gap:g} is too large, or the "
                "sequences overlap in time"
            )
        folds.append(Fold(train=train, test=test))
    return folds


def nested_folds(outer: Sequence[Fold], inside: Callable[[Index], Sequence[Fold]]) -> list[NestedFold]:
    """Return the outer folds, each with folds inside of its train rows.

    inside: is given the positions of the train rows and returns folds of *those rows*, such as
    `lambda rows: grouped_folds(groups[rows], 3)`; for time, `lambda rows: rolling_folds(len(rows), 3, gap=5)`.
    Raises DataError where an inner fold names rows that the outer train has not.
    """
    return [
        NestedFold(
            train=fold.train,
            test=fold.test,
            inner=tuple(_within(fold.train, one) for one in inside(fold.train)),
        )
        for fold in outer
    ]


def _within(rows: Index, fold: Fold) -> Fold:
    most = max(int(part.max(initial=-1)) for part in fold)
    if most >= len(rows):
        raise DataError(
            f"inner folds must be of the {len(rows)} train rows that are handed in, got position {most}; "
            "index groups and targets by them"
        )
    return Fold(train=rows[fold.train], test=rows[fold.test])


def _fold(tested: Any) -> Fold:
    return Fold(train=np.flatnonzero(~tested), test=np.flatnonzero(tested))


def _check_folds(k: int, count: int, what: str) -> None:
    if k < 2 or k > count:
        raise DataError(f"k must lie between 2 and the number of {what} ({count}), got {k}")


def _check_gap(gap: float) -> None:
    if gap < 0:
        raise DataError(f"gap must be at least 0, got {gap}")
