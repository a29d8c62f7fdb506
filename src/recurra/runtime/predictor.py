"""Answers without torch: an encoder, a model and its parameters on the NumPy face of the kernels."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from recurra import kernels
from recurra.data.encoder import Encoder, Memory
from recurra.errors import DataError
from recurra.graph.model import InputShape, Model, sequence_model
from recurra.graph.recur import Recur
from recurra.graph.run import Flow, Run
from recurra.graph.stepping import Stepping, stepping_of
from recurra.ragged import Array, Ragged
from recurra.runtime import promised
from recurra.runtime.condition import Condition
from recurra.runtime.intake import QuickNumbers, quick_numbers
from recurra.runtime.promised import Promised
from recurra.runtime.static_scaler import StaticScaler
from recurra.spec import Network
from recurra.storage import canonical_json

if TYPE_CHECKING:
    from recurra.metrics.calibrated import Conformal
    from recurra.runtime.keyed import Streams
    from recurra.runtime.stream import Stream

CHUNK_TOKENS = 32_768
"""Tokens that are answered at a time: bounds the memory of a prediction, never its result."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """What stands after the recurrent layers.

    outputs: numbers per answer; pooling: see `graph.pool`, None for an answer per step; static: scaler of the
    per-sequence features, if any; boundary: whether one id more than the vocabulary has begins a document; chain:
    the groups of outputs that a linear chain decodes, by their sizes; cutoffs: the first ids of the groups of an
    adaptive softmax (`graph.adaptive.AdaptiveDense`), none for a full one; condition: what the initial states are
    made of, where texts are given a label or a vector.
    """

    outputs: int
    pooling: str | None
    static: StaticScaler | None = None
    boundary: bool = False
    chain: tuple[int, ...] = ()
    cutoffs: tuple[int, ...] = ()
    condition: Condition | None = None

    def to_record(self) -> dict[str, Any]:
        """As plain values."""
        static = self.static.to_record() if self.static else None
        record = {"outputs": self.outputs, "pooling": self.pooling, "static": static}
        marked = {**record, "boundary": True} if self.boundary else record
        groups = {name: list(getattr(self, name)) for name in ("chain", "cutoffs")}
        condition = None if self.condition is None else self.condition.to_record()
        return {**marked, **{name: v for name, v in [*groups.items(), ("condition", condition)] if v}}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Head:
        """From plain values."""
        static = StaticScaler.from_record(record["static"]) if record.get("static") else None
        pooling = record["pooling"]
        return cls(
            outputs=int(record["outputs"]),
            pooling=None if pooling is None else str(pooling),
            static=static,
            boundary=bool(record.get("boundary", False)),
            chain=tuple(int(size) for size in record.get("chain", ())),
            cutoffs=tuple(int(first) for first in record.get("cutoffs", ())),
            condition=Condition.from_record(record["condition"]) if record.get("condition") else None,
        )


def input_shape(encoder: Encoder, head: Head) -> InputShape:
    """What the model is handed per step and per sequence."""
    return InputShape(
        kind=encoder.kind,
        width=encoder.width,
        vocabularies={name: size + head.boundary for name, size in encoder.vocabularies.items()},
        static=len(head.static.names) if head.static else 0,
        spelling=encoder.spelling,
    )


def build_model(network: Network, encoder: Encoder, head: Head, precision: str = "float32") -> Model:
    """The one place where specifications become a model, in both wings."""
    shape = input_shape(encoder, head)
    return sequence_model(
        network,
        shape,
        outputs=head.outputs,
        pooling=head.pooling,
        chain=head.chain,
        cutoffs=head.cutoffs,
        conditions=head.condition.width if head.condition else 0,
        precision=precision,
    )


@dataclass(kw_only=True)
class Predictor(Promised, ABC):
    """A trained model that answers. Made by `recurra.load(path)` or by an estimator on its live parameters.

    The answer for a sequence does not depend on what else is in the batch, its order, or the thread count.
    precision: which kernels run; the parameters are float32 numbers that this precision can hold
    (`recurra.runtime.quantize.quantized` rounds them).
    """

    network: Network
    encoder: Encoder
    head: Head
    target: Any
    parameters: Mapping[str, Array]
    config: Mapping[str, Any] = field(default_factory=dict)
    path: str | None = None
    model_id: str | None = None
    precision: str = "float32"

    task: ClassVar[str]
    binary: ClassVar[bool] = False
    """Whether the numbers that it reads must be 0 or 1."""
    lead: ClassVar[int] = 0
    """Encoded steps that stand before what a stream is handed."""

    def __post_init__(self) -> None:
        self.model = build_model(self.network, self.encoder, self.head, self.precision)
        self._cache: dict[str, Any] = {}

    @property
    def answering(self) -> Predictor:
        """The predictor with one answer per sequence, which is streamed, verified, exported and measured."""
        return self

    @property
    def stored_head(self) -> Head:
        """The head as bundles hold it."""
        return self.head

    @property
    def bidirectional(self) -> bool:
        """Whether it also reads from the end."""
        return self.network.bidirectional

    @property
    def engine(self) -> str:
        """Which kernel runs the recurrent layers, and why if not the fastest: "lstm: native, avx512, float32"."""
        recur: Recur = self.model.node(Recur)
        return recur.engine(self.parameters, self._cache, self.precision)

    def predict(self, inputs: Any, static: Any = None) -> Any:
        """One answer per sequence."""
        return self.answers(self.outputs(inputs, static))

    def records(
        self, inputs: Any, static: Any = None, *, coverage: float | None = None
    ) -> Iterator[dict[str, Any]]:
        """One plain dictionary per sequence, as the command line writes them; with `coverage` also its set."""
        outputs = self.outputs(inputs, static)
        found = self.records_of(outputs)
        return found if coverage is None else self.records_with_sets(found, outputs, coverage)

    @abstractmethod
    def answers(self, outputs: Array) -> Any:
        """What `predict` gives, for what leaves the model."""

    @abstractmethod
    def records_of(self, outputs: Array) -> Iterator[dict[str, Any]]:
        """What `records` gives, for what leaves the model."""

    @abstractmethod
    def score(self, inputs: Any, targets: Any, static: Any = None) -> float:
        """The task's main score."""

    @abstractmethod
    def scores(self, inputs: Any, targets: Any, static: Any = None) -> dict[str, Any]:
        """All scores of the task, by their field's names in snake case."""

    def encode(self, inputs: Any) -> Ragged:
        """What the model reads: ids or features."""
        return self.encoder.encode(inputs)

    def outputs(self, inputs: Any, static: Any = None) -> Array:
        """(S, outputs) numbers before softmax or unscaling."""
        batch = self.encode(inputs)
        return self.outputs_of(batch, self.scaled_static(static, len(batch)))

    def scaled_static(self, static: Any, rows: int) -> Array | None:
        """(rows, K) what the model reads of the features per sequence; None where it reads none."""
        if static is not None and self.head.static is None:
            raise DataError("static was given, but this model was trained without features per sequence")
        return self.head.static.transform(static, rows) if self.head.static else None

    def outputs_of(self, batch: Ragged, scaled: Array | None = None) -> Array:
        """As `outputs`, for encoded sequences and scaled static features; in chunks of bounded memory.

        A single sequence longer than a chunk is read in stretches, carrying the state, where the model reads in
        one direction; a bidirectional one needs the whole sequence at once.
        """
        if len(batch) and len(batch) + int(batch.offsets[-1]) <= CHUNK_TOKENS:
            return self._forward(batch, scaled)
        parts = [
            self._chunk(batch, rows, None if scaled is None else scaled[rows])
            for rows in chunks(batch.lengths, CHUNK_TOKENS)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.head.outputs), dtype=np.float32)

    def _chunk(self, batch: Ragged, rows: Array, static: Array | None) -> Array:
        length = int(batch.lengths[rows].sum())
        if len(rows) == 1 and length > CHUNK_TOKENS and not self.network.bidirectional:
            return self._in_stretches(batch, int(rows[0]), static)
        return self._forward(batch.select(rows), static)

    def _forward(self, batch: Ragged, static: Array | None) -> Array:
        return self._run(batch, static, Run(cache=self._cache))

    def _run(self, batch: Ragged, static: Array | None, run: Run) -> Array:
        answer: Array = self.model.forward(self.parameters, Flow.of(batch, static), run)
        return answer

    def _in_stretches(self, batch: Ragged, row: int, static: Array | None) -> Array:
        stepping = self.stepping()
        begin, end = int(batch.offsets[row]), int(batch.offsets[row + 1])
        for place in range(begin, end, CHUNK_TOKENS):
            stepping.extend(stepping.enter(batch.span(place, min(place + CHUNK_TOKENS, end))), 0)
        return stepping.outputs(np.array([0]), np.array([end - begin]), static)

    def stepping(self, *, rows: int = 1, look_ahead: int | None = None, watch: bool = False) -> Stepping:
        """The model one step at a time, for encoded steps; `stream` is for everybody else."""
        options: dict[str, Any] = {"look_ahead": look_ahead, "watch": watch, "cache": self._cache}
        return stepping_of(self.model, self.parameters, rows=rows, **options)

    def step(self, item: Any, memory: Memory | None = None) -> tuple[Ragged, Memory]:
        """`Encoder.step`, refusing what the task cannot read."""
        return self.encoder.step(item, memory)

    @property
    def quick(self) -> QuickNumbers | None:
        """The lean way of plain numbers into the model, where `step` does nothing but scale them."""
        return quick_numbers(self.encoder)

    def begun(self, **options: Any) -> Stepping:
        """As `stepping`, with everything read that stands before what a stream is handed."""
        return self.stepping(**options)

    def stream(self, *, static: Any = None, look_ahead: int | None = None, watch: bool = False) -> Stream:
        """Begin a sequence that arrives step by step; see `recurra.runtime.stream.Stream`."""
        from recurra.runtime.stream import Stream

        return Stream(self, static=static, look_ahead=look_ahead, watch=watch)

    def streams(self, **options: Any) -> Streams:
        """Many sequences that arrive step by step, by key; options as of `recurra.runtime.keyed.Streams`."""
        from recurra.runtime.keyed import Streams

        return Streams(self, **options)

    @cached_property
    def identity(self) -> str:
        """What states of streams are tagged with: the id of the stored model, else a hash of what it computes."""
        return self.model_id or fingerprint(self)


