"""Cells of one column turned into numbers, labels, texts or sequences, and refused by row where they cannot be."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from recurra.data.tables import Cells, Table
from recurra.errors import DataError

Array: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.float64]

MISSING = frozenset({"", "?", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "nat", "null", "none"})
EXACT = 2**53
NAN = float("nan")
REPLACEMENT = "\ufffd"


def is_missing(cell: Any) -> bool:
    """Tell whether a cell stands for a number that is not there: empty, None, NaN, "N/A", "null", "?"."""
    if cell is None:
        return True
    if isinstance(cell, str):
        return cell.strip().lower() in MISSING
    return isinstance(cell, (float, np.floating)) and bool(cell != cell)


def numbers(table: Table, name: str) -> Floats:
    """Return a column as (rows,) float64 with NaN where a number is missing.

    Raises DataError, with the row, for a cell that is no number, for a whole number beyond 2^53 (float64 would
    change its digits) and for one too large for float64; and for a column without any number.
    """
    values, bad = parsed(table.columns[name])
    if len(bad):
        cell = table.columns[name][bad[0]]
        raise DataError(
            f"{table.where(bad[0])}: column {name!r} must be a number, got {short(cell)}{_why(cell)}"
        )
    if len(values) and np.isnan(values).all():
        raise DataError(
            f"{table.source}: column {name!r} has no value in any of {len(values)} rows; leave it out"
        )
    return values


def parsed(cells: Cells) -> tuple[Floats, list[int]]:
    """Return the cells as float64, NaN where missing, and the rows whose cell is no exact number."""
    fast = _fast(cells)
    if fast is not None:
        return fast, []
    values = np.full(len(cells), np.nan)
    bad = []
    for row, cell in enumerate(cells):
        if is_missing(cell):
            continue
        number = _number(cell)
        if number is None:
            bad.append(row)
        else:
            values[row] = number
    return values, bad


def all_numbers(cells: Cells) -> bool:
    """Tell whether every cell that is not missing is a number, and at least one is there."""
    if isinstance(cells, np.ndarray):
        return cells.dtype.kind in "biuf"
    fast = _fast(cells)
    if fast is not None:
        return not bool(np.isnan(fast).all())
    some = False
    for cell in cells:
        if not is_missing(cell):
            if _number(cell) is None:
                return False
            some = True
    return some


def mostly_numbers(cells: Cells) -> bool:
    """Tell whether at least half of the cells that are not missing are numbers: the others are then errors."""
    if _fast(cells) is not None:
        return True
    good = bad = 0
    for cell in cells:
        if not is_missing(cell):
            wrong = _number(cell) is None
            bad += wrong
            good += not wrong
            if bad * 2 > len(cells):
                return False
    return bad <= good


def _fast(cells: Cells) -> Floats | None:
    """Convert at once what needs no look at each cell; None where it does."""
    if isinstance(cells, np.ndarray) and cells.dtype.kind in "biuf":
        exact = cells.dtype.kind in "bf" or not len(cells) or -EXACT < cells.min() <= cells.max() < EXACT
        return cells.astype(np.float64) if exact else None
    try:
        filled = (NAN if cell is None or cell == "" else float(cell) for cell in cells)
        values = np.fromiter(filled, dtype=np.float64, count=len(cells))
    except (TypeError, ValueError, OverflowError):
        return None
    with np.errstate(invalid="ignore"):
        doubtful = bool(np.any(np.abs(values) >= EXACT))
    return None if doubtful or _has_underscore(cells) else values


def _has_underscore(cells: Cells) -> bool:
    """float("1_2") is 12 to Python, and an identifier to everybody else."""
    return any(isinstance(cell, str) and "_" in cell for cell in cells)


def _number(cell: Any) -> float | None:
    if isinstance(cell, str) and "_" in cell:
        return None
    try:
        value = float(cell)
    except (TypeError, ValueError, OverflowError):
        return None
    if abs(value) < EXACT or value != value:
        return value
    return value if _keeps_digits(cell, value) else None


def _keeps_digits(cell: Any, value: float) -> bool:
    """Tell whether a number beyond 2^53 was meant as a magnitude (1e300, inf), not as digits (an id)."""
    if isinstance(cell, str):
        text = cell.strip().lstrip("+-").lower()
        if np.isinf(value):
            return text.startswith("inf")
        return not text.isdecimal() or int(text) == int(abs(value))
    if isinstance(cell, (int, np.integer, Decimal)):
        return bool(np.isfinite(value)) and cell == int(value)
    return True


def _why(cell: Any) -> str:
    try:
        value = float(cell)
    except (TypeError, ValueError, OverflowError):
        return "; name the column in categories= if it holds categories"
    if np.isinf(value):
        return ", which is too large for float64; rescale the column"
    if abs(value) >= EXACT:
        return ", a whole number beyond 2^53 that would lose digits; name the column in categories= if it is an id"
    return "; name the column in categories= if it holds categories"


def short(cell: Any) -> str:
    """Return a cell for a message, at most 40 characters."""
    shown = repr(cell)
    return shown if len(shown) <= 40 else shown[:37] + "..."


def label(cell: Any) -> str:
    """Return a label as text: whole numbers without a decimal point, so that 1, 1.0 and "1" are one class."""
    if isinstance(cell, (np.generic, np.ndarray)):
        cell = cell.item()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return cell.strip() if isinstance(cell, str) else str(cell)


def labels(table: Table, name: str) -> list[str]:
    """Return a column as labels; raises DataError with the row where one is missing."""
    cells = table.columns[name]
    for row, cell in enumerate(cells):
        if (
            cell is None
            or (isinstance(cell, float) and cell != cell)
            or (isinstance(cell, str) and not cell.strip())
        ):
            raise DataError(
                f"{table.where(row)}: target {name!r} is empty; fill in the label or leave the row out"
            )
    return [clean(label(cell)) for cell in cells]


def whole_numbers(cells: Cells) -> bool:
    """Tell whether all cells are written as whole numbers: 3, but not 3.0."""
    if isinstance(cells, np.ndarray):
        return cells.dtype.kind in "biu"
    return all(
        cell.strip().lstrip("+-").isdecimal()
        if isinstance(cell, str)
        else isinstance(cell, (int, np.integer))
        for cell in cells
    )


def texts(table: Table, name: str) -> tuple[list[str], list[str]]:
    """Return a column as texts, and notes on what was replaced.

    A missing text is empty. NUL and lone surrogates, which no encoding can carry, become U+FFFD.
    """
    cells = table.columns[name]
    raw = ["" if is_absent(cell) else cell if isinstance(cell, str) else label(cell) for cell in cells]
    made = [clean(text) for text in raw]
    notes = []
    absent = sum(is_absent(cell) for cell in cells)
    replaced = sum(a is not b for a, b in zip(raw, made, strict=True))
    if absent:
        notes.append(f"{absent} missing texts in {name!r} were read as empty")
    if replaced:
        notes.append(f"{replaced} texts in {name!r} held NUL or lone surrogates, replaced by U+FFFD")
    return made, notes


def is_absent(cell: Any) -> bool:
    """Tell whether a cell has no content at all; unlike `is_missing`, "none" is a text."""
    return cell is None or (isinstance(cell, (float, np.floating)) and bool(cell != cell))


def clean(text: str) -> str:
    """Return the text itself, or a copy in which NUL and lone surrogates are U+FFFD."""
    if "\0" in text:
        text = text.replace("\0", REPLACEMENT)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def categories(table: Table, name: str) -> Array:
    """Return a column as an array of texts, "" where missing; numbers are written as labels."""
    cells = table.columns[name]
    made: list[str] = ["" if is_absent(cell) else clean(label(cell)) for cell in cells]
    result = np.empty(len(made), dtype=object)
    result[:] = made
    return result


def is_sequence(cell: Any) -> bool:
    """Tell whether a cell holds a sequence itself: a list or an array, not a text."""
    return isinstance(cell, (list, tuple, np.ndarray)) and not (
        isinstance(cell, np.ndarray) and cell.ndim == 0
    )


def first(cells: Cells, holds: Callable[[Any], bool]) -> Any:
    """Return the first cell of which `holds` is true, or None."""
    return next((cell for cell in cells if holds(cell)), None)
