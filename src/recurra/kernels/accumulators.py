"""Pooling one step at a time, for streams: the same chain of operations, hence the same bits, as the whole.

An accumulator holds R rows at once (one stream: R = 1). `push` takes the next token of every row, (R, F) or
(F,); `result` answers the pooling of what was pushed so far, zeros before the first push. `state` is one
float32 array (R, size) that can be stored and loaded again.
"""

from __future__ import annotations

import numpy as np

from recurra.errors import KernelError, StateError
from recurra.kernels import numpy_face, reference_operators
from recurra.kernels.namespace import NUMPY
from recurra.kernels.weights import Array


class _Accumulator:
    extra = 0

    def __init__(self, features: int, rows: int = 1, dtype: type = np.float32) -> None:
        if features < 1 or rows < 1:
            raise KernelError(f"features and rows must be at least 1, got {features} and {rows}")
        self.features, self.rows = features, rows
        self._state = np.zeros((rows, features + 1 + self.extra), dtype)

    @property
    def state(self) -> np.ndarray:
        """A copy of what was gathered: (R, F + 1) sums and the number of tokens; attention (R, F + 3)."""
        return self._state.copy()

    def load(self, state: np.ndarray) -> None:
        """Go on from a state that another accumulator gave."""
        if not isinstance(state, np.ndarray) or state.shape != self._state.shape:
            got = getattr(state, "shape", type(state).__name__)
            raise StateError(f"state must have shape {self._state.shape}, got {got}")
        self._state[:] = state

    def reset(self) -> None:
        """Forget everything."""
        self._state[:] = 0

    def _row(self, row: np.ndarray, features: int, rows: np.ndarray | None) -> np.ndarray:
        count = self.rows if rows is None else len(rows)
        if row.size != count * features or row.dtype != self._state.dtype:
            raise KernelError(
                f"row must be {self._state.dtype} of shape ({count}, {features}), "
                f"got {row.dtype} of {row.shape}"
            )
        return row.reshape(count, features)


class MeanAccumulator(_Accumulator):
    """Stepwise `pool_mean`."""

    def push(self, row: np.ndarray, rows: np.ndarray | None = None) -> None:
        """Add one token to every row, or to the rows of an index array."""
        row = self._row(row, self.features, rows)
        where: Array = slice(None) if rows is None else rows
        held = self._state[where]
        with np.errstate(all="ignore"):
            first = held[:, -1:] == 0
            held[:, :-1] = np.where(first, row, held[:, :-1] + row)
        held[:, -1] += 1
        self._state[where] = held

    def result(self) -> np.ndarray:
        """Means so far, (R, F)."""
        with np.errstate(all="ignore"):
            return self._state[:, :-1] / np.maximum(self._state[:, -1:], 1)


class MaxAccumulator(_Accumulator):
    """Stepwise `pool_max`."""

    def push(self, row: np.ndarray, rows: np.ndarray | None = None) -> None:
        """Add one token to every row, or to the rows of an index array."""
        row = self._row(row, self.features, rows)
        where: Array = slice(None) if rows is None else rows
        held = self._state[where]
        best = held[:, :-1]
        with np.errstate(all="ignore"):
            held[:, :-1] = np.where((held[:, -1:] == 0) | (row > best) | np.isnan(row), row, best)
        held[:, -1] += 1
        self._state[where] = held

    def result(self) -> np.ndarray:
        """Largest values so far, (R, F)."""
        return self._state[:, :-1].copy()


class AttentionAccumulator(_Accumulator):
    """Stepwise `pool_attention`."""

    extra = 2

    def push(self, row: np.ndarray, score: np.ndarray, rows: np.ndarray | None = None) -> None:
        """Add one token with its score, (R,) or a number, to every row, or to the rows of an index array."""
        row = self._row(row, self.features, rows)
        shares = self._row(np.asarray(score, self._state.dtype), 1, rows)
        where: Array = slice(None) if rows is None else rows
        held = self._state[where]
        total, peak, count = held[:, -3:-2], held[:, -2:-1], held[:, -1:]
        with np.errstate(all="ignore"):
            begun = reference_operators.attend(_Exp, peak, total, held[:, :-3], shares, row)
        for place, fresh, old in zip(
            (peak, total, held[:, :-3]), (shares, np.ones_like(shares), row), begun, strict=True
        ):
            place[:] = np.where(count == 0, fresh, old)
        held[:, -1] += 1
        self._state[where] = held

    def result(self) -> np.ndarray:
        """Weighted means so far, (R, F)."""
        with np.errstate(all="ignore"):
            return np.where(self._state[:, -1:] == 0, 0, self._state[:, :-3] / self._state[:, -3:-2]).astype(
                self._state.dtype, copy=False
            )


class _Exp:
    where = staticmethod(NUMPY.where)
    isnan = staticmethod(NUMPY.isnan)

    @staticmethod
    def exp(x: Array) -> Array:
        """The exponential that `pool_attention` uses."""
        return numpy_face.activation("exp", x)
