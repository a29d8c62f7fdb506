"""Whether a graph answers as the predictor does: run by ONNX Runtime, measured, refused where it differs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from recurra.errors import DataError, ExportError, missing_extra
from recurra.ragged import Array
from recurra.runtime.export.answers import answer_of
from recurra.runtime.export.graphs import MASK, OUT, batch_graph, step_graph, step_refused
from recurra.runtime.export.probes import (
    CASES,
    STEPS,
    STREAMS,
    Probe,
    batch_feed,
    made_probe,
    prefix,
    step_feed,
)
from recurra.runtime.predictor import Predictor, in_float32
from recurra.runtime.verify import distance

TOLERANCE = 1e-5
"""Largest difference of an answer: of a probability, or of a number in standard deviations of the training
targets (relative to it where it is above 1)."""

LOGITS_TOLERANCE = 1e-3
"""Largest difference of the numbers before the answer, relative where they are above 1: catches a wrong graph
whose probabilities are all close to 0 and 1."""

ROWS, BATCH = 256, 32
"""Sequences of given data that are compared at most, and at a time."""


class Stepped(Protocol):
    """An exported step at work."""

    def run(self, feed: dict[str, Array]) -> dict[str, Array]:
        """All outputs by name."""

    def start(self, rows: int) -> dict[str, Array]:
        """The states that begin a sequence."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Largest difference of the answers, and of the numbers before them."""

    answers: float = 0.0
    logits: float = 0.0

    def __or__(self, other: Gap) -> Gap:
        return Gap(answers=max(self.answers, other.answers), logits=max(self.logits, other.logits))

    @property
    def small(self) -> bool:
        """Whether both are within the tolerances."""
        return self.answers <= TOLERANCE and self.logits <= LOGITS_TOLERANCE


def runtime_library() -> Any:
    """The package `onnxruntime`; raises MissingExtraError."""
    try:
        import onnxruntime
    except ImportError:
        raise missing_extra("onnxruntime", "onnx", "checking an ONNX export") from None
    return onnxruntime


class Session:
    """An ONNX model in ONNX Runtime, on one thread of the processor."""

    def __init__(self, model: bytes) -> None:
        ort = runtime_library()
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = 1, 1
        options.log_severity_level = 4
        with _told("load"):
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.inputs = {each.name: each for each in self._session.get_inputs()}
        self.outputs = [each.name for each in self._session.get_outputs()]

    def run(self, feed: dict[str, Array]) -> dict[str, Array]:
        """All outputs by name."""
        with _told("run"):
            return dict(zip(self.outputs, self._session.run(None, feed), strict=True))

    def start(self, rows: int) -> dict[str, Array]:
        """The states that begin a sequence: zeros."""
        carried = [name.removesuffix(OUT) for name in self.outputs if name.endswith(OUT)]
        kinds = {"tensor(int64)": np.int64, "tensor(float)": np.float32}
        return {
            name: np.zeros((rows, *self.inputs[name].shape[1:]), kinds[self.inputs[name].type])
            for name in carried
        }


class _told:  # noqa: N801 - a context manager
    """Turns what ONNX Runtime raises into one error of ours."""

    def __init__(self, doing: str) -> None:
        self.doing = doing

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is not None and not isinstance(error, (KeyboardInterrupt, MemoryError, SystemExit)):
            first = str(error).strip().splitlines()[0]
            raise ExportError(f"ONNX Runtime could not {self.doing} the exported graph: {first}") from error


def batch_gap(predictor: Predictor, session: Session) -> Gap:
    """The largest differences of a batch graph over `CASES`; the padding is noise."""
    worst, predictor = Gap(), in_float32(predictor)
    for seed, lengths in enumerate(CASES.values()):
        probe = made_probe(predictor, lengths, seed)
        for longer in (0, 3):
            worst |= _batch_gap(predictor, session, probe, longer=longer, seed=seed)
    return worst


def _batch_gap(
    predictor: Predictor, session: Session, probe: Probe, *, longer: int = 0, seed: int = 0
) -> Gap:
    feed = batch_feed(predictor, probe, longer=longer, seed=seed)
    found = session.run(feed)
    outputs = predictor.outputs_of(probe.batch, probe.static)
    if not answer_of(predictor).per_step:
        return gap(predictor, found, outputs)
    steps = found[answer_of(predictor).before].shape[1]
    real = np.arange(steps)[None, :] < feed["lengths"][:, None]
    if not np.array_equal(found.pop(MASK), real) or any(each[~real].any() for each in found.values()):
        return Gap(answers=float("inf"))
    ends = {name: each[real] for name, each in found.items()}
    return gap(predictor, ends, outputs)


