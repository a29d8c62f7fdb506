"""Possible label errors by confident learning (Northcutt, Jiang and Chuang 2021).

A class is claimed for a sequence where its probability reaches what is usual for that class, the mean probability
over the sequences labelled so. A sequence that another class claims, and its own does less, is a possible error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.data.folds import stratified_folds
from recurra.errors import DataError, SpecError
from recurra.ragged import Array
from recurra.tasks.materials import materials


@dataclass(frozen=True, kw_only=True)
class LabelIssue:
    """One label that may be wrong.

    row: of the sequence. given: its label; suggested: the claimed class. probability: of the given label;
    suggested_probability: of the suggested one.
    """

    row: int
    given: str
    suggested: str
    probability: float
    suggested_probability: float

    @property
    def margin(self) -> float:
        """How much more probable the suggested class is."""
        return self.suggested_probability - self.probability


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelIssues:
    """Possible label errors, the largest margin first.

    items: the issues. rows: sequences looked at. classes: names. thresholds: (C,) what each class must reach, NaN
    for a class without sequences. joint: (C, C) estimated share of sequences with this label (row) and this true
    class (column); adds up to 1.
    """

    items: tuple[LabelIssue, ...]
    rows: int
    classes: tuple[str, ...]
    thresholds: Array
    joint: Array

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, place: int) -> LabelIssue:
        return self.items[place]

    @property
    def share(self) -> float:
        """Estimated share of wrong labels: what lies off the diagonal of `joint`."""
        return float(self.joint.sum() - np.trace(self.joint))


def label_issues(probabilities: Any, labels: Any, classes: Sequence[Any] | None = None) -> LabelIssues:
    """Find labels that may be wrong.

    probabilities: (S, C), of a model that has not learnt from these sequences: held-out, or
        `cross_validated_probabilities`. Of sequences that it has learnt from, it repeats their errors.
    labels: (S,) class numbers, or names out of `classes`. classes: C names.
    Raises DataError where they do not fit each other.
    """
    table = np.asarray(probabilities, dtype=np.float64)
    if table.ndim != 2 or not np.all(np.isfinite(table)):
        raise DataError(
            f"probabilities must be a (sequences, classes) table of numbers, got shape {table.shape}"
        )
    names = tuple(str(name) for name in (range(table.shape[1]) if classes is None else classes))
    given = _numbers(labels, names, table)
    thresholds = _thresholds(table, given)
    claims = np.where(table >= np.nan_to_num(thresholds, nan=np.inf), table, -np.inf)
    claimed = np.argmax(claims, axis=1)
    counted = np.isfinite(claims.max(axis=1, initial=-np.inf))
    counts = np.zeros((len(names), len(names)))
    np.add.at(counts, (given[counted], claimed[counted]), 1.0)
    rows = np.flatnonzero(counted & (claimed != given))
    margins = table[rows, claimed[rows]] - table[rows, given[rows]]
    rows = rows[np.argsort(-margins, kind="stable")]
    return LabelIssues(
        items=tuple(
            LabelIssue(
                row=int(row),
                given=names[given[row]],
                suggested=names[claimed[row]],
                probability=float(table[row, given[row]]),
                suggested_probability=float(table[row, claimed[row]]),
            )
            for row in rows
        ),
        rows=len(table),
        classes=names,
        thresholds=thresholds,
        joint=_joint(counts, given),
    )


def _numbers(labels: Any, names: tuple[str, ...], table: Array) -> Array:
    given = np.asarray(labels)
    if given.ndim != 1 or len(given) != len(table) or len(names) != table.shape[1]:
        raise DataError(
            f"labels must be one per row of probabilities ({len(table)}) and classes one per column "
            f"({table.shape[1]}), got {given.shape} and {len(names)}"
        )
    if given.dtype.kind in "iu":
        found = given.astype(np.int64)
    else:
        places = {name: place for place, name in enumerate(names)}
        found = np.array([places.get(str(label), -1) for label in given], dtype=np.int64)
    if np.any((found < 0) | (found >= len(names))):
        odd = given[np.flatnonzero((found < 0) | (found >= len(names)))[0]]
        raise DataError(f"labels must be out of {len(names)} classes, got {odd!r}; give its name in classes")
    return found


def _thresholds(table: Array, given: Array) -> Array:
    count = np.bincount(given, minlength=table.shape[1])
    own = np.bincount(given, weights=table[np.arange(len(table)), given], minlength=table.shape[1])
    made: Array = np.divide(own, count, out=np.full(table.shape[1], np.nan), where=count > 0)
    return made


def _joint(counts: Array, given: Array) -> Array:
    """Shares with the row sums of the labels as given; a class that nothing claims stays on the diagonal."""
    labelled = np.bincount(given, minlength=len(counts)).astype(np.float64)
    sums = counts.sum(axis=1, keepdims=True)
    calibrated = np.where(sums > 0, counts / np.maximum(sums, 1), np.eye(len(counts))) * labelled[:, None]
    made: Array = calibrated / max(labelled.sum(), 1.0)
    return made


def cross_validated_probabilities(
    model: Any, inputs: Any, labels: Any = None, *, folds: int = 5, seed: int = 0
) -> Array:
    """(S, C) probabilities of each sequence by a copy of `model` that was trained on the other folds.

    model: a `Classifier`, one class per sequence, with or without having learnt; it is left as it is. inputs,
    labels: as for `fit`, or a `Dataset`. Columns: classes in the order of their sorted names, as of
    `Classifier.classes_`. Raises SpecError for a model without probabilities and for fewer than 2 folds.
    """
    if not hasattr(model, "predict_proba") or not hasattr(model, "fit"):
        raise SpecError(f"model must be a Classifier, got {type(model).__name__}")
    if folds < 2:
        raise SpecError(f"folds must be at least 2, got {folds}; usual: 5")
    from sklearn.base import clone

    given = materials(inputs, labels)
    table: Array | None = None
    every: list[Any] = []
    for fold in stratified_folds(given.targets, folds, seed):
        part, held = given.select(fold.train), given.select(fold.test)
        learnt = clone(model).fit(part.inputs, part.targets, static=part.static)
        found = learnt.predict_proba(held.inputs, held.static)
        classes = [str(name) for name in learnt.classes_]
        if table is None:
            every, table = classes, np.zeros((len(given), found.shape[1]))
        if classes != every:
            raise DataError(
                "every class must be in every fold; leave rare classes out, or take fewer folds "
                f"(one fold lacks {', '.join(sorted(set(every) ^ set(classes)))})"
            )
        table[fold.test] = found
    assert table is not None
    return table
