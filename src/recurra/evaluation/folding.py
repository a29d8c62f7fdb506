"""The parts that rows are trained, chosen and scored on: one split, or one per fold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.data.folds import grouped_folds, stratified_folds, timed_folds
from recurra.data.splits import Split, by_column, chronological, group_codes, grouped, stratified
from recurra.errors import InputError
from recurra.evaluation.runs import PARTS, Parts
from recurra.ragged import Array
from recurra.tasks.materials import Materials


@dataclass(frozen=True, kw_only=True)
class InTime:
    """Folds in time order.

    starts, ends: (S,) when each sequence begins and ends (None: as it begins). kind: "expanding", "rolling" or
    "blocked", see `recurra.data.folds.timed_folds`. gap: least time between what is learnt from and what is tested.
    """

    starts: Any
    ends: Any = None
    kind: str = "expanding"
    gap: float = 0.0


def one_split(
    given: Materials,
    *,
    split: Mapping[str, Array] | None = None,
    shares: tuple[float, float, float] = (0.6, 0.2, 0.2),
    seed: int = 0,
    groups: Any = None,
) -> tuple[list[Split], str]:
    """The split as given, by group, as the data say, or stratified; with how it was made in words."""
    if split is not None:
        rows = {name: np.asarray(split[name]) for name in PARTS}
        made = Split(**rows, total=len(given), how="as given")
    elif groups is not None:
        made = grouped(list(groups), shares, seed)
    elif given.split is not None:
        made = by_column(given.split, targets=given.targets)
    else:
        made = stratified(given.targets, shares, seed)
    return [made], made.sizes


def k_splits(
    given: Materials,
    folds: int,
    *,
    validation: float = 0.2,
    seed: int = 0,
    groups: Any = None,
    in_time: InTime | None = None,
) -> tuple[list[Split], str]:
    """One split per fold: every sequence is tested once, and of the rest of each fold a share is for validation.

    groups: (S,) no group is in two parts of one fold. in_time: folds in time order, whose validation is the latest
    share of what is learnt from. Else folds and validation are stratified by target.
    """
    if folds < 2:
        raise InputError(f"folds must be at least 2, or 1 for one split, got {folds}; usual: 5 or 10")
    if in_time is not None:
        if groups is not None:
            raise InputError("groups and a time order cannot both part the folds; leave one of them out")
        return _in_time(given, folds, in_time, validation)
    items = None if groups is None else list(groups)
    outer = (
        stratified_folds(given.targets, folds, seed) if items is None else grouped_folds(items, folds, seed)
    )
    made = []
    for fold in outer:
        shares = (1 - validation, validation, 0.0)
        if items is None:
            inner = stratified(_taken(given.targets, fold.train), shares, seed)
        else:
            inner = grouped([items[row] for row in fold.train], shares, seed)
        made.append(
            Split(
                train=fold.train[inner.train],
                validation=fold.train[inner.validation],
                test=fold.test,
                total=len(given),
            )
        )
    how = "stratified" if items is None else f"by {group_codes(items)[1]:,} groups"
    return made, f"{folds} folds of {len(given):,} sequences ({how}, seed {seed}); every one is tested once"


def _in_time(given: Materials, folds: int, asked: InTime, validation: float) -> tuple[list[Split], str]:
    starts = np.asarray(asked.starts, dtype=np.float64)
    stops = starts if asked.ends is None else np.asarray(asked.ends, dtype=np.float64)
    made = []
    for fold in timed_folds(starts, folds, kind=asked.kind, ends=stops, gap=asked.gap):
        shares = (1 - validation, validation, 0.0)
        inner = chronological(starts[fold.train], shares, ends=stops[fold.train], gap=asked.gap)
        parts = [fold.train[inner.train], fold.train[inner.validation]]
        made.append(Split(train=parts[0], validation=parts[1], test=fold.test, total=len(given)))
    tested = sum(len(split.test) for split in made)
    gap = f", gap {asked.gap:g}" if asked.gap else ""
    return made, (
        f"{folds} {asked.kind} folds in time order{gap}; {tested:,} of {len(given):,} sequences are tested, each once"
    )


def parts_of(given: Materials, split: Split) -> Parts:
    """The materials of each part."""
    return {name: given.select(rows) for name, rows in zip(PARTS, split.parts(), strict=True)}


def units_of(groups: Any, splits: Sequence[Split], in_time: InTime | None = None) -> Array | None:
    """(S,) for the test sequences of all folds, in order, the number of the unit they belong to.

    A unit is a group; in time order, where neighbours resemble each other, a block of 2 ⌈S^(1/3)⌉ neighbours, the
    last of a fold shorter. None: every sequence is its own.
    """
    if in_time is not None:
        return _blocks([np.asarray(in_time.starts)[split.test] for split in splits])
    if groups is None:
        return None
    items = list(groups)
    return group_codes([items[row] for split in splits for row in split.test])[0]


def _blocks(times: Sequence[Array]) -> Array:
    """The number of the block that each sequence is in, by its rank in time within its fold."""
    length = 2 * math.ceil(sum(map(len, times)) ** (1 / 3))
    begun, made = 0, []
    for fold in times:
        made.append(begun + np.argsort(np.argsort(fold, kind="stable"), kind="stable") // length)
        begun += math.ceil(len(fold) / length)
    return np.concatenate(made)


def _taken(targets: Any, rows: Array) -> Any:
    return targets[rows] if isinstance(targets, np.ndarray) else [targets[row] for row in rows]
