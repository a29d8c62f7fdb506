"""The lean way of one step of plain numbers into a model; everything else goes through the encoder's own step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recurra.data.encoder import Encoder
from recurra.data.signal import SignalEncoder
from recurra.ragged import Array

_SMALLEST = 1e-200
_LARGEST = 1e37
_WIDEST = 1e150


def quick_numbers(encoder: Encoder) -> QuickNumbers | None:
    """Return the lean way where an encoder does nothing but scale rows of numbers, else None."""
    if not isinstance(encoder, SignalEncoder):
        return None
    numbers, spec = encoder.numbers, encoder.spec
    if numbers.elapsed is not None or spec.max_length is not None or numbers.naming == "columns":
        return None
    made = QuickNumbers(numbers.scaler.center, numbers.scaler.scale, numbers.width)
    return made if made.bound > 0 else None


class QuickNumbers:
    """Scales rows of F finite numbers of moderate size with the bits of `Scaler.transform`.

    It refuses, by answering None, all that needs a look: missing values, other shapes and types, and numbers so
    large that scaling could overflow. Within its bounds halving before the division, as `Scaler` does, changes
    no bit, because everything that it could round is too small for float32 anyway.
    """

    def __init__(self, center: Array, scale: Array, width: int) -> None:
        self._center, self._scale = center.copy(), scale.copy()
        self._shape = center.shape
        self._wide = np.empty(self._shape)
        self._row = np.zeros((1, width), np.float32)
        self._out = self._row[0, : len(center)]
        smallest = float(scale.min())
        largest = _LARGEST * min(smallest, 1.0) - float(np.abs(center).max())
        self.bound = min(largest, _WIDEST) if smallest > _SMALLEST else 0.0
        self._square = np.float64(self.bound**2)  # a Python float would be rounded to float32

    def row(self, item: Any) -> Array | None:
        """(1, width) for one step, which the next call overwrites; None where it needs a look."""
        if type(item) is not np.ndarray:
            if type(item) is not list:
                return None
            item = _array(item)
        if item.shape != self._shape or item.dtype.char not in "fd" or not item.dot(item) < self._square:
            return None
        np.subtract(item, self._center, self._wide)
        np.divide(self._wide, self._scale, self._wide)
        self._out[:] = self._wide
        return self._row

    def rows(self, items: Sequence[Any]) -> Array | None:
        """(n, width) for one step of each of n streams; None where any of them needs a look."""
        if not all(
            type(item) is np.ndarray and item.shape == self._shape and item.dtype.char in "fd" for item in items
        ):
            return None
        block = np.array(items, np.float64)
        if not np.abs(block).max() < self.bound:
            return None
        made = np.zeros((len(items), self._row.shape[1]), np.float32)
        made[:, : self._shape[0]] = (block - self._center) / self._scale
        return made


def _array(item: list[Any]) -> Array:
    try:
        return np.array(item)
    except (ValueError, TypeError, OverflowError):
        return np.empty(0)