def step_gap(predictor: Predictor, session: Stepped, probe: Probe | None = None, steps: int = STEPS) -> Gap:
    """The largest differences of a step graph after every step, from the model on the steps so far.

    Half way the first row begins anew, with all its states 0.
    """
    probe = made_probe(predictor, (steps,) * STREAMS, 1) if probe is None else probe
    states, worst, half = session.start(len(probe.batch)), Gap(), steps // 2
    predictor = in_float32(predictor)
    for step in range(steps):
        found = session.run({**step_feed(predictor, probe, step), **states})
        worst |= gap(predictor, found, _latest(predictor, prefix(probe, step + 1)))
        states = {name: found[name + OUT] for name in states}
    return worst | _begun_anew(predictor, session, probe, states, half)


def _begun_anew(
    predictor: Predictor, session: Stepped, probe: Probe, states: dict[str, Array], steps: int
) -> Gap:
    """Zeros begin a sequence, whatever the other rows are at."""
    states = {name: value.copy() for name, value in states.items()}
    for value in states.values():
        value[0] = 0
    found: dict[str, Array] = {}
    for step in range(steps):
        found = session.run({**step_feed(predictor, probe, step), **states})
        states = {name: found[name + OUT] for name in states}
    if not found:
        return Gap()
    expected = _latest(predictor, prefix(probe, steps))[:1]
    return gap(predictor, {name: value[:1] for name, value in found.items()}, expected)


def _latest(predictor: Predictor, so_far: Probe) -> Array:
    """(S, outputs) what leaves the model for sequences, after their last step."""
    outputs = predictor.outputs_of(so_far.batch, so_far.static)
    return outputs[so_far.batch.offsets[1:] - 1] if answer_of(predictor).per_step else outputs


def gap(predictor: Predictor, found: dict[str, Array], outputs: Array) -> Gap:
    """How far the outputs of a graph are from the model's `outputs` (S, K) and what the task makes of them."""
    answer = answer_of(predictor)
    return Gap(answers=answer.off(found, outputs), logits=distance(found[answer.before], outputs))


def onnx_difference(predictor: Predictor, data: Any = None, static: Any = None) -> float:
    """The largest difference of the answers of the ONNX graphs from the predictor's own, for a bfloat16 model
    from those of float32 kernels on its weights.

    data: sequences as `predict` takes them (the first 256 count), with their `static` features; None: made
    ones. In probability, or in standard deviations of the training targets. The batch graph reads them padded
    with noise; the step graph, where there is one, reads the first steps of some.
    Raises MissingExtraError without `onnx` and `onnxruntime`, ExportError where a graph cannot be run.
    """
    session = Session(batch_graph(predictor).SerializeToString())
    probe = None if data is None else _given(predictor, data, static)
    worst = batch_gap(predictor, session) if probe is None else _data_gap(predictor, session, probe)
    if step_refused(predictor) is None:
        stepping = Session(step_graph(predictor).SerializeToString())
        worst |= step_gap(predictor, stepping)
        worst |= _data_steps(predictor, stepping, probe)
    return worst.answers


def _given(predictor: Predictor, data: Any, static: Any) -> Probe:
    batch = predictor.encode(data)
    scaled = None
    if predictor.head.static is not None:
        scaled = predictor.head.static.transform(static, len(batch))
    elif static is not None:
        raise DataError("static was given, but this model was trained without features per sequence")
    rows = np.arange(min(len(batch), ROWS))
    return Probe(batch=batch.select(rows), static=None if scaled is None else scaled[rows])


def _part(probe: Probe, rows: Array) -> Probe:
    return Probe(batch=probe.batch.select(rows), static=None if probe.static is None else probe.static[rows])


def _data_gap(predictor: Predictor, session: Session, probe: Probe) -> Gap:
    worst, predictor = Gap(), in_float32(predictor)
    for begin in range(0, len(probe.batch), BATCH):
        rows = np.arange(begin, min(begin + BATCH, len(probe.batch)))
        worst |= _batch_gap(predictor, session, _part(probe, rows), longer=1, seed=begin)
    return worst


def _data_steps(predictor: Predictor, session: Session, probe: Probe | None) -> Gap:
    """Up to four sequences that are as long as the longest that four of them have, up to 32 steps."""
    if probe is None or not len(probe.batch):
        return Gap()
    lengths = probe.batch.lengths
    rows = np.argsort(-lengths, kind="stable")[:4]
    steps = int(min(lengths[rows].min(), 32))
    return step_gap(predictor, session, _part(probe, rows), steps) if steps else Gap()
