"""What flows between nodes, and the circumstances of one run through them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recurra import kernels
from recurra.kernels import shaping
from recurra.ragged import Array, Offsets, Ragged

Parameters = Mapping[str, Any]
"""Name -> array: NumPy in the service wing, torch tensors in the workshop."""


@dataclass(frozen=True, kw_only=True)
class Flow:
    """A batch on its way through the nodes.

    values: (N, F) numbers or (N,) ids; after pooling (S, F).
    offsets: (S + 1,) int64 while there are tokens; None after pooling.
    columns: further arrays: ids of categorical columns (N,), static features (S, K).
    final: the last layer's final states (S, directions * H), set by `Recur` for `last` pooling.
    inner: (N + 1,) int64 where the values are the parts of the N tokens (characters of words): those of token i are
        `values[inner[i]:inner[i + 1]]`.
    """

    values: Any
    offsets: Offsets | None
    columns: Mapping[str, Any] = field(default_factory=dict)
    final: Any = None
    inner: Offsets | None = None

    @classmethod
    def of(cls, batch: Ragged, static: Array | None = None) -> Flow:
        """Begin with an encoded batch and, if there are any, its static features (S, K)."""
        columns = dict(batch.columns)
        if static is not None:
            columns[STATIC] = static
        if isinstance(batch.values, Ragged):
            parts = batch.values
            return cls(values=parts.values, offsets=batch.offsets, columns=columns, inner=parts.offsets)
        return cls(values=batch.values, offsets=batch.offsets, columns=columns)

    @property
    def rows(self) -> int:
        """Number of sequences."""
        # By shape, not len: a tracer of torch keeps the one symbolic and freezes the other.
        rows: int = self.values.shape[0] if self.offsets is None else self.offsets.shape[0] - 1
        return rows


STATIC = "static features"
"""Name of the column that holds per-sequence features."""

CONDITION = "condition"
"""Name of the column that holds what the initial states of each sequence are made of."""


@dataclass(kw_only=True)
class Run:
    """How the nodes are run.

    training: whether dropout acts.
    precision: of the recurrent layers' products where the model itself is in float32: "bfloat16" in training.
    seed: where every random mask of this run follows from.
    states: node name -> state carried in from the previous window; `carried` receives the new ones.
    fresh: (S,) rows that begin anew although states are carried in (theirs must be zeros); None: no row.
    keep_states: whether the nodes leave their states in `carried`.
    trace: node name -> what insight asked for (gates, cells, outputs), filled when not None.
    outputs: receives what leaves the last recurrent layer, (N, directions * H), when not None.
    cache: packed weights that outlive the run; only for parameters that do not change.
    """

    training: bool = False
    precision: str = "float32"
    seed: int = 0
    states: Mapping[str, Any] = field(default_factory=dict)
    fresh: Array | None = None
    keep_states: bool = False
    carried: dict[str, Any] = field(default_factory=dict)
    trace: dict[str, Any] | None = None
    outputs: list[Any] | None = None
    cache: dict[str, Any] | None = None

    def dropped(self, flow: Flow, rate: float, place: str, *, locked: bool = False) -> Any:
        """The values of a flow after dropout, in training; `locked`: one mask per sequence for all its steps."""
        if not self.training or rate == 0.0:
            return flow.values
        if locked and flow.offsets is not None:
            return shaping.locked_dropout(flow.values, np.diff(flow.offsets), rate, self.seed_for(place))
        return kernels.dropout(flow.values, rate, self.seed_for(place))

    def seed_for(self, place: str) -> int:
        """A seed of its own for each place that draws: the same place and run seed give the same masks."""
        mixed = (self.seed * 0x9E3779B97F4A7C15 + zlib.crc32(place.encode())) & (2**63 - 1)
        mixed ^= mixed >> 31
        return (mixed * 0xBF58476D1CE4E5B9) & (2**63 - 1)


def tensors(parameters: Mapping[str, Array], device: str = "cpu") -> dict[str, Any]:
    """Turn NumPy parameters into torch leaves that require gradients."""
    import torch

    made = {name: torch.from_numpy(np.array(value)).to(device) for name, value in parameters.items()}
    return {name: tensor.requires_grad_() for name, tensor in made.items()}
