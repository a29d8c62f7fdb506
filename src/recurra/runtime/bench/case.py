"""`Case`: one piece of work to be measured, and what it costs by arithmetic."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recurra.errors import SpecError, nearest
from recurra.kernels import GATES

MODES = ("forward", "train", "step")
DTYPES = ("float32", "bfloat16", "int8")
LENGTHS = ("uniform", "short", "reviews")
NUMBERS = ("normal", "subnormal-inputs", "subnormal-weights")
WALK = 100
"""Steps that one timed call of mode `step` walks; the time of one is told."""

_RAGGED = {"short": (20.0, 56), "reviews": (230.0, 400)}
"""Median and longest length; the logarithm's standard deviation is 0.6."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One shape of work.

    cell: rnn, rnn_relu, lstm or gru. mode: forward (inference over whole sequences), train (forward and
    backward: the gradients of all weights and of the inputs) or step (one step of one stream, state carried).
    dtype: float32, bfloat16, or int8 (weights). steps: the length of every sequence where lengths is uniform;
    else it is the length at which they are cut: 56 for short (median 20), 400 for reviews (median 230). numbers:
    normal, or inputs (and with them all states) or weights of 1e-40, without biases to lift them: many processors are
    far slower on such numbers.
    """

    cell: str = "lstm"
    mode: str = "forward"
    dtype: str = "float32"
    inputs: int = 100
    hidden_size: int = 128
    num_layers: int = 2
    batch: int = 32
    steps: int = 100
    lengths: str = "uniform"
    numbers: str = "normal"
    bidirectional: bool = False
    threads: int = 1

    def __post_init__(self) -> None:
        for name, known in (("cell", GATES), ("mode", MODES), ("dtype", DTYPES), ("lengths", LENGTHS),
                            ("numbers", NUMBERS)):  # fmt: skip
            if getattr(self, name) not in known:
                raise SpecError(f"{name} must be known, got {getattr(self, name)!r}"
                                f"{nearest(str(getattr(self, name)), known)}")  # fmt: skip
        for name in ("inputs", "hidden_size", "num_layers", "batch", "steps", "threads"):
            if getattr(self, name) < 1:
                raise SpecError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.mode == "step" and (self.batch, self.steps, self.bidirectional) != (1, 1, False):
            raise SpecError("mode step is one step of one stream: batch=1, steps=1, bidirectional=False")

    @property
    def directions(self) -> int:
        """1, or 2 where both directions are read."""
        return 2 if self.bidirectional else 1

    @property
    def sequence_lengths(self) -> np.ndarray:
        """The lengths (batch,), the same in every run."""
        if self.mode == "step":
            return np.full(1, WALK, np.int64)
        if self.lengths == "uniform":
            return np.full(self.batch, self.steps, np.int64)
        median = _RAGGED[self.lengths][0]
        drawn = np.random.default_rng(20).lognormal(np.log(median), 0.6, self.batch)
        return np.clip(np.round(drawn), 1, self.steps).astype(np.int64)

    @property
    def flops(self) -> float:
        """Multiplications and additions of the products: 2 G H (I + H) per token, layer and direction.

        Three times that for train; of a single step for step. What the gates cost is not counted.
        """
        gates, units = GATES[self.cell], self.hidden_size
        widths = [self.inputs] + [units * self.directions] * (self.num_layers - 1)
        token = sum(2.0 * gates * units * (width + units) * self.directions for width in widths)
        tokens = 1 if self.mode == "step" else int(self.sequence_lengths.sum())
        return token * tokens * (3 if self.mode == "train" else 1)

    @property
    def label(self) -> str:
        """The case in one short line."""
        cell = f"bi-{self.cell}" if self.bidirectional else self.cell
        shape = f"{self.num_layers}x{self.hidden_size} I={self.inputs}"
        rows = "" if self.mode == "step" else f" B={self.batch} T={self.steps} {self.lengths}"
        small = "" if self.numbers == "normal" else f" {self.numbers}"
        return f"{cell} {self.mode} {self.dtype} {shape}{rows}{small} {self.threads}t"

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


def longest(lengths: str, steps: int = 100) -> int:
    """The `steps` that belong to a kind of lengths."""
    return _RAGGED[lengths][1] if lengths in _RAGGED else steps
