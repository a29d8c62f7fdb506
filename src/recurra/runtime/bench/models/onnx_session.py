"""ONNX Runtime on the graphs that Recurra exports, in float32 and by its own dynamic int8."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recurra import kernels
from recurra.ragged import Array
from recurra.runtime.bench.engines.engine import LeftOutError, needed
from recurra.runtime.bench.models.contender import (
    Answering,
    Contender,
    Walking,
    encoder_bytes,
    start_program,
    tags_decided,
)
from recurra.runtime.export.answers import answer_of
from recurra.runtime.export.graphs import OUT, batch_graph, step_graph
from recurra.runtime.export.probes import Probe, batch_feed, step_feed
from recurra.runtime.predictor import Predictor


class Session:
    """A graph on as many threads as Recurra has, or on one, which is quicker for single steps.

    answer: the name of the model's last numbers.
    """

    def __init__(self, model: bytes, answer: str, *, threads: int | None = None) -> None:
        ort = needed("onnxruntime", "pip install 'recurra[onnx]'")
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads or kernels.get_num_threads(), 1
        options.log_severity_level = 3
        self.answer = answer
        self.held = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.inputs = {each.name: each for each in self.held.get_inputs()}
        self.outputs = [each.name for each in self.held.get_outputs()]

    def states(self) -> dict[str, Any]:
        """The zeros that begin a sequence, of a step graph."""
        kinds = {"tensor(int64)": np.int64, "tensor(float)": np.float32}
        names = [name.removesuffix(OUT) for name in self.outputs if name.endswith(OUT)]
        held = {name: self.inputs[name] for name in names}
        return {name: np.zeros((1, *each.shape[1:]), kinds[each.type]) for name, each in held.items()}

    def advance(self, feed: dict[str, Any], states: dict[str, Any]) -> tuple[Array, dict[str, Any]]:
        """One step of a step graph: the last numbers of the model, and the states after it."""
        wanted = [self.answer, *(name + OUT for name in states)]
        found: Array
        found, *after = self.held.run(wanted, {**feed, **states})
        return found, dict(zip(states, after, strict=True))


def step_session(predictor: Predictor, shrink: Callable[[bytes], bytes] = bytes) -> Session:
    """The step graph of a model on one thread; raises LeftOutError, and SpecError where a model has no such graph."""
    needed("onnx", "pip install 'recurra[onnx]'")
    content = shrink(step_graph(predictor).SerializeToString())
    return Session(content, answer_of(predictor).before, threads=1)


def contenders(predictor: Predictor, place: Path, feed: Path) -> Iterator[Contender]:
    """float32, and int8 where ONNX Runtime has it for this cell; raises LeftOutError."""
    needed("onnx", "pip install 'recurra[onnx]'")
    needed("onnxruntime", "pip install 'recurra[onnx]'")
    yield _contender(predictor, place, feed, "float32")
    if predictor.network.cell != "lstm":
        raise LeftOutError(f"onnxruntime's dynamic int8 has no {predictor.network.cell}")
    yield _contender(predictor, place, feed, "int8")


def _contender(predictor: Predictor, place: Path, feed: Path, precision: str) -> Contender:
    shrink = _quantized if precision == "int8" else bytes
    content = shrink(batch_graph(predictor).SerializeToString())
    file = place / f"batch-{precision}.onnx"
    file.write_bytes(content)
    walk = None
    if not predictor.network.bidirectional:
        walk = partial(_walk, predictor, step_session(predictor, shrink))
    session = Session(content, answer_of(predictor).before)
    return Contender(
        engine="onnxruntime",
        precision=precision,
        batch=partial(_batch, predictor, session),
        decided=partial(_decided, predictor, session) if tags_decided(predictor) else None,
        walk=walk,
        file_bytes=len(content) + encoder_bytes(predictor),
        start=(start_program("onnx_start"), str(file), str(feed), str(kernels.get_num_threads())),
    )


def _quantized(model: bytes) -> bytes:
    """Weights in int8 by ONNX Runtime's own tool."""
    tool = needed("onnxruntime.quantization", "pip install 'recurra[onnx]'")
    logging.disable(logging.WARNING)
    try:
        with tempfile.TemporaryDirectory(prefix="recurra-") as folder:
            source, target = Path(folder) / "model.onnx", Path(folder) / "int8.onnx"
            source.write_bytes(model)
            tool.quantize_dynamic(source, target, per_channel=True, weight_type=tool.QuantType.QInt8)
            return target.read_bytes()
    finally:
        logging.disable(logging.NOTSET)


def _batch(predictor: Predictor, session: Session, probe: Probe) -> Answering:
    feed, wanted, run = batch_feed(predictor, probe), [session.answer], session.held.run
    if not answer_of(predictor).per_step:
        return lambda: run(wanted, feed)[0]
    lengths = probe.batch.lengths
    real = np.arange(int(lengths.max()))[None, :] < lengths[:, None]
    return lambda: run(wanted, feed)[0][real]


def _decided(predictor: Any, session: Session, probe: Probe) -> Callable[[], Any]:
    """As the README of an export says: its scores, decoded outside of the graph."""
    answer = _batch(predictor, session, probe)
    return lambda: predictor.codes(answer(), probe.batch.offsets)


def _walk(predictor: Predictor, session: Session, probe: Probe) -> Walking:
    states = session.states()

    def advance(t: int) -> Array:
        nonlocal states
        found, states = session.advance(step_feed(predictor, probe, t), states)
        return found

    return advance
