"""`error_analysis`: which sequences a model gets wrong, how sure it was, and what they have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.data.encoder import UNKNOWN
from recurra.data.text_encoders import TextEncoder
from recurra.errors import DataError
from recurra.insight.errors.groups import Group, by_column, by_number, by_unknown, grouped, mean_of, share_of
from recurra.insight.errors.labels import LabelIssues, label_issues
from recurra.insight.errors.words import Pair, TypicalWord, typical_words, words_of
from recurra.insight.subject import Reading, Subject, subject_of
from recurra.ragged import Array
from recurra.runtime.predictor import ClassifierPredictor, RegressorPredictor

MOST_PAIRS = 12
"""Confused pairs that are given typical words, the most frequent ones."""
MISSED, ADDED = "(not predicted)", "(not labelled)"


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A wrong prediction.

    row: of the sequence. text: the sequence as given, else "sequence 3 (20 steps)". label, predicted: names, of
    several labels joined by ", ". confidence: probability of the predicted class; of several labels at once that of
    the least sure decision. steps: length as the model reads it.
    """

    row: int
    text: str
    label: str
    predicted: str
    confidence: float
    steps: int


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassErrors:
    """What a classifier gets wrong, over S sequences and C classes.

    classes: names. right: (S,) whether the prediction is the label (of several labels: all of them). confidence:
    (S,) probability of the predicted class. probabilities: (S, C). coded: labels as class numbers (S,), or (S, C)
    0 and 1 of several labels. decided: predictions, alike. lengths: (S,) steps. mistakes: the surest first.
    pairs: confused classes, the most frequent first. groups: what divides the sequences -> the groups, each with
    the share that is right. issues: possible label errors, None of several labels.
    """

    classes: tuple[str, ...]
    multilabel: bool
    right: Array
    confidence: Array
    probabilities: Array
    coded: Array
    decided: Array
    lengths: Array
    mistakes: tuple[Mistake, ...]
    pairs: tuple[Pair, ...]
    groups: Mapping[str, tuple[Group, ...]]
    issues: LabelIssues | None

    measure = "share right"
    low_is_good = False

    def __len__(self) -> int:
        return len(self.right)

    @property
    def score(self) -> float:
        """Share of the sequences that is right."""
        return float(np.mean(self.right))

    def _repr_html_(self) -> str:
        return _section_html(self)


@dataclass(frozen=True, kw_only=True)
class Residual:
    """One prediction of a number. residual: predicted minus true."""

    row: int
    text: str
    true: float
    predicted: float
    steps: int

    @property
    def residual(self) -> float:
        """Predicted minus true."""
        return self.predicted - self.true


@dataclass(frozen=True, kw_only=True, eq=False)
class ResidualErrors:
    """How far a regressor is off, over S sequences.

    truth, predicted: (S,) or (S, K) in the units of the targets. errors: (S,) absolute error, of vectors the mean
    over their numbers. lengths: (S,) steps. largest: the first number of each sequence, largest error first.
    groups: what divides the sequences -> the groups, each with its mean absolute error.
    """

    truth: Array
    predicted: Array
    errors: Array
    lengths: Array
    largest: tuple[Residual, ...]
    groups: Mapping[str, tuple[Group, ...]]

    measure = "mean absolute error"
    low_is_good = True

    def __len__(self) -> int:
        return len(self.errors)

    @property
    def score(self) -> float:
        """Mean absolute error."""
        return float(np.mean(self.errors))

    def _repr_html_(self) -> str:
        return _section_html(self)


def _section_html(errors: ClassErrors | ResidualErrors) -> str:
    from recurra.insight.pages.errors import error_sections
    from recurra.report.html import notebook_frame
    from recurra.report.items import Report

    return notebook_frame(Report(title="Errors", sections=error_sections(errors)))


