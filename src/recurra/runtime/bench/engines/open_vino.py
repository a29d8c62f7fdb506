"""OpenVINO on the processor, reading the same ONNX graph, compiled for latency."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from recurra.runtime.bench.answer import Answer
from recurra.runtime.bench.engines import onnx_graph
from recurra.runtime.bench.engines.engine import LeftOutError, Prepared, needed
from recurra.runtime.bench.problem import Problem


def prepare(problem: Problem) -> Prepared:
    """OpenVINO for this case."""
    case = problem.case
    openvino = needed("openvino", "pip install openvino")
    if case.dtype == "int8":
        raise LeftOutError("openvino's int8 weights are made by nncf, which has none for recurrences")
    core = openvino.Core()
    able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if case.dtype == "bfloat16" and "BF16" not in able:
        raise LeftOutError("openvino has no bfloat16 on this processor")
    precision = "bf16" if case.dtype == "bfloat16" else "f32"
    compiled = _compiled(core, problem, {
        "INFERENCE_NUM_THREADS": case.threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
    })  # fmt: skip
    if case.mode == "step":
        return _step(openvino, compiled, problem)
    return _forward(compiled.create_infer_request(), problem)


def _compiled(core: Any, problem: Problem, options: dict[str, Any]) -> Any:
    onnx = needed("onnx", "pip install 'recurra[onnx]'")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(onnx_graph.graph(problem), str(path))
        return core.compile_model(core.read_model(str(path)), "CPU", options)


def _forward(request: Any, problem: Problem) -> Prepared:
    feed = {"x": problem.padded(problem.x)}
    if problem.ragged:
        feed["lengths"] = problem.lengths.astype(np.int32)
    names = ["y", *onnx_graph.state_names(problem)]

    def answer(_: Any) -> Answer:
        found = {name: request.get_tensor(name).data.copy() for name in names}
        return onnx_graph.answer(problem, found)

    return Prepared(run=lambda: request.infer(feed, share_inputs=True, share_outputs=True), answer=answer)


def _step(openvino: Any, compiled: Any, problem: Problem) -> Prepared:
    """Two requests in turns, the states that one puts out being what the other takes in; nothing is copied."""
    names = onnx_graph.state_names(problem)
    tokens = [np.ascontiguousarray(token[None, None]) for token in problem.x]
    shape = (1, 1, problem.case.hidden_size)
    sets = [{name: openvino.Tensor(np.zeros(shape, np.float32)) for name in names} for _ in range(2)]
    x, y = openvino.Tensor(np.zeros_like(tokens[0])), openvino.Tensor(np.zeros(shape, np.float32))
    requests = [compiled.create_infer_request() for _ in range(2)]
    for place, request in enumerate(requests):
        request.set_tensor("x", x)
        request.set_tensor("y", y)
        for name in names:
            request.set_tensor(f"{name}_in", sets[place][name])
            request.set_tensor(name, sets[1 - place][name])

    def walk(keep: list[np.ndarray] | None) -> Any:
        for tensor in sets[0].values():
            tensor.data[:] = 0
        for place, token in enumerate(tokens):
            x.data[:] = token
            requests[place % 2].infer()
            if keep is not None:
                keep.append(y.data.reshape(1, -1).copy())
        return sets[len(tokens) % 2]

    def answer(_: Any) -> Answer:
        kept: list[np.ndarray] = []
        last = walk(kept)
        states = {name: tensor.data.copy() for name, tensor in last.items()}
        return onnx_graph.answer(problem, {"y": np.concatenate(kept), **states})

    return Prepared(run=lambda: walk(None), answer=answer, per_run=len(tokens))
