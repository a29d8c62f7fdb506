"""`Table`: named columns of equal length, and the parsers that make one of a file's content."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from recurra.errors import DataError, missing_extra

Cells: TypeAlias = "Sequence[Any] | npt.NDArray[Any]"
TEXT = "text"


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Rows as columns.

    columns: name to cells; text cells as they stand in the file, or Python and NumPy values where the format
        has types (JSON lines, Parquet, frames). A cell may be a list or an array.
    source: what messages call it.
    lines: number of the line on which each row begins, where the format has lines.
    features: names of the features of array cells, where the format has them.
    parts: the tables this one was joined from, so that a message can name the file.
    origin: the table and the rows of it that this one was chosen from, for the same purpose.
    """

    columns: Mapping[str, Cells]
    source: str
    lines: Sequence[int] | None = None
    features: tuple[str, ...] = ()
    parts: tuple[Table, ...] = ()
    origin: tuple[Table, Sequence[int]] | None = None

    @property
    def names(self) -> list[str]:
        """Names of the columns, in order."""
        return list(self.columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def where(self, row: int) -> str:
        """Say where row `row` (from 0) stands: "reviews.csv, line 18"."""
        if self.origin is not None:
            return self.origin[0].where(int(self.origin[1][row]))
        for part in self.parts:
            if row < len(part):
                return part.where(row)
            row -= len(part)
        if self.lines is not None:
            return f"{self.source}, line {self.lines[row]}"
        return f"{self.source}, row {row + 1}"

    def rows(self, index: Cells) -> Table:
        """Return the rows at `index`, which still know where they stood."""
        chosen = [int(row) for row in index]
        columns = {name: [cells[row] for row in chosen] for name, cells in self.columns.items()}
        return Table(columns=columns, source=self.source, features=self.features, origin=(self, chosen))

    def with_column(self, name: str, cells: Cells) -> Table:
        """Return the table with one more column; raises DataError where the name is taken."""
        if name in self.columns:
            raise DataError(f"{self.source} already has a column {name!r}; rename one of the two")
        return Table(
            columns={**self.columns, name: cells},
            source=self.source,
            lines=self.lines,
            features=self.features,
        )


def join(tables: Sequence[Table], source: str) -> Table:
    """Put tables below each other, by the names of their columns; all must have the same ones."""
    if len(tables) == 1:
        return tables[0]
    first = tables[0]
    for table in tables[1:]:
        differing = set(first.names) ^ set(table.names)
        if differing:
            shown = ", ".join(repr(name) for name in sorted(differing)[:5])
            raise DataError(
                f"{first.source} and {table.source} do not have the same columns ({shown}); read them one by one"
            )
        if table.features != first.features:
            raise DataError(f"{first.source} and {table.source} have sequences of different features")
    columns = {name: [cell for table in tables for cell in table.columns[name]] for name in first.names}
    return Table(columns=columns, source=source, features=first.features, parts=tuple(tables))


def delimited_table(
    text: str,
    source: str,
    *,
    separator: str = ",",
    header: bool = True,
    columns: int | None = None,
    quote: str = '"',
) -> Table:
    """Parse CSV, TSV or lines of words.

    separator: one character; " " means any run of white space, without quoting.
    header: whether the first row names the columns; else they are called "0", "1", ...
    columns: for separator " ": the line is cut into so many columns, the last of which takes the rest.
    quote: the character around cells that hold separators or line feeds; "" for none.

    Raises DataError for a row with another number of cells than the first, and for names that stand twice.
    """
    rows, lines = (
        _word_rows(text, columns) if separator == " " else _quoted_rows(text, source, separator, quote)
    )
    if not rows:
        raise DataError(f"{source} is empty")
    names = _names(rows[0], source) if header else [str(position) for position in range(len(rows[0]))]
    begin = 1 if header else 0
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(names):
            raise DataError(
                f"{source}, line {line} has {len(row)} cells and the first has {len(names)}; "
                f"is the separator {separator!r}, and are cells that hold it quoted?"
            )
    cells = list(zip(*rows[begin:], strict=True)) or [()] * len(names)
    return Table(columns=dict(zip(names, cells, strict=True)), source=source, lines=lines[begin:])


def first_row(text: str, separator: str, quote: str = '"') -> list[str]:
    """Return the cells of the first row that is not empty."""
    if separator == " ":
        rows, _ = _word_rows(text.lstrip("\r\n").split("\n", 1)[0], None)
        return rows[0] if rows else []
    with _long_cells():
        reader = csv.reader(io.StringIO(text, newline=""), **_dialect(separator, quote))
        return next((row for row in reader if row), [])


def line_table(text: str, source: str) -> Table:
    """Make one row of each line that is not blank, with the one column "text"."""
    numbered = [(n, line) for n, line in enumerate(split_lines(text), 1) if line.strip()]
    return Table(
        columns={TEXT: [line for _, line in numbered]}, source=source, lines=[n for n, _ in numbered]
    )


def split_lines(text: str) -> list[str]:
    """Split at line feeds only: other characters that Unicode calls line ends occur inside of texts."""
    return [line.removesuffix("\r") for line in text.split("\n")]


def json_lines_table(text: str, source: str) -> Table:
    """Parse JSON lines, one object per line, or one JSON list of objects; absent keys give None."""
    records, lines = _json_list(text, source) if text.lstrip().startswith("[") else _json_lines(text, source)
    names: dict[str, None] = {}
    for record, line in zip(records, lines, strict=True):
        if not isinstance(record, dict):
            raise DataError(
                f'{source}, line {line} must be an object such as {{"text": "...", "label": "..."}}'
            )
        names.update(dict.fromkeys(record))
    columns = {name: [record.get(name) for record in records] for name in names}
    return Table(columns=columns, source=source, lines=lines)


def parquet_table(data: bytes, source: str) -> Table:
    """Parse Parquet, through polars."""
    try:
        import polars
    except ImportError:
        raise missing_extra("polars", "train", "reading Parquet") from None
    try:
        frame = polars.read_parquet(io.BytesIO(data))
    except Exception as error:  # polars has many error types, and a panic for some damaged files
        raise DataError(
            f"{source} is not a Parquet file that can be read: {str(error).splitlines()[0]}"
        ) from None
    return frame_table(frame, source)


def frame_table(frame: Any, source: str) -> Table:
    """Take over a pandas or polars frame or a mapping of names to columns."""
    if isinstance(frame, Mapping):
        columns = {str(name): _cells(column) for name, column in frame.items()}
    elif hasattr(frame, "columns") and hasattr(frame, "__getitem__"):
        columns = {str(name): _cells(frame[name]) for name in frame.columns}
    else:
        raise DataError(
            f"frame must be a pandas or polars frame or a dict of columns, got {type(frame).__name__}"
        )
    if hasattr(frame, "columns") and len(columns) != len(frame.columns):
        raise DataError(f"{source} has two columns of one name; rename one of them")
    lengths = {name: len(cells) for name, cells in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{source} must have columns of one length, got {lengths}")
    return Table(columns=columns, source=source)


def _cells(column: Any) -> Cells:
    """Return numbers as an array, everything else as a list of Python values with None where missing."""
    if isinstance(column, np.ndarray):
        return column if column.dtype.kind in "biuf" and column.ndim == 1 else list(column)
    if hasattr(column, "to_numpy") and getattr(getattr(column, "dtype", None), "kind", "O") in (
        "b",
        "i",
        "u",
        "f",
    ):
        values = column.to_numpy()
        return values if values.dtype.kind in "biuf" else _without_missing(column)
    return _without_missing(column)


def _without_missing(column: Any) -> list[Any]:
    items = column.to_list() if hasattr(column, "to_list") else list(column)
    return [None if _is_missing(item) else item for item in items]


def _is_missing(item: Any) -> bool:
    """Tell None, NaN, NaT and pandas' NA apart from values: only they differ from themselves."""
    if item is None or type(item).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(item, float) and item != item


def _quoted_rows(text: str, source: str, separator: str, quote: str) -> tuple[list[list[str]], list[int]]:
    if len(separator) != 1:
        raise DataError(f"separator must be one character, got {separator!r}")
    rows, lines, line = [], [], 1
    with _long_cells():
        reader = csv.reader(io.StringIO(text, newline=""), strict=True, **_dialect(separator, quote))
        try:
            for row in reader:
                if row and not (len(row) == 1 and not row[0]):
                    rows.append(row)
                    lines.append(line)
                line = reader.line_num + 1
        except csv.Error as error:
            raise DataError(
                f"{source}, line {line} is not proper CSV: {error}; is a quote left open? Where quotes are plain "
                "characters, give quote=''"
            ) from None
    return rows, lines


def _dialect(separator: str, quote: str) -> dict[str, Any]:
    if not quote:
        return {"delimiter": separator, "quoting": csv.QUOTE_NONE}
    return {"delimiter": separator, "quotechar": quote}


@contextmanager
def _long_cells() -> Iterator[None]:
    """Lift the csv module's bound of 128 KiB per cell: a review may be longer."""
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _word_rows(text: str, columns: int | None) -> tuple[list[list[str]], list[int]]:
    numbered = [
        (n, line.split(None, -1 if columns is None else columns - 1)) for n, line in _content_lines(text)
    ]
    return [row for _, row in numbered], [n for n, _ in numbered]


def _content_lines(text: str) -> Iterable[tuple[int, str]]:
    return ((n, line) for n, line in enumerate(split_lines(text), 1) if line.strip())


def _names(row: Sequence[str], source: str) -> list[str]:
    """Return the names in a header; a nameless column, as an index that was written along, gets its position."""
    names = [name.strip() or str(position) for position, name in enumerate(row)]
    for position, name in enumerate(names):
        if name in names[:position]:
            raise DataError(
                f"{source} has two columns named {name!r}; rename one, or use header=False and positions"
            )
    return names


def _json_lines(text: str, source: str) -> tuple[list[Any], list[int]]:
    records, lines = [], []
    for number, line in _content_lines(text):
        records.append(_json(line, f"{source}, line {number}"))
        lines.append(number)
    return records, lines


def _json_list(text: str, source: str) -> tuple[list[Any], list[int]]:
    records = _json(text, source)
    return records, list(range(1, len(records) + 1))


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise DataError(f"{where} is JSON nested too deeply") from None
    except ValueError as error:
        raise DataError(f"{where} is not JSON: {error}") from None