def fingerprint(predictor: Predictor) -> str:
    """The sha256 of what an unsaved model computes: specifications, encoder and weights."""
    digest = hashlib.sha256(b"recurra live model 1")
    encoder, head = predictor.encoder, predictor.head
    digest.update(canonical_json([predictor.network.to_dict(), encoder.to_record(), head.to_record()]))
    if predictor.precision != "float32":
        digest.update(predictor.precision.encode())
    for name, content in sorted(encoder.files().items()):
        digest.update(name.encode())
        digest.update(hashlib.sha256(content).digest())
    for name, array in sorted(predictor.parameters.items()):
        digest.update(f"{name}\0{array.dtype.name}\0{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def in_float32(predictor: Predictor) -> Predictor:
    """The same weights, rounded as they are, in the hands of float32 kernels: what other engines are held to."""
    return predictor if predictor.precision == "float32" else replace(predictor, precision="float32")


def chunks(lengths: Array, tokens: int) -> Iterator[Array]:
    """Consecutive row numbers whose lengths sum to at most `tokens` (a longer sequence stands alone)."""
    ends = np.cumsum(np.maximum(lengths, 1))
    begin = 0
    while begin < len(lengths):
        before = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + tokens, side="right")))
        yield np.arange(begin, end)
        begin = end


