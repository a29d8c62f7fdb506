"""Scores of probabilities: log loss, Brier, calibration, confidence of right and wrong predictions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from recurra.errors import DataError, SpecError
from recurra.metrics.checks import (
    Booleans,
    Floats,
    Integers,
    Labels,
    as_array,
    as_outcomes,
    as_probabilities,
    encode,
    same_length,
    undefined,
)

SUM_TOLERANCE = 1e-3


def class_probabilities(probabilities: Any, labels: Labels | None = None) -> Floats:
    """Return (rows, C) float64 probabilities whose rows sum to 1, checked.

    probabilities: (rows, C); or (rows,), taken as the probability of the second of two classes.
    Values outside of 0 to 1, and rows whose sum is off by more than 0.001, are a `DataError`.
    """
    table = as_probabilities("probabilities", probabilities)
    if table.ndim == 1:
        table = np.column_stack((1.0 - table, table))
    if table.ndim != 2:
        raise DataError(f"probabilities must have shape (rows, classes), got {table.shape}")
    if labels is not None:
        same_length(labels=labels, probability_columns=range(table.shape[1]))
    off = np.abs(table.sum(axis=1) - 1.0)
    if len(table) and off.max() > SUM_TOLERANCE:
        row = int(off.argmax())
        raise DataError(f"probabilities must sum to 1 in every row, got {table[row].sum():.6g} in row {row}")
    return table


def log_loss(y_true: Any, probabilities: Any, *, labels: Labels | None = None) -> float:
    """Mean negative logarithm (nats) of the probability that was given to the true class.

    y_true: (rows,) labels; probabilities: (rows, C), or (rows,) for two classes; labels: names of the columns
        (default 0 to C - 1). A table y_true (rows, L) of 0/1: the mean over all yes/no decisions.
    Probabilities are clipped at the machine epsilon of their own dtype, so that one impossible event does not
    make the mean infinite. No rows: `nan` and a `MetricWarning`.
    """
    given = as_array("probabilities", probabilities)
    epsilon = float(np.finfo(given.dtype if given.dtype.kind == "f" else np.float64).eps)
    chosen = _of_the_truth(y_true, probabilities, labels)
    if chosen.size == 0:
        return undefined("log loss", "there are no rows")
    return float(-np.mean(np.log(np.clip(chosen, epsilon, 1.0))))


def _of_the_truth(y_true: Any, probabilities: Any, labels: Labels | None) -> Floats:
    if as_array("y_true", y_true).ndim == 2:
        truth, table = _decisions(y_true, probabilities)
        return np.where(truth, table, 1.0 - table)
    table = class_probabilities(probabilities, labels)
    same_length(y_true=y_true, probabilities=table)
    codes = encode("y_true", y_true, range(table.shape[1]) if labels is None else labels)
    return np.asarray(table[np.arange(len(codes)), codes])


def _decisions(y_true: Any, probabilities: Any) -> tuple[Booleans, Floats]:
    truth, table = as_outcomes("y_true", y_true), as_probabilities("probabilities", probabilities)
    if truth.shape != table.shape:
        raise DataError(f"y_true and probabilities must have one shape, got {truth.shape} and {table.shape}")
    return truth, table


def brier(y_true: Any, probabilities: Any, *, labels: Labels | None = None) -> float:
    """Mean squared error of the probabilities (Brier 1950), lower is better.

    Two classes and yes/no tables: mean of (p - y)^2, 0 to 1. More classes: mean over rows of the sum over
    classes of (p - y)^2, 0 to 2. Arguments as in `log_loss`. No rows: `nan` and a `MetricWarning`.
    """
    if as_array("y_true", y_true).ndim == 2:
        truth, table = _decisions(y_true, probabilities)
        squares = (table - truth) ** 2
        return float(squares.mean()) if squares.size else undefined("Brier score", "there are no rows")
    table = class_probabilities(probabilities, labels)
    same_length(y_true=y_true, probabilities=table)
    codes = encode("y_true", y_true, range(table.shape[1]) if labels is None else labels)
    if len(codes) == 0:
        return undefined("Brier score", "there are no rows")
    squared = ((table - (codes[:, None] == np.arange(table.shape[1]))) ** 2).sum(axis=1)
    return float(np.mean(squared)) / (2 if table.shape[1] == 2 else 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class CalibrationCurve:
    """How often events happened that were given a probability; only bins that hold rows.

    probability: (B,) mean probability of the rows in the bin; frequency: (B,) share of them that happened.
    count: (B,) rows; lower, upper: (B,) limits of the bin, the lower one excluded (but 0 is in the first).
    """

    probability: Floats
    frequency: Floats
    count: Integers
    lower: Floats
    upper: Floats


def calibration_curve(
    happened: Any, probability: Any, *, bins: int = 10, strategy: Literal["uniform", "quantile"] = "uniform"
) -> CalibrationCurve:
    """Return the calibration (reliability) curve of yes/no events.

    happened: (rows,) 0/1; probability: (rows,) that it happens. For classes pass "the prediction was right"
        and its confidence: `confidence_summary` has both.
    bins: number of bins, 5 to 20 usual: more show more detail and more noise.
    strategy: "uniform": equal widths; "quantile": equal numbers of rows (ties keep together).
    """
    if bins < 1:
        raise SpecError(f"bins must be at least 1, got {bins}; use for example bins=10")
    events, chances = as_outcomes("happened", happened), as_probabilities("probability", probability, ndim=1)
    same_length(happened=events, probability=chances)
    edges = _edges(chances, bins, strategy)
    index = np.searchsorted(edges[1:-1], chances, side="left")
    count = np.bincount(index, minlength=len(edges) - 1)
    used = count > 0
    return CalibrationCurve(
        probability=np.bincount(index, weights=chances, minlength=len(count))[used] / count[used],
        frequency=np.bincount(index, weights=events, minlength=len(count))[used] / count[used],
        count=count[used].astype(np.int64),
        lower=edges[:-1][used],
        upper=edges[1:][used],
    )


def _edges(chances: Floats, bins: int, strategy: str) -> Floats:
    if strategy == "uniform":
        return np.linspace(0.0, 1.0, bins + 1)
    if strategy != "quantile":
        raise SpecError(f"strategy must be 'uniform' or 'quantile', got {strategy!r}")
    if len(chances) == 0:
        return np.array([0.0, 1.0])
    inner = np.unique(np.quantile(chances, np.linspace(0.0, 1.0, bins + 1)[1:-1]))
    return np.concatenate(([0.0], inner[(inner > 0) & (inner < 1)], [1.0]))


def expected_calibration_error(
    y_true: Any, probabilities: Any, *, labels: Labels | None = None, bins: int = 15
) -> float:
    """Mean distance between confidence and accuracy over equal-width bins, weighted by rows.

    sum_b n_b / n * |accuracy_b - confidence_b| with the confidence of the predicted class, as in Guo et al.
    (2017), "On calibration of modern neural networks", who use 15 bins. Arguments as in `log_loss`; for a
    table y_true the events are all its yes/no decisions. It depends on `bins`: compare only equal ones.
    No rows: `nan` and a `MetricWarning`.
    """
    if as_array("y_true", y_true).ndim == 2:
        truth, table = _decisions(y_true, probabilities)
        happened, chance = truth.ravel(), table.ravel()
    else:
        happened, chance = _right_and_confidence(y_true, probabilities, labels, None)
    if len(happened) == 0:
        return undefined("expected calibration error", "there are no rows")
    curve = calibration_curve(happened, chance, bins=bins)
    gaps = np.abs(curve.frequency - curve.probability)
    return float(np.average(gaps, weights=curve.count))


def _right_and_confidence(
    y_true: Any, probabilities: Any, labels: Labels | None, y_pred: Any
) -> tuple[Booleans, Floats]:
    table = class_probabilities(probabilities, labels)
    same_length(y_true=y_true, probabilities=table)
    names = range(table.shape[1]) if labels is None else labels
    truth = encode("y_true", y_true, names)
    predicted = table.argmax(axis=1) if y_pred is None else encode("y_pred", y_pred, names)
    same_length(y_pred=predicted, probabilities=table)
    return truth == predicted, np.asarray(table[np.arange(len(truth)), predicted])


@dataclass(frozen=True, kw_only=True, eq=False)
class Confidence:
    """Confidence (the probability of the *predicted* class, whichever it is) of right and wrong predictions.

    right: (rows,) whether the prediction is right; confidence: (rows,).
    edges: (B + 1,) limits of the histogram; right_counts, wrong_counts: (B,).
    mean_right, mean_wrong, median_right, median_wrong: `nan` where there are none.
    gap: mean confidence minus accuracy: above 0 the model is over-confident.
    """

    right: Booleans
    confidence: Floats
    edges: Floats
    right_counts: Integers
    wrong_counts: Integers
    mean_right: float
    mean_wrong: float
    median_right: float
    median_wrong: float
    gap: float

    def to_dict(self) -> dict[str, Any]:
        """Return the summary for JSON: numbers and lists, `None` for what is undefined, no single rows."""
        numbers = ("mean_right", "mean_wrong", "median_right", "median_wrong", "gap")
        values = {name: getattr(self, name) for name in numbers}
        return {
            "right": int(self.right.sum()),
            "wrong": int((~self.right).sum()),
            **{name: None if math.isnan(value) else value for name, value in values.items()},
            "edges": self.edges.tolist(),
            "right_counts": self.right_counts.tolist(),
            "wrong_counts": self.wrong_counts.tolist(),
        }


def confidence_summary(
    y_true: Any, probabilities: Any, labels: Labels | None = None, *, y_pred: Any = None, bins: int = 20
) -> Confidence:
    """Summarise the confidence of right and of wrong predictions.

    y_true, probabilities, labels: as in `log_loss`, one label per row.
    y_pred: (rows,) the predictions, where they are not the most probable class (a chosen threshold).
    bins: of the histogram from 0 to 1.
    """
    if bins < 1:
        raise SpecError(f"bins must be at least 1, got {bins}; use for example bins=20")
    right, confidence = _right_and_confidence(y_true, probabilities, labels, y_pred)
    edges = np.linspace(0.0, 1.0, bins + 1)
    sides = {True: confidence[right], False: confidence[~right]}
    mean = {side: float(values.mean()) if len(values) else math.nan for side, values in sides.items()}
    median = {side: float(np.median(values)) if len(values) else math.nan for side, values in sides.items()}
    return Confidence(
        right=right,
        confidence=confidence,
        edges=edges,
        right_counts=np.histogram(sides[True], bins=edges)[0].astype(np.int64),
        wrong_counts=np.histogram(sides[False], bins=edges)[0].astype(np.int64),
        mean_right=mean[True],
        mean_wrong=mean[False],
        median_right=median[True],
        median_wrong=median[False],
        gap=float(confidence.mean() - right.mean()) if len(right) else math.nan,
    )
