"""A small network that is trained in a second or two, to ask questions about data before a real one is trained.

The test split is never looked at. At most `ROWS` sequences of `STEPS` steps are used, fewer where they are long.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from recurra.data.dataset import Dataset
from recurra.data.encoder import InputSpec
from recurra.data.splits import SHARES, grouped, stratified
from recurra.data.text import BPE, Characters, Words
from recurra.errors import DataError
from recurra.metrics import MetricWarning
from recurra.ragged import Array, Ragged
from recurra.spec import Network, Training

ROWS = 3000
STEPS = 400
TOKENS = 120_000
LEAST = 40
"""With fewer sequences than this nothing that is trained can be told from chance."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Probe:
    """Sequences to ask questions of, with their targets and the parts of a split.

    batch: text as the column "token", so that all kinds of data are shuffled and cut alike; no column "time".
    kind: "classes", "labels" (several per sequence) or "numbers". train, choice, held: rows to learn from, to
    stop by, and to score on. notes: what was left out.
    """

    batch: Ragged
    targets: Any
    kind: str
    train: Array
    choice: Array
    held: Array
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset, unit: str, groups: Any = None, seed: int = 0) -> Probe:
        """Prepare a dataset; unit: how texts are cut, as the name of their spec.

        groups: (S,) values that must not be on both sides of the split, None: each sequence by itself.
        Raises DataError where there are no targets, or too few sequences or classes to learn anything.
        """
        dataset, groups, notes = _usable(dataset, groups, seed)
        by_class = groups is None
        split = stratified(dataset.targets, SHARES, seed) if by_class else grouped(groups, SHARES, seed)
        batch = _batch(dataset, unit)
        return cls(
            batch=batch if batch.lengths.max() <= STEPS else first(batch, STEPS),
            targets=dataset.targets,
            kind=_kind(dataset.targets),
            train=split.train,
            choice=split.validation,
            held=split.test,
            notes=notes,
        )

    @cached_property
    def coded(self) -> Array:
        """(S, K): a one per class, 0/1 per label, or numbers in units of their deviation."""
        if self.kind == "numbers":
            values = np.asarray(self.targets, dtype=np.float64).reshape(len(self.batch), -1)
            deviation = values[self.train].std(axis=0)
            return np.asarray(
                (values - values[self.train].mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
            )
        rows = [{t} if isinstance(t, str) else set(t) for t in self.targets]
        names = sorted(set().union(*rows))
        return np.array([[name in row for name in names] for row in rows], dtype=np.float64)

    def judged(self, predicted: Array, rows: Array) -> Array:
        """(S,) how well each of `rows` is predicted: right or wrong, share of right labels, minus squared error."""
        truth = self.coded[rows]
        if self.kind == "classes":
            return np.asarray(predicted.argmax(axis=1) == truth.argmax(axis=1), dtype=np.float64)
        if self.kind == "labels":
            return np.asarray(((predicted >= 0.5) == (truth >= 0.5)).mean(axis=1))
        return np.asarray(-((predicted - truth) ** 2).mean(axis=1))

    def predictions(self, model: Any, batch: Ragged) -> Array:
        """(S, K) what a fitted model says, in the columns of `coded`."""
        if self.kind == "numbers":
            return np.asarray(model.predict(batch), dtype=np.float64).reshape(len(batch), -1)
        known = [str(name) for name in model.classes_]
        names = sorted({t for row in self.targets for t in ([row] if isinstance(row, str) else row)})
        found = np.zeros((len(batch), len(names)))
        found[:, [names.index(name) for name in known]] = model.predict_proba(batch)
        return found

    def fit(self, train: Ragged, train_rows: Array, choice: Ragged, choice_rows: Array) -> Any:
        """Train the small network on some form of the sequences of these rows."""
        estimator = self._estimator(len(train))
        with warnings.catch_warnings():
            # A score of its few rows to stop by may be undefined; the one that is used never is.
            warnings.simplefilter("ignore", MetricWarning)
            return estimator.fit(
                train, self._answers(train_rows), validation_data=(choice, self._answers(choice_rows))
            )

    def _answers(self, rows: Array) -> Any:
        if self.kind == "numbers":
            return self.coded[rows]
        return [self.targets[row] for row in rows.tolist()]

    def _estimator(self, rows: int) -> Any:
        from recurra.data.events import Events
        from recurra.data.signal import Signal
        from recurra.tasks.classifier import Classifier
        from recurra.tasks.regressor import Regressor

        categories = bool(self.batch.columns)
        batch = int(np.clip(rows // 20, 8, 64))
        steps = max(1, rows // batch)
        training = Training(
            epochs=int(np.clip(400 // steps, 8, 40)),
            batch_size=batch,
            learning_rate=0.01,
            sequence_length=None,
            patience=4,
        )
        network = Network(cell="gru", hidden_size=32, num_layers=1, embedding_size=32 if categories else None)
        spec: InputSpec = Events() if categories else Signal()
        if self.kind == "numbers":
            return Regressor(network, training, spec)
        return Classifier(network, training, spec, multilabel=self.kind == "labels")


def _usable(dataset: Dataset, groups: Any, seed: int) -> tuple[Dataset, Any, tuple[str, ...]]:
    """Sequences that are not of the test split, that have steps, and that fit the budget."""
    if dataset.targets is None:
        raise DataError(f"{dataset.source} has no targets to ask about")
    keep = np.ones(len(dataset), dtype=bool) if dataset.split is None else dataset.split != "test"
    keep &= np.array([len(item) > 0 for item in dataset.inputs])
    if isinstance(dataset.targets, np.ndarray) and dataset.targets.dtype.kind == "f":
        keep &= np.isfinite(dataset.targets.reshape(len(dataset), -1)).all(axis=1)
    rows = np.flatnonzero(keep)
    if len(rows) < LEAST:
        raise DataError(
            f"{len(rows)} sequences are too few to learn anything from; at least {LEAST} are needed"
        )
    limit = min(ROWS, max(LEAST, int(TOKENS / max(1.0, _mean_length(dataset, rows)))))
    notes: tuple[str, ...] = ()
    if len(rows) > limit:
        notes = (f"order and memory were asked of {limit:,} of {len(rows):,} sequences, to be quick",)
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:limit])
    chosen = replace(dataset.select(rows), split=None)
    if _kind(chosen.targets) == "classes" and len(set(chosen.targets or ())) < 2:
        raise DataError(f"{dataset.source} has only one class to ask about")
    return chosen, None if groups is None else np.asarray(groups)[rows].tolist(), notes


def _mean_length(dataset: Dataset, rows: Array) -> float:
    if isinstance(dataset.inputs, Ragged):
        return float(np.minimum(dataset.inputs.lengths[rows], STEPS).mean())
    return float(np.mean([min(len(dataset.inputs[row].split()), STEPS) for row in rows[:500].tolist()]))


def _kind(targets: Any) -> str:
    if isinstance(targets, np.ndarray):
        return "numbers"
    return "classes" if all(isinstance(target, str) for target in targets) else "labels"


def _batch(dataset: Dataset, unit: str) -> Ragged:
    if isinstance(dataset.inputs, Ragged):
        columns = {name: column for name, column in dataset.inputs.columns.items() if name != "time"}
        return Ragged(
            values=np.asarray(dataset.inputs.values), offsets=dataset.inputs.offsets, columns=columns
        )
    spec = {"words": Words(min_count=1), "characters": Characters(min_count=1), "bpe": BPE()}[unit]
    ids = spec.fit(dataset.inputs).encode(dataset.inputs)
    tokens = np.asarray(ids.values).astype(str).astype(object)
    return Ragged(values=np.zeros((len(tokens), 0)), offsets=ids.offsets, columns={"token": tokens})


def shuffled(batch: Ragged, generator: np.random.Generator) -> Ragged:
    """The same sequences, the steps of each in random order."""
    rows = np.repeat(np.arange(len(batch)), batch.lengths)
    return _taken(batch, np.lexsort((generator.random(len(rows)), rows)), batch.lengths)


def first(batch: Ragged, count: int) -> Ragged:
    """The first `count` steps of every sequence."""
    kept = np.minimum(batch.lengths, count)
    return _taken(batch, _places(batch.offsets[:-1], kept), kept)


def last(batch: Ragged, count: int) -> Ragged:
    """The last `count` steps of every sequence."""
    kept = np.minimum(batch.lengths, count)
    return _taken(batch, _places(batch.offsets[1:] - kept, kept), kept)


def _places(begins: Array, kept: Array) -> Array:
    ends = np.cumsum(kept)
    return np.asarray(np.repeat(begins - (ends - kept), kept) + np.arange(int(kept.sum())))


def _taken(batch: Ragged, places: Array, lengths: Array) -> Ragged:
    columns = {name: column[places] for name, column in batch.columns.items()}
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Ragged(values=np.asarray(batch.values)[places], offsets=offsets, columns=columns)
