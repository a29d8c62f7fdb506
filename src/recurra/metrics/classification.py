"""Scores of class decisions: accuracy, precision, recall, F1, confusion matrix; one or more labels a row.

Curves and areas are in `curves`, scores of probabilities in `calibration`, the decision in `thresholds`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from recurra.errors import DataError, SpecError, nearest
from recurra.metrics.checks import (
    Array,
    Booleans,
    Floats,
    Integers,
    Labels,
    as_array,
    as_outcomes,
    as_weights,
    encode,
    same_length,
    shared_labels,
    undefined,
)

Average: TypeAlias = Literal["micro", "macro", "weighted", "samples"]
AVERAGES: tuple[Average, ...] = ("micro", "macro", "weighted", "samples")


def accuracy(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Share of rows whose prediction equals the truth; for (rows, labels) tables, of rows that agree wholly.

    y_true, y_pred: (rows,) labels of any kind, or (rows, labels) tables of 0 and 1 (then: subset accuracy).
    sample_weight: (rows,) not negative; default 1.
    No rows, or no weight: `nan` and a `MetricWarning`.
    """
    rows = same_length(y_true=y_true, y_pred=y_pred)
    weights = as_weights(sample_weight, rows)
    if weights.sum() == 0:
        return undefined("accuracy", "there are no rows" if rows == 0 else "all weights are 0")
    return float(np.average(_right(y_true, y_pred), weights=weights))


def _right(y_true: Any, y_pred: Any) -> Booleans:
    if as_array("y_true", y_true).ndim == 2:
        truth, predicted = _indicators(y_true, y_pred)
        return np.asarray((truth == predicted).all(axis=1))
    labels = shared_labels(y_true, y_pred)
    return np.equal(encode("y_true", y_true, labels), encode("y_pred", y_pred, labels))


def balanced_accuracy(y_true: Any, y_pred: Any) -> float:
    """Mean recall over the classes that occur in the truth: a rare class counts as much as a common one.

    Brodersen et al. (2010), "The balanced accuracy and its posterior distribution". No rows: `nan`, warned.
    """
    if same_length(y_true=y_true, y_pred=y_pred) == 0:
        return undefined("balanced accuracy", "there are no rows")
    matrix = confusion_matrix(y_true, y_pred)
    occurs = matrix.sum(axis=1) > 0
    return float(np.mean(np.diag(matrix)[occurs] / matrix.sum(axis=1)[occurs]))


def hamming_loss(y_true: Any, y_pred: Any) -> float:
    """Share of the yes/no decisions of a (rows, labels) table that are wrong. No rows: `nan`, warned."""
    truth, predicted = _indicators(y_true, y_pred)
    if truth.size == 0:
        return undefined("hamming loss", "there are no rows")
    return float(np.mean(truth != predicted))


def confusion_matrix(y_true: Any, y_pred: Any, labels: Labels | None = None) -> Integers:
    """Return (C, C) counts: row = true class, column = predicted class, in the order of `labels`.

    labels: default: those that occur in either, sorted. A value outside of given labels is a `DataError`.
    """
    same_length(y_true=y_true, y_pred=y_pred)
    names = shared_labels(y_true, y_pred) if labels is None else labels
    count = len(names)
    cells = encode("y_true", y_true, names) * count + encode("y_pred", y_pred, names)
    return np.bincount(cells, minlength=count * count).astype(np.int64).reshape(count, count)


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassScores:
    """Precision, recall and F1 of every class.

    labels: (C,) the classes, or the column numbers of a table.
    precision: (C,) right among the predicted: tp / (tp + fp).
    recall: (C,) found among the true: tp / (tp + fn).
    f1: (C,) their harmonic mean: 2 tp / (2 tp + fp + fn).
    support: (C,) how often the class occurs in the truth.
    """

    labels: Array
    precision: Floats
    recall: Floats
    f1: Floats
    support: Integers


@dataclass(frozen=True, kw_only=True)
class AveragedScores:
    """Precision, recall and F1 averaged over classes or rows; `support` counts the true labels."""

    precision: float
    recall: float
    f1: float
    support: int


def class_scores(y_true: Any, y_pred: Any, labels: Labels | None = None, *, warn: bool = True) -> ClassScores:
    """Return precision, recall and F1 of every class.

    y_true, y_pred: (rows,) labels, or (rows, L) tables of 0 and 1.
    labels: the classes and their order, for tables the column names; default: those that occur, sorted.
    A ratio of 0 / 0 is 0.0, as in scikit-learn, and a `MetricWarning` names the classes unless `warn=False`.
    """
    return scores_of_counts(*_counts(y_true, y_pred, labels), warn=warn)


def scores_of_counts(
    right: Integers, predicted: Integers, actual: Integers, names: Labels, *, warn: bool
) -> ClassScores:
    """Return precision, recall and F1 from (C,) counts: tp, all predicted, all true ones."""
    if warn:
        _warn_of_zero_ratios(_as_objects(names), predicted, actual)
    return ClassScores(
        labels=_as_objects(names),
        precision=_ratio(right, predicted),
        recall=_ratio(right, actual),
        f1=_ratio(2 * right, predicted + actual),
        support=actual,
    )


