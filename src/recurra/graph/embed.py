"""Token ids to vectors, and mixed events (several categorical columns beside numbers) to vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from recurra import kernels
from recurra.graph.node import Node, Parameter, normal
from recurra.graph.run import Flow, Parameters, Run
from recurra.kernels import shaping


class Embed(Node):
    """Look up one vector per token: (N,) ids -> (N, embedding_size). Starts normal with deviation 0.1.

    dropout: share of the words whose vectors are zeros throughout a run, in training.
    """

    def __init__(self, name: str, *, vocabulary: int, size: int, dropout: float = 0.0) -> None:
        super().__init__(name)
        self.vocabulary, self.size, self.dropout = vocabulary, size, dropout

    @property
    def width(self) -> int:
        return self.size

    def parameters(self) -> Mapping[str, Parameter]:
        return {"table": Parameter(shape=(self.vocabulary, self.size), role="embedding", init=normal(0.1))}

    def forward(self, parameters: Parameters, flow: Flow, run: Run) -> Flow:
        values = kernels.embed(flow.values, self.take(parameters, "table"))
        if run.training and self.dropout > 0.0:
            factors = kernels.dropout_mask((self.vocabulary,), self.dropout, run.seed_for(self.name))
            kept = factors[np.asarray(flow.values.cpu() if hasattr(flow.values, "cpu") else flow.values)]
            values = kernels.mul(values, shaping.column_like(kept, values))
        return replace(flow, values=values)


class EmbedColumns(Node):
    """Look up each categorical column and set the vectors beside the numbers: (N, F + sum of sizes)."""

    def __init__(self, name: str, *, features: int, vocabularies: Mapping[str, int], size: int) -> None:
        super().__init__(name)
        self.features, self.vocabularies, self.size = features, dict(vocabularies), size

    @property
    def width(self) -> int:
        return self.features + self.size * len(self.vocabularies)

    def parameters(self) -> Mapping[str, Parameter]:
        return {
            f"table.{column}": Parameter(shape=(vocabulary, self.size), role="embedding", init=normal(0.1))
            for column, vocabulary in self.vocabularies.items()
        }

    def forward(self, parameters: Parameters, flow: Flow, run: Run) -> Flow:
        parts: list[Any] = [flow.values] if self.features else []
        for column in self.vocabularies:
            parts.append(kernels.embed(flow.columns[column], self.take(parameters, f"table.{column}")))
        joined = parts[0] if len(parts) == 1 else kernels.concat_features(parts)
        return replace(flow, values=joined)
