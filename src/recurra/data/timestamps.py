"""Points in time as seconds: numbers, ISO 8601, months, and dates with slashes where their order is certain."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from recurra.data.cells import Floats, is_missing, mostly_numbers, numbers, parsed, short
from recurra.data.tables import Cells, Table
from recurra.errors import DataError

_EPOCH = datetime(1970, 1, 1)
_ISO = re.compile(r"\d{4}-\d\d(-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?)?")
_MONTH = re.compile(r"\d{4}-\d{2}")
_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(?:[ T](.+))?")
_Reader = Callable[[str], datetime]


def seconds(table: Table, name: str, time_format: str | None = None) -> Floats:
    """Return a column of times as (rows,) float64 seconds.

    Numbers are taken as they are; dates count from 1970-01-01. Dates without a zone count as UTC, dates with
    one are converted. `time_format` is a pattern of `datetime.strptime`; without it ISO 8601, "1949-01" and
    dates with slashes are understood, the latter where one date of the column shows whether the day or the
    month comes first. Raises DataError, with the row, for a missing time, for one that cannot be read, and
    where some times have a zone and others have none.
    """
    cells = table.columns[name]
    plain = None if time_format else _plain_iso(cells)
    if plain is not None:
        return plain
    row = next((row for row, cell in enumerate(cells) if is_missing(cell)), None)
    if row is not None:
        raise DataError(f"{table.where(row)}: time {name!r} is empty; fill it in or leave the row out")
    if time_format is None and mostly_numbers(cells):
        values = numbers(table, name)
        if not np.isfinite(values).all():
            bad = int(np.flatnonzero(~np.isfinite(values))[0])
            raise DataError(f"{table.where(bad)}: time {name!r} must be finite, got {short(cells[bad])}")
        return values
    return _dated(table, name, time_format)


def unreadable(table: Table, name: str, time_format: str | None = None) -> list[int]:
    """Return the rows whose time is missing or cannot be read."""
    cells = table.columns[name]
    missing = [row for row, cell in enumerate(cells) if is_missing(cell)]
    if time_format is None and mostly_numbers(cells):
        return missing + parsed(cells)[1]
    return missing + [row for row in _read(table, name, time_format)[2] if not is_missing(cells[row])]


def _plain_iso(cells: Cells) -> Floats | None:
    """Read ISO 8601 dates without a zone at once; None where a cell is something else."""
    if not all(isinstance(cell, str) and _ISO.fullmatch(cell) for cell in cells):
        return None
    try:
        moments = np.array(cells, dtype="datetime64[us]")
    except ValueError:
        return None
    return moments.astype(np.int64) / 1e6


def _dated(table: Table, name: str, time_format: str | None) -> Floats:
    values, zoned, bad = _read(table, name, time_format)
    if bad:
        expected = f"fit time_format={time_format!r}" if time_format else "be a number or an ISO 8601 date"
        hint = "" if time_format else "; give its pattern, for example time_format='%d.%m.%Y'"
        cell = short(table.columns[name][bad[0]])
        raise DataError(f"{table.where(bad[0])}: time {name!r} must {expected}, got {cell}{hint}")
    if zoned.any() and not zoned.all():
        with_zone, without = int(np.argmax(zoned)), int(np.argmin(zoned))
        raise DataError(
            f"{table.source}: time {name!r} has a zone in {table.where(with_zone)} and none in "
            f"{table.where(without)}; write all times with or all without a zone"
        )
    return values


def _read(table: Table, name: str, time_format: str | None) -> tuple[Floats, Any, list[int]]:
    """Return the seconds of each row, whether it had a zone, and the rows that cannot be read."""
    cells = table.columns[name]
    read = _by_format(time_format) if time_format else _reader(table, name)
    values, zoned, bad = np.full(len(cells), np.nan), np.zeros(len(cells), dtype=bool), []
    for row, cell in enumerate(cells):
        try:
            moment = read(cell.strip()) if isinstance(cell, str) else _moment(cell)
        except (ValueError, TypeError, OverflowError):
            bad.append(row)
            continue
        zoned[row] = moment.tzinfo is not None
        values[row] = _since_epoch(moment)
    return values, zoned, bad


def _since_epoch(moment: datetime) -> float:
    plain = moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    return (plain - _EPOCH).total_seconds()


def _moment(cell: Any) -> datetime:
    if isinstance(cell, datetime):
        return cell
    if isinstance(cell, date):
        return datetime(cell.year, cell.month, cell.day)
    if isinstance(cell, np.datetime64):
        moment: datetime = cell.astype("datetime64[us]").item()
        return moment
    raise TypeError(cell)


def _by_format(time_format: str) -> _Reader:
    return lambda text: datetime.strptime(text, time_format)


def _reader(table: Table, name: str) -> _Reader:
    texts = [cell for cell in table.columns[name] if isinstance(cell, str)]
    if texts and _SLASHED.fullmatch(texts[0].strip()):
        return _slashed(_day_first(texts, table, name))
    return _iso


def _iso(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}-01" if _MONTH.fullmatch(text) else text)


def _day_first(texts: Sequence[str], table: Table, name: str) -> bool:
    """Find out from the whole column whether 1/2/1981 is in January or in February; never guess."""
    pairs = [(int(m[1]), int(m[2])) for m in (_SLASHED.fullmatch(text.strip()) for text in texts) if m]
    day_first, month_first = any(a > 12 for a, _ in pairs), any(b > 12 for _, b in pairs)
    if day_first == month_first:
        state = "contradict each other" if day_first else f"such as {texts[0]!r} are ambiguous"
        raise DataError(
            f"{table.source}: dates in {name!r} {state}; give time_format='%d/%m/%Y' or time_format='%m/%d/%Y'"
        )
    return day_first


def _slashed(day_first: bool) -> _Reader:
    def read(text: str) -> datetime:
        match = _SLASHED.fullmatch(text)
        if match is None:
            raise ValueError(text)
        a, b = int(match[1]), int(match[2])
        day, month = (a, b) if day_first else (b, a)
        return _iso(f"{match[3]}-{month:02d}-{day:02d}" + (f" {match[4]}" if match[4] else ""))

    return read
