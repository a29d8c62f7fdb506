"""One file's content as a `Table`, by the ending of its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from recurra.data.array_files import SIGNAL, npy_table, npz_table
from recurra.data.cells import Floats, all_numbers, numbers
from recurra.data.files import Leaf, decode
from recurra.data.midi_reading import read_midi
from recurra.data.piano import KEY_NAMES, holds_rolls, rolls_table
from recurra.data.roles import Request, as_list
from recurra.data.tables import (
    Table,
    delimited_table,
    first_row,
    json_lines_table,
    line_table,
    parquet_table,
    split_lines,
)
from recurra.data.ts_files import ts_table
from recurra.errors import DataError
from recurra.ragged import Array

SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
TABLE_ENDINGS = (*SEPARATORS, ".jsonl", ".ndjson", ".json", ".parquet", ".pq", ".ts", ".npz")
MIDI_ENDINGS = (".mid", ".midi")
_FOREIGN = frozenset(
    {
        *(".pkl", ".pickle", ".joblib", ".pt", ".pth", ".pt2", ".onnx", ".safetensors"),
        *(".mat", ".xls", ".xlsx", ".ods", ".h5", ".hdf5", ".arff", ".sqlite", ".db"),
        *(".wav", ".mp3", ".flac", ".png", ".jpg", ".jpeg", ".zst", ".7z", ".rar"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Format:
    """How files are to be read; the fields are the options of `recurra.data.reading.read` of the same names."""

    encoding: str = "utf-8"
    separator: str | None = None
    header: bool | None = None
    quote: str = '"'
    pattern: str | None = None
    rows_per_step: int = 1
    steps_per_quarter: int | None = None

    def __post_init__(self) -> None:
        if self.separator in ("\\t", "tab"):
            object.__setattr__(self, "separator", "\t")
        for name, value in (
            ("rows_per_step", self.rows_per_step),
            ("steps_per_quarter", self.steps_per_quarter),
        ):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise DataError(f"{name} must be a whole number of at least 1, got {value!r}")
        if len(self.quote) > 1:
            raise DataError(f"quote must be one character, or '' for none, got {self.quote!r}")


def leaf_table(leaf: Leaf, form: Format, request: Request) -> Table:
    """Parse one file. A name without a known ending is a table where a separator is given or the first line
    holds a tab, else one text per line."""
    ending = leaf.path.suffix.lower()
    if ending in _FOREIGN:
        raise DataError(
            f"{leaf.source} is a {ending} file, which is not read; save the data as CSV, JSON lines, Parquet or .npz"
        )
    if ending in MIDI_ENDINGS:
        return Table(columns={SIGNAL: [midi_roll(leaf, form)]}, source=leaf.source, features=KEY_NAMES)
    data = leaf.load()
    if ending in (".parquet", ".pq"):
        return parquet_table(data, leaf.source)
    if ending == ".npz":
        return npz_table(data, leaf.source)
    if ending == ".npy":
        return npy_table(data, leaf.source)
    text = decode(data, form.encoding, leaf.source)
    if not text.strip():
        raise DataError(f"{leaf.source} is empty")
    if ending == ".ts":
        return ts_table(text, leaf.source)
    if ending == ".json" and holds_rolls(text):
        return rolls_table(text, leaf.source)
    if ending in (".jsonl", ".ndjson", ".json"):
        return json_lines_table(text, leaf.source)
    separator = form.separator or SEPARATORS.get(ending) or ("\t" if "\t" in text.split("\n", 1)[0] else None)
    return (
        line_table(text, leaf.source)
        if separator is None
        else _delimited(text, leaf, separator, form, request)
    )


def midi_roll(leaf: Leaf, form: Format) -> Array:
    """(T, 88) the keys of a MIDI file, on a grid of eighths if not told otherwise."""
    return read_midi(leaf.load(), leaf.source, steps_per_quarter=form.steps_per_quarter or 2)


def _delimited(text: str, leaf: Leaf, separator: str, form: Format, request: Request) -> Table:
    names = first_row(text, separator, form.quote)
    header = _has_header(names, request) if form.header is None else form.header
    columns = None if header or separator != " " else _furthest(request)
    return delimited_table(
        text, leaf.source, separator=separator, header=header, columns=columns, quote=form.quote
    )


def _has_header(row: list[str], request: Request) -> bool:
    """Columns given by position mean that the file has no header; so does a first row of nothing but numbers."""
    by_position = [
        column
        for column in _columns(request)
        if isinstance(column, int) or (column not in row and column.removeprefix("-").isdecimal())
    ]
    return not by_position and not (row and all_numbers(row))


def _furthest(request: Request) -> int | None:
    """Number of columns of a line of words, where all are given by position: the last takes the rest."""
    positions = [int(column) for column in _columns(request) if str(column).isdecimal()]
    return max(positions) + 1 if positions and len(positions) == len(_columns(request)) else None


def _columns(request: Request) -> list[str | int]:
    given = (request.input, request.target, request.sequence_id, request.time, request.static, request.split)
    return [column for columns in given for column in as_list(columns)]


def is_numeric(text: str) -> bool:
    """Tell whether the first line that is not blank holds nothing but numbers."""
    line = next((line for line in split_lines(text) if line.strip()), "")
    return bool(line) and all_numbers(line.replace(",", " ").split())


def number_rows(text: str, source: str) -> tuple[Sequence[Floats], Sequence[int]]:
    """Read lines of numbers, between white space or commas; returns the rows and the numbers of their lines."""
    lines = [
        (number, line) for number, line in enumerate(split_lines(text.replace(",", " ")), 1) if line.strip()
    ]
    if not lines:
        return [], []
    try:
        rows: Sequence[Floats] = list(np.loadtxt([line for _, line in lines], comments=None, ndmin=2))
    except ValueError:
        rows = [_row(line.split(), f"{source}, line {number}") for number, line in lines]
    return rows, [number for number, _ in lines]


def _row(words: list[str], where: str) -> Floats:
    try:
        return np.fromiter(map(float, words), dtype=np.float64, count=len(words))
    except ValueError:
        return numbers(Table(columns={"value": words}, source=where), "value")


def stem(path: PurePosixPath) -> str:
    """Return a file's name without the ending .txt or the ending of a table."""
    known = path.suffix.lower() in (".txt", ".text", ".npy", *MIDI_ENDINGS, *TABLE_ENDINGS)
    return path.stem if known else path.name
