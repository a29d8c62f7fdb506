"""How large a model is: parameters in all and by part, megabytes, operations per step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recurra.graph.model import Model
from recurra.graph.node import Node


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Sizes of a model.

    parts: part -> number of parameters, from the input to the head. operations: multiply-adds per step.
    """

    parameters: int
    trainable: int
    parts: dict[str, int]
    megabytes: float
    operations: int
    nodes: tuple[tuple[str, str, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "parameters": self.parameters,
            "trainable": self.trainable,
            "parts": self.parts,
            "megabytes": round(self.megabytes, 3),
            "operations_per_step": self.operations,
        }

    def __str__(self) -> str:
        lines = [f"{'part':<14}{'parameters':>12}{'share':>9}"]
        for part, size in self.parts.items():
            share = size / self.parameters if self.parameters else 0.0
            lines.append(f"{part:<14}{size:>12,}{share:>8.1%}")
        lines.append(f"{'total':<14}{self.parameters:>12,}   trainable {self.trainable:,}")
        lines.append(f"stored: {self.megabytes:.2f} MB (float32); {self.operations:,} multiply-adds per step")
        return "\n".join(lines)


def summarise(model: Model) -> Summary:
    """Count the parameters and the operations of a model."""
    sizes = {name: parameter.size for name, parameter in model.parameters().items()}
    parts: dict[str, int] = {}
    for name, part in model.layers().items():
        parts[part] = parts.get(part, 0) + sizes[name]
    total = sum(sizes.values())
    return Summary(
        parameters=total,
        trainable=total,
        parts=parts,
        megabytes=total * 4 / 2**20,
        operations=sum(node.operations() for node in model.nodes),
        nodes=tuple((node.name, _kind(node), node.width) for node in model.nodes),
    )


def _kind(node: Node) -> str:
    return type(node).__name__
