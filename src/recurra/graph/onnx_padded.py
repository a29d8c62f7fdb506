"""Padded batches in ONNX: turned so that the steps come first, and what is known of their real tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recurra.graph.onnx_build import Build


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """What a padded batch knows of its real tokens, as names of values.

    lengths: (B,) int64; short: the same in int32; real: (T, B, 1) bool; empty: (B, 1) bool; rows: (1,) int64 B.
    """

    lengths: str
    short: str
    real: str
    empty: str
    rows: str


@dataclass(kw_only=True)
class Traced:
    """What flows between the ONNX forms of nodes, as names of values.

    values: (T, B, F) in a batch graph, (B, F) in a step graph and after pooling. columns: further inputs.
    lengths: of a batch graph. states: what a step graph carries in; carried: what it hands on, with the sizes.
    first: (B, 1) bool, in a step graph: whether this is the first step of a sequence.
    """

    values: str
    columns: Mapping[str, str] = field(default_factory=dict)
    lengths: Lengths | None = None
    final: str = ""
    first: str = ""
    counts: str = ""
    carried: dict[str, str] = field(default_factory=dict)


def time_first(g: Build, padded: str, rank: int, dtype: Any) -> str:
    """(B, T, …) to (T + 1, B, …): one empty step more, so that a batch of empty rows alone has a step, too."""
    turned = g.op("Transpose", padded, perm=[1, 0, *range(2, rank)])
    ends = g.ints(*[0] * rank, 1, *[0] * (rank - 1))
    return g.op("Pad", turned, ends, g.number(np.dtype(dtype).type(0).item(), dtype))


def batch_first(g: Build, turned: str) -> str:
    """(T + 1, B, F) back to (B, T, F)."""
    kept = g.op("Slice", turned, g.ints(0), g.ints(-1), g.ints(0))
    return g.op("Transpose", kept, perm=[1, 0, 2])


def lengths_of(g: Build, padded: str, lengths: str) -> Lengths:
    """What is known of the real tokens; a length below 0 or above T is made an index that does not exist."""
    steps = g.op("Squeeze", g.op("Shape", padded, start=1, end=2), g.ints(0))
    beyond = g.op("Add", steps, g.number(1, np.int64))
    times = g.op("Range", g.number(0, np.int64), beyond, g.number(1, np.int64))
    index = g.op("Where", g.op("Less", lengths, g.number(0, np.int64)), beyond, lengths)
    checked = g.op("Gather", times, index, axis=0)
    real = g.op("Less", g.op("Unsqueeze", times, g.ints(1)), g.op("Unsqueeze", checked, g.ints(0)))
    return Lengths(
        lengths=checked,
        short=g.op("Cast", checked, to=g.onnx.TensorProto.INT32),
        real=g.op("Unsqueeze", real, g.ints(2)),
        empty=g.op("Unsqueeze", g.op("Equal", checked, g.number(0, np.int64)), g.ints(1)),
        rows=g.op("Shape", lengths),
    )
