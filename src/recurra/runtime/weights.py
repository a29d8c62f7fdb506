"""Weights on disk: the safetensors format, checked before anything is allocated.

The layout is 8 bytes of header length (little-endian), a JSON header `{name: {dtype, shape, data_offsets}}`
padded with spaces to a multiple of 8, then the arrays' bytes end to end. Written piece by piece, without a
second copy of the weights; read as read-only views of the file's bytes. `BF16` is read as float32, the same
numbers, and written for the float32 arrays that are named.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from recurra.errors import CorruptBundleError, DataError, nearest
from recurra.storage import Payload, Sink, parse_json

MAX_HEADER = 16 << 20
_MAX_DIMENSIONS = 16
_MAX_SIZE = 1 << 48
_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
_CODES = {name: code for code, name in _DTYPES.items()}
_BFLOAT16 = "BF16"


@dataclass(frozen=True, kw_only=True)
class ArraySpec:
    """What an array must be: its shape, and its dtype (float32 by default) by NumPy's name."""

    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def size(self) -> int:
        """The bytes it takes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


Expected = Mapping[str, ArraySpec | tuple[int, ...]]


def array_spec(value: ArraySpec | tuple[int, ...]) -> ArraySpec:
    """Return a bare shape as the spec of a float32 array."""
    return value if isinstance(value, ArraySpec) else ArraySpec(shape=tuple(value))


def encode_arrays(arrays: Mapping[str, np.ndarray[Any, Any]], *, bfloat16: Collection[str] = ()) -> Payload:
    """Return the safetensors content of `arrays` for `write_folder`; any memory layout and byte order.

    bfloat16: names of float32 arrays that are written in two bytes a number.
    Raises `DataError` for a dtype that is not stored (object, complex, text), and for an array that bfloat16
    cannot hold exactly.
    """
    halved = frozenset(bfloat16)
    sizes = {name: 2 if name in halved else array.dtype.itemsize for name, array in arrays.items()}
    ordered = sorted(arrays, key=lambda name: (-sizes[name], name))
    header: dict[str, Any] = {}
    end = 0
    for name in ordered:
        array = arrays[name]
        begin, end = end, end + array.size * sizes[name]
        code = _bfloat16_code(name, array) if name in halved else _code(name, array)
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [begin, end]}
    head = _encode_header(header)
    contents = [(arrays[name], name in halved) for name in ordered]
    return Payload(size=len(head) + end, write=partial(_write, head, contents))


def _bfloat16_code(name: str, array: np.ndarray[Any, Any]) -> str:
    plain = np.asarray(array, order="C")
    if plain.dtype != np.float32 or np.any(plain.view(np.uint32) & np.uint32(0xFFFF)):
        raise DataError(f"array {name!r} must be float32 numbers that bfloat16 can hold; round them first")
    return _BFLOAT16


def _code(name: str, array: np.ndarray[Any, Any]) -> str:
    code = _CODES.get(array.dtype.newbyteorder("=").name)
    if code is None:
        raise DataError(f"array {name!r} has dtype {array.dtype}, which is not stored{nearest('', _CODES)}")
    return code


def _encode_header(header: Mapping[str, Any]) -> bytes:
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _write(head: bytes, contents: list[tuple[np.ndarray[Any, Any], bool]], sink: Sink) -> None:
    sink.write(head)
    for array, halved in contents:
        plain = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
        if halved:
            plain = (plain.view("<u4") >> np.uint32(16)).astype("<u2")
        if plain.size:
            sink.write(plain.reshape(-1).view(np.uint8).data)


def decode_arrays(data: bytes, file: str) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays in the safetensors content `data` as read-only views; `file` names it in errors.

    The header is checked first: its length, every name, dtype, shape and range, and that the ranges cover
    the rest of the file without gap or overlap. Raises `CorruptBundleError` naming the file and the array.
    """
    header, start = _header(data, file)
    entries = {name: _entry(name, value, file) for name, value in header.items() if name != "__metadata__"}
    _check_ranges(entries, len(data) - start, file)
    return {name: _view(data, start, entry, name, file) for name, entry in entries.items()}


@dataclass(frozen=True, kw_only=True)
class _Range:
    spec: ArraySpec
    begin: int
    end: int
    halved: bool = False

    @property
    def size(self) -> int:
        """The bytes it takes in the file."""
        return self.spec.size // 2 if self.halved else self.spec.size


