"""The contract of a node: its parameters, its forward pass and its cost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.graph.run import Flow, Parameters, Run
from recurra.ragged import Array

Init = Callable[["np.random.Generator", tuple[int, ...]], Array]
"""Draws first values. The generator is named in a text: `np.random` takes 10 ms to load, and only training draws."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One trained array: its shape, its role (which decides about weight decay) and how it starts.

    role: "weight", "recurrent", "bias", "norm", "embedding" or "state".
    """

    shape: tuple[int, ...]
    role: str
    init: Init

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return int(np.prod(self.shape))


class Node(ABC):
    """One stage of a model, written once over `recurra.kernels`. Its parameters are named `<name>.<part>`."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    @abstractmethod
    def width(self) -> int:
        """Number of features that leave the node."""

    def parameters(self) -> Mapping[str, Parameter]:
        """Part name -> parameter; empty for nodes that learn nothing."""
        return {}

    @abstractmethod
    def forward(self, parameters: Parameters, flow: Flow, run: Run) -> Flow:
        """Answer for a whole batch."""

    def operations(self) -> int:
        """Multiply-adds per token (per sequence after pooling)."""
        return 0

    def held(self) -> int:
        """Numbers per token that leave it and that training keeps."""
        return self.width

    def take(self, parameters: Parameters, part: str) -> Any:
        """This node's array called `part`."""
        return parameters[f"{self.name}.{part}"]


def zeros(_: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """All zero."""
    return np.zeros(shape, dtype=np.float32)


def ones(_: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """All one."""
    return np.ones(shape, dtype=np.float32)


def uniform(bound: float) -> Init:
    """Uniform between -bound and bound."""

    def draw(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return generator.uniform(-bound, bound, shape).astype(np.float32)

    return draw


def normal(deviation: float) -> Init:
    """Normal with mean 0."""

    def draw(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return (generator.standard_normal(shape) * deviation).astype(np.float32)

    return draw


def glorot(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform with the bound of Glorot & Bengio 2010 for an (out, in) matrix."""
    return uniform(float(np.sqrt(6.0 / (shape[0] + shape[1]))))(generator, shape)
