"""From one vector per token to one vector per sequence. Pooling is itself a recurrence, so it streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from recurra import kernels
from recurra.errors import SpecError, nearest
from recurra.graph.node import Node, Parameter, glorot, zeros
from recurra.graph.run import Flow, Parameters, Run
from recurra.kernels import shaping
from recurra.ragged import Array, Offsets

POOLINGS = ("last", "mean", "max", "attention")


def _weigh(values: Any, factors: Array) -> Any:
    """Multiply every row of (S, F) by its factor."""
    return kernels.mul(values, shaping.column_like(factors, values))


class Pool(Node):
    """`last` (final states; of both directions), `mean`, `max` or `attention` over the tokens of a sequence.

    attention: weights softmax(v · tanh(W x + b)) over the tokens (Yang et al. 2016), accumulated in order.
    A sequence of length 0 gives the initial state under `last` and zeros under the others.
    """

    def __init__(self, name: str, *, how: str, inputs: int) -> None:
        super().__init__(name)
        if how not in POOLINGS:
            raise SpecError(
                f"pooling must be one of {', '.join(POOLINGS)}, got {how!r}{nearest(how, POOLINGS)}"
            )
        self.how, self.inputs = how, inputs

    @property
    def width(self) -> int:
        return self.inputs

    def parameters(self) -> Mapping[str, Parameter]:
        if self.how != "attention":
            return {}
        size = self.inputs
        return {
            "weight": Parameter(shape=(size, size), role="weight", init=glorot),
            "bias": Parameter(shape=(size,), role="bias", init=zeros),
            "query": Parameter(shape=(1, size), role="weight", init=glorot),
        }

    def scores(self, parameters: Parameters, values: Any) -> Any:
        """(N, 1) attention scores before the softmax over tokens."""
        inner = kernels.dense(values, self.take(parameters, "weight"), self.take(parameters, "bias"))
        return kernels.dense(kernels.tanh(inner), self.take(parameters, "query"))

    def forward(self, parameters: Parameters, flow: Flow, run: Run) -> Flow:
        if self.how == "last":
            return replace(flow, values=flow.final, offsets=None)
        pooled = self._pooled(parameters, flow)
        if run.keep_states:
            assert flow.offsets is not None
            pooled, run.carried[self.name] = self._joined(
                run.states.get(self.name), pooled, np.diff(flow.offsets)
            )
        return replace(flow, values=pooled, offsets=None)

    def _pooled(self, parameters: Parameters, flow: Flow) -> Any:
        if self.how == "mean":
            return kernels.pool_mean(flow.values, flow.offsets)
        if self.how == "max":
            return kernels.pool_max(flow.values, flow.offsets)
        return kernels.pool_attention(
            flow.values, flow.offsets, self.scores(parameters, flow.values).reshape(-1)
        )

    def _joined(self, before: Any, pooled: Any, lengths: Offsets) -> tuple[Any, Any]:
        """Join what earlier windows pooled (a constant) with this window's; rows may be empty in either."""
        if self.how == "attention":
            raise SpecError(
                "attention pooling cannot be carried from window to window; use 'last', 'mean' or 'max'"
            )
        if before is None:
            return pooled, (pooled, lengths)
        earlier, counts = before
        here = lengths / np.maximum(counts + lengths, 1)
        if self.how == "mean":
            joined = kernels.add(_weigh(earlier, 1.0 - here), _weigh(pooled, here))
        else:
            rise = kernels.relu(kernels.add(pooled, kernels.scale(earlier, -1.0)))
            both = kernels.add(_weigh(earlier, counts > 0), _weigh(rise, (counts > 0) & (lengths > 0)))
            joined = kernels.add(both, _weigh(pooled, (counts == 0) & (lengths > 0)))
        return joined, (joined, counts + lengths)

    def operations(self) -> int:
        return self.inputs * (self.inputs + 1) if self.how == "attention" else self.inputs
