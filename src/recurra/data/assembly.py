"""A table becomes a `Dataset`: the columns find their parts, rows that cannot be read are dropped if asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from recurra.data.cells import first, is_missing, is_sequence, mostly_numbers, parsed
from recurra.data.dataset import Dataset
from recurra.data.long_tables import long_dataset
from recurra.data.roles import Request, Roles, resolve
from recurra.data.row_tables import row_dataset
from recurra.data.tables import Table
from recurra.data.timestamps import unreadable
from recurra.errors import DataError


def assemble(table: Table, request: Request) -> Dataset:
    """Make a dataset of a table; raises DataError where it is empty or a column is not what it must be."""
    if not len(table):
        raise DataError(f"{table.source} holds no rows")
    roles = resolve(table, request)
    whole, notes = _readable(table, roles, request) if request.bad_rows == "drop" else (table, [])
    in_cells = any(first(whole.columns[name], is_sequence) is not None for name in roles.inputs)
    make = long_dataset if request.row_is_step and not in_cells else row_dataset
    made = make(whole, roles, request)
    return replace(made, notes=(*notes, *made.notes))


def _readable(table: Table, roles: Roles, request: Request) -> tuple[Table, list[str]]:
    """Leave out the rows that cannot be read; returns the others and a note that counts them."""
    bad = sorted({row for rows in _bad_rows(table, roles, request) for row in rows})
    if not bad:
        return table, []
    if len(bad) == len(table):
        raise DataError(
            f"{table.source} has no row that can be read; read it with bad_rows='refuse' to see why"
        )
    dropped = set(bad)
    kept = [row for row in range(len(table)) if row not in dropped]
    note = f"{len(bad)} of {len(table)} rows cannot be read and were left out, the first is {table.where(bad[0])}"
    return table.rows(kept), [note]


def _bad_rows(table: Table, roles: Roles, request: Request) -> Iterator[list[int]]:
    for name in (*roles.targets, *filter(None, [roles.sequence_id])):
        yield [row for row, cell in enumerate(table.columns[name]) if is_missing(cell)]
    numeric = [name for name in roles.inputs if name not in roles.categories]
    numeric = [name for name in numeric if request.kind != "text" and mostly_numbers(table.columns[name])]
    targets = roles.targets if request.task == "regressor" else ()
    for name in (*numeric, *roles.static, *targets):
        yield parsed(table.columns[name])[1]
    if roles.time is not None and request.row_is_step:
        yield unreadable(table, roles.time, request.time_format)
