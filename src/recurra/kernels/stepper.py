"""A stack of layers run one time step at a time, for streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recurra.errors import KernelError, StateError
from recurra.kernels import checks, engines, numpy_native, numpy_reference
from recurra.kernels.reference import Options
from recurra.kernels.weights import Recurred, RecurWeights


class Stepper:
    """A whole stack of layers with preallocated states for R rows (streams); NumPy only.

    stack: the layers from input to output, all of one cell and one hidden size H. The bits of y are those of
    `recur` over the whole sequence. gates: whether `watched` tells what each layer did at the last step; that takes
    the layers one by one, some times slower, to the same bits. Not to be shared between threads.
    """

    def __init__(
        self,
        stack: Sequence[RecurWeights],
        rows: int = 1,
        cell_clip: float | None = None,
        zoneout: float = 0.0,
        gates: bool = False,
    ) -> None:
        layers = list(stack)
        _check_stack(layers, rows, cell_clip)
        first = layers[0]
        self.rows, self.input_size, self.hidden_size = rows, first.input_size, first.hidden_size
        shape = (len(layers), 2 if first.cell == "lstm" else 1, rows, first.hidden_size)
        self._shape, self._dtype = shape, first.w_ih.dtype
        rate = checks.rate("zoneout", zoneout)
        native = engines.native()
        self._engine: Any
        fused = all(numpy_native.fused(weights, Options(zoneout=rate)) for weights in layers)
        alike = len({weights.norm is None for weights in layers}) == 1
        if gates or native is None or not fused or not alike:
            options = Options(cell_clip=cell_clip, zoneout=rate, gates=gates)
            self._engine = _Composed(layers, shape, options)
        else:
            packed = [numpy_native.packed(weights) for weights in layers]
            self._engine = native.Stepper(packed, rows, cell_clip, rate)

    def step(self, x: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Advance every row, or the rows of an int64 index array without repeats, by one token.

        x: (R, I), or (I,) for one row; answers y (R, H), which the next step overwrites.
        """
        try:
            y: np.ndarray = self._engine.step(x, rows)
        except (ValueError, TypeError, AttributeError) as error:
            raise KernelError(str(error)) from None
        return y

    @property
    def watched(self) -> list[Recurred]:
        """What each layer did at the last step, with gates and cells, one token per row; none before the first.

        Raises KernelError without `gates`.
        """
        if not isinstance(self._engine, _Composed) or not self._engine.options.gates:
            raise KernelError("gates were not asked for; make the stepper with gates=True")
        return self._engine.watched

    @property
    def state(self) -> np.ndarray:
        """A copy of the states: (layers, 2 for an lstm (h, c) else 1, R, H)."""
        state: np.ndarray = self._engine.state()
        return state

    def load(self, state: np.ndarray) -> None:
        """Go on from a state that `state` gave."""
        if not isinstance(state, np.ndarray) or state.shape != self._shape or state.dtype != self._dtype:
            got = f"{state.dtype} of {state.shape}" if isinstance(state, np.ndarray) else type(state).__name__
            raise StateError(f"state must be {self._dtype} of shape {self._shape}, got {got}")
        self._engine.load(np.ascontiguousarray(state))

    def read(self, rows: np.ndarray) -> np.ndarray:
        """A copy of the states of some rows, by an int64 index array: (layers, 2 or 1, n, H)."""
        try:
            some: np.ndarray = self._engine.state(rows)
        except (ValueError, TypeError) as error:
            raise KernelError(str(error)) from None
        return some

    def write(self, state: np.ndarray, rows: np.ndarray) -> None:
        """Let some rows go on from states that `read` gave."""
        try:
            self._engine.load(state, rows)
        except (ValueError, TypeError) as error:
            raise KernelError(str(error)) from None

    def reset(self, rows: np.ndarray | None = None) -> None:
        """Set the states of all rows, or of the rows of an int64 index array, to zero."""
        try:
            self._engine.reset(rows)
        except (ValueError, TypeError) as error:
            raise KernelError(str(error)) from None


class _Composed:
    """The stepper of layers that have no native one: a recurrence over one token a row, layer by layer."""

    def __init__(self, stack: list[RecurWeights], shape: tuple[int, ...], options: Options) -> None:
        self.stack, self.options = stack, options
        self.held = np.zeros(shape, stack[0].w_ih.dtype)
        self.watched: list[Recurred] = []

    def step(self, x: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
        size, width = self.held.shape[2], self.stack[0].input_size
        where: Any = slice(None) if rows is None else checks.indices("rows", rows, size)
        count = size if rows is None else len(rows)
        if x.dtype != self.held.dtype or x.shape not in ((count, width), (width,) if count == 1 else ()):
            wanted = f"{self.held.dtype} of shape ({count}, {width})"
            raise KernelError(f"x must be {wanted}, got {x.dtype} of {x.shape}")
        y, offsets = x.reshape(count, width), np.arange(count + 1)
        run = (numpy_reference if engines.native() is None else numpy_native).recur
        self.watched = []
        for layer, weights in enumerate(self.stack):
            states = self.held[layer][:, where]
            done = run(
                weights, y, offsets, states[0], states[1] if len(states) == 2 else None, self.options, None
            )
            self.held[layer, 0][where] = done.h
            if done.c is not None:
                self.held[layer, 1][where] = done.c
            self.watched.append(done)
            y = done.y
        return y

    def state(self, rows: np.ndarray | None = None) -> np.ndarray:
        if rows is None:
            return self.held.copy()
        return np.ascontiguousarray(self.held[:, :, checks.indices("rows", rows, self.held.shape[2])])

    def load(self, state: np.ndarray, rows: np.ndarray | None = None) -> None:
        where: Any = slice(None) if rows is None else checks.indices("rows", rows, self.held.shape[2])
        self.held[:, :, where] = state

    def reset(self, rows: np.ndarray | None) -> None:
        where: Any = slice(None) if rows is None else checks.indices("rows", rows, self.held.shape[2])
        self.held[:, :, where] = 0


def _check_stack(stack: list[RecurWeights], rows: int, cell_clip: float | None) -> None:
    if not stack:
        raise KernelError("stack must hold at least one layer, got none")
    if rows < 1:
        raise KernelError(f"rows must be at least 1, got {rows}")
    first = stack[0]
    if cell_clip is not None and first.cell != "lstm":
        raise KernelError(f"cell_clip is for an lstm, got a {first.cell}; leave it None")
    for place, weights in enumerate(stack):
        if not isinstance(weights.w_ih, np.ndarray):
            raise KernelError(f"stack[{place}] must hold NumPy arrays, got {type(weights.w_ih).__name__}")
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
