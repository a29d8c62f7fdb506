"""`verify`: whether a model keeps, on given or made sequences, what Recurra promises of every model.

Bit for bit: a sequence alone, in a batch, in any order, in a stream, with any number of threads and with every
instruction set. Within a tolerance: the readable reference in double precision, `torch.nn` and ONNX Runtime, where
they are installed, compared by what the model answers: probabilities, or standardised numbers.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from recurra import kernels
from recurra.errors import DataError, ExportError, InputError, MissingExtraError
from recurra.graph.run import Flow, Run
from recurra.kernels import engines
from recurra.ragged import Array, Ragged
from recurra.runtime.bundle import library_versions
from recurra.runtime.ensemble import Ensemble
from recurra.runtime.kept import ANSWERS, read_answers
from recurra.runtime.language_model import LanguageModelPredictor
from recurra.runtime.predictor import Predictor
from recurra.runtime.sample import Sample, given_sample, made_sample, pieces_of
from recurra.runtime.tagger import TaggerPredictor
from recurra.runtime.torch_parity import torch_outputs, torch_refused

TOLERANCE = 1e-5
"""Largest difference from another engine: of a probability, or of a standardised number (relative above 1)."""

ALLOWED = {"float32": TOLERANCE, "bfloat16": 0.02, "int8": 0.05}
"""`TOLERANCE` by precision: the others compute with a smaller model's very weights, but not with its activations."""

ROWS = 48
"""Sequences that are tried at most: the shortest, the longest and others spread between them."""

STREAMED, STREAMED_STEPS = 12, 2000
"""Sequences that are streamed at most, and how long they may be."""

EVERY_STEP = 40
"""Steps of a sequence whose every prefix is compared."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One comparison: the largest difference found and the largest allowed, 0 where every bit counts."""

    name: str
    passed: bool
    difference: float
    tolerance: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Verification:
    """All comparisons; `notes` say which were left out and why. `rows`: sequences tried; made: whether made up."""

    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    rows: int
    made: bool

    @property
    def passed(self) -> bool:
        """Whether all did."""
        return all(check.passed for check in self.checks)

    def to_record(self) -> dict[str, Any]:
        """`{"checks": [{"name", "passed", "difference", "tolerance"}], "passed"}`."""
        return {"checks": [dataclasses.asdict(check) for check in self.checks], "passed": self.passed}

    def to_json(self) -> bytes:
        """The record, with what was tried and by which versions, for the bundle."""
        record = self.to_record()
        for check in record["checks"]:
            if not np.isfinite(check["difference"]):
                check["difference"] = None
        tried = {"sequences": self.rows, "made": self.made, "engine": kernels.engine()}
        whole = {**record, "notes": list(self.notes), "tried": tried, "versions": library_versions()}
        return json.dumps(whole, indent=1).encode() + b"\n"


def verify(predictor: Predictor, inputs: Any = None, static: Any = None) -> Verification:
    """Compare a model with itself under other circumstances, and with other engines.

    inputs, static: sequences as `predict` takes them; None: made ones that fit the model's encoder. While it runs,
    the number of threads and the instruction set of the whole process change. Raises DataError for inputs that the
    model does not read, or none at all.
    """
    sample = made_sample(predictor) if inputs is None else given_sample(inputs, static)
    if not len(sample):
        raise DataError("inputs must hold at least one sequence to verify the model on, got none")
    answering = predictor.answering
    work = _work_on(answering)(answering, sample)
    checks = tuple(work.checks())
    if isinstance(predictor, LanguageModelPredictor):
        from recurra.runtime.verify_writing import writing_checks

        checks += tuple(writing_checks(predictor, work.sample.inputs))
    return Verification(checks=checks, notes=tuple(work.notes), rows=len(work.sample), made=inputs is None)


def _work_on(predictor: Predictor) -> type[Work]:
    from recurra.runtime.verify_steps import ForetellingWork, StepWork
    from recurra.runtime.walking import Walking

    if isinstance(predictor, Walking):
        return ForetellingWork
    return StepWork if predictor.task == "tagger" else Work


