"""ROC and precision-recall curves and the areas under them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import DataError
from recurra.metrics.checks import (
    Array,
    Booleans,
    Floats,
    Labels,
    MetricWarning,
    as_array,
    as_floats,
    as_outcomes,
    encode,
    same_length,
    undefined,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class RocCurve:
    """Points of a ROC curve, from (0, 0) to (1, 1); one per distinct score.

    false_positive_rate, true_positive_rate: (K,) not decreasing.
    thresholds: (K,) decreasing; a row is called positive where its score >= threshold. The first is infinite.
    """

    false_positive_rate: Floats
    true_positive_rate: Floats
    thresholds: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class PrecisionRecallCurve:
    """Points of a precision-recall curve, by increasing threshold; the last is (precision 1, recall 0).

    precision, recall: (K + 1,); thresholds: (K,) increasing; positive where score >= threshold.
    """

    precision: Floats
    recall: Floats
    thresholds: Floats


def roc_curve(y_true: Any, score: Any) -> RocCurve:
    """Return the ROC curve of a yes/no truth.

    y_true: (rows,) 0 or 1; score: (rows,) higher = more likely positive, any scale.
    The rate of a class that does not occur is `nan`, with a `MetricWarning`.
    """
    truth, scores = _binary(y_true, score)
    hits, false_alarms, thresholds = _cumulated(truth, scores)
    return RocCurve(
        false_positive_rate=_rate("false positive rate", "negative", false_alarms),
        true_positive_rate=_rate("true positive rate", "positive", hits),
        thresholds=np.concatenate(([math.inf], thresholds)),
    )


def pr_curve(y_true: Any, score: Any) -> PrecisionRecallCurve:
    """Return the precision-recall curve of a yes/no truth; arguments as in `roc_curve`.

    Without positive rows the recall is `nan`, with a `MetricWarning`.
    """
    truth, scores = _binary(y_true, score)
    hits, false_alarms, thresholds = _cumulated(truth, scores)
    called = hits[1:] + false_alarms[1:]
    recall = _rate("recall", "positive", hits)
    return PrecisionRecallCurve(
        precision=np.append((hits[1:] / called)[::-1], 1.0),
        recall=np.append(recall[1:][::-1], 0.0),
        thresholds=thresholds[::-1],
    )


def roc_auc(y_true: Any, score: Any, *, labels: Labels | None = None) -> float:
    """Area under the ROC curve: the chance that a positive row scores above a negative one, ties half.

    Binary: y_true (rows,) 0/1, score (rows,).
    Many classes, one against the rest, plain mean over the classes (Provost & Domingos 2000): y_true (rows,)
        labels, score (rows, C) with columns in the order of `labels` (default: column numbers 0 to C - 1).
    Several labels a row: y_true (rows, L) 0/1, score (rows, L); mean over the labels.
    A class without positive or without negative rows has no area: it is left out of the mean with a
    `MetricWarning`; where none is left (one class only, no rows) the result is `nan`.
    """
    return _area("ROC AUC", _binary_roc_auc, y_true, score, labels, needs_negatives=True)


def average_precision(y_true: Any, score: Any, *, labels: Labels | None = None) -> float:
    """Average precision, the step-wise area under the precision-recall curve: sum of (R_k - R_{k-1}) P_k.

    Not interpolated (Davis & Goadrich 2006 on why). Arguments and averages as in `roc_auc`; a class without
    positive rows is left out of the mean, and `nan` with a `MetricWarning` is the result where none is left.
    """
    return _area("average precision", _binary_average_precision, y_true, score, labels, needs_negatives=False)


def _area(
    name: str,
    binary: Callable[[Booleans, Floats], float],
    y_true: Any,
    score: Any,
    labels: Labels | None,
    *,
    needs_negatives: bool,
) -> float:
    truth, scores = _one_vs_rest(y_true, score, labels)
    positives = truth.sum(axis=0)
    defined = (positives > 0) & ((positives < len(truth)) | (not needs_negatives))
    if not defined.any():
        reason = "there are no rows" if len(truth) == 0 else "y_true holds one class only"
        return undefined(name, reason)
    if not defined.all():
        left_out = ", ".join(repr(label) for label in _names(labels, len(defined))[~defined][:5].tolist())
        warnings.warn(
            f"{name} leaves out {int((~defined).sum())} class(es) that y_true lacks or only has: {left_out}",
            MetricWarning,
            stacklevel=3,
        )
    columns = np.flatnonzero(defined)
    return float(np.mean([binary(truth[:, column], scores[:, column]) for column in columns]))


def _one_vs_rest(y_true: Any, score: Any, labels: Labels | None) -> tuple[Booleans, Floats]:
    scores = as_floats("score", score)
    same_length(y_true=y_true, score=scores)
    if scores.ndim == 1:
        return as_outcomes("y_true", y_true)[:, None], scores[:, None]
    if scores.ndim != 2:
        raise DataError(f"score must have shape (rows,) or (rows, classes), got {scores.shape}")
    if as_array("y_true", y_true).ndim == 2:
        truth = as_outcomes("y_true", y_true)
        if truth.shape != scores.shape:
            raise DataError(f"y_true and score must have one shape, got {truth.shape} and {scores.shape}")
        return truth, scores
    names = range(scores.shape[1]) if labels is None else labels
    same_length(labels=names, score_columns=range(scores.shape[1]))
    return np.equal(encode("y_true", y_true, names)[:, None], np.arange(len(names))), scores


def _names(labels: Labels | None, count: int) -> Array:
    names = np.empty(count, dtype=object)
    names[:] = list(range(count) if labels is None else labels)
    return names


def _binary(y_true: Any, score: Any) -> tuple[Booleans, Floats]:
    truth, scores = as_outcomes("y_true", y_true), as_floats("score", score, ndim=1)
    same_length(y_true=truth, score=scores)
    return truth, scores


def _cumulated(truth: Booleans, scores: Floats) -> tuple[Floats, Floats, Floats]:
    """Return hits and false alarms at and above every distinct score, from none to all, and the scores."""
    order = np.argsort(-scores, kind="stable")
    last_of_ties = np.flatnonzero(np.diff(scores[order], append=-math.inf))
    hits = np.cumsum(truth[order], dtype=np.float64)[last_of_ties]
    false_alarms = last_of_ties + 1.0 - hits
    return np.append(0.0, hits), np.append(0.0, false_alarms), scores[order][last_of_ties]


def _rate(name: str, kind: str, cumulated: Floats) -> Floats:
    if cumulated[-1] == 0:
        return np.full(len(cumulated), undefined(name, f"y_true has no {kind} rows"))
    return np.asarray(cumulated / cumulated[-1])


def _binary_roc_auc(truth: Booleans, scores: Floats) -> float:
    hits, false_alarms, _ = _cumulated(truth, scores)
    doubled = np.sum(np.diff(false_alarms) * (hits[1:] + hits[:-1]))
    return float(doubled / (2 * hits[-1] * false_alarms[-1]))


def _binary_average_precision(truth: Booleans, scores: Floats) -> float:
    hits, false_alarms, _ = _cumulated(truth, scores)
    precision = hits[1:] / (hits[1:] + false_alarms[1:])
    return float(np.sum(np.diff(hits) * precision) / hits[-1])
