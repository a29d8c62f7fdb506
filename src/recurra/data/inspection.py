"""`inspect`: what is in the data, before anything is trained on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from recurra.data.advice import advise
from recurra.data.beside import as_array
from recurra.data.cells import label
from recurra.data.dataset import PARTS, Dataset
from recurra.data.duplicates import Overlap, duplicates_across, sequence_keys
from recurra.data.groups import GroupSummary, group_summaries
from recurra.data.near_duplicates import NearDuplicates, near_duplicates
from recurra.data.report_text import render
from recurra.data.series import SeriesSummary, series_summaries
from recurra.data.splits import Split
from recurra.data.step_columns import stack_rows
from recurra.data.summaries import (
    CategorySummary,
    Cut,
    LabelSummary,
    Lengths,
    NumberSummary,
    Record,
    Spacing,
    Vocabulary,
    cuts,
)
from recurra.data.tables import Table
from recurra.errors import DataError
from recurra.ragged import Ragged

SAMPLES = 5
SHOWN = 160


@dataclass(frozen=True, kw_only=True)
class Sample(Record):
    """One sequence, shortened: its row, its beginning and its target."""

    row: int
    content: str
    target: str | None


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """What is in the data; `str(report)` is for people, `to_dict()` for machines.

    source, kind, sequences: where from, what, how many. parts: sizes by split. lengths: in words or steps. cuts: what
    truncation would cost.
    labels, numbers: the targets, whichever they are. vocabulary: of texts. features, categories, static: the
    columns of steps and of sequences. spacing: of steps in time. series: features in time. duplicates: sequences that
    occurred before. contradictions: sequences that occurred before with another target. overlap: duplicates across
    parts. near: near-duplicates. groups: columns that several sequences share, and whether they give targets away.
    samples: a few rows. notes: of the reader. advice: what to try, one sentence each.
    """

    source: str
    kind: str
    sequences: int
    parts: dict[str, int]
    lengths: Lengths
    cuts: tuple[Cut, ...]
    labels: LabelSummary | None
    numbers: tuple[NumberSummary, ...]
    vocabulary: Vocabulary | None
    features: tuple[NumberSummary, ...]
    categories: tuple[CategorySummary, ...]
    static: tuple[NumberSummary, ...]
    spacing: Spacing | None
    series: tuple[SeriesSummary, ...]
    duplicates: int
    contradictions: int
    overlap: Overlap | None
    near: NearDuplicates
    groups: tuple[GroupSummary, ...]
    samples: tuple[Sample, ...]
    notes: tuple[str, ...]
    advice: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    def to_text(self) -> str:
        """Return the report as lines for people."""
        return render(self)

    def __str__(self) -> str:
        return self.to_text()


def inspect(data: Any, targets: Any = None) -> DataReport:
    """Look into a `Dataset`, or into inputs (texts, arrays, a `Ragged`) with or without targets.

    Texts are cut into words as the `Words` spec does by default. Raises DataError where there is nothing, or
    inputs and targets are not of one length. `recurra.inspect` asks more: it also trains small networks.
    """
    return inspect_dataset(as_dataset(data, targets))


def as_dataset(data: Any, targets: Any = None) -> Dataset:
    """Return what was given as a dataset; raises DataError where there is nothing in it."""
    dataset = data if isinstance(data, Dataset) and targets is None else _dataset(data, targets)
    if not len(dataset):
        raise DataError(f"{dataset.source} holds no sequences to inspect")
    return dataset


def inspect_dataset(dataset: Dataset) -> DataReport:
    """Return the report of a dataset, with the advice that follows from it."""
    report = _report(dataset)
    return DataReport(
        **{**{f.name: getattr(report, f.name) for f in fields(report)}, "advice": advise(report)}
    )


def _report(dataset: Dataset) -> DataReport:
    labels, numbers = _targets(dataset.targets)
    keys = sequence_keys(dataset.inputs)
    about = _about_steps(dataset) if isinstance(dataset.inputs, Ragged) else _about_texts(dataset)
    return DataReport(
        **about,
        source=dataset.source,
        kind=dataset.kind,
        sequences=len(dataset),
        parts=_parts(dataset),
        labels=labels,
        numbers=numbers,
        static=_columns(dataset.static, dataset.static_names),
        duplicates=len(keys) - len(set(keys)),
        contradictions=_contradictions(keys, dataset.targets),
        overlap=_overlap(dataset),
        near=near_duplicates(dataset.inputs, dataset.split),
        groups=group_summaries(dataset),
        samples=tuple(_samples(dataset)),
        notes=dataset.notes,
    )


def _about_texts(dataset: Dataset) -> dict[str, Any]:
    vocabulary, lengths = Vocabulary.of(list(dataset.inputs), dataset.split)
    nothing: dict[str, Any] = {"features": (), "categories": (), "spacing": None, "series": ()}
    measured = {"lengths": Lengths.of(lengths, "words"), "cuts": cuts(lengths)}
    return {**measured, "vocabulary": vocabulary, **nothing}


def _about_steps(dataset: Dataset) -> dict[str, Any]:
    steps = dataset.inputs
    assert isinstance(steps, Ragged)
    return {
        "lengths": Lengths.of(steps.lengths, "steps"),
        "cuts": cuts(steps.lengths),
        "vocabulary": None,
        "features": _features(steps, dataset.features),
        "categories": _categories(steps),
        "spacing": Spacing.of(steps),
        "series": series_summaries(steps, _names(steps, dataset.features)),
    }


def _dataset(inputs: Any, targets: Any) -> Dataset:
    if isinstance(inputs, Dataset):
        inputs = inputs.inputs
    items = inputs if isinstance(inputs, Ragged) else _items(inputs)
    if targets is not None and len(targets) != len(items):
        raise DataError(f"targets must be one per sequence ({len(items)}), got {len(targets)}")
    answers = None if targets is None else _answers(targets)
    if isinstance(items, Ragged):
        matrix = np.asarray(items.values)
        matrix = matrix if matrix.ndim == 2 else matrix[:, None]
        events = any(name != "time" for name in items.columns)
        ragged = Ragged(values=matrix, offsets=items.offsets, columns=items.columns)
        names = tuple(f"x{position}" for position in range(matrix.shape[1]))
        return Dataset(inputs=ragged, targets=answers, kind="events" if events else "signal", features=names)
    if all(isinstance(item, str) for item in items):
        return Dataset(inputs=items, targets=answers)
    values, lengths = stack_rows(items, Table(columns={"inputs": items}, source="inputs"), "inputs")
    ragged = Ragged(values=values, offsets=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))
    names = tuple(f"x{position}" for position in range(values.shape[1]))
    return Dataset(inputs=ragged, targets=answers, kind="signal", features=names)


def _items(inputs: Any) -> list[Any]:
    if isinstance(inputs, str) or not hasattr(inputs, "__iter__"):
        raise DataError(f"inputs must be a list of texts or of arrays, got {type(inputs).__name__}")
    return list(inputs)


def _answers(targets: Any) -> Any:
    if isinstance(targets, np.ndarray) and targets.dtype.kind == "f":
        return targets.astype(np.float64)
    items = list(targets)
    if items and all(isinstance(item, (tuple, list, set, frozenset)) for item in items):
        return [tuple(sorted(map(str, item))) for item in items]
    if items and all(isinstance(item, float) for item in items):
        return np.asarray(items)
    return [label(item) for item in items]


def _targets(targets: Any) -> tuple[LabelSummary | None, tuple[NumberSummary, ...]]:
    if targets is None:
        return None, ()
    if isinstance(targets, np.ndarray) and targets.dtype.kind in "biuf":
        block = targets.astype(np.float64).reshape(len(targets), -1)
        names = ["target"] if block.shape[1] == 1 else [f"target {i}" for i in range(block.shape[1])]
        return None, _columns(block, names)
    return LabelSummary.of([t if isinstance(t, (str, tuple)) else str(t) for t in targets]), ()


def _columns(block: Any, names: Sequence[str]) -> tuple[NumberSummary, ...]:
    if block is None:
        return ()
    return tuple(NumberSummary.of(name, block[:, position]) for position, name in enumerate(names))


def _features(inputs: Ragged, names: Sequence[str]) -> tuple[NumberSummary, ...]:
    return _columns(np.asarray(inputs.values, dtype=np.float64), _names(inputs, names))


def _names(inputs: Ragged, names: Sequence[str]) -> Sequence[str]:
    return names or [f"x{position}" for position in range(np.asarray(inputs.values).shape[1])]


def _categories(inputs: Ragged) -> tuple[CategorySummary, ...]:
    return tuple(CategorySummary.of(name, c) for name, c in inputs.columns.items() if name != "time")


def _parts(dataset: Dataset) -> dict[str, int]:
    split = dataset.split
    return {} if split is None else {name: int((split == name).sum()) for name in PARTS}


def _overlap(dataset: Dataset) -> Overlap | None:
    if dataset.split is None:
        return None
    rows = {name: np.flatnonzero(dataset.split == name) for name in PARTS}
    parts = Split(train=rows["train"], validation=rows["validation"], test=rows["test"], total=len(dataset))
    return duplicates_across(dataset.inputs, parts)


def _contradictions(keys: Sequence[bytes], targets: Any) -> int:
    if targets is None:
        return 0
    first: dict[bytes, Any] = {}
    rows = targets.tolist() if isinstance(targets, np.ndarray) else targets
    return sum(first.setdefault(key, target) != target for key, target in zip(keys, rows, strict=True))


def _samples(dataset: Dataset) -> list[Sample]:
    rows = np.unique(np.linspace(0, len(dataset) - 1, SAMPLES).round().astype(int)).tolist()
    targets = None if dataset.targets is None else as_array(dataset.targets)
    return [
        Sample(
            row=row, content=_shown(dataset, row), target=None if targets is None else _target(targets[row])
        )
        for row in rows
    ]


def _target(target: Any) -> str:
    return ", ".join(target) if isinstance(target, tuple) else str(target)


def _shown(dataset: Dataset, row: int) -> str:
    item = dataset.inputs[row]
    if isinstance(item, str):
        text = " ".join(item.split())
        return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
    assert isinstance(dataset.inputs, Ragged)
    begin = int(dataset.inputs.offsets[row])
    steps = [_step(dataset.inputs, begin + step) for step in range(min(3, len(item)))]
    text = f"{len(item)} steps: " + "; ".join(steps) + ("; ..." if len(item) > 3 else "")
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def _step(inputs: Ragged, position: int) -> str:
    numbers = [f"{value:.4g}" for value in np.asarray(inputs.values)[position].tolist()]
    names = [str(column[position]) for name, column in inputs.columns.items() if name != "time"]
    return ", ".join(names + numbers)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.to_dict() if hasattr(value, "to_dict") else value
