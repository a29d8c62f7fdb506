"""ONNX Runtime on the processor: `sequence_lens`, and memory bound once (IO binding)."""

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
    return (_step if case.mode == "step" else _forward)(ort, session, problem)


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


def _forward(ort: Any, session: Any, problem: Problem) -> Prepared:
    held = {"x": ort.OrtValue.ortvalue_from_numpy(problem.padded(problem.x))}
    if problem.ragged:
        held["lengths"] = ort.OrtValue.ortvalue_from_numpy(problem.lengths.astype(np.int32))
    outputs = _outputs(ort, session)
    binding = _bound(session, held, outputs)

    def answer(_: Any) -> Answer:
        return onnx_graph.answer(problem, {name: value.numpy().copy() for name, value in outputs.items()})

    return Prepared(run=lambda: session.run_with_iobinding(binding), answer=answer)


def _outputs(ort: Any, session: Any) -> dict[str, Any]:
    """Memory for every output."""
    make = ort.OrtValue.ortvalue_from_numpy
    return {each.name: make(np.zeros(each.shape, np.float32)) for each in session.get_outputs()}


def _bound(session: Any, inputs: dict[str, Any], outputs: dict[str, Any]) -> Any:
    binding = session.io_binding()
    for name, value in inputs.items():
        binding.bind_ortvalue_input(name, value)
    for name, value in outputs.items():
        binding.bind_ortvalue_output(name, value)
    return binding


def _step(ort: Any, session: Any, problem: Problem) -> Prepared:
    """Two bindings in turns, the states that one puts out being what the other takes in; nothing is copied."""
    names = onnx_graph.state_names(problem)
    tokens = [np.ascontiguousarray(token[None, None]) for token in problem.x]
    x = ort.OrtValue.ortvalue_from_numpy(tokens[0].copy())
    sets = [_outputs(ort, session), _outputs(ort, session)]
    zero = np.zeros((1, 1, problem.case.hidden_size), np.float32)
    bindings = [
        _bound(session, {"x": x} | {f"{name}_in": sets[1 - at][name] for name in names}, sets[at])
        for at in (0, 1)
    ]

    def walk(keep: list[np.ndarray] | None) -> Any:
        for name in names:
            sets[1][name].update_inplace(zero)
        for place, token in enumerate(tokens):
            x.update_inplace(token)
            session.run_with_iobinding(bindings[place % 2])
            if keep is not None:
                keep.append(sets[place % 2]["y"].numpy().reshape(1, -1).copy())
        return sets[(len(tokens) - 1) % 2]

    def answer(_: Any) -> Answer:
        kept: list[np.ndarray] = []
        last = walk(kept)
        states = {name: last[name].numpy().copy() for name in names}
        return onnx_graph.answer(problem, {"y": np.concatenate(kept), **states})

    return Prepared(run=lambda: walk(None), answer=answer, per_run=len(tokens))
