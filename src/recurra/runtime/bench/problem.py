"""`Problem`: the numbers of a case, alike for every engine: weights, tokens, and their padded form."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from recurra.kernels import GATES, RecurWeights
from recurra.runtime.bench.case import Case


class Problem:
    """What a case is run on.

    layers: per layer one RecurWeights per direction; x (N, I); offsets (S+1,); dy (N, H of all directions),
    the gradient that arrives at the outputs in mode train. Padded arrays are (T, S, F), time first.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        random = np.random.default_rng(7)
        self.lengths = case.sequence_lengths
        self.offsets = np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int64)
        tokens, width = int(self.offsets[-1]), case.hidden_size * case.directions
        self.x = random.standard_normal((tokens, case.inputs), np.float32)
        if case.numbers == "subnormal-inputs":
            self.x = _subnormal(self.x)
        self.dy = random.standard_normal((tokens, width), np.float32)
        sizes = [case.inputs] + [width] * (case.num_layers - 1)
        self.layers = [[_weights(case, size, random) for _ in range(case.directions)] for size in sizes]

    @property
    def ragged(self) -> bool:
        """Whether the lengths differ."""
        return bool((self.lengths != self.lengths[0]).any())

    @cached_property
    def _places(self) -> tuple[np.ndarray, np.ndarray]:
        """Time and row of every token."""
        rows = np.repeat(np.arange(len(self.lengths)), self.lengths)
        return np.arange(len(rows)) - np.repeat(self.offsets[:-1], self.lengths), rows

    @cached_property
    def mask(self) -> np.ndarray:
        """(T, S): where a token is."""
        return np.arange(self.lengths.max())[:, None] < self.lengths[None, :]

    @cached_property
    def turned(self) -> np.ndarray:
        """(T, S) int64: for every place the time of the token that stands there when rows are read backwards."""
        time = np.arange(self.lengths.max())[:, None]
        return np.where(self.mask, self.lengths[None, :] - 1 - time, time).astype(np.int64)

    def padded(self, values: np.ndarray) -> np.ndarray:
        """(N, F) to (T, S, F), zeros behind the end."""
        out = np.zeros((int(self.lengths.max()), len(self.lengths), values.shape[1]), values.dtype)
        out[self._places] = values
        return out

    def tokens(self, padded: np.ndarray) -> np.ndarray:
        """(T, S, F) to (N, F)."""
        return np.ascontiguousarray(padded[self._places])


def _weights(case: Case, width: int, random: np.random.Generator) -> RecurWeights:
    units, rows = case.hidden_size, GATES[case.cell] * case.hidden_size
    bound = 1.0 / np.sqrt(units)

    def drawn(*shape: int) -> np.ndarray:
        return random.uniform(-bound, bound, shape).astype(np.float32)

    w_ih, w_hh, biases = drawn(rows, width), drawn(rows, units), [drawn(rows), drawn(rows)]
    if case.numbers == "subnormal-weights":
        w_ih, w_hh = _subnormal(w_ih), _subnormal(w_hh)
    if case.numbers != "normal":
        biases = [np.zeros_like(bias) for bias in biases]
    return RecurWeights(cell=case.cell, w_ih=w_ih, w_hh=w_hh, b_ih=biases[0], b_hh=biases[1])


def _subnormal(values: np.ndarray) -> np.ndarray:
    """Numbers of these signs, far below the least normal one."""
    made: np.ndarray = np.copysign(np.float32(1e-40), values)
    return made