class ClassifierPredictor(Predictor):
    """Labels and probabilities for sequences; `target` is the label encoder, with `multilabel` and `threshold`."""

    task = "classifier"

    @property
    def classes(self) -> list[Any]:
        """The labels, in the order of the columns of `predict_proba`."""
        return list(self.target.classes)

    @property
    def multilabel(self) -> bool:
        """Whether a sequence may have several labels or none."""
        return bool(self.config["multilabel"])

    @property
    def threshold(self) -> Any:
        """Decision threshold: of the second class for two classes, per label for multi-label, else None."""
        return self.config["threshold"]

    def predict_proba(self, inputs: Any, static: Any = None) -> Array:
        """(S, C) probabilities: softmax over classes, or a sigmoid per label."""
        return self.probabilities(self.outputs(inputs, static))

    def probabilities(self, outputs: Array) -> Array:
        """Probabilities of what leaves the model."""
        made: Array = kernels.sigmoid(outputs) if self.multilabel else kernels.softmax(outputs)
        return made

    def decide(self, probabilities: Array) -> Array:
        """Class numbers (S,), or for multi-label a boolean (S, C)."""
        if self.multilabel:
            cut = 0.5 if self.threshold is None else np.asarray(self.threshold)
            several: Array = probabilities >= cut
            return several
        if self.threshold is not None:
            second: Array = (probabilities[:, 1] >= self.threshold).astype(np.int64)
            return second
        likeliest: Array = np.argmax(probabilities, axis=1)
        return likeliest

    def answers(self, outputs: Array) -> Any:
        """(S,) labels; for multi-label a list of tuples."""
        return self.labels_of(self.probabilities(outputs))

    def labels_of(self, probabilities: Array) -> Any:
        """Labels for probabilities."""
        return self.target.decode(self.decide(probabilities))

    def records_of(self, outputs: Array) -> Iterator[dict[str, Any]]:
        """`{"label", "probability", "probabilities"}` per sequence; `probability` is that of the label."""
        probabilities = self.probabilities(outputs)
        decided = self.decide(probabilities)
        names = [str(name) for name in self.classes]
        for row, choice in zip(probabilities, decided, strict=True):
            every = {name: float(p) for name, p in zip(names, row, strict=True)}
            if self.multilabel:
                chosen = [name for name, on in zip(names, choice, strict=True) if on]
                yield {"label": chosen, "probability": {n: every[n] for n in chosen}, "probabilities": every}
            else:
                yield {"label": names[choice], "probability": every[names[choice]], "probabilities": every}

    def score(self, inputs: Any, targets: Any, static: Any = None) -> float:
        """Accuracy; for multi-label the share of sequences with exactly the right labels."""
        name = "subset_accuracy" if self.multilabel else "accuracy"
        return float(self.scores(inputs, targets, static)[name])

    def scores(self, inputs: Any, targets: Any, static: Any = None) -> dict[str, Any]:
        """Accuracy, precision, recall and F1 per class and averaged, areas, log loss, Brier, calibration error."""
        outputs, encoded = self.outputs(inputs, static), self.target.encode(targets)
        return {**self.scores_of(self.probabilities(outputs), encoded), **self._set_scores(outputs, encoded)}

    def _set_scores(self, outputs: Array, encoded: Array) -> dict[str, float]:
        """Measured coverage, for a calibrated model."""
        if self.conformal is None:
            return {}
        truth = encoded if self.multilabel else encoded[:, None] == np.arange(len(self.classes))
        found = promised.set_scores(truth, self._chosen(self.probabilities(outputs), None))
        silent = self.silent(outputs)
        if silent is None:
            return found
        right = self.decide(self.probabilities(outputs)) == encoded
        return {**found, **promised.silence_scores(right, silent)}

    def scores_of(self, probabilities: Array, encoded: Array) -> dict[str, Any]:
        """As `scores`, for probabilities and encoded targets that are there already."""
        from recurra.metrics import classification_scores, multilabel_scores

        if self.multilabel:
            cut = 0.5 if self.threshold is None else self.threshold
            return multilabel_scores(encoded, probabilities, threshold=cut)
        return classification_scores(encoded, probabilities, y_pred=self.decide(probabilities))

    @property
    def conformal_options(self) -> tuple[str, ...]:
        """`method` and `max_error`, for one class per sequence."""
        return () if self.multilabel else ("method", "max_error")

    def calibrated(self, outputs: Array, encoded: Array, **options: Any) -> Conformal:
        """Calibrate; options as of `conformal_classes`, or `conformal_labels` for several labels."""
        from recurra.metrics.calibrated import conformal_classes, conformal_labels

        made = conformal_labels if self.multilabel else conformal_classes
        return made(encoded, self.probabilities(outputs), **options)

    def sets_of(self, outputs: Array, coverage: float | None = None) -> list[tuple[Any, ...]]:
        """The labels of each set, most probable first."""
        table = self.probabilities(outputs)
        return promised.class_sets(self._chosen(table, coverage), table, self.classes)

    def _chosen(self, probabilities: Array, coverage: float | None) -> Array:
        rule: Any = self.calibration().at(coverage)
        chosen: Array = rule.sets(probabilities)
        return chosen

    def silent(self, outputs: Array) -> Array | None:
        """(S,) where the confidence is below what the error rate of calibration needs."""
        rule = self.calibration().abstention
        return None if rule is None else ~rule.answers(self.probabilities(outputs))


