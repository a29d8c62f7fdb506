"""The ONNX graph of a problem, built node by node, for the engines that read ONNX.

ONNX keeps its gates in another order (LSTM i, o, f, c; GRU z, r, h), wants GRU's `linear_before_reset=1`, and
takes the lengths of the rows as `sequence_lens`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.kernels import GATES, RecurWeights
from recurra.runtime.bench.answer import Answer
from recurra.runtime.bench.engines.engine import needed
from recurra.runtime.bench.problem import Problem

_KINDS = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN", "rnn_relu": "RNN"}
_ORDER = {"lstm": [0, 3, 1, 2], "gru": [1, 0, 2]}
OPSET, IR = 17, 9


def state_names(problem: Problem) -> list[str]:
    """The states of every layer as the graph names its outputs; its inputs have "_in" behind."""
    parts = ("h", "c") if problem.case.cell == "lstm" else ("h",)
    return [f"{part}{level}" for level in range(problem.case.num_layers) for part in parts]


def graph(problem: Problem) -> Any:
    """The model: x (T, S, I), lengths where they differ, states in and out in mode step; y (T, S, H)."""
    onnx = needed("onnx", "pip install 'recurra[onnx]'")
    build = _Graph(onnx, problem)
    x = "x"
    for level, layer in enumerate(problem.layers):
        x = build.layer(level, layer, x)
    build.node("Identity", [x], ["y"])
    return build.model()


class _Graph:
    def __init__(self, onnx: Any, problem: Problem) -> None:
        self.helper, self.problem, self.case = onnx.helper, problem, problem.case
        self.from_array, self.types = onnx.numpy_helper.from_array, onnx.TensorProto
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.step = self.case.mode == "step"
        self.time = 1 if self.step else int(problem.lengths.max())

    def node(self, kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        self.nodes.append(self.helper.make_node(kind, inputs, outputs, **attributes))

    def constant(self, name: str, array: np.ndarray) -> str:
        self.weights.append(self.from_array(np.ascontiguousarray(array), name))
        return name

    def layer(self, level: int, layer: list[RecurWeights], x: str) -> str:
        case, names = self.case, ("W", "R", "B")
        stacked = [np.stack(part) for part in zip(*(_arranged(w) for w in layer), strict=True)]
        inputs = [x, *(self.constant(f"{n}{level}", part) for n, part in zip(names, stacked, strict=True))]
        inputs.append("lengths" if self.problem.ragged else "")
        parts = ("h", "c") if case.cell == "lstm" else ("h",)
        if self.step:
            inputs += [f"{part}{level}_in" for part in parts]
        attributes: dict[str, Any] = {"hidden_size": case.hidden_size}
        if case.bidirectional:
            attributes["direction"] = "bidirectional"
        if case.cell == "gru":
            attributes["linear_before_reset"] = 1
        if case.cell == "rnn_relu":
            attributes["activations"] = ["Relu"] * case.directions
        self.node(_KINDS[case.cell], inputs, [f"y{level}", *(f"{p}{level}" for p in parts)], **attributes)
        return self._merged(level)

    def _merged(self, level: int) -> str:
        """(T, directions, S, H) to (T, S, directions * H)."""
        width = self.case.directions * self.case.hidden_size
        if self.case.directions == 1:
            axis = self.constant(f"axis{level}", np.array([1]))
            self.node("Squeeze", [f"y{level}", axis], [f"out{level}"])
            return f"out{level}"
        self.node("Transpose", [f"y{level}"], [f"turned{level}"], perm=[0, 2, 1, 3])
        shape = self.constant(f"shape{level}", np.array([self.time, self.case.batch, width]))
        self.node("Reshape", [f"turned{level}", shape], [f"out{level}"])
        return f"out{level}"

    def model(self) -> Any:
        case, value = self.case, self.helper.make_tensor_value_info
        state = [case.directions, case.batch, case.hidden_size]
        names, real = state_names(self.problem), self.types.FLOAT
        inputs = [value("x", real, [self.time, case.batch, case.inputs])]
        if self.problem.ragged:
            inputs.append(value("lengths", self.types.INT32, [case.batch]))
        if self.step:
            inputs += [value(f"{name}_in", real, state) for name in names]
        width = case.directions * case.hidden_size
        outputs = [value("y", real, [self.time, case.batch, width])]
        outputs += [value(name, real, state) for name in names]
        made = self.helper.make_graph(self.nodes, "recurrence", inputs, outputs, self.weights)
        opset = [self.helper.make_opsetid("", OPSET)]
        return self.helper.make_model(made, opset_imports=opset, ir_version=IR)


def _arranged(weights: RecurWeights) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """W, R and B of one direction in ONNX's order of gates."""
    order, units = _ORDER.get(weights.cell, [0]), weights.hidden_size

    def turned(part: np.ndarray) -> np.ndarray:
        blocks = part.reshape(GATES[weights.cell], units, *part.shape[1:])
        return np.ascontiguousarray(blocks[order].reshape(part.shape))

    both = np.concatenate([turned(weights.b_ih), turned(weights.b_hh)])
    return turned(weights.w_ih), turned(weights.w_hh), both


def answer(problem: Problem, found: dict[str, np.ndarray]) -> Answer:
    """Named results out of the outputs of the graph (or of a walk, with y already per token)."""
    case, y = problem.case, found["y"]
    shape = (case.num_layers, case.directions, case.batch, case.hidden_size)
    parts = ("h", "c") if case.cell == "lstm" else ("h",)
    stacked = {
        part: np.stack([found[f"{part}{level}"] for level in range(case.num_layers)]).reshape(shape)
        for part in parts
    }
    return {"y": y if y.ndim == 2 else problem.tokens(y), **stacked}
