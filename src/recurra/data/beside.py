"""What a table says beside the inputs: targets, static features, the split, and columns that are kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.data.cells import Array, numbers, short
from recurra.data.files import PART_WORDS
from recurra.data.roles import Request, Roles
from recurra.data.tables import Cells, Table
from recurra.data.targets import read_targets
from recurra.errors import DataError


def about_sequences(table: Table, roles: Roles, request: Request) -> dict[str, Any]:
    """Read a table with one row per sequence; returns fields of `Dataset`."""
    static = [numbers(table, name) for name in roles.static]
    return {
        "targets": read_targets(table, roles.targets, task=request.task, multilabel=request.multilabel),
        "static": np.stack(static, axis=1) if static else None,
        "static_names": roles.static,
        "split": None if roles.split is None else _split(table, roles.split),
        "columns": {name: as_array(table.columns[name]) for name in roles.others},
        "source": table.source,
    }


def as_array(cells: Cells) -> Array:
    """Return cells as an array, of objects unless they are an array already."""
    if isinstance(cells, np.ndarray):
        return cells
    made = np.empty(len(cells), dtype=object)
    for row, cell in enumerate(cells):
        made[row] = cell
    return made


def _split(table: Table, name: str) -> Array:
    cells = [str(cell).strip().lower() for cell in table.columns[name]]
    for row, cell in enumerate(cells):
        if cell not in PART_WORDS:
            raise DataError(
                f"{table.where(row)}: split {name!r} must be train, validation or test, got "
                f"{short(table.columns[name][row])}"
            )
    return np.array([PART_WORDS[cell] for cell in cells])