class RegressorPredictor(Predictor):
    """One number, or one vector, per sequence; `target` is the number encoder."""

    task = "regressor"

    def answers(self, outputs: Array) -> Array:
        """(S,) or (S, K) numbers in the units of the training targets."""
        return self.numbers(outputs)

    def numbers(self, outputs: Array) -> Array:
        """In the units of the training targets."""
        answer: Array = self.target.decode(outputs)
        return answer

    def records_of(self, outputs: Array) -> Iterator[dict[str, Any]]:
        """`{"value"}` per sequence: a number or a list of numbers."""
        for value in self.numbers(outputs):
            yield {"value": value.tolist()}

    def score(self, inputs: Any, targets: Any, static: Any = None) -> float:
        """R², the coefficient of determination (averaged over the numbers of a vector)."""
        return float(self.scores(inputs, targets, static)["r2"])

    def scores(self, inputs: Any, targets: Any, static: Any = None) -> dict[str, Any]:
        """MSE, RMSE, MAE, MAPE and R²."""
        from recurra.metrics import regression_scores

        truth, outputs = np.asarray(targets, dtype=np.float64), self.outputs(inputs, static)
        found = regression_scores(truth, self.numbers(outputs))
        if self.conformal is None:
            return found
        return {**found, **promised.interval_scores(truth, self.sets_of(outputs))}

    def calibrated(self, outputs: Array, encoded: Array, **options: Any) -> Conformal:
        """Calibrate; options as of `conformal_numbers`."""
        from recurra.metrics.calibrated import conformal_numbers

        return conformal_numbers(self.target.decode(encoded), self.numbers(outputs), **options)

    def sets_of(self, outputs: Array, coverage: float | None = None) -> Array:
        """(S, 2) or (S, K, 2) lower and upper limits."""
        rule: Any = self.calibration().at(coverage)
        return np.stack(rule.interval(self.numbers(outputs)), axis=-1)