def error_analysis(
    model: Any,
    inputs: Any,
    targets: Any = None,
    static: Any = None,
    *,
    columns: Mapping[str, Any] | None = None,
    most: int = 200,
) -> ClassErrors | ResidualErrors:
    """Find what a model gets wrong.

    model: an estimator that has learnt, or a loaded model. inputs, targets, static: as for `score`, of sequences that
    it has not learnt from; or a `Dataset`. columns: name -> one value per sequence, each divides the sequences; of
    a `Dataset` its columns with few different values or numbers are taken by `columns_of`. most: how many mistakes
    are listed. Raises DataError without targets.
    """
    subject = subject_of(model)
    if hasattr(inputs, "inputs") and hasattr(inputs, "targets"):
        targets = inputs.targets if targets is None else targets
        columns = columns_of(inputs) if columns is None else columns
    if targets is None:
        raise DataError(
            "targets must be given: errors need the true labels or numbers beside the predictions"
        )
    reading = subject.read(inputs, static)
    if len(targets) != len(reading) or not len(reading):
        raise DataError(
            f"targets must be one per sequence and at least one, got {len(targets)} for {len(reading)}"
        )
    given = _Given(subject, reading, subject.outputs(reading.batch, reading.static), columns or {}, most)
    if isinstance(subject.predictor, ClassifierPredictor):
        return _class_errors(given, subject.predictor, targets)
    assert isinstance(subject.predictor, RegressorPredictor)
    return _residual_errors(given, subject.predictor, targets)