class Work:
    """The comparisons of one model on one sample; `notes` gathers what is left out."""

    def __init__(self, predictor: Predictor, sample: Sample) -> None:
        self.predictor = predictor
        rows = _spread(predictor.encode(sample.inputs).lengths)
        self.sample = sample.select(rows)
        self.batch = predictor.encode(self.sample.inputs)
        self.static = predictor.scaled_static(self.sample.static, len(self.sample))
        self.outputs = predictor.outputs(self.sample.inputs, self.sample.static)
        self.whole = self._answers(self.outputs)
        self.notes: list[str] = []

    def checks(self) -> Iterator[Check]:
        """All comparisons, one after the other."""
        yield self._same("alone = batch", lambda: self._in_parts(1))
        yield self._same("in pairs = batch", lambda: self._in_parts(2))
        yield self._same("permuted = batch", self._permuted)
        yield from self._streams()
        for threads in (1, 2, 3):
            yield self._same(f"threads {threads} = batch", partial(self._in, engines.thread_count, threads))
        yield from self._instruction_sets()
        yield from self._as_saved()
        yield from self._engines()

    def _engines(self) -> Iterator[Check]:
        """Other engines than our own; for an ensemble those of every member."""
        if not isinstance(self.predictor, Ensemble):
            yield from self._reference()
            yield from self._torch()
            yield from self._onnx()
            return
        for place, member in enumerate(self.predictor.members, 1):
            work = Work(member, self.sample)
            for check in work._engines():
                yield dataclasses.replace(check, name=f"member {place}: {check.name}")
            self.notes += [f"member {place}: {note}" for note in work.notes]

    def _answers(self, outputs: Array) -> Array:
        """What the model says (probabilities or standardised numbers) beside what it is said from."""
        return np.concatenate([outputs, said(self.predictor, outputs)], axis=1)

    def _same(self, name: str, run: Callable[[], Array], rows: Array | None = None) -> Check:
        expected = self.whole if rows is None else self.whole[rows]
        difference = bit_difference(run(), expected)
        return Check(name=name, passed=difference == 0.0, difference=difference)

    def _of(self, sample: Sample, predictor: Predictor | None = None) -> Array:
        return self._answers((predictor or self.predictor).outputs(sample.inputs, sample.static))

    def _in_parts(self, size: int) -> Array:
        rows = np.arange(len(self.sample))
        parts = [self.sample.select(rows[begin : begin + size]) for begin in range(0, len(rows), size)]
        return np.concatenate([self._of(part) for part in parts])

    def _permuted(self) -> Array:
        order = np.random.default_rng(1).permutation(len(self.sample))
        found = np.empty_like(self.whole)
        found[order] = self._of(self.sample.select(order))
        return found

    def _in(self, circumstances: Callable[[Any], AbstractContextManager[None]], which: Any) -> Array:
        """A copy of the model, packed and run in other circumstances."""
        with circumstances(which):
            return self._of(self.sample, self._fresh())

    def _fresh(self, **changes: Any) -> Predictor:
        if isinstance(self.predictor, Ensemble):
            return Ensemble.of(*[dataclasses.replace(each, **changes) for each in self.predictor.members])
        return dataclasses.replace(self.predictor, **changes)

    # ---- streams ---------------------------------------------------------------------------------------------

    def _streams(self) -> Iterator[Check]:
        lengths = self.batch.lengths
        rows = np.flatnonzero(lengths <= STREAMED_STEPS)
        rows = (
            rows[np.unique(np.linspace(0, max(len(rows) - 1, 0), STREAMED).astype(int))]
            if len(rows)
            else rows
        )
        try:
            self.predictor.encoder.check_stream()
            if isinstance(self.predictor, Ensemble):
                self.predictor.check_shared()
        except InputError as error:
            self.notes.append(f"no stream: {error}")
            return
        if not len(rows):
            self.notes.append(f"no stream: every sequence is longer than {STREAMED_STEPS} steps")
            return
        yield from self._streamed_checks(rows)

    def _streamed_checks(self, rows: Array) -> Iterator[Check]:
        lengths = self.batch.lengths
        ahead = None
        if self.predictor.bidirectional:
            ahead = max(1, int(lengths[rows].max()))
            if ahead > EVERY_STEP:
                rows = rows[lengths[rows] <= EVERY_STEP]
                ahead = EVERY_STEP
            self.notes.append(
                f"a bidirectional model: streamed with a look-ahead of {ahead} steps, as in the data"
            )
        if len(rows):
            yield from self._streamed(rows, ahead)

    def _streamed(self, rows: Array, ahead: int | None) -> Iterator[Check]:
        pieces = [pieces_of(self.predictor.encoder, self.sample.inputs, int(row)) for row in rows]
        yield self._same("streamed = batch", lambda: self._one_by_one(rows, pieces, ahead), rows)
        yield self._every_step(rows, pieces, ahead)
        yield self._same("resumed from a state = batch", lambda: self._resumed(rows, pieces, ahead), rows)
        yield self._same("interleaved by key = batch", lambda: self._by_key(rows, pieces, ahead), rows)

    def _stream(self, row: Any, ahead: int | None) -> Any:
        return self.predictor.stream(static=self.sample.static_of(int(row)), look_ahead=ahead)

    def _one_by_one(self, rows: Array, pieces: list[list[Any]], ahead: int | None) -> Array:
        outputs = []
        for row, items in zip(rows, pieces, strict=True):
            stream = self._stream(row, ahead)
            for item in items:
                stream.push(item)
            outputs.append(stream.outputs())
        return self._answers(np.stack(outputs))

    def _resumed(self, rows: Array, pieces: list[list[Any]], ahead: int | None) -> Array:
        outputs = []
        for row, items in zip(rows, pieces, strict=True):
            first, second = self._stream(row, ahead), self._stream(row, ahead)
            for item in items[: len(items) // 2]:
                first.push(item)
            second.restore(first.snapshot())
            for item in items[len(items) // 2 :]:
                second.push(item)
            outputs.append(second.outputs())
        return self._answers(np.stack(outputs))

    def _by_key(self, rows: Array, pieces: list[list[Any]], ahead: int | None) -> Array:
        streams = self.predictor.streams(look_ahead=ahead)
        for row in rows.tolist():
            streams.start(row, static=self.sample.static_of(row))
        for step in range(max((len(items) for items in pieces), default=0)):
            waiting = zip(rows.tolist(), pieces, strict=True)
            for error in streams.push_many(
                {r: items[step] for r, items in waiting if step < len(items)}
            ).values():
                raise error
        return self._answers(streams.outputs(rows.tolist()))

    def _every_step(self, rows: Array, pieces: list[list[Any]], ahead: int | None) -> Check:
        """After every step of some short sequences, against the answer for what was taken so far."""
        lengths = self.batch.lengths[rows]
        found, expected = [self.whole[:0]], [self.whole[:0]]
        for place in [i for i in range(len(rows)) if lengths[i] <= EVERY_STEP][-3:]:
            row = int(rows[place])
            stream, begin = self._stream(row, ahead), int(self.batch.offsets[row])
            static = None if self.static is None else self.static[[row]]
            for item in pieces[place]:
                stream.push(item)
                found.append(self._answers(stream.outputs()[None]))
                so_far = self.batch.span(begin, begin + self.predictor.lead + stream.steps)
                expected.append(self._answers(self.predictor.outputs_of(so_far, static)))
        difference = bit_difference(np.concatenate(found), np.concatenate(expected))
        name = "streamed, every step = batch"
        return Check(name=name, passed=difference == 0.0, difference=difference)

    # ---- other engines ---------------------------------------------------------------------------------------

    def _instruction_sets(self) -> Iterator[Check]:
        native = engines.native()
        if native is None:
            self.notes.append("no instruction sets to compare: the native kernels were not built")
            return
        engine = native.engine()
        others = [isa for isa in engine["available"] if isa not in (engine["isa"], "portable")]
        if not others:
            self.notes.append(f"one instruction set alone: {engine['isa']}")
        for isa in others:
            yield self._same(f"{isa} = {engine['isa']}", partial(self._in, engines.instruction_set, isa))

    def _as_saved(self) -> Iterator[Check]:
        """Against what the live model answered when it was saved: bit for bit where the same version runs."""
        from recurra import __version__

        if self.predictor.path is None:
            return
        kept = read_answers(self.predictor.path)
        if kept is None:
            self.notes.append(f"not compared with the answers at saving: the bundle holds no {ANSWERS}")
            return
        name, now = "now = when it was saved", kernels.engine()["native"]
        found = self.predictor.outputs(kept.sample.inputs, kept.sample.static)
        if kept.version == __version__ and kept.native == now:
            difference = bit_difference(found, kept.outputs)
            yield Check(name=name, passed=difference == 0.0, difference=difference)
            return
        saved_by = f"version {kept.version}" + ("" if kept.native else " without native kernels")
        self.notes.append(
            f"saved by {saved_by}: its answers are compared within {TOLERANCE:g}, not bit for bit"
        )
        difference = distance(said(self.predictor, found), said(self.predictor, kept.outputs))
        yield Check(name=name, passed=difference <= TOLERANCE, difference=difference, tolerance=TOLERANCE)

    def _reference(self) -> Iterator[Check]:
        if engines.native() is None:
            self.notes.append("no native kernels to compare with the reference: they were not built")
            return
        with engines.reference_engine():
            outputs = self._in_double()
        yield self._close("native = reference in double precision", outputs)

    def _in_double(self) -> Array:
        model = self._fresh(
            parameters={k: v.astype(np.float64) for k, v in self.predictor.parameters.items()}
        )
        values = self.batch.values
        is_ids = isinstance(values, Ragged) or values.dtype.kind == "i"
        wide = self.batch if is_ids else self.batch.with_values(np.asarray(values, dtype=np.float64))
        static = None if self.static is None else self.static.astype(np.float64)
        outputs: Array = model.model.forward(model.parameters, Flow.of(wide, static), Run(cache={}))
        return outputs

    def _torch(self) -> Iterator[Check]:
        refused = torch_refused(self.predictor)
        if refused is not None:
            self.notes.append(f"not compared with torch.nn: {refused}")
            return
        yield self._close("recurra = torch.nn", torch_outputs(self.predictor, self.batch, self.static))

    def _close(self, name: str, outputs: Array) -> Check:
        expected = said(self.predictor, np.asarray(outputs, dtype=np.float32))
        difference = distance(said(self.predictor, self.outputs), expected)
        allowed = ALLOWED[self.predictor.precision]
        return Check(name=name, passed=difference <= allowed, difference=difference, tolerance=allowed)

    def _onnx(self) -> Iterator[Check]:
        from recurra.runtime import export

        if self.predictor.precision == "int8":
            self.notes.append(
                "not compared with ONNX Runtime: no ONNX graph has the kernels of an int8 model"
            )
            return
        try:
            difference = export.onnx_difference(self.predictor, self.sample.inputs, self.sample.static)
        except (MissingExtraError, InputError) as error:
            self.notes.append(f"not compared with ONNX Runtime: {error}")
            return
        except ExportError as error:
            self.notes.append(str(error))
            difference = float("inf")
        allowed = float(export.TOLERANCE)
        yield Check(
            name="recurra = ONNX Runtime",
            passed=difference <= allowed,
            difference=difference,
            tolerance=allowed,
        )


def said(predictor: Predictor, outputs: Array) -> Array:
    """What a model answers, for its (S, outputs): probabilities where it gives any, else the numbers themselves."""
    answers: Array = np.ascontiguousarray(outputs)
    if isinstance(predictor, TaggerPredictor):
        return answers if predictor.numeric else predictor.shares_by_step(answers)
    made = getattr(predictor, "probabilities", None)
    return answers if made is None else made(answers)


def _spread(lengths: Array) -> Array:
    """Rows of at most `ROWS` sequences: by length the first, the last, and others spread between; in order."""
    if len(lengths) <= ROWS:
        return np.arange(len(lengths))
    order = np.argsort(lengths, kind="stable")
    return np.sort(order[np.unique(np.linspace(0, len(lengths) - 1, ROWS).astype(int))])


def bit_difference(found: Array, expected: Array) -> float:
    """0.0 where every bit is the same, else the largest difference; infinite where there is no number for it."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return float("inf")
    if found.tobytes() == expected.tobytes():
        return 0.0
    largest = distance(found, expected, relative=False)
    return largest or float(np.finfo(found.dtype).smallest_subnormal)


def distance(found: Array, expected: Array, *, relative: bool = True) -> float:
    """Largest difference, relative to the expected where that is above 1; infinite where one is no number, or where
    the shapes are not the same."""
    if found.shape != expected.shape:
        return float("inf")
    if not expected.size:
        return 0.0
    a, b = found.astype(np.float64), expected.astype(np.float64)
    with np.errstate(invalid="ignore"):
        off = np.abs(a - b) / (np.maximum(1.0, np.abs(b)) if relative else 1.0)
    off = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, off)
    return float(np.where(np.isnan(off), np.inf, off).max())


def card_lines(record: Mapping[str, Any]) -> list[str]:
    """The section of the model card: a table of what was compared."""
    lines = ["| check | passed | difference | allowed |", "|---|---|---|---|"]
    for check in record["checks"]:
        allowed = "none" if check["tolerance"] == 0 else f"{check['tolerance']:g}"
        off = check["difference"]
        shown = "none" if off == 0 else f"{off:.1e}"
        lines.append(f"| {check['name']} | {'yes' if check['passed'] else '**no**'} | {shown} | {allowed} |")
    return lines
