"""An ONNX graph in the making: nodes in order, weights inline, every value with a name of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from recurra.errors import missing_extra
from recurra.ragged import Array

OPSET = 17
"""Version of ONNX's operators that the graphs are written in."""

IR_VERSION = 8
"""Version of ONNX's file format: the one that came with opset 17."""

Shape = Sequence[int | str]
"""Sizes; a name stands for one that varies ("batch", "time")."""


def onnx_library() -> Any:
    """The package `onnx`; raises MissingExtraError."""
    try:
        import onnx
    except ImportError:
        raise missing_extra("onnx", "onnx", "export to ONNX") from None
    return onnx


class Build:
    """One graph, or the body of a loop inside of one; a body may read every value of the graph around it."""

    def __init__(self, around: Build | None = None) -> None:
        self.onnx: Any = around.onnx if around else onnx_library()
        self._home: Build = around._home if around else self
        self._numbers: Iterator[int] = self._home._numbers if around else itertools.count()
        self._constants: dict[str, Any] = {}
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def ops(self, kind: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """Add an operator and return the names of its outputs; "" is an input that is left out."""
        number = next(self._numbers)
        made = [f"{kind.lower()}_{number}" + (f"_{i}" if i else "") for i in range(outputs)]
        node = self.onnx.helper.make_node(kind, list(inputs), made, name=f"{kind}_{number}", **attributes)
        self.nodes.append(node)
        return made

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator with one output and return its name."""
        return self.ops(kind, *inputs, outputs=1, **attributes)[0]

    def weight(self, name: str, array: Array) -> str:
        """Store an array in the graph under its name, once."""
        stored = self._home._constants
        if name not in stored:
            stored[name] = self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def ints(self, *values: int) -> str:
        """A small (n,) int64 constant."""
        return self.weight("ints_" + "_".join(map(str, values)), np.array(values, np.int64))

    def number(self, value: float, dtype: Any = np.float32) -> str:
        """A scalar constant."""
        kind = np.dtype(dtype)
        return self.weight(f"{kind.name}_{value!r}", np.array(value, kind))

    def input(self, name: str, dtype: Any, shape: Shape | None) -> str:
        """Declare an input."""
        self.inputs.append(self._described(name, dtype, shape))
        return name

    def output(self, value: str, name: str, dtype: Any, shape: Shape | None) -> None:
        """Declare an output that holds a value."""
        home = self._home is self
        shown = name if home else f"{name}_{next(self._numbers)}"
        self.nodes.append(self.onnx.helper.make_node("Identity", [value], [shown], name=f"out.{shown}"))
        self.outputs.append(self._described(shown, dtype, shape))

    def _described(self, name: str, dtype: Any, shape: Shape | None) -> Any:
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.onnx.helper.make_tensor_value_info(name, kind, None if shape is None else list(shape))

    def body(self) -> Build:
        """Begin the body of a loop."""
        return Build(around=self)

    def graph(self, name: str) -> Any:
        """The finished graph (or body)."""
        stored = list(self._constants.values())
        return self.onnx.helper.make_graph(self.nodes, name, self.inputs, self.outputs, stored)

    def model(self, name: str, facts: Mapping[str, str]) -> Any:
        """The finished model, checked; `facts` stand in its metadata."""
        from recurra import __version__

        made = self.onnx.helper.make_model(
            self.graph(name),
            opset_imports=[self.onnx.helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="recurra",
            producer_version=__version__,
        )
        self.onnx.helper.set_model_props(made, dict(facts))
        self.onnx.checker.check_model(made, full_check=True)
        return made
