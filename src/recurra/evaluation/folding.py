"""The parts that rows are trained, chosen and scored on: one split, or one per fold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from recurra.data.folds import grouped_folds, stratified_folds
from recurra.data.splits import Split, by_column, group_codes, grouped, stratified
from recurra.errors import InputError
from recurra.evaluation.runs import PARTS, Parts
from recurra.ragged import Array
from recurra.tasks.materials import Materials


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
    given: Materials, folds: int, *, validation: float = 0.2, seed: int = 0, groups: Any = None
) -> tuple[list[Split], str]:
    """One split per fold: every sequence is tested once, and of the rest of each fold a share is for validation.

    groups: (S,) no group is in two parts of one fold; else folds and validation are stratified by target.
    """
    if folds < 2:
        raise InputError(f"folds must be at least 2, or 1 for one split, got {folds}; usual: 5 or 10")
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


def parts_of(given: Materials, split: Split) -> Parts:
    """The materials of each part."""
    return {name: given.select(rows) for name, rows in zip(PARTS, split.parts(), strict=True)}


def units_of(groups: Any, splits: list[Split]) -> Array | None:
    """(S,) for the test sequences of all folds, in order, the number of their group; None without groups."""
    if groups is None:
        return None
    items = list(groups)
    return group_codes([items[row] for split in splits for row in split.test])[0]


def _taken(targets: Any, rows: Array) -> Any:
    return targets[rows] if isinstance(targets, np.ndarray) else [targets[row] for row in rows]
