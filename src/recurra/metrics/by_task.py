"""The front door: all scores of a task in one dictionary, in snake case, and which way is better."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from recurra.errors import SpecError, nearest
from recurra.metrics.calibration import brier, class_probabilities, expected_calibration_error, log_loss
from recurra.metrics.checks import (
    Array,
    Floats,
    Integers,
    Labels,
    MetricWarning,
    as_column,
    as_floats,
    as_outcomes,
    as_probabilities,
    encode,
    same_length,
)
from recurra.metrics.classification import (
    AVERAGES,
    Average,
    accuracy,
    averaged_scores,
    balanced_accuracy,
    class_scores,
    hamming_loss,
)
from recurra.metrics.curves import average_precision, roc_auc
from recurra.metrics.forecasting import forecast_scores
from recurra.metrics.ranking import ranks_in, recommendation_scores
from recurra.metrics.regression import finite_or_none, mae, mape, mse, r2, rmse
from recurra.metrics.spans import tagging_scores
from recurra.metrics.text import generation_scores, language_model_scores, transcription_scores
from recurra.metrics.thresholds import DEFAULT_THRESHOLD, decide

_RATIOS = ("precision", "recall", "f1")
_KINDS = ("", "_micro", "_macro", "_weighted", "_samples")

HIGHER_IS_BETTER: Mapping[str, bool] = {
    "accuracy": True,
    "balanced_accuracy": True,
    "subset_accuracy": True,
    **{score + kind: True for score in _RATIOS for kind in _KINDS},
    "roc_auc": True,
    "average_precision": True,
    "r2": True,
    "token_accuracy": True,
    "sequence_accuracy": True,
    **{f"span_{score}": True for score in ("precision", "recall", "f1", "f1_macro")},
    "bleu": True,
    "chrf": True,
    "rouge_1": True,
    "rouge_2": True,
    "rouge_l": True,
    "directional_accuracy": True,
    "hit_rate": True,
    "mrr": True,
    "ndcg": True,
    "loss": False,
    "hamming_loss": False,
    "log_loss": False,
    "brier": False,
    "expected_calibration_error": False,
    "mse": False,
    "rmse": False,
    "mae": False,
    "mape": False,
    "smape": False,
    "mase": False,
    "pinball": False,
    "crps": False,
    "interval_score": False,
    "interval_width": False,
    "set_size": False,
    "answered": True,
    "answered_accuracy": True,
    "perplexity": False,
    "nats_per_token": False,
    "nats_per_frame": False,
    "bits_per_character": False,
    "word_error_rate": False,
    "character_error_rate": False,
}
"""Whether a higher value of a score is better, for every name that the front door returns, and `loss`.

