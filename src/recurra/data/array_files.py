"""NumPy files as tables: .npz with sequences in one of three layouts, .npy with one array."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from recurra.data.cells import Array
from recurra.data.files import BROKEN, PART_WORDS, brief
from recurra.data.tables import Table, join
from recurra.errors import DataError
from recurra.ragged import Ragged

_INPUTS = ("values", "inputs", "x", "data", "padded", "signal", "texts", "text")
_TARGETS = ("targets", "target", "labels", "label", "y")
_HEADERS: Mapping[tuple[int, int], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
SIGNAL = "signal"
TARGET = "target"


def npz_table(data: bytes, source: str) -> Table:
    """Read the arrays of an .npz file, one row per sequence. Capital letters do not count in the names.

    The sequences are one of: `values` (N, F) or (N,) with `offsets` (S + 1,); `x` (S, T, F) or (S, T) with
    `lengths` (S,); `x` without lengths, where steps of only NaN at the end are no steps; `texts` (S,). The
    same with "_train" and "_test" after each name gives a split. `targets` (or `labels`, `y`) has S rows;
    `features` names the F features; every other array of S rows is a column. Arrays of objects hold pickled
    code and are refused.
    """
    arrays = _load(data, source)
    parts: dict[str | None, dict[str, Array]] = {}
    for name, array in arrays.items():
        base, part = _part(name)
        parts.setdefault(part, {})[base] = array
    shared = parts.pop(None, {})
    if not parts or any(key in shared for key in _INPUTS):
        return _table({name.lower(): array for name, array in arrays.items()}, source)
    tables = [
        _table({**shared, **own}, source).with_column("split", [part] * _count({**shared, **own}, source))
        for part, own in parts.items()
    ]
    return join(tables, source)


def npy_table(data: bytes, source: str) -> Table:
    """Read an .npy file: (S, T, F) or (S, T) numbers, or (S,) texts."""
    return _table({"x": array_of(data, source)}, source)


def array_of(data: bytes, source: str) -> Array:
    """Return the array of an .npy file; raises DataError for damage and for arrays of objects.

    The header is checked against the bytes that are there before anything of its size is made.
    """
    stream = io.BytesIO(data)
    try:
        reader = _HEADERS[np.lib.format.read_magic(stream)]
        shape, fortran, dtype = reader(stream)
    except (
        ValueError,
        KeyError,
        TypeError,
        SyntaxError,
        MemoryError,
        RecursionError,
        OverflowError,
    ) as error:
        raise DataError(_unreadable(source, error)) from None
    if dtype.hasobject:
        raise DataError(
            f"{source} holds arrays of Python objects, which are pickled code and never loaded; save sequences "
            "of different lengths as values and offsets"
        )
    begin = stream.tell()
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(data) - begin:
        raise DataError(
            _unreadable(source, ValueError(f"its header says {shape} of {dtype}, its size another"))
        )
    if not dtype.itemsize:
        return np.zeros(shape, dtype)
    return np.frombuffer(data, dtype, offset=begin).reshape(shape, order="F" if fortran else "C")


def _load(data: bytes, source: str) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {info.filename: archive.read(info) for info in archive.infolist()}
    except BROKEN as error:
        raise DataError(_unreadable(source, error)) from None
    return {
        name.removesuffix(".npy"): array_of(content, f"{source}:{name}") for name, content in members.items()
    }


def _unreadable(source: str, error: Exception) -> str:
    return f"{source} is not a NumPy file that can be read ({brief(error)})"


def _part(name: str) -> tuple[str, str | None]:
    base, _, last = name.lower().rpartition("_")
    if base and last in PART_WORDS:
        return base, PART_WORDS[last]
    first, _, rest = name.lower().partition("_")
    return (rest, PART_WORDS[first]) if rest and first in PART_WORDS else (name.lower(), None)


def _inputs_name(arrays: Mapping[str, Array], source: str) -> str:
    name = next((name for name in _INPUTS if name in arrays), None)
    if name is None:
        raise DataError(
            f"{source} must hold an array called values (with offsets) or x; it holds {', '.join(sorted(arrays))}"
        )
    return name


def _count(arrays: Mapping[str, Array], source: str) -> int:
    return len(_sequences(arrays, _inputs_name(arrays, source), source))


def _table(arrays: Mapping[str, Array], source: str) -> Table:
    name = _inputs_name(arrays, source)
    sequences = _sequences(arrays, name, source)
    texts = len(sequences) > 0 and isinstance(sequences[0], str)
    columns: dict[str, Any] = {"text" if texts else SIGNAL: sequences}
    for other, array in arrays.items():
        if other in (name, "offsets", "lengths", "features"):
            continue
        if array.ndim and len(array) == len(sequences):
            columns[TARGET if other in _TARGETS else other] = array if array.ndim == 1 else list(array)
        elif other in _TARGETS:
            raise DataError(
                f"{source}: {other} must have one row per sequence ({len(sequences)}), got {array.shape}"
            )
    features = tuple(str(item) for item in arrays["features"]) if "features" in arrays else ()
    return Table(columns=columns, source=source, features=features)


def _sequences(arrays: Mapping[str, Array], name: str, source: str) -> list[Any]:
    values = arrays[name]
    if "offsets" in arrays:
        return list(Ragged(values=values, offsets=arrays["offsets"]))
    if values.dtype.kind in "US" and values.ndim == 1:
        return [str(item) for item in values]
    if values.dtype.kind not in "biuf" or values.ndim not in (2, 3):
        raise DataError(
            f"{source}: {name} must be numbers of shape (sequences, steps) or (sequences, steps, features), got "
            f"{values.dtype} of shape {values.shape}"
        )
    block = values[:, :, None] if values.ndim == 2 else values
    if "lengths" in arrays:
        return list(Ragged.from_padded(block, arrays["lengths"]))
    return list(trimmed(block))


def trimmed(block: Array) -> Ragged:
    """Turn (S, T, F) into sequences; steps at the end of which all features are NaN are no steps."""
    if block.dtype.kind != "f":
        return Ragged.from_padded(block, [block.shape[1]] * len(block))
    present = ~np.isnan(block).all(axis=2)
    reach = np.where(present, np.arange(1, block.shape[1] + 1), 0)
    return Ragged.from_padded(block, reach.max(axis=1, initial=0))
