"""Target columns as labels, numbers, or several labels per sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recurra.data.cells import (
    all_numbers,
    clean,
    is_absent,
    is_missing,
    is_sequence,
    label,
    labels,
    numbers,
    short,
    whole_numbers,
)
from recurra.data.tables import Table
from recurra.errors import DataError


def read_targets(
    table: Table, names: Sequence[str], *, task: str | None, multilabel: str | bool | None
) -> Any:
    """Return the targets of all rows, or None without `names`.

    multilabel: a separator ("|") of labels within one column; or True for a column of lists, or for several
        columns of 0 and 1, whose names are the labels. Lists of texts are several labels without it, too.
    task: "regressor" makes numbers, "classifier" labels. Without either, texts and whole numbers are labels,
        numbers with a decimal point are numbers, and several columns are numbers.

    Raises DataError where a target is missing, or is no finite number and should be one.
    """
    if not names:
        return None
    cells = table.columns[names[0]]
    if multilabel:
        return _many_labels(table, names, multilabel)
    if len(names) > 1:
        return np.stack([_finite(table, name) for name in names], axis=1)
    if any(is_sequence(cell) for cell in cells):
        return _of_lists(table, names[0])
    if task == "regressor" or (task is None and all_numbers(cells) and not whole_numbers(cells)):
        return _finite(table, names[0])
    return labels(table, names[0])


def _finite(table: Table, name: str) -> Any:
    values = numbers(table, name)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        cell = table.columns[name][bad[0]]
        state = (
            "is missing; fill it in or leave the row out"
            if is_missing(cell)
            else f"must be finite, got {cell!r}"
        )
        raise DataError(f"{table.where(int(bad[0]))}: target {name!r} {state}")
    return values


def _of_lists(table: Table, name: str) -> Any:
    cells = table.columns[name]
    if all(is_sequence(cell) and not any(isinstance(item, str) for item in cell) for cell in cells):
        try:
            values = np.array([list(cell) for cell in cells], dtype=np.float64)
        except (ValueError, TypeError):
            values = None
        if values is not None and values.ndim == 2 and values.shape[1]:
            return values
    return _many_labels(table, [name], True)


def _many_labels(table: Table, names: Sequence[str], separator: str | bool) -> list[tuple[str, ...]]:
    if isinstance(separator, str):
        return [_sorted(_divided(cell, separator)) for cell in table.columns[_only(table, names)]]
    if len(names) > 1 or not any(is_sequence(cell) for cell in table.columns[names[0]]):
        return _indicated(table, names)
    made = []
    for row, cell in enumerate(table.columns[_only(table, names)]):
        if not is_absent(cell) and not is_sequence(cell):
            raise DataError(
                f"{table.where(row)}: target {names[0]!r} must be a list of labels, got {short(cell)}"
            )
        made.append(_sorted([] if is_absent(cell) else [label(item) for item in cell]))
    return made


def _indicated(table: Table, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Read several columns of 0 and 1, each of which says whether the label it is named for applies."""
    columns = []
    for name in names:
        values = numbers(table, name)
        bad = np.flatnonzero((values != 0) & (values != 1))
        if len(bad):
            cell = table.columns[name][int(bad[0])]
            raise DataError(
                f"{table.where(int(bad[0]))}: with multilabel=True column {name!r} must be 0 or 1, got {short(cell)}"
            )
        columns.append(values)
    flags = np.stack(columns, axis=1).astype(bool)
    return [_sorted(name for name, on in zip(names, row, strict=True) if on) for row in flags]


def _only(table: Table, names: Sequence[str]) -> str:
    if len(names) > 1:
        raise DataError(f"{table.source}: a separator of labels needs one target column, got {len(names)}")
    return names[0]


def _divided(cell: Any, separator: str) -> list[str]:
    return [] if is_absent(cell) else [piece.strip() for piece in label(cell).split(separator)]


def _sorted(items: Any) -> tuple[str, ...]:
    return tuple(sorted({clean(item) for item in items if item}))
