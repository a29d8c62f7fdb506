"""The .ts format of the UEA and UCR archives: a header of @-lines, then one sequence per line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.data.array_files import SIGNAL, TARGET
from recurra.data.cells import Floats, parsed, short
from recurra.data.tables import Table, split_lines
from recurra.errors import DataError

_STAMPED = re.compile(r"\(([^()]*)\)")


@dataclass(frozen=True, kw_only=True)
class _Header:
    labels: tuple[str, ...] | None = None
    numeric_target: bool = False
    stamped: bool = False
    dimensions: int | None = None

    @property
    def has_target(self) -> bool:
        return self.labels is not None or self.numeric_target


def ts_table(text: str, source: str) -> Table:
    """Parse a .ts file: dimensions between colons, values between commas, "?" where one is missing.

    Sequences may differ in length; the dimensions of one sequence may not. With `@timeStamps true` values are
    written as (time,value) and the times must be the same in all dimensions. Class labels are checked against
    the header. Raises DataError with the line.
    """
    lines = [(number, line.strip()) for number, line in enumerate(split_lines(text), 1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith(("#", "%"))]
    begin = next((i for i, (_, line) in enumerate(lines) if line.lower() == "@data"), None)
    if begin is None:
        raise DataError(f"{source} has no @data line; is it a .ts file?")
    header = _header([line for _, line in lines[:begin]], source)
    rows = [_row(line, header, f"{source}, line {number}") for number, line in lines[begin + 1 :]]
    return _table(rows, [number for number, _ in lines[begin + 1 :]], header, source)


def _header(lines: list[str], source: str) -> _Header:
    entries: dict[str, list[str]] = {}
    for line in lines:
        if not line.startswith("@"):
            raise DataError(f"{source}: header line {short(line)} must begin with @")
        key, *values = line[1:].split()
        entries[key.lower()] = values
    given = [value.lower() for value in entries.get("classlabel", [])]
    labelled = bool(given) and given[0] == "true"
    dimensions = entries.get("dimensions") or entries.get("dimension") or []
    return _Header(
        labels=tuple(entries["classlabel"][1:]) if labelled else None,
        numeric_target=[value.lower() for value in entries.get("targetlabel", [])][:1] == ["true"],
        stamped=[value.lower() for value in entries.get("timestamps", [])][:1] == ["true"],
        dimensions=int(dimensions[0]) if dimensions and dimensions[0].isdecimal() else None,
    )


def _row(line: str, header: _Header, where: str) -> tuple[Floats, Floats | None, str | None]:
    """Return the values (T, F), the times (T,) if stamped, and the target."""
    pieces = line.split(":")
    target = pieces.pop().strip() if header.has_target else None
    if header.labels and target not in header.labels:
        raise DataError(
            f"{where}: class {short(target)} is not one of the header: {', '.join(header.labels)}"
        )
    if header.numeric_target and not _is_float(target):
        raise DataError(f"{where}: the target must be a number, got {short(target)}")
    if not pieces or header.dimensions not in (None, len(pieces)):
        raise DataError(f"{where} has {len(pieces)} dimensions, and the header says {header.dimensions}")
    times = [_times(piece, where) for piece in pieces] if header.stamped else []
    if times and any(not np.array_equal(times[0], other) for other in times[1:]):
        raise DataError(f"{where}: the dimensions have different times; put them on one time axis")
    columns = [_values(_unstamped(piece) if header.stamped else piece.split(","), where) for piece in pieces]
    lengths = {len(column) for column in columns}
    if len(lengths) > 1:
        raise DataError(
            f"{where}: the dimensions have different lengths ({', '.join(map(str, sorted(lengths)))}); "
            "fill the shorter ones with ?"
        )
    return np.stack(columns, axis=1), times[0] if times else None, target


def _values(words: list[str], where: str) -> Floats:
    values, bad = parsed([] if words == [""] else words)
    if bad:
        raise DataError(f"{where}: value {bad[0] + 1} must be a number or ?, got {short(words[bad[0]])}")
    return values


def _unstamped(piece: str) -> list[str]:
    return [pair.rpartition(",")[2] for pair in _STAMPED.findall(piece)]


def _times(piece: str, where: str) -> Floats:
    values, bad = parsed([pair.rpartition(",")[0] for pair in _STAMPED.findall(piece)])
    if bad or np.isnan(values).any():
        raise DataError(f"{where}: times must be numbers; other time stamps are not read")
    return values


def _table(rows: list[Any], lines: list[int], header: _Header, source: str) -> Table:
    width = rows[0][0].shape[1] if rows else 0
    columns: dict[str, list[Any]] = {}
    if header.stamped:
        for position in range(width):
            columns[f"dim_{position}"] = [values[:, position] for values, _, _ in rows]
        columns["time"] = [times for _, times, _ in rows]
    else:
        columns[SIGNAL] = [values for values, _, _ in rows]
    if header.has_target:
        columns[TARGET] = [target for _, _, target in rows]
        if header.numeric_target:
            columns[TARGET] = [float(target) for target in columns[TARGET]]
    features = () if header.stamped else tuple(f"dim_{position}" for position in range(width))
    return Table(columns=columns, source=source, lines=lines, features=features)


def _is_float(text: str | None) -> bool:
    try:
        float(text or "")
    except ValueError:
        return False
    return True
