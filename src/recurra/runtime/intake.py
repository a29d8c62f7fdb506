"""The lean way of steps of plain numbers into a model; everything else goes through the encoder's own step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recurra.data.encoder import Encoder
from recurra.data.signal import SignalEncoder
from recurra.kernels import engines
from recurra.ragged import Array


def quick_numbers(encoder: Encoder) -> QuickNumbers | None:
    """Return the lean way where an encoder does nothing but scale rows of numbers, else None."""
    native = engines.native()
    if native is None or not isinstance(encoder, SignalEncoder):
        return None
    numbers, spec = encoder.numbers, encoder.spec
    if numbers.elapsed is not None or spec.max_length is not None or numbers.naming == "columns":
        return None
    scaler = numbers.scaler
    learnt = [np.ascontiguousarray(column) for column in (scaler.center, scaler.scale, scaler.fill)]
    return QuickNumbers(native.RowScaler(*learnt, scaler.masked, not scaler.refuse))


class QuickNumbers:
    """Rows of numbers with the bits of `Scaler.transform`, in one native call.

    What needs a look (other shapes and types, infinite numbers, missing values that are refused) is answered by
    None: the encoder's own step then reads it, or says what is wrong.
    """

    def __init__(self, scaler: Any) -> None:
        self._scale, self._out = scaler.row, scaler.out
        self._scale_rows = scaler.rows

    def row(self, item: Any) -> Array | None:
        """(1, width) for one step, which the next call overwrites, or None."""
        if type(item) is list:
            item = _array(item)
        try:
            return self._out if self._scale(item) else None
        except TypeError:
            return None

    def rows(self, items: Sequence[Any]) -> Array | None:
        """(n, width) for one step of each of n streams; None where any of them needs a look."""
        if not all(type(item) is np.ndarray and item.ndim == 1 and item.dtype.char in "fd" for item in items):
            return None
        try:
            made: Array | None = self._scale_rows(np.array(items, np.float64))
        except (TypeError, ValueError):
            return None
        return made


def _array(item: list[Any]) -> Any:
    """A list of floats as an array; the text that it cannot be for anything else."""
    try:
        made = np.array(item)
    except (ValueError, TypeError, OverflowError):
        return ""
    return made if made.dtype.char == "d" else ""
