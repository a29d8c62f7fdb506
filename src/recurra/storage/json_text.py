"""JSON as it is stored: plain values in, the same bytes out on every machine; strict on the way back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from recurra.errors import CorruptBundleError, DataError


def plain_json(value: Any, where: str, *, allow_nan: bool = False) -> Any:
    """Return `value` as plain dicts, lists, strings, numbers, booleans and None, copied.

    Tuples become lists; NumPy and torch scalars become Python numbers of the same value.
    `where` names the value in errors. Non-finite floats pass only with `allow_nan`.

    Raises `DataError` naming the place of anything that JSON cannot hold.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _float(float(value), where, allow_nan)
    if isinstance(value, Mapping):
        return {
            _key(key, where): plain_json(item, f"{where}[{key!r}]", allow_nan=allow_nan)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [plain_json(item, f"{where}[{i}]", allow_nan=allow_nan) for i, item in enumerate(value)]
    if getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):
        return plain_json(value.item(), where, allow_nan=allow_nan)
    raise DataError(
        f"{where} must be made of dicts, lists, strings, numbers, booleans and None to be stored, "
        f"got {type(value).__name__}; put arrays among the arrays"
    )


def _float(value: float, where: str, allow_nan: bool) -> float:
    if allow_nan or math.isfinite(value):
        return value
    raise DataError(f"{where} must be a finite number to be stored, got {value}; leave it out or use None")


def _key(key: object, where: str) -> str:
    if isinstance(key, str):
        return str(key)
    raise DataError(f"{where} must have strings as keys to be stored, got the key {key!r}; use str(key)")


def dump_json(value: Any, *, allow_nan: bool = False) -> bytes:
    """Return a plain value as JSON for people and programs: in its own order, ASCII, a newline at the end."""
    return json.dumps(value, indent=2, allow_nan=allow_nan).encode("ascii") + b"\n"


def canonical_json(value: Any) -> bytes:
    """Return the one encoding that a plain value has whatever the order of its keys: for hashes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def parse_json(data: bytes, file: str, *, allow_nan: bool = False) -> Any:
    """Return the value in `data`; `file` is the name used in errors.

    Raises `CorruptBundleError` for anything but one JSON value in UTF-8: repeated keys, endless nesting,
    numbers too long to read and, without `allow_nan`, NaN and Infinity are refused as well.
    """
    try:
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=None if allow_nan else _refuse_constant,
        )
    except RecursionError:
        raise CorruptBundleError(f"{file} is nested too deeply to be a file of Recurra") from None
    except ValueError as error:
        raise CorruptBundleError(f"{file} is not valid JSON: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
