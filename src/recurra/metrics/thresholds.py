"""From probabilities to decisions: the threshold of best F1 or least cost, and the cheapest class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from recurra.errors import DataError, SpecError
from recurra.metrics.calibration import class_probabilities
from recurra.metrics.checks import (
    Array,
    Booleans,
    Floats,
    Integers,
    as_array,
    as_floats,
    as_outcomes,
    as_probabilities,
    same_length,
    undefined,
)

DEFAULT_COST = ((0.0, 1.0), (1.0, 0.0))
DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A chosen decision threshold: positive where probability >= `threshold`.

    threshold: 0.0 calls every row positive; a value above 1 calls none positive.
    by: "f1" or "cost"; score: the F1, or the mean cost per row, that it reaches on the rows it was chosen on
        (an optimistic figure: report the one on other rows).
    """

    threshold: float
    by: Literal["f1", "cost"]
    score: float


def choose_threshold(
    y_true: Any, probability: Any, *, by: Literal["f1", "cost"] = "f1", cost: Any = DEFAULT_COST
) -> Threshold:
    """Choose the threshold of a yes/no decision that is best on the given rows: validation rows, never test.

    y_true: (rows,) 0/1; probability: (rows,) of the positive class.
    by: "f1": the highest F1 of the positive class; "cost": the least mean cost.
    cost: (2, 2) cost[true][called]; ((0, 1), (5, 0)): a miss is five times as bad as a false alarm.
    Thresholds half-way between neighbouring probabilities are tried, so every division of the rows is; of
    equally good ones the nearest to 0.5 is taken.
    No rows, or F1 without positive rows: 0.5 and a `MetricWarning`.
    """
    if by not in ("f1", "cost"):
        raise SpecError(f"by must be 'f1' or 'cost', got {by!r}")
    truth, chances = as_outcomes("y_true", y_true), as_probabilities("probability", probability, ndim=1)
    same_length(y_true=truth, probability=chances)
    costs = _binary_cost(cost)
    if len(truth) == 0 or (by == "f1" and not truth.any()):
        reason = "there are no rows" if len(truth) == 0 else "y_true has no positive rows"
        undefined("the best threshold", reason, DEFAULT_THRESHOLD)
        return Threshold(threshold=DEFAULT_THRESHOLD, by=by, score=float("nan"))
    candidates, hits, called = _divisions(truth, chances, as_array("probability", probability).dtype)
    positives, rows = int(truth.sum()), len(truth)
    f1 = 2 * hits / (called + positives) if positives else np.zeros_like(hits)
    gains = f1 if by == "f1" else -_mean_cost(costs, hits, called, positives, rows)
    best = np.flatnonzero(gains >= gains.max() - 1e-12)
    chosen = best[np.abs(candidates[best] - DEFAULT_THRESHOLD).argmin()]
    return Threshold(threshold=float(candidates[chosen]), by=by, score=abs(float(gains[chosen])))


def choose_thresholds(
    y_true: Any, probabilities: Any, *, by: Literal["f1", "cost"] = "f1", cost: Any = DEFAULT_COST
) -> Floats:
    """Return one threshold per label, each chosen by itself as in `choose_threshold`.

    y_true: (rows, L) 0/1; probabilities: (rows, L). A label without positive rows gets 0.5, warned.
    """
    truth, table = as_outcomes("y_true", y_true), as_array("probabilities", probabilities)
    if truth.ndim != 2 or truth.shape != table.shape:
        raise DataError(
            f"y_true and probabilities must be (rows, labels), got {truth.shape} and {table.shape}"
        )
    pairs = zip(truth.T, table.T, strict=True)
    return np.array([choose_threshold(t, p, by=by, cost=cost).threshold for t, p in pairs], dtype=np.float64)


def cheapest_class(probabilities: Any, cost: Any) -> Integers:
    """Return (rows,) the class with the least expected cost (Bayes decision): argmin_k sum_j p_j cost[j][k].

    probabilities: (rows, C); cost: (C, C) cost[true][called]. Elkan (2001), "The foundations of
    cost-sensitive learning". It is as good as the probabilities are calibrated.
    """
    table = class_probabilities(probabilities)
    costs = as_floats("cost", cost, ndim=2)
    if costs.shape != (table.shape[1], table.shape[1]):
        raise DataError(f"cost must have shape ({table.shape[1]}, {table.shape[1]}), got {costs.shape}")
    expected = (table[:, :, None] * costs).sum(axis=1)
    return np.asarray(expected.argmin(axis=1), dtype=np.int64)


def _binary_cost(cost: Any) -> Floats:
    costs = as_floats("cost", cost)
    if costs.shape != (2, 2):
        raise DataError(
            f"cost must be ((c00, c01), (c10, c11)) with cost[true][called], got shape {costs.shape}"
        )
    return costs


def _mean_cost(costs: Floats, hits: Floats, called: Floats, positives: int, rows: int) -> Floats:
    false_alarms, misses = called - hits, positives - hits
    rejections = rows - positives - false_alarms
    total = costs[1, 1] * hits + costs[0, 1] * false_alarms + costs[1, 0] * misses + costs[0, 0] * rejections
    return np.asarray(total / rows)


def _divisions(truth: Booleans, chances: Floats, dtype: np.dtype[Any]) -> tuple[Floats, Floats, Floats]:
    """Return thresholds for every division of the rows, and how many hits and calls each gives."""
    values, first = np.unique(np.sort(chances), return_index=True)
    called = np.append(len(chances) - first, 0).astype(np.float64)
    order = np.argsort(chances, kind="stable")
    hits_above = np.append(np.cumsum(truth[order][::-1])[::-1], 0)
    hits = hits_above[np.append(first, len(chances))].astype(np.float64)
    return _between(values, dtype), hits, called


def _between(values: Floats, dtype: np.dtype[Any]) -> Floats:
    # The comparison may later be made in float32, where a midpoint can round down onto the lower neighbour.
    kept = dtype if dtype.kind == "f" else np.dtype(np.float64)
    middle = ((values[:-1] + values[1:]) / 2).astype(kept).astype(np.float64)
    middle = np.where(middle > values[:-1], middle, values[1:])
    above_all = (values[-1:] + 1.0) / 2 if values[-1] < 0.999 else np.array([1.5])
    return np.concatenate(([0.0], middle, above_all))


def decide(probability: Any, threshold: float | Array = DEFAULT_THRESHOLD) -> Booleans:
    """Return where the probability reaches the threshold (one, or one per column)."""
    return np.asarray(as_probabilities("probability", probability) >= np.asarray(threshold, dtype=np.float64))
