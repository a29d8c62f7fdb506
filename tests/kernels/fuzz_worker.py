"""The fuzzer's worker: makes one call of the native module per line of JSON, in a process that may crash.

Arrays end where an unreadable page begins, so that a step too far is a crash and not luck. A call that is answered
must have the bits of the same call on plain copies; one that is refused must say which argument is wrong.

    python -m kernels.fuzz_worker [--module _native.so] [--sabotage NAME]
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import json
import mmap
import re
import resource
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from kernels.fuzz_calls import CALLS, Draw

REFUSALS = (ValueError, TypeError, OverflowError, MemoryError)
ROOM = 1 << 30  # bytes that a call may take: a size that nobody checked must not take the machine
LIBC = ctypes.CDLL(None, use_errno=True)


class Guarded:
    """Memory of one array between two unreadable pages."""

    def __init__(self, nbytes: int) -> None:
        page = mmap.PAGESIZE
        inside = -(-max(nbytes, 1) // page) * page
        self.map = mmap.mmap(-1, inside + 2 * page)
        self.begin = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        for wall in (self.begin, self.begin + page + inside):
            if LIBC.mprotect(ctypes.c_void_p(wall), ctypes.c_size_t(page), 0) != 0:
                raise OSError(ctypes.get_errno(), "mprotect")
        self.end = page + inside


def guarded(x: np.ndarray, shift: int = 0) -> np.ndarray:
    """A copy of x in C order that ends at an unreadable page, `shift` bytes before it."""
    memory = Guarded(x.nbytes + shift)
    place = np.frombuffer(memory.map, np.uint8, x.nbytes, memory.end - x.nbytes - shift)
    copy = place.view(x.dtype).reshape(x.shape) if x.nbytes else np.empty(x.shape, x.dtype)
    copy[...] = x
    return copy


def strided(x: np.ndarray) -> np.ndarray:
    """The numbers of x, every second one of a longer array, along the last axis of several."""
    if not x.ndim:
        return x
    wide = guarded(np.repeat(x, 2, axis=-1))
    return wide[..., ::2]


def fixed(x: np.ndarray) -> np.ndarray:
    x.flags.writeable = False
    return x


LAYOUTS: list[Callable[[np.ndarray], np.ndarray]] = [
    strided,
    lambda x: guarded(x[::-1])[::-1] if x.ndim else x,
    lambda x: guarded(x.T).T,
    lambda x: guarded(x, shift=1),
    lambda x: np.broadcast_to(x[:1], x.shape) if x.ndim and len(x) else x,
    lambda x: fixed(guarded(x)),
]
# No datetime64: NumPy's scalars of it give out a buffer without strides, which nanobind 3.1 reads all the same.
# Only a sequence of such scalars meets that, and recurra.kernels turns it into an array first.
DTYPES = [
    "float32",
    "float64",
    "float16",
    "int64",
    "int32",
    "uint64",
    "uint8",
    "bool",
    "complex64",
    ">f4",
    "S4",
]
REALS = [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-39, 0.0, -0.0]
WHOLES = [-1, -2, 1 << 31, 1 << 40, 1 << 62, (1 << 63) - 1, -(1 << 63)]
NUMBERS = [*WHOLES, 0, 1 << 63, 1 << 64, np.nan, np.inf, -np.inf, -0.5, 1.0, 1e300]
OTHERS: list[Any] = [None, "text", 3, 0.5, [], [1, 2], True, np.zeros(3), {}, b"bytes"]


def reshaped(x: np.ndarray, n: int) -> np.ndarray:
    """Another shape: longer, shorter, empty or huge and empty along an axis, an axis more or less."""
    if not x.ndim or n % 6 == 0:
        return x[None]
    axis = n // 6 % x.ndim
    if n % 6 == 1:
        return x.reshape(-1) if x.ndim > 1 else x.sum()[None][0, ...]
    if n % 6 == 2:
        return np.concatenate([x, x.take([0], axis)], axis) if x.shape[axis] else x[None]
    if n % 6 == 3:
        return x.take(range(max(0, x.shape[axis] - 1)), axis)
    shape = list(x.shape)
    shape[axis] = 0
    if n % 6 == 5:
        shape = [1 << (40 if x.ndim < 3 else 18) if i != axis else 0 for i in range(x.ndim)]
    return np.empty(shape, x.dtype)


def filled(x: np.ndarray, n: int) -> np.ndarray:
    """One element is hostile: not finite, huge or subnormal; or an index that is none."""
    x = x.copy()
    if x.size:
        hostile = REALS if x.dtype.kind in "fc" else WHOLES
        one = np.array(hostile[n % len(hostile)])
        x.reshape(-1)[n // len(hostile) % x.size] = one.astype(x.dtype)
    return x


def spoiled(value: Any, how: int, n: int, draw: Draw) -> Any:
    """Something else in place of an argument's value."""
    if how % 7 == 0:
        return OTHERS[n % len(OTHERS)]
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "S" or max(value.shape, default=0) > 1 << 16:
            return value  # spoiled enough
        if how % 7 == 1:
            return value.astype(DTYPES[n % len(DTYPES)])
        if how % 7 in (2, 3):
            return reshaped(value, n)
        return filled(value, n)
    if isinstance(value, list):
        if how % 7 < 3:
            return [*value, *value[:1]]
        if how % 7 == 3 or not value:
            return value[:-1]
        place = n % len(value)
        return [*value[:place], spoiled(value[place], how // 7 + n, n, draw), *value[place + 1 :]]
    if isinstance(value, str):
        return ["", value + "x", value.upper(), "mean", "lstm", "softmax"][n % 6]
    if isinstance(value, bool | int | float):
        return NUMBERS[n % len(NUMBERS)]
    if value is None:
        return [draw.real(draw.size()), draw.real(draw.size(), draw.size()), draw.below(3, draw.size())][
            n % 3
        ]
    if type(value).__name__ == "Packed":
        wanted = [{}, {"forward": False, "backward": True}, {"precision": "int8"}, {"backward": True}][n % 4]
        return draw.packed(**wanted)[0]
    return type(value).__new__(type(value))  # an object that was never made


def placed(value: Any, hostile: bool, layout: int) -> Any:
    """The array where the call shall find it: at the end of its memory, in some layout, or in a plain copy."""
    if isinstance(value, list):
        return [placed(each, hostile, layout) for each in value]
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiubc":
        return value
    if value.nbytes > 1 << 20 or not value.size:
        return value
    there = LAYOUTS[layout](value) if layout < len(LAYOUTS) else guarded(value)
    return there if hostile else np.array(there, order="C", copy=True)


def held(value: Any) -> Any:
    """Something comparable: type, shape and bytes of arrays, the state of objects."""
    if isinstance(value, np.ndarray):
        return (str(value.dtype), value.shape, value.tobytes())
    if isinstance(value, dict):
        return {key: held(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [held(each) for each in value]
    if isinstance(value, float):
        return repr(value)  # nan is nan here
    kind = type(value).__name__
    if kind == "Packed":
        return [value.nbytes, value.engine]
    if kind == "Stepper":
        return held(value.state())
    return held(value.out) if kind == "RowScaler" else value


def changed(arguments: dict[str, Any]) -> Any:
    """What a call may have written into."""
    return held([v for key, v in arguments.items() if key == "self" or isinstance(v, np.ndarray)])


def names_an_argument(message: str, names: set[str]) -> bool:
    """Whether the message says what is wrong: one argument, or that several ask for too much together."""
    together = "the arguments ask for an array of shape"
    return together in message or bool(names & set(re.findall(r"\w+", message)))


def outcome(native: Any, name: str, arguments: dict[str, Any]) -> tuple[str, Any]:
    """("answered", what) or ("refused", why)."""
    given = dict(arguments)
    function = native
    for part in name.split("."):
        function = getattr(function, part)
    try:
        answer = function(*([given.pop("self")] if "self" in given else []), **given)
    except REFUSALS as error:
        clear = not isinstance(error, ValueError) or names_an_argument(str(error), set(arguments))
        return ("refused" if clear else "wrong: names no argument"), f"{type(error).__name__}: {error}"
    if name == "fma_peak":
        answer = answer > 0  # a measurement
    return "answered", [held(answer), changed(arguments)]


def case(
    native: Any, name: str, seed: int, spoils: list[list[int]], layouts: list[list[int]]
) -> tuple[str, str]:
    """Makes the call twice, on hostile memory and on plain copies: ("answered" | "refused" | "wrong", why)."""
    results = []
    for hostile in (True, False):
        draw = Draw(native, seed)
        arguments = CALLS[name](draw)
        names = list(arguments)
        for which, how, n in spoils:
            at = names[which % len(names)]
            arguments[at] = spoiled(arguments[at], how, n, draw)
        where = {which % len(names): how % (len(LAYOUTS) + 1) for which, how in layouts}
        ready = {
            key: placed(value, hostile, where.get(i, len(LAYOUTS)))
            for i, (key, value) in enumerate(arguments.items())
        }
        results.append(outcome(native, name, ready))
    (first, found), (second, expected) = results
    if first.startswith("wrong") or second.startswith("wrong"):
        return "wrong", f"{first}, {found if first.startswith('wrong') else expected}"
    if first == "answered" and (second != "answered" or found != expected):
        return "wrong", "answered on other memory with other bits than on plain copies"
    return first, "" if first == "answered" else str(found)


def uncheckedly_gathered(x: Any, index: Any) -> np.ndarray:
    rows = [ctypes.string_at(x.ctypes.data + int(i) * x.strides[0], x.strides[0]) for i in index]
    return np.frombuffer(b"".join(rows), x.dtype).reshape(len(index), -1)


def saboteurs(native: Any) -> dict[str, dict[str, Any]]:
    """Functions that break what the fuzzer must see, by the name of the fault."""

    def as_if_contiguous(x: Any) -> Any:
        packed = np.empty(x.shape, x.dtype).strides
        return np.array(np.lib.stride_tricks.as_strided(x, x.shape, packed))

    def vague(**given: Any) -> Any:
        try:
            return native.layer_norm(**given)
        except ValueError:
            raise ValueError("bad input") from None

    return {
        "an index is not checked": {"gather_rows": uncheckedly_gathered},
        "strides are not read": {"column_sums": lambda x: native.column_sums(as_if_contiguous(x))},
        "a row too many is read": {
            "column_sums": lambda x: native.column_sums(
                np.array(np.lib.stride_tricks.as_strided(x, (len(x) + 1, *x.shape[1:])))
            )
        },
        "no argument is named": {"layer_norm": vague},
    }


def loaded(path: str) -> Any:
    if not path:
        from recurra import _native

        return _native
    spec = importlib.util.spec_from_file_location("_native", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is no module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--module", default="")
    parser.add_argument("--sabotage", default="")
    options = parser.parse_args()
    native = loaded(options.module)
    if options.sabotage:
        functions = {name: getattr(native, name) for name in dir(native)}
        native = SimpleNamespace(**functions | saboteurs(native)[options.sabotage])
    # a sanitizer reserves more addresses than there is memory, and has a limit of its own
    if not options.module:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE
        resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
    threads, isa = native.get_num_threads(), native.engine()["isa"]
    np.seterr(all="ignore")
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        found, why = case(native, **json.loads(line))
        native.set_num_threads(threads)
        native.set_isa(isa)
        print(json.dumps([found, why]), flush=True)


if __name__ == "__main__":
    main()
