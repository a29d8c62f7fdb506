"""Tables with one row per sequence: a text, the steps side by side, or cells that are sequences themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from recurra.data.array_files import trimmed
from recurra.data.beside import about_sequences
from recurra.data.cells import (
    Floats,
    all_numbers,
    first,
    is_sequence,
    mostly_numbers,
    numbers,
    parsed,
    short,
    texts,
)
from recurra.data.dataset import Dataset
from recurra.data.roles import Request, Roles
from recurra.data.step_columns import read_step_columns, stack_rows
from recurra.data.tables import Table
from recurra.data.timestamps import seconds
from recurra.errors import DataError
from recurra.ragged import Ragged


def row_dataset(table: Table, roles: Roles, request: Request) -> Dataset:
    """Make a sequence of each row.

    Cells that are lists or arrays are sequences; several such columns are the features of one. Texts are texts,
    several text columns are joined by a space in the order in which they are named. Several columns of numbers
    are the steps of a sequence with one feature; empty cells at the end of a row end it.
    """
    inside = [name for name in (roles.sequence_id, roles.time) if name and not _holds_sequences(table, name)]
    about = about_sequences(table, replace(roles, others=(*inside, *roles.others)), request)
    if request.kind != "text" and all(_holds_sequences(table, name) for name in roles.inputs):
        return Dataset(**_of_sequences(table, roles, request), **about)
    if request.kind == "text" or not any(all_numbers(table.columns[name]) for name in roles.inputs):
        return Dataset(**_of_texts(table, roles.inputs, request.kind), **about)
    return Dataset(**_of_numbers(table, roles.inputs, request.kind), **about)


def _holds_sequences(table: Table, name: str) -> bool:
    return first(table.columns[name], is_sequence) is not None


def _of_texts(table: Table, names: Sequence[str], kind: str | None) -> dict[str, Any]:
    if kind not in (None, "text"):
        cell = table.columns[names[0]][0]
        raise DataError(
            f"{table.where(0)}: kind={kind!r} needs numbers in column {names[0]!r}, got {short(cell)}"
        )
    columns, notes = [], []
    for name in names:
        made, found = texts(table, name)
        columns.append(made)
        notes += found
    inputs = columns[0] if len(columns) == 1 else [" ".join(row) for row in zip(*columns, strict=True)]
    return {"inputs": inputs, "kind": "text", "notes": tuple(notes)}


def _of_numbers(table: Table, names: Sequence[str], kind: str | None) -> dict[str, Any]:
    if len(names) == 1:
        raise DataError(
            f"{table.source}: column {names[0]!r} holds one number per row, which is no sequence; name "
            "sequence_id= or time= if a row is one step, name all columns of steps, or give kind='text'"
        )
    columns: list[Floats] = []
    for name in names:
        values, bad = parsed(table.columns[name])
        if not mostly_numbers(table.columns[name]):
            raise DataError(
                f"{table.source}: column {name!r} holds texts and others hold numbers, in one row per sequence; "
                "name one of them as input, numbers beside a text with static="
            )
        if bad:
            numbers(table, name)  # raises, with the row and the reason
        columns.append(values)
    block = np.stack(columns, axis=1)[:, :, None]
    return {"inputs": trimmed(block), "kind": kind or "signal", "features": ("value",)}


def _of_sequences(table: Table, roles: Roles, request: Request) -> dict[str, Any]:
    names = roles.inputs
    sample = first(table.columns[names[0]], lambda cell: is_sequence(cell) and len(cell) > 0)
    item = None if sample is None else sample[0]
    if len(names) == 1 and not isinstance(item, (dict, str)) and not roles.categories and roles.time is None:
        values, lengths = stack_rows(table.columns[names[0]], table, names[0])
        features = table.features or _feature_names(names[0], values.shape[1])
        if len(features) != values.shape[1]:
            raise DataError(f"{table.source} names {len(features)} features and has {values.shape[1]}")
        ragged = Ragged(values=values, offsets=_offsets(lengths))
        return {"inputs": ragged, "kind": request.kind or "signal", "features": features}
    flat, lengths = _flattened(table, names if roles.time is None else (*names, roles.time), item)
    clock = roles.time or "time"
    time = seconds(flat, clock, request.time_format) if clock in flat.columns else None
    steps = read_step_columns(flat, [name for name in flat.names if name != clock], roles.categories, time)
    return {
        "inputs": steps.ragged(_offsets(lengths)),
        "kind": steps.kind_for(request.kind),
        "features": steps.features,
    }


def _offsets(lengths: Sequence[int]) -> Any:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _feature_names(name: str, width: int) -> tuple[str, ...]:
    return (name,) if width == 1 else tuple(f"{name}_{position}" for position in range(width))


def _flattened(table: Table, names: Sequence[str], item: Any) -> tuple[Table, list[int]]:
    """Put the steps of all rows below each other; returns them and the length of each sequence.

    item: one step; records are spread over columns by their keys.
    """
    records = isinstance(item, dict)
    chosen = names[:1] if records else names
    columns: dict[str, list[Any]] = {} if records else {name: [] for name in chosen}
    lengths: list[int] = []
    for row in range(len(table)):
        cells = [table.columns[name][row] for name in chosen]
        if not all(is_sequence(cell) for cell in cells) or len({len(cell) for cell in cells}) > 1:
            raise DataError(
                f"{table.where(row)}: the sequences in {', '.join(map(repr, names))} must be lists of one length"
            )
        if records:
            _add_records(columns, cells[0], sum(lengths), table.where(row))
        else:
            for name, cell in zip(chosen, cells, strict=True):
                columns[name].extend(cell)
        lengths.append(len(cells[0]))
    rows = np.repeat(np.arange(len(table)), lengths).tolist()
    return Table(columns=columns, source=table.source, origin=(table, rows)), lengths


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