def columns_of(dataset: Any, most: int = 50) -> dict[str, Array]:
    """The columns of a data set that divide it: numbers, and names of which there are few and that come again."""
    chosen = {}
    for name, column in dataset.columns.items():
        values = np.asarray(column)
        if values.dtype.kind in "iuf" or len(set(map(str, values))) <= min(most, len(values) // 2):
            chosen[name] = values
    return chosen


class _Given:
    """What was read and what came out, with what every analysis asks of it."""

    def __init__(
        self, subject: Subject, reading: Reading, outputs: Array, columns: Mapping[str, Any], most: int
    ) -> None:
        self.subject, self.reading, self.outputs = subject, reading, outputs
        self.columns, self.most = columns, most
        self.lengths = np.asarray(reading.batch.lengths)

    def text(self, row: int) -> str:
        """A sequence for people."""
        text = self.reading.passages[row].text
        return f"sequence {row} ({self.lengths[row]} steps)" if text is None else text

    def groups(self, values: Array, score: Any) -> dict[str, tuple[Group, ...]]:
        """The divisions that every task has."""
        made = {"length": by_number(values, self.lengths, score, whole=True)}
        rates = self._unknown_rates()
        if rates is not None:
            made["unknown words"] = by_unknown(values, rates, score)
        for name, column in self.columns.items():
            made[str(name)] = by_column(values, column, score, str(name))
        return {by: groups for by, groups in made.items() if len(groups) > 1}

    def _unknown_rates(self) -> Array | None:
        if not self.subject.is_text:
            return None
        unknown = np.asarray(self.reading.batch.values) == UNKNOWN
        sums = np.concatenate([[0], np.cumsum(unknown)])[np.asarray(self.reading.batch.offsets)]
        made: Array = np.diff(sums) / np.maximum(self.lengths, 1)
        return made

    def words(self) -> list[set[str]] | None:
        """The words of every sequence; letter triples where the model reads letters; None where it reads no text."""
        encoder = self.subject.encoder
        if not isinstance(encoder, TextEncoder):
            return None
        letters = encoder.spec.name == "characters"
        return [words_of(passage.text or "", letters=letters) for passage in self.reading.passages]


def _class_errors(given: _Given, predictor: ClassifierPredictor, targets: Any) -> ClassErrors:
    names = tuple(str(name) for name in predictor.classes)
    coded = np.asarray(predictor.target.encode(targets))
    table = np.asarray(predictor.probabilities(given.outputs))
    decided = np.asarray(predictor.decide(table))
    several = predictor.multilabel
    if several:
        right = np.all(coded.astype(bool) == decided, axis=1)
        confidence = np.min(np.where(decided, table, 1 - table), axis=1)
    else:
        right = decided == coded
        confidence = table[np.arange(len(table)), decided]
    return ClassErrors(
        classes=names,
        multilabel=several,
        right=right,
        confidence=confidence,
        probabilities=table,
        coded=coded,
        decided=decided,
        lengths=given.lengths,
        mistakes=_mistakes(given, names, coded, decided, right, confidence),
        pairs=tuple(_pairs(given, names, coded, decided, several)),
        groups=_class_groups(given, names, coded, right, several),
        issues=None if several else label_issues(table, coded.astype(np.int64), names),
    )


def _mistakes(
    given: _Given, names: Sequence[str], coded: Array, decided: Array, right: Array, confidence: Array
) -> tuple[Mistake, ...]:
    rows = np.flatnonzero(~right)
    rows = rows[np.argsort(-confidence[rows], kind="stable")][: given.most]
    return tuple(
        Mistake(
            row=int(row),
            text=given.text(row),
            label=_named(names, coded[row]),
            predicted=_named(names, decided[row]),
            confidence=float(confidence[row]),
            steps=int(given.lengths[row]),
        )
        for row in rows.tolist()
    )


def _named(names: Sequence[str], value: Any) -> str:
    if np.ndim(value) == 0:
        return names[int(value)]
    return ", ".join(name for name, on in zip(names, value, strict=True) if on) or "(none)"


def _class_groups(
    given: _Given, names: Sequence[str], coded: Array, right: Array, several: bool
) -> dict[str, tuple[Group, ...]]:
    if several:
        members = [
            grouped(right[coded[:, place] > 0], np.full(int(coded[:, place].sum()), name, object), [name])
            for place, name in enumerate(names)
        ]
        by_class = tuple(group for found in members for group in found)
    else:
        by_class = grouped(right, np.array(names, dtype=object)[coded], list(names))
    return {"class": by_class} | given.groups(right, share_of)


def _pairs(
    given: _Given, names: Sequence[str], coded: Array, decided: Array, several: bool
) -> Iterator[Pair]:
    found = list((_label_pairs if several else _confused)(names, coded, decided))
    found.sort(key=lambda pair: -len(pair[2]))
    words = given.words()
    known = None if words is None else Counter(word for text in words for word in text)
    for place, (true, predicted, rows, others) in enumerate(found):
        typical: tuple[TypicalWord, ...] = ()
        if words is not None and place < MOST_PAIRS:
            typical = typical_words([words[r] for r in rows], [words[r] for r in others], prior=known)
        share = len(rows) / max(len(rows) + len(others), 1)
        yield Pair(true=true, predicted=predicted, count=len(rows), share=share, words=typical)


_Found = tuple[str, str, Array, Array]
"""True and predicted name, the rows so confused, and the other rows of the same truth."""


def _confused(names: Sequence[str], coded: Array, decided: Array) -> Iterator[_Found]:
    wrong = coded != decided
    for true, predicted in np.unique(np.stack([coded[wrong], decided[wrong]], axis=1), axis=0).tolist():
        mine = coded == true
        chosen = mine & (decided == predicted)
        yield names[true], names[predicted], np.flatnonzero(chosen), np.flatnonzero(mine & ~chosen)


def _label_pairs(names: Sequence[str], coded: Array, decided: Array) -> Iterator[_Found]:
    has = coded.astype(bool)
    for place, name in enumerate(names):
        missed, added = has[:, place] & ~decided[:, place], ~has[:, place] & decided[:, place]
        if missed.any():
            yield name, MISSED, np.flatnonzero(missed), np.flatnonzero(has[:, place] & ~missed)
        if added.any():
            yield ADDED, name, np.flatnonzero(added), np.flatnonzero(~has[:, place] & ~added)


def _residual_errors(given: _Given, predictor: RegressorPredictor, targets: Any) -> ResidualErrors:
    truth = np.asarray(targets, dtype=np.float64)
    predicted = np.asarray(predictor.numbers(given.outputs), dtype=np.float64).reshape(truth.shape)
    errors = np.abs(predicted - truth).reshape(len(truth), -1).mean(axis=1)
    order = np.argsort(-errors, kind="stable")[: given.most]
    first, answer = truth.reshape(len(truth), -1)[:, 0], predicted.reshape(len(truth), -1)[:, 0]
    largest = tuple(
        Residual(
            row=int(row),
            text=given.text(row),
            true=float(first[row]),
            predicted=float(answer[row]),
            steps=int(given.lengths[row]),
        )
        for row in order.tolist()
    )
    groups = given.groups(errors, mean_of)
    groups["true value"] = by_number(errors, first, mean_of)
    return ResidualErrors(
        truth=truth,
        predicted=predicted,
        errors=errors,
        lengths=given.lengths,
        largest=largest,
        groups={by: members for by, members in groups.items() if len(members) > 1},
    )
