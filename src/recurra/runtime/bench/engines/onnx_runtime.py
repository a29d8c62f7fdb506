"""ONNX Runtime on the processor: sequences with `sequence_lens`; single steps with states bound in turns."""

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
    """ONNX Runtime for this case."""
    case = problem.case
    ort = needed("onnxruntime", "pip install 'recurra[onnx]'")
    if case.dtype == "bfloat16":
        raise LeftOutError("onnxruntime's recurrences have no bfloat16 on the processor")
    model = onnx_graph.graph(problem)
    if case.dtype == "int8":
        model = _quantized(model, case.cell)
    session = _session(ort, model.SerializeToString(), case.threads)
    return _step(session, problem) if case.mode == "step" else _forward(session, problem)


def _session(ort: Any, model: bytes, threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _quantized(model: Any, cell: str) -> Any:
    """Weights in int8 by ONNX Runtime's own tool, which knows LSTM only."""
    if cell != "lstm":
        raise LeftOutError(f"onnxruntime's dynamic int8 has no {cell}")
    import logging

    onnx = needed("onnx", "pip install 'recurra[onnx]'")
    tool = needed("onnxruntime.quantization", "pip install 'recurra[onnx]'")
    logging.disable(logging.WARNING)
    try:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "model.onnx", Path(folder) / "int8.onnx"
            onnx.save(model, str(source))
            tool.quantize_dynamic(source, target, per_channel=True, op_types_to_quantize=["LSTM"],
                                  weight_type=tool.QuantType.QInt8)  # fmt: skip
            return onnx.load(str(target))
    finally:
        logging.disable(logging.NOTSET)


def _forward(session: Any, problem: Problem) -> Prepared:
    feed = {"x": problem.padded(problem.x)}
    if problem.ragged:
        feed["lengths"] = problem.lengths.astype(np.int32)
    names = ["y", *onnx_graph.state_names(problem)]

    def answer(result: Any) -> Answer:
        return onnx_graph.answer(problem, dict(zip(names, result, strict=True)))

    return Prepared(run=lambda: session.run(names, feed), answer=answer)


def _step(session: Any, problem: Problem) -> Prepared:
    names = ["y", *onnx_graph.state_names(problem)]
    fed = [f"{name}_in" for name in names[1:]]
    tokens = [np.ascontiguousarray(token[None, None]) for token in problem.x]
    zero = np.zeros((1, 1, problem.case.hidden_size), np.float32)

    def walk(keep: list[np.ndarray] | None) -> Any:
        feed = dict.fromkeys(fed, zero)
        result: list[Any] = []
        for token in tokens:
            feed["x"] = token
            result = session.run(names, feed)
            feed = dict(zip(fed, result[1:], strict=True))
            if keep is not None:
                keep.append(result[0].reshape(1, -1))
        return result

    def answer(_: Any) -> Answer:
        kept: list[np.ndarray] = []
        last = walk(kept)
        found = dict(zip(names[1:], last[1:], strict=True))
        return onnx_graph.answer(problem, {"y": np.concatenate(kept), **found})

    return Prepared(run=lambda: walk(None), answer=answer, per_run=len(tokens))
