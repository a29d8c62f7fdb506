"""Columns of steps as the numeric matrix and the categorical columns of a `Ragged`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.data.cells import EXACT, Array, Floats, categories, mostly_numbers, numbers, parsed, short
from recurra.data.tables import Cells, Table
from recurra.errors import DataError
from recurra.ragged import Ragged


@dataclass(frozen=True, kw_only=True, eq=False)
class StepColumns:
    """N steps of all sequences: numeric features (N, F), their names, categorical columns, and times if any."""

    values: Floats
    features: tuple[str, ...]
    categorical: dict[str, Array]
    time: Floats | None = None

    def kind_for(self, asked: str | None) -> str:
        """Return the kind that was asked for, else "events" where there is a categorical column, else "signal"."""
        if asked == "signal" and self.categorical:
            raise DataError(
                f"kind='signal' needs numbers, and column {next(iter(self.categorical))!r} holds categories; "
                "leave it out or use kind='events'"
            )
        return asked or ("events" if self.categorical else "signal")

    def ordered(self, order: Array) -> StepColumns:
        """Return the steps in another order."""
        return StepColumns(
            values=self.values[order],
            features=self.features,
            categorical={name: column[order] for name, column in self.categorical.items()},
            time=None if self.time is None else self.time[order],
        )

    def ragged(self, offsets: Any) -> Ragged:
        """Return the steps as sequences."""
        columns = dict(self.categorical)
        if self.time is not None:
            columns["time"] = self.time
        return Ragged(values=self.values, offsets=offsets, columns=columns)


def read_step_columns(
    table: Table, names: Sequence[str], as_categories: Collection[str], time: Floats | None
) -> StepColumns:
    """Read columns, one row per step: numbers as features, texts as categories.

    A column is numeric where at least half of its cells that are not missing are numbers, and its other cells
    are then errors; name it in `as_categories` to read numbers as categories.
    """
    if "time" in names and time is not None and _is_categorical(table, "time", as_categories):
        raise DataError(f"{table.source}: a categorical input column cannot be called 'time'; rename it")
    chosen = [name for name in names if _is_categorical(table, name, as_categories)]
    features = tuple(name for name in names if name not in chosen)
    columns = [numbers(table, name) for name in features]
    return StepColumns(
        values=np.stack(columns, axis=1) if columns else np.zeros((len(table), 0)),
        features=features,
        categorical={name: categories(table, name) for name in chosen},
        time=time,
    )


def _is_categorical(table: Table, name: str, as_categories: Collection[str]) -> bool:
    return name in as_categories or not mostly_numbers(table.columns[name])


def stack_rows(cells: Cells, table: Table, name: str) -> tuple[Floats, list[int]]:
    """Join sequences of numbers or of rows of numbers into (N, F), and return the length of each.

    Raises DataError, with the row, where one is missing, holds something else than numbers, or has another
    number of features than the first.
    """
    arrays: list[Floats] = []
    width: int | None = None
    for row, cell in enumerate(cells):
        array = _matrix(cell, table, row, name)
        if len(array):
            width = array.shape[1] if width is None else width
            if array.shape[1] != width:
                raise DataError(
                    f"{table.where(row)}: sequence {name!r} has {array.shape[1]} features per step and the ones "
                    f"before have {width}; all must have the same"
                )
        arrays.append(array)
    filled = [array for array in arrays if len(array)]
    values = np.concatenate(filled) if filled else np.zeros((0, width or 1))
    return values, [len(array) for array in arrays]


def _matrix(cell: Any, table: Table, row: int, name: str) -> Floats:
    try:
        array = np.asarray(cell, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        array = _slow_matrix(cell, table, row, name)
    if array.size and np.abs(array).max() >= EXACT:
        array = _slow_matrix(cell, table, row, name)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or cell is None:
        raise DataError(
            f"{table.where(row)}: sequence {name!r} must be a list of numbers or of equally long rows of numbers, "
            f"got {short(cell)}"
        )
    return array


def _slow_matrix(cell: Any, table: Table, row: int, name: str) -> Floats:
    """Read what NumPy cannot at once, such as "N/A" among numbers, and say which step is wrong."""
    items = list(cell) if isinstance(cell, (list, tuple, np.ndarray)) else None
    if items is None:
        raise DataError(f"{table.where(row)}: sequence {name!r} must be a list of numbers, got {short(cell)}")
    rows = [list(item) if isinstance(item, (list, tuple, np.ndarray)) else [item] for item in items]
    if len({len(inner) for inner in rows}) > 1:
        raise DataError(
            f"{table.where(row)}: the steps of sequence {name!r} have different numbers of features"
        )
    values, bad = parsed([number for inner in rows for number in inner])
    if bad:
        step, wrong = bad[0] // len(rows[0]), [number for inner in rows for number in inner][bad[0]]
        raise DataError(
            f"{table.where(row)}: step {step + 1} of {name!r} must be a number, got {short(wrong)}"
        )
    return values.reshape(len(rows), -1)
