"""From one vector per token to one vector per sequence. Pooling is itself a recurrence, so it streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from recurra import kernels
from recurra.errors import SpecError, nearest
from recurra.graph.node import Node, Parameter, glorot, zeros
from recurra.graph.run import Flow, Parameters, Run

POOLINGS = ("last", "mean", "max", "attention")


class Pool(Node):
    """`last` (final states; of both directions), `mean`, `max` or `attention` over the tokens of a sequence.

    attention: weights softmax(v · tanh(W x + b)) over the tokens (Yang et al. 2016), accumulated in order.
    A sequence of length 0 gives the initial state under `last` and zeros under the others.
    """

    def __init__(self, name: str, *, how: str, inputs: int) -> None:
        super().__init__(name)
        if how not in POOLINGS:
            raise SpecError(f"pooling must be one of {', '.join(POOLINGS)}, got {how!r}{nearest(how, POOLINGS)}")
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
        state = run.states.get(self.name)
        pool = {"mean": kernels.pool_mean, "max": kernels.pool_max, "attention": kernels.pool_attention}[self.how]
        extra = (self.scores(parameters, flow.values),) if self.how == "attention" else ()
        pooled, carried = pool(flow.values, flow.offsets, *extra, initial=state)
        if run.keep_states:
            run.carried[self.name] = carried
        return replace(flow, values=pooled, offsets=None)

    def operations(self) -> int:
        return self.inputs * (self.inputs + 1) if self.how == "attention" else self.inputs
