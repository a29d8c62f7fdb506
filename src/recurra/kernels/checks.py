"""Checks of what is handed to an operator: shapes, dtypes, offsets. Everything wrong is a KernelError."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from recurra.errors import KernelError
from recurra.kernels.weights import Array

FLOATS = ("float32", "float64")


_NAMES = {np.dtype(name): name for name in ("float32", "float64", "int64")}


def is_tensor(x: object) -> bool:
    """Whether x is a torch tensor, without loading torch."""
    if isinstance(x, np.ndarray):
        return False
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def dtype_name(x: Array) -> str:
    """The name of an array's or a tensor's type: "float32", "int64", ..."""
    if isinstance(x, np.ndarray):
        return _NAMES.get(x.dtype) or str(x.dtype)
    return str(x.dtype).removeprefix("torch.")


def floats(name: str, x: Array, *shape: int | None) -> Array:
    """x as it is where it holds floats in this shape (None: any size); else KernelError."""
    if not isinstance(x, np.ndarray) and not is_tensor(x):
        raise KernelError(f"{name} must be a NumPy array or a torch tensor, got {type(x).__name__}")
    if dtype_name(x) not in FLOATS:
        raise KernelError(f"{name} must be float32 (or float64), got {dtype_name(x)}; convert it first")
    sized(name, x, *shape)
    return x


def sized(name: str, x: Array, *shape: int | None) -> None:
    """KernelError where the shape of x is another."""
    got = x.shape
    fits = len(got) == len(shape)
    for axis, want in enumerate(shape):
        if fits and want is not None and want != got[axis]:
            fits = False
    if not fits:
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise KernelError(f"{name} must have shape ({wanted}), got {tuple(got)}")


def alike(first: str, a: Array, name: str, b: Array) -> None:
    """KernelError where b is of another kind or dtype than a."""
    if type(a.dtype) is type(b.dtype) and a.dtype == b.dtype:
        return
    if is_tensor(a) != is_tensor(b):
        raise KernelError(
            f"{name} must be of the same kind as {first}, got {type(b).__name__} beside {type(a).__name__}"
        )
    if dtype_name(a) != dtype_name(b):
        raise KernelError(f"{name} must have the dtype of {first}, {dtype_name(a)}, got {dtype_name(b)}")


def float_like(first: str, a: Array, name: str, b: Any, *shape: int | None) -> None:
    """KernelError where b is not a float array of this shape and of a's kind and dtype."""
    floats(name, b, *shape)
    alike(first, a, name, b)


def integers(name: str, x: Any, count: int | None = None) -> None:
    """KernelError where x is not an int64 array of one axis (of this length)."""
    if not isinstance(x, np.ndarray) and not is_tensor(x):
        raise KernelError(f"{name} must be an int64 array, got {type(x).__name__}")
    if dtype_name(x) != "int64":
        raise KernelError(f"{name} must be int64, got {dtype_name(x)}; convert it first")
    sized(name, x, count)


def as_numpy(name: str, x: Any) -> np.ndarray:
    """An int64 array on the CPU from an array or tensor of integers."""
    array = x.detach().cpu().numpy() if is_tensor(x) else x
    if not isinstance(array, np.ndarray) or array.dtype != np.int64:
        got = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise KernelError(f"{name} must be an int64 array, got {got}")
    return array


def offsets(x: Any, tokens: int | None) -> np.ndarray:
    """Offsets (S+1,) as an int64 NumPy array: from 0 to `tokens`, never going back."""
    array = as_numpy("offsets", x)
    if array.ndim != 1 or len(array) < 1:
        raise KernelError(f"offsets must have shape (S+1,), got {array.shape}")
    if array[0] != 0 or (tokens is not None and array[-1] != tokens):
        end = "N" if tokens is None else str(tokens)
        raise KernelError(f"offsets must begin at 0 and end at {end}, got {array[0]} and {array[-1]}")
    if len(array) > 1 and (array[1:] < array[:-1]).any():
        place = int(np.argmax(array[1:] < array[:-1]))
        raise KernelError(
            f"offsets must not decrease, got {array[place]} before {array[place + 1]} at {place}"
        )
    return array


def indices(name: str, x: Any, end: int, count: int | None = None) -> np.ndarray:
    """Indices in [0, end) as an int64 NumPy array (count,)."""
    array = as_numpy(name, x)
    sized(name, array, count)
    if len(array) and (array.min() < 0 or array.max() >= end):
        bad = array[(array < 0) | (array >= end)][0]
        raise KernelError(f"{name} must be at least 0 and below {end}, got {bad}")
    return array


def number(name: str, value: Any) -> float:
    """A real number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating, np.integer)):
        raise KernelError(f"{name} must be a number, got {type(value).__name__}")
    return float(value)


def rate(name: str, value: Any) -> float:
    """A share in [0, 1)."""
    share = number(name, value)
    if not 0.0 <= share < 1.0:
        raise KernelError(f"{name} must be at least 0 and below 1, got {share}")
    return share
