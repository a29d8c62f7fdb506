"""Pooling one step at a time, for streams: the same chain of operations, hence the same bits, as the whole.

An accumulator holds R rows at once (one stream: R = 1). `push` takes the next token of every row, (R, F) or
(F,), or of the rows of an int64 index array without repeats; `result` answers the pooling of what was
pushed so far, zeros before the first push. `state` is one array (R, size) that can be stored and loaded
again; its last column counts the tokens, exactly up to 2**24 in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from recurra.errors import KernelError, StateError
from recurra.kernels import engines, numpy_native, numpy_reference


def _face() -> ModuleType:
    return numpy_reference if engines.native() is None else numpy_native


def state_size(kind: str, features: int) -> int:
    """Columns of the state of a "mean", "max" or "attention"."""
    return features + (3 if kind == "attention" else 1)


def push(
    kind: str, state: np.ndarray, tokens: np.ndarray, scores: np.ndarray | None, rows: np.ndarray | None
) -> None:
    """Add one token (n, F) to each row of a state, or to each of n different rows."""
    _face().push(kind, state, tokens, scores, rows)


def extend(kind: str, state: np.ndarray, tokens: np.ndarray, scores: np.ndarray | None, row: int) -> None:
    """Add tokens (n, F), with their scores (n,) where they attend, one after the other to one row of a
    state."""
    _face().extend(kind, state, tokens, scores, row)


def pooled(kind: str, state: np.ndarray) -> np.ndarray:
    """The pooling that a state has come to, (R, F)."""
    made: np.ndarray = _face().pushed(kind, state)
    return made


def bare_push() -> Callable[..., None]:
    """The operator that adds one token (R, F) to every row of a state, `(kind, state, tokens)`, without
    checks.

    For the innermost loop of a stream, whose arrays are known to fit.
    """
    native = engines.native()
    if native is None:
        return lambda kind, state, tokens: numpy_reference.push(kind, state, tokens, None, None)
    push: Callable[..., None] = native.pool_push
    return push


class _Accumulator:
    kind = ""
    extra = 1

    def __init__(self, features: int, rows: int = 1, dtype: Any = np.float32) -> None:
        if features < 1 or rows < 1:
            raise KernelError(f"features and rows must be at least 1, got {features} and {rows}")
        self.features, self.rows = features, rows
        self._state = np.zeros((rows, features + self.extra), dtype)

    @property
    def state(self) -> np.ndarray:
        """A copy of what was gathered: (R, F + 1), or (R, F + 3) of an attention."""
        return self._state.copy()

    def load(self, state: np.ndarray) -> None:
        """Go on from a state that another accumulator gave."""
        if not isinstance(state, np.ndarray) or state.shape != self._state.shape:
            got = getattr(state, "shape", type(state).__name__)
            raise StateError(f"state must have shape {self._state.shape}, got {got}")
        self._state[:] = state

    def reset(self, rows: np.ndarray | None = None) -> None:
        """Forget everything, or what the rows of an index array gathered."""
        self._state[slice(None) if rows is None else rows] = 0

    def result(self) -> np.ndarray:
        """The pooling of what was pushed so far, (R, F)."""
        return pooled(self.kind, self._state)

    def _push(self, token: np.ndarray, scores: np.ndarray | None, rows: np.ndarray | None) -> None:
        count = self.rows if rows is None else len(rows)
        if token.dtype != self._state.dtype or token.size != count * self.features:
            wanted = f"{self._state.dtype} of shape ({count}, {self.features})"
            raise KernelError(f"token must be {wanted}, got {token.dtype} of {token.shape}")
        push(self.kind, self._state, token.reshape(count, self.features), scores, rows)


class MeanAccumulator(_Accumulator):
    """Stepwise `pool_mean`."""

    kind = "mean"

    def push(self, token: np.ndarray, rows: np.ndarray | None = None) -> None:
        """Add one token to every row, or to the rows of an index array."""
        self._push(token, None, rows)


class MaxAccumulator(_Accumulator):
    """Stepwise `pool_max`."""

    kind = "max"

    def push(self, token: np.ndarray, rows: np.ndarray | None = None) -> None:
        """Add one token to every row, or to the rows of an index array."""
        self._push(token, None, rows)


class AttentionAccumulator(_Accumulator):
    """Stepwise `pool_attention`."""

    kind = "attention"
    extra = 3

    def push(self, token: np.ndarray, score: Any, rows: np.ndarray | None = None) -> None:
        """Add one token with its score, (R,) or a number, to every row, or to the rows of an index array."""
        self._push(token, np.asarray(score, self._state.dtype).reshape(-1), rows)
