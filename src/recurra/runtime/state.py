"""What a stream remembers, as a small record of plain values that only the same model takes back.

| key | what it is |
|---|---|
| `format` | version of this record |
| `model` | id of the model that the state belongs to |
| `look_ahead` | the declared look-ahead of a bidirectional model, else null |
| `steps` | tokens taken so far |
| `memory` | what the encoder remembers between two items |
| `static` | the scaled features of the sequence, or null |
| `arrays` | recurrent states and pooling: shape and base64 of little-endian float32 |

The record is plain JSON: two layers of 128 LSTM units make 3 KB, whatever the number of steps. It is not signed:
a service that takes states from strangers signs them.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from recurra.errors import StateError
from recurra.ragged import Array

FORMAT = 1
_KEYS = ("format", "model", "look_ahead", "steps", "memory", "static", "arrays")
_LITTLE = np.dtype("<f4")

Shapes: TypeAlias = Mapping[str, tuple[int | range, ...]]


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """All that one stream remembers. `static`: (1, K) scaled features of the sequence, or None."""

    steps: int
    memory: Mapping[str, Any] | None
    static: Array | None
    arrays: Mapping[str, Array]


def state_record(held: Remembered, *, model: str, look_ahead: int | None) -> dict[str, Any]:
    """As plain values."""
    return {
        "format": FORMAT,
        "model": model,
        "look_ahead": look_ahead,
        "steps": held.steps,
        "memory": None if held.memory is None else dict(held.memory),
        "static": None if held.static is None else held.static[0].tolist(),
        "arrays": {name: _plain(array) for name, array in held.arrays.items()},
    }


def _plain(array: Array) -> dict[str, Any]:
    data = np.ascontiguousarray(array, _LITTLE).tobytes()
    return {"shape": list(array.shape), "data": base64.b64encode(data).decode("ascii")}


def state_bytes(record: Mapping[str, Any]) -> bytes:
    """The record as one line of JSON."""
    return json.dumps(record, separators=(",", ":")).encode()


def read_state(
    state: Any, *, model: str, look_ahead: int | None, static: int | None, shapes: Shapes
) -> Remembered:
    """Return what a record, or its bytes, holds.

    static: number of features per sequence that the model reads, or None. shapes: of the arrays, a range for a
    size that varies. Raises StateError where the record is malformed or belongs to another model.
    """
    record = _parsed(state)
    if record.get("format") != FORMAT:
        raise StateError(f"state must have format {FORMAT}, got {record.get('format')!r}")
    if record.get("model") != model:
        raise StateError(
            f"state belongs to model {str(record.get('model'))[:12]}, this is model {model[:12]}; states of another "
            "model, or of another version of it, mean nothing here: begin the stream anew"
        )
    if set(record) != set(_KEYS):
        raise StateError(f"state must have the keys {', '.join(_KEYS)}, got {', '.join(map(str, record))}")
    if record["look_ahead"] != look_ahead:
        raise StateError(
            f"state was made with look_ahead={record['look_ahead']}, this stream has {look_ahead}"
        )
    arrays = record["arrays"]
    if not isinstance(arrays, Mapping) or set(arrays) != set(shapes):
        raise StateError(f"state must hold the arrays {', '.join(shapes)}")
    return Remembered(
        steps=_whole(record["steps"]),
        memory=_memory(record["memory"]),
        static=_features(record["static"], static),
        arrays={name: _array(name, arrays[name], shape) for name, shape in shapes.items()},
    )


def _parsed(state: Any) -> Mapping[str, Any]:
    if isinstance(state, (bytes, bytearray, str)):
        try:
            state = json.loads(state)
        except (ValueError, RecursionError) as error:
            raise StateError(f"state is not JSON: {error}") from None
    if not isinstance(state, Mapping):
        raise StateError(
            f"state must be what a stream's `state` or `snapshot()` gave, got {type(state).__name__}"
        )
    return state


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise StateError(f"state: steps must be a whole number of at least 0, got {value!r:.40}")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _memory(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or not all(_is_number(part) for part in value.values()):
        raise StateError(f"state: memory must be numbers by name, or null, got {value!r:.80}")
    return dict(value)


def _features(value: Any, count: int | None) -> Array | None:
    if count is None and value is None:
        return None
    if not isinstance(value, list) or len(value) != count or not all(_is_number(part) for part in value):
        wanted = "null" if count is None else f"{count} numbers"
        raise StateError(f"state: static must be {wanted}, got {value!r:.80}")
    return np.asarray([value], np.float32)


def _fits(given: Any, shape: tuple[int | range, ...]) -> bool:
    if not isinstance(given, list) or len(given) != len(shape):
        return False
    ranges = [range(size, size + 1) if isinstance(size, int) else size for size in shape]
    return all(type(size) is int and size in wanted for size, wanted in zip(given, ranges, strict=True))


def _array(name: str, value: Any, shape: tuple[int | range, ...]) -> Array:
    given = value.get("shape") if isinstance(value, Mapping) else None
    if not _fits(given, shape):
        raise StateError(f"state: {name} must have shape {shape}, got {given!r:.40}")
    try:
        data = base64.b64decode(value["data"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise StateError(f"state: {name} must have its numbers as base64") from None
    if given is None or len(data) != math.prod(given) * _LITTLE.itemsize:
        raise StateError(f"state: {name} of shape {given} cannot hold {len(data)} bytes")
    return np.frombuffer(data, _LITTLE).astype(np.float32).reshape(given)
