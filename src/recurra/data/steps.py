"""Sequences of numbers and categories, however they were handed over, in one shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from recurra.data.cells import clean, is_absent, label
from recurra.errors import DataError, nearest
from recurra.ragged import Array, Ragged

Floats: TypeAlias = npt.NDArray[np.float64]

TIME = "time"
"""The column that says when a step happened, in seconds; never a feature by itself."""

ID = "id"
"""Name of the only column where the sequences are plain ids."""

EXACT = 2**53

IsCategory: TypeAlias = Callable[[str, Array], bool]


@dataclass(frozen=True, kw_only=True)
class Steps:
    """N steps of S sequences.

    values: (N, F) float64, NaN where missing. names: of the F columns, or None where nobody named them.
    naming: where the names come from: "columns" (named columns; their order is alphabetical), "features" (the
        columns of `values`, in order, named by the caller) or "none".
    categories: (N,) texts per categorical column. time: (N,) float64 seconds, or None. offsets: (S + 1,).
    """

    values: Floats
    names: tuple[str, ...] | None
    categories: Mapping[str, list[str]]
    time: Floats | None
    offsets: npt.NDArray[np.int64]
    naming: str = "none"

    def where(self, row: int) -> str:
        """Say in words which step a row is."""
        sequence = int(np.searchsorted(self.offsets, row, side="right")) - 1
        return f"sequence {sequence}, step {row - int(self.offsets[sequence])}"

    def column(self, position: int) -> str:
        """Say in words which numeric column a position is."""
        return repr(self.names[position]) if self.names else f"number {position}"


def read_steps(inputs: Any, features: Any = None, *, is_category: IsCategory | None = None) -> Steps:
    """Bring inputs into one shape.

    inputs: a `Ragged` with values (N,) or (N, F) and further named columns; a `Dataset` of signals or events;
        a list with one sequence each: arrays (T,) or (T, F), mappings or frames of named columns, or lists of
        mappings (one per step). A column "time" is the time of each step.
    features: names of the columns of values that have none.
    is_category: tells of a column, by name and cells, whether it holds categories; then sequences of plain
        ids (whole numbers or texts) are read as one categorical column. None: everything must be a number.

    Raises DataError, naming sequence, step and column, for anything that is no finite number or missing
    value.
    """
    if hasattr(inputs, "inputs") and hasattr(inputs, "features"):
        features = features if features is not None else inputs.features
        inputs = inputs.inputs
    batch = inputs if isinstance(inputs, Ragged) else _joined(inputs, is_category is not None)
    steps = _of_ragged(batch, None if features is None else tuple(features), is_category)
    _check_finite(steps)
    return steps


def one_sequence(item: Any, width: int, is_category: IsCategory | None = None) -> Steps:
    """Read what a stream is handed: one step of `width` features, or several, of one sequence.

    A step is a number or id, a row of numbers, or a mapping of names to cells ("values": those without names).
    """
    if isinstance(item, Mapping):
        named = {str(name): cell for name, cell in item.items()}
        values = named.pop("values", None)
        columns = {name: _column([cell]) for name, cell in named.items()}
        rows = np.zeros((1, 0)) if values is None else np.asarray(values).reshape(1, -1)
        return read_steps(
            Ragged(values=rows, offsets=np.asarray([0, 1]), columns=columns), is_category=is_category
        )
    if isinstance(item, (list, tuple)) and item and isinstance(item[0], Mapping):
        return read_steps([item], is_category=is_category)
    listed = [item] if isinstance(item, str) else item
    cells = _column(list(listed)) if _holds_text(listed) else np.asarray(item)
    if cells.ndim == 0 or (cells.ndim == 1 and width != 1):
        cells = cells.reshape(1, -1)
    if is_category is None and cells.dtype.kind == "f" and cells.ndim == 2:
        return _plain(cells.astype(np.float64))
    return read_steps([cells], is_category=is_category)


def _plain(values: Floats) -> Steps:
    offsets = np.asarray([0, len(values)], dtype=np.int64)
    made = Steps(values=values, names=None, categories={}, time=None, offsets=offsets)
    _check_finite(made)
    return made


def _joined(inputs: Any, ids: bool) -> Ragged:
    if isinstance(inputs, (str, bytes, Mapping)) or not isinstance(inputs, Iterable):
        raise DataError(f"inputs must be a Ragged or a list of sequences, got {type(inputs).__name__}")
    rows = list(inputs)
    if any(isinstance(row, (str, bytes)) or row is None for row in rows):
        odd = next(i for i, row in enumerate(rows) if isinstance(row, (str, bytes)) or row is None)
        raise DataError(
            f"inputs[{odd}] must be a sequence of numbers, got {rows[odd]!r:.40}; texts need Words()"
        )
    if any(_is_named(row) for row in rows):
        return _joined_named(rows)
    arrays = [_array(row, f"inputs[{i}]", ids) for i, row in enumerate(rows)]
    widths = sorted({array.shape[1] for array in arrays if len(array)})
    if len(widths) > 1:
        odd = next(i for i, array in enumerate(arrays) if len(array) and array.shape[1] != widths[0])
        raise DataError(
            f"inputs must all have the same number of features per step, got {widths[0]} and {widths[1]} "
            f"(inputs[{odd}] has {arrays[odd].shape[1]})"
        )
    width = widths[0] if widths else (arrays[0].shape[1] if arrays else 0)
    return Ragged.from_lists([array if len(array) else array.reshape(0, width) for array in arrays])


def _is_named(row: Any) -> bool:
    if isinstance(row, Mapping) or hasattr(row, "columns"):
        return True
    return isinstance(row, (list, tuple)) and bool(row) and isinstance(row[0], Mapping)


def _joined_named(rows: Sequence[Any]) -> Ragged:
    tables = [_table(row, i) for i, row in enumerate(rows)]
    names = list(next((table for table in tables if table), {}))
    for i, table in enumerate(tables):
        missing = [name for name in names if name not in table]
        extra = [name for name in table if name not in names]
        if table and (missing or extra):
            odd = (missing + extra)[0]
            raise DataError(
                f"inputs[{i}] and inputs[0] must have the same columns; only one of them has {odd!r}"
            )
    lengths = [len(table[names[0]]) if table else 0 for table in tables]
    columns: dict[str, Any] = {}
    for name in names:
        cells = [cell for table in tables if table for cell in table[name]]
        columns[name] = _column(cells)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Ragged(values=np.zeros((int(offsets[-1]), 0)), offsets=offsets, columns=columns)


def _table(row: Any, position: int) -> dict[str, list[Any]]:
    """One sequence as column name -> cells; empty where it has no steps."""
    if isinstance(row, (list, tuple)):
        if not all(isinstance(step, Mapping) for step in row):
            raise DataError(f"inputs[{position}] must be a list of mappings, one per step")
        names = list(row[0]) if row else []
        if any(set(step) != set(names) for step in row):
            raise DataError(f"inputs[{position}] must have the same names in every step ({', '.join(names)})")
        return {str(name): [step[name] for step in row] for name in names}
    names = list(row) if isinstance(row, Mapping) else list(getattr(row, "columns", ()))
    if not names and len(row):
        raise DataError(f"inputs[{position}] must be named columns like those of the other sequences")
    made = {str(name): list(row[name]) for name in names}
    if len({len(cells) for cells in made.values()}) > 1:
        raise DataError(f"inputs[{position}] must have columns of one length")
    return made if made and len(next(iter(made.values()))) else {}


def _column(cells: list[Any]) -> Array:
    """Cells as an array that changes none of them (NumPy's own texts lose a NUL at their end)."""
    if cells and all(isinstance(cell, np.datetime64) for cell in cells):
        return np.asarray(cells)
    made = np.empty(len(cells), dtype=object)
    made[:] = cells
    whole = all(isinstance(cell, (int, np.integer)) and not isinstance(cell, bool) for cell in cells)
    return _whole(made) if whole else made


def _whole(cells: Array) -> Array:
    try:
        return cells.astype(np.int64)
    except OverflowError:
        return cells


def _array(row: Any, where: str, ids: bool) -> Array:
    """One sequence as (T, F): floats, or with `ids` whatever the ids are."""
    try:
        made = _column(list(row)) if ids and _holds_text(row) else np.asarray(row)
    except ValueError:
        raise DataError(f"{where} must have the same number of features in every step") from None
    if made.ndim not in (1, 2):
        raise DataError(f"{where} must be of shape (T,) or (T, F), got {made.shape}")
    made = made[:, None] if made.ndim == 1 else made
    if not made.size:
        return np.zeros((0, made.shape[1]))
    return (
        made
        if ids and made.dtype.kind in "iuUSO"
        else _numeric(made, lambda place: f"{where}, step {place[0]}")
    )


def _holds_text(row: Any) -> bool:
    return isinstance(row, (list, tuple)) and any(isinstance(cell, str) for cell in row)


def _numeric(cells: Array, where: Callable[[Any], str]) -> Floats:
    """Cells as float64; refuses texts, dates, and whole numbers that would lose digits."""
    if not cells.size:
        return np.zeros(cells.shape)
    if cells.dtype.kind in "iu" and (cells.max() > EXACT or cells.min() < -EXACT):
        place = np.argwhere((cells > EXACT) | (cells < -EXACT))[0]
        raise DataError(
            f"{where(place)}: {cells[tuple(place)]} is a whole number beyond 2^53 and would lose digits"
        )
    if cells.dtype.kind in "biuf":
        return cells.astype(np.float64)
    if cells.dtype.kind == "O":
        made = np.empty(cells.shape, dtype=np.float64)
        for place in np.ndindex(cells.shape):
            made[place] = _number(cells[place], where(place))
        return made
    place = (0,) * cells.ndim
    raise DataError(f"{where(place)}: expected a number, got {cells[place].item()!r:.40}")


def _number(cell: Any, where: str) -> float:
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return float("nan")
    if isinstance(cell, (int, np.integer)) and not isinstance(cell, bool) and abs(int(cell)) > EXACT:
        raise DataError(f"{where}: {cell} is a whole number beyond 2^53 and would lose digits")
    if isinstance(cell, (str, bytes)):
        raise DataError(f"{where}: expected a number, got the text {cell!r:.40}")
    try:
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{where}: expected a number, got {cell!r:.40} ({type(cell).__name__})") from None


def _of_ragged(batch: Ragged, features: tuple[str, ...] | None, is_category: IsCategory | None) -> Steps:
    if isinstance(batch.values, Ragged):
        raise DataError("inputs must be steps of numbers, got a Ragged inside a Ragged; go through .values")
    reader = _Reader(batch.offsets)
    values = batch.values[:, None] if batch.values.ndim == 1 else batch.values
    if values.ndim != 2:
        raise DataError(f"inputs must have values of shape (N,) or (N, F), got {batch.values.shape}")
    columns = dict(sorted((name, column) for name, column in batch.columns.items() if name != TIME))
    if is_category and not columns and values.shape[1] == 1 and values.dtype.kind in "iuUSO":
        columns, values, features = {features[0] if features else ID: values[:, 0]}, values[:, :0], None
        categories = columns
    else:
        categories = {n: column for n, column in columns.items() if is_category and is_category(n, column)}
    numeric = [name for name in columns if name not in categories]
    names = _names(values.shape[1], features, numeric)
    parts = [reader.numbers(values, names)]
    parts += [reader.numbers(columns[name][:, None], (name,)) for name in numeric]
    time = batch.columns.get(TIME)
    return Steps(
        values=np.concatenate(parts, axis=1),
        names=names,
        categories={name: [reader.category(cell) for cell in column] for name, column in categories.items()},
        time=None if time is None else reader.seconds(time),
        offsets=batch.offsets,
        naming="columns" if numeric else "features" if names else "none",
    )


def _names(width: int, features: tuple[str, ...] | None, columns: list[str]) -> tuple[str, ...] | None:
    """Names of the columns of values and of the named columns after them; None where nobody named any."""
    if features and len(features) != width:
        raise DataError(f"features must name the {width} columns of values, got {len(features)} names")
    if not features and not columns:
        return None
    made = (*(features or default_names(width)), *columns)
    if len(set(made)) != len(made):
        raise DataError(f"features must have different names, got {', '.join(map(repr, made))}")
    return made


def default_names(width: int) -> tuple[str, ...]:
    """Names of features that nobody named."""
    return tuple(f"feature_{i}" for i in range(width))


def holds_texts(column: Array) -> bool:
    """Tell whether a column holds texts or truth values, which are categories whatever they mean."""
    if column.dtype.kind in "USb":
        return True
    return column.dtype.kind == "O" and any(isinstance(cell, (str, bytes, bool, np.bool_)) for cell in column)


@dataclass(frozen=True)
class _Reader:
    """Reads the columns of one batch, with the place of what it refuses."""

    offsets: npt.NDArray[np.int64]

    def numbers(self, cells: Array, names: Sequence[str] | None) -> Floats:
        def where(place: Any) -> str:
            return f"{self._step(place[0])}, feature {_shown(names, place[1])}"

        return _numeric(cells, where)

    def seconds(self, cells: Array) -> Floats:
        if cells.dtype.kind == "M":
            made: Floats = cells.astype("datetime64[ns]").astype(np.int64) / 1e9
            made[np.isnat(cells)] = np.nan
        else:
            made = _numeric(cells.reshape(-1), lambda place: f"{self._step(place[0])}, column {TIME!r}")
        for row in np.flatnonzero(~np.isfinite(made)):
            raise DataError(f"{self._step(int(row))}: column {TIME!r} must be a finite number of seconds")
        return made

    def category(self, cell: Any) -> str:
        """A category as text, as the readers write it: 3, 3.0 and "3 " are one; a missing one is ""."""
        if is_absent(cell) or type(cell).__name__ in ("NAType", "NaTType"):
            return ""
        return clean(cell.decode("utf-8", "replace") if isinstance(cell, bytes) else label(cell))

    def _step(self, row: int) -> str:
        sequence = int(np.searchsorted(self.offsets, row, side="right")) - 1
        return f"sequence {sequence}, step {row - int(self.offsets[sequence])}"


def _shown(names: Sequence[str] | None, position: int) -> str:
    return repr(names[position]) if names else f"number {position}"


def _check_finite(steps: Steps) -> None:
    infinite = np.isinf(steps.values)
    if infinite.any():
        row, position = (int(i) for i in np.argwhere(infinite)[0])
        raise DataError(
            f"{steps.where(row)}: feature {steps.column(position)} is infinite; "
            "give a finite number, or a missing value (NaN)"
        )


def in_order(steps: Steps, names: tuple[str, ...], naming: str) -> Floats:
    """Return the values in the order of `names`: by name where both sides know names, else by position.

    naming: as in `Steps`, of the training data. Raises DataError where a feature is missing, unknown, or
        where
    there are more or fewer, and where one side has named columns and the other has no names at all.
    """
    if not len(steps.values):
        return np.zeros((0, len(names)))
    if steps.names is not None and naming != "none":
        check_names("feature", names, steps.names)
        order = [steps.names.index(name) for name in names]
        return steps.values if steps.names == names else steps.values[:, order]
    width = steps.values.shape[1]
    if naming == "columns" and not width:
        check_names("feature", names, ())
    if width != len(names):
        shown = ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "")
        expected = f" ({shown})" if naming != "none" else ""
        raise DataError(
            f"inputs must have {len(names)} features per step{expected}, as in training; got {width}"
        )
    if width and "columns" in (steps.naming, naming):
        side = "had none" if naming == "none" else "had named columns"
        raise DataError(f"inputs must have features named as in training, which {side}; the order is unknown")
    return steps.values


def check_names(what: str, expected: Sequence[str], found: Sequence[str]) -> None:
    """Refuse missing and unknown columns; raises DataError with the nearest name."""
    for name in expected:
        if name not in found:
            raise DataError(f"inputs have no {what} {name!r}, which training had{nearest(name, found)}")
    for name in found:
        if name not in expected:
            raise DataError(f"inputs have a {what} {name!r}, which training had not; leave it out")
