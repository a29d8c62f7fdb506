"""The scores by which tags follow each other: what a linear-chain CRF learns beside the scores of each token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recurra.graph.node import Node, Parameter, normal, zeros
from recurra.graph.run import Flow, Parameters, Run


class Chain(Node):
    """Transition, start and end scores of one or several columns of tags; the emissions pass as they are.

    Loss, marginals and the best path are taken from emissions and these scores outside of the node
    (`kernels.crf_loss`, `crf_marginals`, `viterbi`). Transitions start normal with deviation 0.01.

    sizes: number of tags of each column, in the order of the outputs.
    """

    def __init__(self, name: str, *, sizes: Sequence[int]) -> None:
        super().__init__(name)
        self.sizes = tuple(sizes)

    @property
    def width(self) -> int:
        return sum(self.sizes)

    def parameters(self) -> Mapping[str, Parameter]:
        found: dict[str, Parameter] = {}
        for place, size in enumerate(self.sizes):
            found[f"transitions.{place}"] = Parameter(shape=(size, size), role="bias", init=normal(0.01))
            found[f"start.{place}"] = Parameter(shape=(size,), role="bias", init=zeros)
            found[f"end.{place}"] = Parameter(shape=(size,), role="bias", init=zeros)
        return found

    def forward(self, parameters: Parameters, flow: Flow, run: Run) -> Flow:
        return flow

    def scores(self, parameters: Parameters, place: int) -> tuple[Any, Any, Any]:
        """Transitions (L, L), start (L,) and end (L,) of one column of tags."""
        return (
            self.take(parameters, f"transitions.{place}"),
            self.take(parameters, f"start.{place}"),
            self.take(parameters, f"end.{place}"),
        )

    def columns(self) -> Iterator[slice]:
        """Which outputs belong to each column."""
        begin = 0
        for size in self.sizes:
            yield slice(begin, begin + size)
            begin += size

    def operations(self) -> int:
        return sum(size * size for size in self.sizes)