def _header(data: bytes, file: str) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(MAX_HEADER, len(data) - 8):
        raise CorruptBundleError(
            f"{file} is not a safetensors file: its header of {length} bytes is more than the file has, "
            f"or than the {MAX_HEADER} that are read"
        )
    if data[8:9] != b"{":
        raise CorruptBundleError(f"{file} is not a safetensors file: its header does not begin with '{{'")
    header = parse_json(data[8 : 8 + length], f"{file} (header)")
    if not isinstance(header, dict):
        raise CorruptBundleError(f"{file} has a header that is not a JSON object")
    return header, 8 + length


def _entry(name: str, value: Any, file: str) -> _Range:
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise CorruptBundleError(f"{file}: {name!r} must have dtype, shape and data_offsets in the header")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or (dtype not in _DTYPES and dtype != _BFLOAT16):
        raise CorruptBundleError(f"{file}: {name!r} has the dtype {dtype!r}, which is not read")
    if not _is_shape(shape):
        raise CorruptBundleError(f"{file}: {name!r} has the malformed shape {_short(shape)}")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise CorruptBundleError(f"{file}: {name!r} has the malformed data_offsets {_short(offsets)}")
    spec = ArraySpec(shape=tuple(shape), dtype=_DTYPES.get(dtype, "float32"))
    entry = _Range(spec=spec, begin=offsets[0], end=offsets[1], halved=dtype == _BFLOAT16)
    if entry.end - entry.begin != entry.size:
        raise CorruptBundleError(
            f"{file}: {name!r} of shape {_short(shape)} and dtype {dtype} is {entry.size} bytes, "
            f"its data_offsets give {entry.end - entry.begin}"
        )
    return entry


def _is_shape(value: Any) -> bool:
    """Whether NumPy can make a view of this shape: also an empty array has a limit on its other sizes."""
    return (
        _are_sizes(value)
        and len(value) <= _MAX_DIMENSIONS
        and math.prod(max(1, size) for size in value) <= _MAX_SIZE
    )


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(size, int) and not isinstance(size, bool) and 0 <= size <= _MAX_SIZE for size in value
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _check_ranges(entries: Mapping[str, _Range], size: int, file: str) -> None:
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != end:
            raise CorruptBundleError(f"{file}: the bytes of {name!r} overlap others or leave a gap")
        end = entry.end
    if end != size:
        raise CorruptBundleError(f"{file} holds {size} bytes of arrays, its header describes {end}")


def _view(data: bytes, start: int, entry: _Range, name: str, file: str) -> np.ndarray[Any, Any]:
    dtype = np.dtype(entry.spec.dtype)
    offset = start + entry.begin
    if entry.halved:
        return _widened(np.frombuffer(data, "<u2", math.prod(entry.spec.shape), offset), entry.spec.shape)
    raw = np.frombuffer(data, np.uint8, entry.end - entry.begin, offset)
    if dtype == np.bool_ and raw.max(initial=0) > 1:
        raise CorruptBundleError(f"{file}: {name!r} holds bytes that are neither true nor false")
    stored = dtype.newbyteorder("<")
    flat = np.frombuffer(data, stored, math.prod(entry.spec.shape), offset)
    if not flat.flags.aligned or stored != dtype:
        flat = flat.astype(dtype)
        flat.flags.writeable = False
    return flat.reshape(entry.spec.shape)


def _widened(halves: np.ndarray[Any, Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """bfloat16 as float32."""
    whole = (halves.astype(np.uint32) << np.uint32(16)).view(np.float32).reshape(shape)
    whole.flags.writeable = False
    return whole


def check_arrays(arrays: Mapping[str, np.ndarray[Any, Any]], expected: Expected, file: str) -> None:
    """Check that `arrays` are exactly the `expected` ones; `file` is where they came from.

    Raises `CorruptBundleError` naming the file and the first array that is missing, unknown, or of another
    shape or dtype.
    """
    for name in expected:
        if name not in arrays:
            raise CorruptBundleError(f"{file} lacks the array {name!r}")
    for name, array in arrays.items():
        if name not in expected:
            raise CorruptBundleError(f"{file} holds the unknown array {name!r}{nearest(name, expected)}")
        spec = array_spec(expected[name])
        if array.shape != spec.shape:
            raise CorruptBundleError(f"{file}: {name!r} must have the shape {spec.shape}, got {array.shape}")
        if array.dtype != np.dtype(spec.dtype):
            raise CorruptBundleError(f"{file}: {name!r} must have the dtype {spec.dtype}, got {array.dtype}")


def expected_bytes(expected: Expected) -> int:
    """Return an upper bound of the size of a file that holds exactly the `expected` arrays."""
    return 8 + MAX_HEADER + sum(array_spec(value).size for value in expected.values())
