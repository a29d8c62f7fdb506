"""What pooling has gathered of each stream so far: the stepwise forms of `Pool`, bit for bit."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from recurra.errors import StateError
from recurra.graph.pool import Pool
from recurra.graph.run import Parameters
from recurra.kernels import accumulators
from recurra.ragged import Array

PENDING = 32
"""Tokens of a single stream whose attention scores are taken together."""


def gathering_of(pool: Pool, parameters: Parameters, rows: int) -> Gathering:
    """Return the stepwise form of a pooling for `rows` streams."""
    if pool.how == "last":
        return _Last(pool, rows)
    if pool.how == "attention":
        return _Attended(pool, parameters, rows)
    return _Summed(pool, rows)


class Gathering(ABC):
    """R rows of what a pooling has gathered; `size` numbers each, 0 where it needs none of its own."""

    size = 0

    @abstractmethod
    def take(self, y: Array) -> None:
        """One token (1, F) of the only row; nothing is checked."""

    @abstractmethod
    def push(self, y: Array, rows: Array) -> None:
        """One token (n, F) for each of n rows."""

    @abstractmethod
    def extend(self, y: Array, row: int) -> None:
        """Several tokens (n, F), in order, for one row."""

    @abstractmethod
    def pooled(self, rows: Array, counts: Array) -> Array:
        """(n, F) the pooling of n rows, which have taken `counts` tokens."""

    @abstractmethod
    def with_more(self, row: int, y: Array, final: Array, count: int) -> Array:
        """(1, F) what `pooled` would be after the tokens y (n, F), `count` in all, and the final states (1, F)."""

    @abstractmethod
    def reset(self, rows: Array, top: Array | None) -> None:
        """Forget what rows gathered; top: (1, H) hidden state that the uppermost layer begins with, or None."""

    @abstractmethod
    def grow(self, rows: int) -> None:
        """Make room for more rows."""

    def read(self, row: int) -> Array | None:
        """(size,) a copy of what one row gathered; None where nothing of its own."""
        return None

    @abstractmethod
    def write(self, row: int, state: Array | None, top: Array) -> None:
        """Go on from what `read` gave; top: (H,) hidden state of the uppermost layer."""


class _Last(Gathering):
    """`last`: the hidden state of the uppermost layer, which the recurrent layers remember already."""

    def __init__(self, pool: Pool, rows: int) -> None:
        self._top = np.zeros((rows, pool.inputs), np.float32)

    def take(self, y: Array) -> None:
        self._top = y

    def push(self, y: Array, rows: Array) -> None:
        if len(self._top) == 1:
            self._top = y
        else:
            self._top[rows] = y

    def extend(self, y: Array, row: int) -> None:
        self._put(row, y[-1])

    def _put(self, row: int, top: Array) -> None:
        if len(self._top) == 1:
            self._top = np.array(top).reshape(1, -1)
        else:
            self._top[row] = top

    def pooled(self, rows: Array, counts: Array) -> Array:
        return np.array(self._top) if len(self._top) == 1 else self._top[rows]

    def with_more(self, row: int, y: Array, final: Array, count: int) -> Array:
        return final

    def reset(self, rows: Array, top: Array | None) -> None:
        if len(self._top) == 1:
            self._top = np.zeros(self._top.shape, np.float32) if top is None else np.array(top)
        else:
            self._top[rows] = 0 if top is None else top

    def grow(self, rows: int) -> None:
        self._top = _more_rows(self._top, rows)

    def write(self, row: int, state: Array | None, top: Array) -> None:
        self._put(row, top)


class _Summed(Gathering):
    """`mean` and `max`: one chain of operations per number, in token order."""

    def __init__(self, pool: Pool, rows: int) -> None:
        self.kind = pool.how
        self.size = accumulators.state_size(self.kind, pool.inputs)
        self._state = np.zeros((rows, self.size), np.float32)
        self._push = accumulators.bare_push()

    def take(self, y: Array) -> None:
        self._push(self.kind, self._state, y)

    def push(self, y: Array, rows: Array) -> None:
        accumulators.push(self.kind, self._state, y, None, rows)

    def extend(self, y: Array, row: int) -> None:
        accumulators.extend(self.kind, self._state, y, None, row)

    def pooled(self, rows: Array, counts: Array) -> Array:
        state = self._state[rows]
        # The state counts in float32, which stops at 2^24; the caller's count does not.
        state[:, -1] = counts
        return accumulators.pooled(self.kind, state)

    def with_more(self, row: int, y: Array, final: Array, count: int) -> Array:
        state = self._state[[row]]
        if len(y):
            self._add(state, y)
        state[:, -1] = count
        return accumulators.pooled(self.kind, state)

    def _add(self, state: Array, y: Array) -> None:
        accumulators.extend(self.kind, state, y, None, 0)

    def reset(self, rows: Array, top: Array | None) -> None:
        self._state[rows] = 0

    def grow(self, rows: int) -> None:
        self._state = _more_rows(self._state, rows)

    def read(self, row: int) -> Array:
        held: Array = self._state[row].copy()
        return held

    def write(self, row: int, state: Array | None, top: Array) -> None:
        if state is None:
            raise StateError(f"state must hold what {self.kind} pooling gathered; it has none")
        self._state[row] = state


class _Attended(_Summed):
    """`attention`: weights by scores that a small network gives each token.

    Tokens of a single stream wait until there are some, or the pooling is asked for, and are scored together.
    """

    def __init__(self, pool: Pool, parameters: Parameters, rows: int) -> None:
        super().__init__(pool, rows)
        self._pool, self._parameters = pool, parameters
        self._waiting = np.zeros((PENDING, pool.inputs), np.float32)
        self._count = 0

    def take(self, y: Array) -> None:
        self._waiting[self._count] = y[0]
        self._count += 1
        if self._count == PENDING:
            self._settle()

    def _settle(self) -> None:
        if self._count:
            waiting, self._count = self._waiting[: self._count], 0
            self.extend(waiting, 0)

    def _scores(self, y: Array) -> Array:
        scores: Array = self._pool.scores(self._parameters, y).reshape(-1)
        return scores

    def push(self, y: Array, rows: Array) -> None:
        self._settle()
        accumulators.push(self.kind, self._state, y, self._scores(y), rows)

    def extend(self, y: Array, row: int) -> None:
        self._settle()
        accumulators.extend(self.kind, self._state, y, self._scores(y), row)

    def pooled(self, rows: Array, counts: Array) -> Array:
        self._settle()
        return super().pooled(rows, counts)

    def _add(self, state: Array, y: Array) -> None:
        accumulators.extend(self.kind, state, y, self._scores(y), 0)

    def reset(self, rows: Array, top: Array | None) -> None:
        self._count = 0
        super().reset(rows, top)

    def grow(self, rows: int) -> None:
        self._settle()
        super().grow(rows)

    def read(self, row: int) -> Array:
        self._settle()
        return super().read(row)

    def write(self, row: int, state: Array | None, top: Array) -> None:
        self._count = 0
        super().write(row, state, top)


def _more_rows(array: Array, rows: int) -> Array:
    grown = np.zeros((rows, array.shape[1]), array.dtype)
    grown[: len(array)] = array
    return grown
