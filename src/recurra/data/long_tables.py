"""Long tables: many rows per sequence, brought into order and cut into sequences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from recurra.data.beside import about_sequences
from recurra.data.cells import Array, Floats, is_absent, label, short
from recurra.data.dataset import Dataset
from recurra.data.files import PART_WORDS
from recurra.data.roles import Request, Roles
from recurra.data.step_columns import read_step_columns
from recurra.data.tables import Cells, Table
from recurra.data.timestamps import seconds
from recurra.errors import DataError


def long_dataset(table: Table, roles: Roles, request: Request) -> Dataset:
    """Make sequences of the rows that share `sequence_id`, in the order of their first rows.

    Rows of a sequence need not stand together. With a time column they are ordered by it (stable, so rows of
    one time keep their order) or, with time_order="refuse", must be so already without repeats. Targets,
    static features and the split must not change inside of a sequence; one id in two parts of the split is
    two sequences. Columns that play no part are kept where they do not change either. Without `sequence_id`
    all rows are one sequence.
    """
    if not roles.inputs:
        raise DataError(f"{table.source} has no column left for the steps; name them with --input (input=)")
    time = None if roles.time is None else seconds(table, roles.time, request.time_format)
    codes, starts = _sequences(table, roles)
    notes = [] if time is None else _time_notes(table, codes, time, request.time_order)
    order = np.argsort(codes, kind="stable") if time is None else np.lexsort((time, codes))
    steps = read_step_columns(table, roles.inputs, roles.categories, time)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(starts)))])
    kept = [name for name in roles.others if _change(table, name, codes, starts) is None]
    if roles.sequence_id:
        kept.insert(0, roles.sequence_id)
    return Dataset(
        inputs=steps.ordered(order).ragged(offsets),
        kind=steps.kind_for(request.kind),
        features=steps.features,
        notes=tuple(notes),
        **about_sequences(_heads(table, roles, codes, starts), replace(roles, others=tuple(kept)), request),
    )


def _sequences(table: Table, roles: Roles) -> tuple[Array, Array]:
    """Return for each row the number of its sequence, and for each sequence its first row."""
    if roles.sequence_id is None:
        return np.zeros(len(table), dtype=np.int64), np.zeros(1, dtype=np.int64)
    ids = table.columns[roles.sequence_id]
    missing = next((row for row, cell in enumerate(ids) if is_absent(cell) or cell == ""), None)
    if missing is not None:
        raise DataError(f"{table.where(missing)}: sequence id {roles.sequence_id!r} is empty; fill it in")
    keys: Cells = ids.tolist() if isinstance(ids, np.ndarray) else ids
    if roles.split is not None:
        keys = list(zip(map(_part, table.columns[roles.split]), keys, strict=True))
    return _codes(keys)


def _part(cell: Any) -> str:
    return PART_WORDS.get(str(cell).strip().lower(), str(cell))


def _codes(keys: Cells) -> tuple[Array, Array]:
    """Number the distinct keys in the order of their first rows; returns the numbers and those rows."""
    known: dict[Any, int] = {}
    codes = np.fromiter((known.setdefault(key, len(known)) for key in keys), dtype=np.int64, count=len(keys))
    _, starts = np.unique(codes, return_index=True)
    return codes, starts


def _time_notes(table: Table, codes: Array, time: Floats, policy: str) -> list[str]:
    """Count the rows that go back in time or repeat one; raises DataError where the policy is "refuse"."""
    grouped = np.argsort(codes, kind="stable")
    same = np.diff(codes[grouped]) == 0
    back = grouped[1:][same & (np.diff(time[grouped]) < 0)]
    ordered = np.lexsort((time, codes))
    repeats = ordered[1:][(np.diff(codes[ordered]) == 0) & (np.diff(time[ordered]) == 0)]
    if policy == "refuse":
        for rows, state in ((back, "goes back in time"), (repeats, "repeats a time")):
            if len(rows):
                raise DataError(
                    f"{table.where(int(rows.min()))} {state} inside of a sequence, as {len(rows)} rows do; "
                    "put the rows in order, or read them with time_order='sort'"
                )
    notes = []
    if len(back):
        notes.append(f"the rows were sorted by time: {len(back)} went back in time inside of their sequence")
    if len(repeats):
        notes.append(
            f"{len(repeats)} rows repeat a time of their sequence; they were kept in the order of the file"
        )
    return notes


def _heads(table: Table, roles: Roles, codes: Array, starts: Array) -> Table:
    """Return the first row of each sequence; raises DataError where what must not change does."""
    for name in (*roles.targets, *roles.static, *filter(None, [roles.split])):
        row = _change(table, name, codes, starts)
        if row is not None:
            cells, head = table.columns[name], int(starts[codes[row]])
            raise DataError(
                f"{table.where(row)}: {name!r} must be the same in all rows of a sequence, got {short(cells[row])} "
                f"after {short(cells[head])} in {table.where(head)}"
            )
    return table.rows(starts)


def _change(table: Table, name: str, codes: Array, starts: Array) -> int | None:
    """Return the first row that differs from the first row of its sequence, or None."""
    cells = table.columns[name]
    values, _ = _codes([cell if type(cell) is str else _key(cell) for cell in cells])
    rows = np.flatnonzero(values != values[starts[codes]])
    return int(rows[0]) if len(rows) else None


def _key(cell: Any) -> str | None:
    return None if is_absent(cell) else label(cell)
