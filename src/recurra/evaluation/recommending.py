"""A network, a training and an input that suit some data, with the reason for each choice and what they cost.

Sizes and costs are those of the model that the configuration builds on these data, not rules of thumb; the time of an
epoch is measured on this machine.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from recurra.data.dataset import Dataset
from recurra.data.encoder import InputSpec
from recurra.data.events import Events
from recurra.data.inspection import DataReport
from recurra.data.signal import Signal
from recurra.data.text import BPE, Characters, Words
from recurra.errors import DataError
from recurra.evaluation.config_text import config_text
from recurra.evaluation.context import ContextCurve
from recurra.metrics import MetricWarning
from recurra.ragged import Ragged
from recurra.runtime.predictor import Head, build_model
from recurra.runtime.static_scaler import StaticScaler
from recurra.spec import Network, Spec, Training
from recurra.tasks.summary import Summary, summarise

SIZES = (64, 32, 16)
WEIGHTS_PER_STEP = 8
UPDATES = 3000
WHOLE = 0.99
FORWARD_AND_BACKWARD = 3
TIMED = 400
UNEVEN = 3.0
SMALL = 2000
SHORT = 32
UNITS: Mapping[str, type[InputSpec]] = {
    "words": Words,
    "characters": Characters,
    "bpe": BPE,
    "signal": Signal,
    "events": Events,
}


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """What to fit, why, and what it costs.

    task: "classifier" or "regressor". unit, inputs: how sequences are read. pooling: how steps become one vector.
    data: options of the [data] section. reasons: option -> why. summary: parameters, megabytes, operations per step.
    gigaflops_per_epoch: computed, forward and backward. seconds_per_epoch: measured here; None where not.
    """

    task: str
    network: Network
    training: Training
    unit: str
    inputs: InputSpec
    pooling: str
    data: Mapping[str, Any] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    summary: Summary
    gigaflops_per_epoch: float
    seconds_per_epoch: float | None = None

    def sections(self) -> dict[str, dict[str, Any]]:
        """Return the configuration as `recurra fit --config` reads it: what differs from the defaults."""
        return {
            "data": dict(self.data),
            "input": {"unit": self.unit, **_changed(self.inputs)},
            "network": _changed(self.network),
            "training": _changed(self.training),
            "task": {"pooling": self.pooling},
        }

    def to_toml(self) -> str:
        """Return the configuration as TOML, with the reasons as comments."""
        how = f"for: recurra fit {self.task} DATA --config recurra.toml -o MODEL"
        return config_text(self.sections(), comments=[how, self.cost()], reasons=self.reasons)

    def cost(self) -> str:
        """One sentence on size and time."""
        seconds = self.seconds_per_epoch
        timed = "" if seconds is None else f", about {_seconds(seconds)} each on this machine"
        return (
            f"{self.summary.parameters:,} parameters ({self.summary.megabytes:.1f} MB), "
            f"{self.summary.operations:,} multiply-adds per step, {self.gigaflops_per_epoch:,.1f} GFLOP per epoch; "
            f"at most {self.training.epochs} epochs{timed}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "task": self.task,
            "config": self.sections(),
            "reasons": dict(self.reasons),
            **self.summary.to_dict(),
            "gigaflops_per_epoch": round(self.gigaflops_per_epoch, 3),
            "seconds_per_epoch": self.seconds_per_epoch,
        }


def recommend(
    dataset: Dataset,
    report: DataReport,
    memory: ContextCurve | None,
    reading: Mapping[str, Any] | None = None,
) -> Recommendation:
    """Choose a configuration for a dataset with targets.

    report: of these data; memory: where it was measured. reading: [data] options that the data were read with.
    Raises DataError where there is nothing to learn.
    """
    if report.labels is not None and len(report.labels.counts) < 2:
        raise DataError("there is only one class, so there is nothing to learn")
    if not report.lengths.maximum:
        raise DataError("all sequences are empty")
    reasons: dict[str, str] = {}
    unit, inputs = _inputs(report, memory, reasons)
    task = "regressor" if report.numbers else "classifier"
    train = _train_part(dataset)
    updates = -(-len(train) // _batch_size(len(train)))
    length = _sequence_length(report, memory, reasons)
    pooling = _pooling(task, report, reasons)
    steps = int(np.minimum(_lengths(train, inputs), length).sum())
    network, summary = _network(train, inputs, pooling, steps, report, reasons)
    training = _training(report, len(train), updates, length, reasons)
    return Recommendation(
        task=task,
        network=network,
        training=training,
        unit=unit,
        inputs=inputs,
        pooling=pooling,
        data=_data_options(report, reading or {}, reasons),
        reasons=reasons,
        summary=summary,
        gigaflops_per_epoch=2 * FORWARD_AND_BACKWARD * summary.operations * steps / 1e9,
    )


def timed(found: Recommendation, dataset: Dataset) -> float:
    """Measure: seconds of one epoch of the recommended training, from a part of it."""
    from recurra.tasks.classifier import Classifier
    from recurra.tasks.regressor import Regressor

    train = _train_part(dataset)
    rows = np.random.default_rng(0).permutation(len(train))[:TIMED]
    part = train.select(np.sort(rows))
    kind: Any = Regressor if found.task == "regressor" else Classifier
    training = found.training.replace(epochs=1, patience=None, class_weight=None)
    model = kind(found.network, training, found.inputs, pooling=found.pooling)
    held = part.select(np.arange(0, len(part), 10))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MetricWarning)
        begin = time.perf_counter()
        model.fit(part, validation_data=(held, None))
        return (time.perf_counter() - begin) * len(train) / len(part)


def _train_part(dataset: Dataset) -> Dataset:
    named = dataset.split is not None and bool((dataset.split == "train").any())
    whole = dataset.part("train") if named else dataset
    full = np.array([len(item) > 0 for item in whole.inputs])
    return replace(whole.select(full), split=None)


def _lengths(dataset: Dataset, inputs: InputSpec) -> Any:
    if isinstance(dataset.inputs, Ragged):
        return dataset.inputs.lengths
    return inputs.fit(dataset.inputs).encode(dataset.inputs).lengths


def _inputs(
    report: DataReport, memory: ContextCurve | None, reasons: dict[str, str]
) -> tuple[str, InputSpec]:
    unit = unit_of(report)
    options: dict[str, Any] = {}
    words = report.vocabulary
    if unit == "characters":
        reasons["input.unit"] = (
            f"95 of 100 texts have at most {report.lengths.p95:.0f} words: characters say more"
        )
    if words is not None and words.with_tags:
        options["clean_html"] = True
        reasons["input.clean_html"] = f"{words.with_tags:,} texts hold HTML tags"
    if report.spacing is not None and not report.spacing.regular:
        options["elapsed_time"] = True
        reasons["input.elapsed_time"] = (
            f"{report.spacing.irregular:.0%} of the steps are not evenly spaced in time"
        )
    extreme = [one.name for one in report.series if one.extreme]
    if extreme and unit in ("signal", "events"):
        options["scaling"] = "robust"
        reasons["input.scaling"] = f"extreme values in {len(extreme)} features would squeeze the others"
    if _end_suffices(report, memory):
        options["truncate"] = "start"
        reasons["input.truncate"] = "what matters stands at the end of the sequences"
    return unit, UNITS[unit].from_dict(options)


def unit_of(report: DataReport) -> str:
    """Return how the sequences are best read: by words or characters, as a signal or events."""
    if report.kind != "text":
        return report.kind
    return "characters" if report.lengths.p95 <= 3 else "words"


def _end_suffices(report: DataReport, memory: ContextCurve | None) -> bool:
    """Whether a quarter of the longest context, or less, is as good as all, and training could be cut to it."""
    return memory is not None and 4 * memory.needed <= memory.longest and memory.longest > SHORT


def _sequence_length(report: DataReport, memory: ContextCurve | None, reasons: dict[str, str]) -> int:
    """The least cut that loses 1% of the steps at most; twice the measured memory, where the end suffices."""
    name = "training.sequence_length"
    if unit_of(report) == "characters":
        reasons[name] = "long enough for every text that was seen"
        return max(32, 12 * report.lengths.maximum)
    if memory is not None and _end_suffices(report, memory):
        curve = dict(zip(memory.contexts, memory.scores, strict=True))
        reasons[name] = (
            f"twice the {memory.needed:,} last steps that are as good as {memory.longest:,} "
            f"({memory.score} {curve[memory.needed]:.3f} against {memory.scores[-1]:.3f})"
        )
        return 2 * memory.needed
    cut = next(cut for cut in report.cuts if cut.remaining >= WHOLE)
    reasons[name] = (
        f"cuts {cut.sequences:.1%} of the sequences and loses {cut.lost:.1%} of the {report.lengths.unit}"
    )
    return cut.limit


def _pooling(task: str, report: DataReport, reasons: dict[str, str]) -> str:
    if task == "regressor" or report.kind == "signal":
        reasons["task.pooling"] = "the mean over steps is steady where every step counts"
        return "mean"
    reasons["task.pooling"] = "the greatest response over steps finds what is said once, wherever it stands"
    return "max"


def _network(
    train: Dataset, inputs: InputSpec, pooling: str, steps: int, report: DataReport, reasons: dict[str, str]
) -> tuple[Network, Summary]:
    """The largest size, up to 64, whose recurrent layers have at most 8 weights per step to learn from."""
    cell = "gru" if report.kind == "signal" or report.sequences < SMALL else "lstm"
    encoder = inputs.fit(train.inputs, train.features or None)
    scaler = None if train.static is None else StaticScaler.fit(train.static, train.static_names)
    head = Head(outputs=_outputs(report), pooling=pooling, static=scaler)
    dropout = 0.5 if len(train) < SMALL else 0.3
    found = []
    for size in SIZES:
        options: dict[str, Any] = {"hidden_size": size, "num_layers": 1, "bidirectional": True}
        if report.kind == "text":
            options |= {"input_dropout": 0.3, "embedding_size": min(100, 2 * size)}
        network = Network(cell=cell, output_dropout=dropout, **options)
        summary = summarise(build_model(network.resolved(), encoder, head))
        recurrent = sum(count for part, count in summary.parts.items() if part.startswith("recur"))
        found.append((recurrent, network, summary))
        if recurrent <= WEIGHTS_PER_STEP * steps:
            break
    recurrent, network, summary = found[-1]
    tried = ", ".join(f"{n.hidden_size}: {count:,}" for count, n, _ in found)
    reasons["network.hidden_size"] = (
        f"{steps:,} steps to learn from; weights of the recurrent layers by size: {tried}"
    )
    reasons["network.cell"] = (
        "a gru has three quarters of the weights of an lstm, which suits signals and few sequences"
        if cell == "gru"
        else "keeps what it has read over many steps"
    )
    reasons["network.bidirectional"] = "the whole sequence is at hand; set it to false for a stream"
    reasons["network.output_dropout"] = f"{len(train):,} training sequences"
    return network, summary


def _outputs(report: DataReport) -> int:
    return len(report.labels.counts) if report.labels is not None else max(1, len(report.numbers))


def _batch_size(rows: int) -> int:
    return 16 if rows < 500 else 32


def _training(report: DataReport, rows: int, updates: int, length: int, reasons: dict[str, str]) -> Training:
    epochs = int(np.clip(-(-UPDATES // updates), 5, 60))
    reasons["training.epochs"] = f"{updates:,} updates per epoch, {epochs * updates:,} in all"
    reasons["training.patience"] = "stops when validation has not improved for so many epochs"
    options: dict[str, Any] = {}
    labels = report.labels
    if labels is not None and not labels.several and labels.imbalance > UNEVEN and len(labels.counts) < 20:
        options["class_weight"] = "balanced"
        reasons["training.class_weight"] = (
            f"the most frequent class is {labels.imbalance:.1f} times the rarest"
        )
    return Training(
        epochs=epochs,
        batch_size=_batch_size(rows),
        learning_rate=0.003,
        sequence_length=length,
        patience=max(3, epochs // 3),
        **options,
    )


def _data_options(report: DataReport, reading: Mapping[str, Any], reasons: dict[str, str]) -> dict[str, Any]:
    options = {name: value for name, value in reading.items() if value is not None and value != []}
    for one in report.groups:
        if one.tells and "group" not in options and (one.leaks or one.tested is None):
            options["group"] = one.column
            reasons["data.group"] = (
                f"{one.column!r} alone guesses the target at {one.score:.2f} (chance {one.chance:.2f}): "
                "it must not be on both sides of the split"
            )
    return options


def _changed(spec: Spec) -> dict[str, Any]:
    """The options that differ from the defaults; TOML has no null, and no default needs one."""
    usual = type(spec)().to_dict()
    return {n: v for n, v in spec.to_dict().items() if v != usual[n] and v is not None}


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