Only `interval_coverage` and `set_coverage` are not here: they are best at the level that was asked for.
"""

DEFAULT_MONITOR: Mapping[str, str] = {
    "classifier": "accuracy",
    "multilabel": "f1_micro",
    "regressor": "rmse",
    "tagger": "token_accuracy",
    "language-model": "perplexity",
    "forecaster": "mae",
    "translator": "chrf",
    "transcriber": "word_error_rate",
    "recommender": "mrr",
    "anomaly-detector": "average_precision",
}
"""The score on the validation split by which each task stops early and keeps its best weights."""


def higher_is_better(score: str) -> bool:
    """Return whether a higher value of the named score is better; an unknown name is a `SpecError`."""
    name = score.removeprefix("validation_").removeprefix("train_").removeprefix("test_")
    if name not in HIGHER_IS_BETTER:
        raise SpecError(f"score must be a known name, got {score!r}{nearest(name, HIGHER_IS_BETTER)}")
    return HIGHER_IS_BETTER[name]


def is_better(score: str, value: float, than: float) -> bool:
    """Return whether `value` of the named score beats `than`; `nan` beats nothing, any number beats it."""
    if np.isnan(value):
        return False
    return bool(np.isnan(than) or (value > than if higher_is_better(score) else value < than))


def scores(task: str, y_true: Any, y_pred: Any, **options: Any) -> dict[str, float]:
    """Return all scores of a task as {name in snake case: number}.

    task, and what y_true and y_pred are:
        "classifier": labels, probabilities; "multilabel": tables of 0/1, probabilities;
        "regressor", "forecaster": numbers; "tagger": sequences of tags; "translator", "transcriber": texts;
        "language-model": the true tokens, the log-probabilities that were given to them;
        "recommender": the items that came next, recommended items, best first;
        "anomaly-detector": 0/1, anomaly scores. An unknown task is a `SpecError`.
    options: those of the task's own function, for example `labels`, `history`, `k`.
    A score that is undefined for these rows is `nan`, and a `MetricWarning` says why.
    """
    name = task.replace("_", "-")
    if name not in _BY_TASK:
        raise SpecError(f"task must be one with scores, got {task!r}{nearest(name, _BY_TASK)}")
    return _BY_TASK[name](y_true, y_pred, **options)


def json_scores(scores: Mapping[str, float]) -> dict[str, float | None]:
    """Return the scores for JSON, which has no `nan`: `None` stands for an undefined score."""
    return {name: finite_or_none(value) for name, value in scores.items()}


def classification_scores(
    y_true: Any,
    probabilities: Any,
    labels: Labels | None = None,
    *,
    y_pred: Any = None,
    threshold: float | None = None,
) -> dict[str, float]:
    """Return the scores of a classifier with one label per row.

    y_true: (rows,) labels; one that is not in `labels` is a `DataError`.
    probabilities: (rows, C) in the order of `labels`; (rows,) of the second of two classes is taken too.
    labels: the class names in column order; default: column numbers 0 to C - 1.
    y_pred: (rows,) the decisions, where they are not the most probable class.
    threshold: of the second of two classes; default: the most probable class is predicted.

    Returned: accuracy, balanced_accuracy; precision, recall and f1 with _macro and _weighted, over the
    classes that occur in the truth or among the predictions (0 / 0 counts 0, silently); roc_auc and
    average_precision, of the second of two classes, else one against the rest and the mean over the classes
    that occur in the truth; log_loss, brier, expected_calibration_error (15 bins). Two classes: also
    precision, recall and f1 of the second one.
    """
    table = class_probabilities(probabilities, labels)
    same_length(y_true=y_true, probabilities=table)
    names = list(range(table.shape[1])) if labels is None else labels
    truth = encode("y_true", y_true, names)
    predicted = _predictions(table, names, y_pred, threshold)
    result = {"accuracy": accuracy(truth, predicted)}
    with _quiet(when=len(truth) == 0):
        result["balanced_accuracy"] = balanced_accuracy(truth, predicted)
        result |= _averages(truth, predicted, ("macro", "weighted"))
        result |= _second_class(truth, predicted) if table.shape[1] == 2 else {}
        result |= _probability_scores(truth, table, probabilities)
    return result


def _predictions(table: Floats, labels: Labels, y_pred: Any, threshold: float | None) -> Integers:
    if y_pred is not None:
        return encode("y_pred", as_column("y_pred", y_pred), labels)
    if threshold is None:
        return np.asarray(table.argmax(axis=1), dtype=np.int64)
    if table.shape[1] != 2:
        raise SpecError(f"threshold must be None unless there are two classes, got {table.shape[1]} classes")
    return decide(table[:, 1], threshold).astype(np.int64)


def _averages(truth: Array, predicted: Array, kinds: tuple[Average, ...]) -> dict[str, float]:
    averaged = {kind: averaged_scores(truth, predicted, kind, warn=False) for kind in kinds}
    return {f"{name}_{kind}": getattr(averaged[kind], name) for kind in kinds for name in _RATIOS}


def _second_class(truth: Integers, predicted: Integers) -> dict[str, float]:
    if len(truth) == 0:
        return dict.fromkeys(_RATIOS, float("nan"))
    both = class_scores(truth, predicted, labels=(0, 1), warn=False)
    return {name: float(getattr(both, name)[1]) for name in _RATIOS}


def _probability_scores(truth: Integers, table: Floats, given: Any) -> dict[str, float]:
    occurring = np.array([1]) if table.shape[1] == 2 else np.unique(truth)
    one_vs_rest = truth[:, None] == occurring
    return {
        "roc_auc": roc_auc(one_vs_rest, table[:, occurring]),
        "average_precision": average_precision(one_vs_rest, table[:, occurring]),
        "log_loss": log_loss(truth, given),
        "brier": brier(truth, table),
        "expected_calibration_error": expected_calibration_error(truth, table),
    }


def multilabel_scores(
    y_true: Any, probabilities: Any, labels: Labels | None = None, *, threshold: Any = DEFAULT_THRESHOLD
) -> dict[str, float]:
    """Return the scores of a classifier with any number of labels per row.

    y_true: (rows, L) of 0 and 1; probabilities: (rows, L); labels: L names, checked for their number only.
    threshold: one, or (L,) one per label.

    Returned: subset_accuracy (whole rows), hamming_loss; precision, recall and f1 with _micro, _macro,
    _weighted and _samples over all L labels (0 / 0 counts 0, silently); roc_auc and average_precision (mean
    over labels); log_loss, brier and expected_calibration_error over all single decisions.
    """
    truth, table = as_outcomes("y_true", y_true), as_probabilities("probabilities", probabilities, ndim=2)
    same_length(y_true=truth, probabilities=table)
    if labels is not None:
        same_length(labels=labels, probability_columns=range(table.shape[1]))
    called = decide(table, threshold)
    result = {"subset_accuracy": accuracy(truth, called)}
    with _quiet(when=len(truth) == 0):
        result["hamming_loss"] = hamming_loss(truth, called)
        result |= _averages(truth, called, AVERAGES)
        result |= {
            "roc_auc": roc_auc(truth, table),
            "average_precision": average_precision(truth, table),
            "log_loss": log_loss(truth, probabilities),
            "brier": brier(truth, table),
            "expected_calibration_error": expected_calibration_error(truth, table),
        }
    return result


def regression_scores(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> dict[str, float]:
    """Return mse, rmse, mae, mape and r2. y_true, y_pred: (rows,) or (rows, K), averaged over columns."""
    functions = (rmse, mae, mape, r2)
    result = {"mse": mse(y_true, y_pred, sample_weight=sample_weight)}
    with _quiet(when=len(y_true) == 0):
        result |= {f.__name__: f(y_true, y_pred, sample_weight=sample_weight) for f in functions}
    return result


def detection_scores(y_true: Any, score: Any, *, threshold: float | None = None) -> dict[str, float]:
    """Return roc_auc and average_precision of a yes/no score on any scale, point by point.

    y_true: (rows,) 0/1, 1 an anomaly; score: (rows,) higher = stranger. With `threshold` (an alarm where
    score >= threshold) also precision, recall and f1 of the anomalies (0 / 0 counts 0, silently). Points are
    not "adjusted": finding one point of a long anomaly is not finding all of it.
    """
    truth, values = as_outcomes("y_true", y_true), as_floats("score", score, ndim=1)
    result = {"roc_auc": roc_auc(truth, values)}
    with _quiet(when=len(truth) == 0):
        result["average_precision"] = average_precision(truth, values)
    if threshold is not None:
        result |= _second_class(truth.astype(np.int64), (values >= threshold).astype(np.int64))
    return result


def _language_model(y_true: Any, y_pred: Any, **options: Any) -> dict[str, float]:
    same_length(y_true=y_true, y_pred=y_pred)
    return language_model_scores(y_pred, **options)


def _recommender(y_true: Any, y_pred: Any, **options: Any) -> dict[str, float]:
    return recommendation_scores(ranks_in(y_true, y_pred), **options)


@contextmanager
def _quiet(*, when: bool) -> Iterator[None]:
    """Of many scores that lack rows for the same reason, one has warned: keep the others quiet."""
    if not when:
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MetricWarning)
        yield


_BY_TASK: dict[str, Callable[..., dict[str, float]]] = {
    "classifier": classification_scores,
    "multilabel": multilabel_scores,
    "regressor": regression_scores,
    "tagger": tagging_scores,
    "language-model": _language_model,
    "forecaster": forecast_scores,
    "translator": generation_scores,
    "transcriber": transcription_scores,
    "recommender": _recommender,
    "anomaly-detector": detection_scores,
}
