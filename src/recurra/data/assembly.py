"""A table becomes a `Dataset`: one row per sequence here, many rows per sequence in `long_tables`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recurra.data.cells import Array, Floats, all_numbers, first, is_sequence, numbers, parsed, short, texts
from recurra.data.dataset import Dataset
from recurra.data.files import PART_WORDS
from recurra.data.roles import Request, Roles, resolve
from recurra.data.step_columns import read_steps, stack_rows
from recurra.data.tables import Cells, Table
from recurra.data.targets import read_targets
from recurra.data.timestamps import seconds
from recurra.errors import DataError
from recurra.ragged import Ragged


def assemble(table: Table, request: Request) -> Dataset:
    """Make a dataset of a table; raises DataError where it is empty or a column is not what it must be."""
    if not len(table):
        raise DataError(f"{table.source} holds no rows")
    roles = resolve(table, request)
    in_cells = any(is_sequence(first(table.columns[name], is_sequence)) for name in roles.inputs)
    if request.row_is_step and not in_cells:
        from recurra.data.long_tables import long_dataset

        return long_dataset(table, roles, request)
    kind, inputs, features, notes = _inputs(table, roles, request)
    return Dataset(
        inputs=inputs,
        kind=kind,
        features=features,
        notes=tuple(notes),
        source=table.source,
        **about_sequences(table, roles, request),
    )


def about_sequences(table: Table, roles: Roles, request: Request) -> dict[str, Any]:
    """Read what a table with one row per sequence says beside the inputs: fields of `Dataset`."""
    static = [numbers(table, name) for name in roles.static]
    return {
        "targets": read_targets(table, roles.targets, task=request.task, multilabel=request.multilabel),
        "static": np.stack(static, axis=1) if static else None,
        "static_names": roles.static,
        "split": None if roles.split is None else _split(table, roles.split),
        "columns": {name: as_array(table.columns[name]) for name in roles.others},
    }


def _split(table: Table, name: str) -> Array:
    cells = [str(cell).strip().lower() for cell in table.columns[name]]
    for row, cell in enumerate(cells):
        if cell not in PART_WORDS:
            raise DataError(
                f"{table.where(row)}: split {name!r} must be train, validation or test, got "
                f"{short(table.columns[name][row])}"
            )
    return np.array([PART_WORDS[cell] for cell in cells])


def as_array(cells: Cells) -> Array:
    """Return cells as an array, of objects unless they are an array already."""
    if isinstance(cells, np.ndarray):
        return cells
    made = np.empty(len(cells), dtype=object)
    for row, cell in enumerate(cells):
        made[row] = cell
    return made


def _inputs(table: Table, roles: Roles, request: Request) -> tuple[str, Any, tuple[str, ...], list[str]]:
    """Return kind, inputs, feature names and notes."""
    columns = [table.columns[name] for name in roles.inputs]
    if request.kind != "text" and all(first(cells, is_sequence) is not None for cells in columns):
        return _of_sequences(table, roles, request)
    numeric = [all_numbers(cells) for cells in columns]
    if request.kind == "text" or not any(numeric):
        if request.kind in (None, "text"):
            return _of_texts(table, roles.inputs)
        row = 0
        raise DataError(
            f"{table.where(row)}: kind={request.kind!r} needs numbers in column {roles.inputs[0]!r}, got "
            f"{short(columns[0][row])}"
        )
    if len(columns) == 1:
        raise DataError(
            f"{table.source}: column {roles.inputs[0]!r} holds one number per row, which is no sequence; name "
            "sequence_id= or time= if a row is one step, name all columns of steps, or give kind='text'"
        )
    return ("signal", _wide(table, roles.inputs), ("value",), [])


def _of_texts(table: Table, names: Sequence[str]) -> tuple[str, Any, tuple[str, ...], list[str]]:
    """Several text columns are joined by a space, in the order in which they are named."""
    columns, notes = [], []
    for name in names:
        made, found = texts(table, name)
        columns.append(made)
        notes += found
    inputs = columns[0] if len(columns) == 1 else [" ".join(row) for row in zip(*columns, strict=True)]
    return "text", inputs, (), notes


def _wide(table: Table, names: Sequence[str]) -> Ragged:
    """Read a row as the steps of one sequence; empty cells at its end end the sequence."""
    columns: list[Floats] = []
    for name in names:
        values, bad = parsed(table.columns[name])
        if bad:
            numbers(table, name)  # raises with the row and the reason
        columns.append(values)
    block = np.stack(columns, axis=1)[:, :, None]
    return trimmed(block)


def trimmed(block: Floats) -> Ragged:
    """Turn (S, T, F) into sequences; steps at the end of which all features are NaN are no steps."""
    present = ~np.isnan(block).all(axis=2)
    reach = np.where(present, np.arange(1, block.shape[1] + 1), 0)
    return Ragged.from_padded(block, reach.max(axis=1, initial=0))


def _of_sequences(
    table: Table, roles: Roles, request: Request
) -> tuple[str, Any, tuple[str, ...], list[str]]:
    """Read cells that are sequences themselves: numbers, rows of numbers, texts (ids), or records."""
    names = roles.inputs
    sample = first(table.columns[names[0]], lambda cell: is_sequence(cell) and len(cell) > 0)
    item = None if sample is None else sample[0]
    if len(names) == 1 and not isinstance(item, (dict, str)) and names[0] not in roles.categories:
        values, lengths = stack_rows(table.columns[names[0]], table, names[0])
        features = table.features or _feature_names(names[0], values.shape[1])
        if len(features) != values.shape[1]:
            raise DataError(f"{table.source} names {len(features)} features and has {values.shape[1]}")
        ragged = Ragged(values=values, offsets=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))
        return request.kind or "signal", ragged, features, []
    beside = (roles.time,) if roles.time in table.columns and not isinstance(item, dict) else ()
    flat, lengths, inner = _flattened(table, (*names, *beside), isinstance(item, dict))
    clock = roles.time or "time"
    time = seconds(flat, clock, request.time_format) if clock in inner else None
    steps = read_steps(flat, [name for name in inner if name != clock], roles.categories, time)
    ragged = steps.ragged(np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))
    return request.kind or steps.kind, ragged, steps.features, []


def _feature_names(name: str, width: int) -> tuple[str, ...]:
    return (name,) if width == 1 else tuple(f"{name}_{i}" for i in range(width))


def _flattened(table: Table, names: Sequence[str], records: bool) -> tuple[Table, list[int], list[str]]:
    """Put the steps of all rows below each other; returns them, the lengths, and the names of their columns."""
    columns: dict[str, list[Any]] = {} if records else {name: [] for name in names}
    lengths: list[int] = []
    lines: list[int] = []
    for row in range(len(table)):
        cells = [table.columns[name][row] for name in names]
        if not all(is_sequence(cell) for cell in cells) or len({len(cell) for cell in cells}) > 1:
            raise DataError(
                f"{table.where(row)}: the sequences in {', '.join(map(repr, names))} must be lists of one length"
            )
        lengths.append(len(cells[0]))
        lines += [row + 1 if table.lines is None else table.lines[row]] * len(cells[0])
        if records:
            _add_records(columns, cells[0], sum(lengths[:-1]), table.where(row))
        else:
            for name, cell in zip(names, cells, strict=True):
                columns[name].extend(cell)
    return Table(columns=columns, source=table.source, lines=lines), lengths, list(columns)


def _add_records(columns: dict[str, list[Any]], records: Sequence[Any], before: int, where: str) -> None:
    for count, record in enumerate(records):
        if not isinstance(record, dict):
            raise DataError(
                f"{where}: step {count + 1} must be an object, as the first step is, got {short(record)}"
            )
        for name in record:
            columns.setdefault(name, [None] * (before + count))
        for name, cells in columns.items():
            cells.append(record.get(name))