def averaged_scores(
    y_true: Any, y_pred: Any, average: Average, labels: Labels | None = None, *, warn: bool = True
) -> AveragedScores:
    """Return precision, recall and F1 averaged in one of four ways.

    average: "micro": from the summed counts of all classes; "macro": the plain mean over classes; "weighted":
        the mean over classes weighted by their support; "samples": the mean over rows (for tables only).
    labels: as in `class_scores`; the mean is over all of them, also those that never occur (score 0).
    No rows or no classes: `nan` and a `MetricWarning`. 0 / 0: 0.0 and a `MetricWarning`.
    """
    if average not in AVERAGES:
        raise SpecError(f"average must be a known one, got {average!r}{nearest(average, AVERAGES)}")
    right, predicted, actual, names = _counts(y_true, y_pred, labels)
    if same_length(y_true=y_true, y_pred=y_pred) == 0:
        names = []
    if average == "samples" and len(names):
        support = int(actual.sum())
        counts = _row_counts(y_true, y_pred)
        return replace(averages_of_counts(*counts, names, average, warn=warn), support=support)
    return averages_of_counts(right, predicted, actual, names, average, warn=warn)


def averages_of_counts(
    right: Integers, predicted: Integers, actual: Integers, names: Labels, average: Average, *, warn: bool
) -> AveragedScores:
    """Return averages from counts: tp, all predicted, all true ones; one each per class (or, "samples", row)."""
    if len(names) == 0:
        value = undefined(f"the {average} average", "there is nothing to count") if warn else math.nan
        return AveragedScores(precision=value, recall=value, f1=value, support=0)
    support = int(actual.sum())
    if average == "micro":
        right, predicted, actual = (counts.sum(keepdims=True) for counts in (right, predicted, actual))
    if warn:
        _warn_of_zero_ratios(_units(average, names), predicted, actual)
    weights = actual if average == "weighted" and support else np.ones(len(actual))
    precision, recall, f1 = (
        float(np.average(ratio, weights=weights))
        for ratio in (_ratio(right, predicted), _ratio(right, actual), _ratio(2 * right, predicted + actual))
    )
    return AveragedScores(precision=precision, recall=recall, f1=f1, support=support)


def _indicators(y_true: Any, y_pred: Any) -> tuple[Booleans, Booleans]:
    truth, predicted = as_outcomes("y_true", y_true), as_outcomes("y_pred", y_pred)
    if truth.ndim != 2 or truth.shape != predicted.shape:
        raise DataError(
            f"y_true and y_pred must have one shape (rows, labels), got {truth.shape} and {predicted.shape}"
        )
    return truth, predicted


def _counts(y_true: Any, y_pred: Any, labels: Labels | None) -> tuple[Integers, Integers, Integers, Labels]:
    """Return, per class, the right predictions, all predictions, all true ones; and the class names."""
    same_length(y_true=y_true, y_pred=y_pred)
    if as_array("y_true", y_true).ndim == 2:
        truth, predicted = _indicators(y_true, y_pred)
        names = list(range(truth.shape[1])) if labels is None else labels
        same_length(labels=names, columns=range(truth.shape[1]))
        return (truth & predicted).sum(axis=0), predicted.sum(axis=0), truth.sum(axis=0), names
    names = shared_labels(y_true, y_pred) if labels is None else labels
    matrix = confusion_matrix(y_true, y_pred, names)
    return np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1), names


def _row_counts(y_true: Any, y_pred: Any) -> tuple[Integers, Integers, Integers]:
    if as_array("y_true", y_true).ndim != 2:
        raise SpecError(
            "average='samples' must be given (rows, labels) tables; for one label a row use 'micro'"
        )
    truth, predicted = _indicators(y_true, y_pred)
    return (truth & predicted).sum(axis=1), predicted.sum(axis=1), truth.sum(axis=1)


def _ratio(numerator: Integers, denominator: Integers) -> Floats:
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 0)


def _units(average: Average, names: Labels) -> Array:
    """Return what an undefined ratio is named by: the class, "any" of them, or nothing for rows."""
    if average == "micro":
        return _as_objects(["any"])
    return _as_objects([] if average == "samples" else names)


def _warn_of_zero_ratios(units: Array, predicted: Integers, actual: Integers) -> None:
    for score, empty, where in (
        ("precision", predicted == 0, "predictions"),
        ("recall", actual == 0, "truth"),
    ):
        if empty.any():
            undefined(score, _reason(units, empty, where), 0.0)


def _reason(units: Array, empty: Booleans, where: str) -> str:
    if len(units) == 0:
        return f"{int(empty.sum())} row(s) have no label in the {where}"
    shown = ", ".join(repr(name) for name in units[empty][:5])
    return f"class {shown}{', ...' if empty.sum() > 5 else ''} does not occur in the {where}"


def _as_objects(labels: Labels) -> Array:
    array = np.empty(len(labels), dtype=object)
    array[:] = list(labels)
    return array
