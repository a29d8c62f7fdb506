"""A softmax over a large vocabulary that spends its time on what is frequent (Grave et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recurra import kernels
from recurra.graph.node import Node, Parameter, glorot, zeros
from recurra.graph.run import Flow, Parameters, Run
from recurra.kernels import shaping
from recurra.ragged import Array

SHRINK = 4
"""By how much the vectors of each group of rare ids are smaller than those of the group before."""
LEAST = 8
"""Numbers that the vectors of a group have at least (or all that enter, where these are fewer)."""


@dataclass(frozen=True, kw_only=True)
class Tail:
    """A group of rare ids, `low` to below `high`; its vectors have `size` numbers."""

    place: int
    low: int
    high: int
    size: int

    @property
    def ids(self) -> int:
        """How many there are."""
        return self.high - self.low


class AdaptiveDense(Node):
    """y = log p: (…, inputs) -> (…, outputs) logarithms of probabilities, exact ones, that sum to 1.

    The ids below `cutoffs[0]`, and the last id (the boundary between documents), are frequent and stand in the first
    softmax beside one entry per group of rarer ids; group k holds cutoffs[k] <= id < cutoffs[k + 1], the last group
    all that are left:

        log p(i) = log softmax(W x + b)_i                                         i frequent
        log p(i) = log softmax(W x + b)_group(i) + log softmax(W_k R_k x + b_k)_i    else

    where R_k brings x down to a fourth of its size for the first group, a sixteenth for the second, ..., at least
    `LEAST`. Of a batch, losses (`losses`) compute only the groups that occur, each only for the tokens that it holds.
    Ids should be in order of their frequency, as those of `Words` are; else all is as right, and slower.
    """

    def __init__(self, name: str, *, inputs: int, outputs: int, cutoffs: Sequence[int]) -> None:
        super().__init__(name)
        self.inputs, self.outputs, self.frequent = inputs, outputs, cutoffs[0]
        ends = [*cutoffs[1:], outputs - 1]
        sizes = [max(min(LEAST, inputs), inputs // SHRINK ** (k + 1)) for k in range(len(ends))]
        self.tails = tuple(
            Tail(place=place, low=low, high=high, size=size)
            for place, (low, high, size) in enumerate(zip(cutoffs, ends, sizes, strict=True))
        )

    @property
    def width(self) -> int:
        return self.outputs

    @property
    def first(self) -> int:
        """Entries of the first softmax: the frequent ids, the last id, the groups."""
        return self.frequent + 1 + len(self.tails)

    def parameters(self) -> Mapping[str, Parameter]:
        found = {
            "weight": Parameter(shape=(self.first, self.inputs), role="weight", init=glorot),
            "bias": Parameter(shape=(self.first,), role="bias", init=zeros),
        }
        for tail in self.tails:
            down, rows = (tail.size, self.inputs), (tail.ids, tail.size)
            found[f"reduce_{tail.place}"] = Parameter(shape=down, role="weight", init=glorot)
            found[f"weight_{tail.place}"] = Parameter(shape=rows, role="weight", init=glorot)
            found[f"bias_{tail.place}"] = Parameter(shape=(tail.ids,), role="bias", init=zeros)
        return found

    def _entries(self, parameters: Parameters, x: Any) -> Any:
        return kernels.dense(x, self.take(parameters, "weight"), self.take(parameters, "bias"))

    def _inner(self, parameters: Parameters, tail: Tail, x: Any) -> Any:
        """(n, ids of the group) scores before its softmax."""
        weight, bias = (self.take(parameters, f"{part}_{tail.place}") for part in ("weight", "bias"))
        return kernels.dense(kernels.dense(x, self.take(parameters, f"reduce_{tail.place}")), weight, bias)

    def forward(self, parameters: Parameters, flow: Flow, run: Run) -> Flow:
        first = kernels.log_softmax(self._entries(parameters, flow.values))
        parts = [shaping.columns(first, 0, self.frequent)]
        for tail in self.tails:
            inner = kernels.log_softmax(self._inner(parameters, tail, flow.values))
            entry = self.frequent + 1 + tail.place
            group = shaping.repeat_column(shaping.columns(first, entry, entry + 1), tail.ids)
            parts.append(kernels.add(inner, group))
        parts.append(shaping.columns(first, self.frequent, self.frequent + 1))
        return replace(flow, values=kernels.concat_features(parts))

    def losses(self, parameters: Parameters, x: Any, following: Array, smoothing: float = 0.0) -> Any:
        """(N,) minus log p of the ids `following` (N,) after x (N, inputs): the bits that `forward` gives.

        smoothing: share of the target spread over all entries of each softmax that is computed: over the first one's,
        and for a rare id also over its group's.
        """
        group = np.searchsorted([tail.low for tail in self.tails], following, side="right") - 1
        group = np.where(following == self.outputs - 1, -1, group)
        plain = np.where(following == self.outputs - 1, self.frequent, following)
        entries = np.where(group < 0, plain, self.frequent + 1 + group)
        losses = kernels.cross_entropy(
            self._entries(parameters, x), shaping.index_like(entries, x), None, smoothing
        )
        for tail in self.tails:
            rows = np.flatnonzero(group == tail.place)
            if len(rows):
                inner = self._inner(parameters, tail, kernels.gather_rows(x, shaping.index_like(rows, x)))
                ids = shaping.index_like(following[rows] - tail.low, x)
                within = kernels.cross_entropy(inner, ids, None, smoothing)
                losses = kernels.add(losses, shaping.spread(within, rows, len(x)))
        return losses

    def held(self) -> int:
        """What training keeps per token: the first softmax, and of the others what about a fourth of tokens need."""
        return self.first + self.inputs + (self.outputs - self.frequent) // 4

    def operations(self) -> int:
        tails = (tail.size * (self.inputs + tail.ids) for tail in self.tails)
        return self.inputs * self.first + sum(tails)


def usual_cutoffs(vocabulary: int) -> tuple[int, ...]:
    """Where the groups begin if nobody says so: after a twenty-fifth and a fifth of the ids."""
    return (vocabulary // 25, vocabulary // 5)
