"""A stack of layers run one time step at a time, for streams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recurra.errors import KernelError, StateError
from recurra.kernels import checks, engines, reference
from recurra.kernels.namespace import NUMPY
from recurra.kernels.weights import RecurWeights


class Stepper:
    """A whole stack of layers with preallocated states for R rows (streams); NumPy only.

    stack: the layers from input to output, all of one cell and one hidden size H. The bits of y are those
    of `recur` over the whole sequence. Not to be shared between threads.
    """

    def __init__(
        self,
        stack: Sequence[RecurWeights],
        rows: int = 1,
        cell_clip: float | None = None,
        zoneout: float = 0.0,
    ) -> None:
        self.stack = list(stack)
        self.rows, self.cell_clip, self.zoneout = rows, cell_clip, checks.rate("zoneout", zoneout)
        _check_stack(self.stack, rows, cell_clip)
        first = self.stack[0]
        self.input_size, self.hidden_size = first.input_size, first.hidden_size
        self.parts = 2 if first.cell == "lstm" else 1
        self._dtype = first.w_ih.dtype
        self._state = np.zeros((len(self.stack), self.parts, rows, self.hidden_size), self._dtype)
        engines.native()

    def step(self, x: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Advance every row, or the rows of an int64 index array without repeats, by one token.

        x: (R, I), or (I,) for one row; answers y (R, H), valid until the next step.
        """
        count = self.rows if rows is None else len(checks.indices("rows", rows, self.rows))
        if x.dtype != self._dtype or x.size != count * self.input_size:
            raise KernelError(
                f"x must be {self._dtype} of shape ({count}, {self.input_size}), got {x.dtype} of {x.shape}"
            )
        y = x.reshape(count, self.input_size)
        where = slice(None) if rows is None else rows
        with np.errstate(all="ignore"):
            for layer, weights in enumerate(self.stack):
                y = self._advance(layer, weights, y, where)
        return y

    def _advance(
        self, layer: int, weights: RecurWeights, x: np.ndarray, where: slice | np.ndarray
    ) -> np.ndarray:
        h = self._state[layer, 0][where]
        c = self._state[layer, 1][where] if self.parts == 2 else None
        pre = reference.input_part(NUMPY, weights, x)
        new = reference.step(NUMPY, weights, pre, h, c, None, self.cell_clip)
        y, cell = reference.zoned(weights, new, h, c, self.zoneout, None)
        self._state[layer, 0][where] = y
        if cell is not None:
            self._state[layer, 1][where] = cell
        return np.asarray(y)

    @property
    def state(self) -> np.ndarray:
        """A copy of the states: (layers, 2 for an lstm (h, c) else 1, R, H)."""
        return self._state.copy()

    def load(self, state: np.ndarray) -> None:
        """Go on from a state that `state` gave."""
        if (
            not isinstance(state, np.ndarray)
            or state.shape != self._state.shape
            or state.dtype != self._dtype
        ):
            got = f"{state.dtype} of {state.shape}" if isinstance(state, np.ndarray) else type(state).__name__
            raise StateError(f"state must be {self._dtype} of shape {self._state.shape}, got {got}")
        self._state[:] = state

    def reset(self, rows: np.ndarray | None = None) -> None:
        """Set the states of all rows, or of the rows of an int64 index array, to zero."""
        if rows is None:
            self._state[:] = 0
        else:
            self._state[:, :, checks.indices("rows", rows, self.rows)] = 0


def _check_stack(stack: list[RecurWeights], rows: int, cell_clip: float | None) -> None:
    if not stack:
        raise KernelError("stack must hold at least one layer, got none")
    if rows < 1:
        raise KernelError(f"rows must be at least 1, got {rows}")
    first = stack[0]
    if cell_clip is not None and first.cell != "lstm":
        raise KernelError(f"cell_clip is for an lstm, got a {first.cell}; leave it None")
    for place, weights in enumerate(stack):
        checks.floats(f"stack[{place}].w_ih", weights.w_ih, None, None)
        if weights.cell != first.cell or weights.hidden_size != first.hidden_size:
            raise KernelError(
                f"stack[{place}] must be a {first.cell} with {first.hidden_size} units like stack[0], "
                f"got a {weights.cell} with {weights.hidden_size}"
            )
        if place and weights.input_size != first.hidden_size:
            raise KernelError(
                f"stack[{place}] must take {first.hidden_size} inputs, got {weights.input_size}"
            )
