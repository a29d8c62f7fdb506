"""Split-conformal prediction: sets of classes and intervals for numbers, with a promised coverage.

One interface for every task: a calibration on rows that no model was fitted or chosen on gives a frozen
record; the record turns new predictions into sets or intervals, and goes into a bundle by `to_dict` and
`from_dict`.

The promise (Vovk, Gammerman & Shafer 2005; Lei et al. 2018): if calibration and new rows are exchangeable,
the truth is inside with a chance of at least `coverage`, and of at most coverage + 1 / (n + 1) where no two
of the n calibration scores tie. It holds on average over rows, not for each kind of row, and not under drift;
of a series, or of tokens of one sequence, the unit that is exchangeable is the series or the sequence: there
`grouped_order_statistic` counts sequences, and the promise is about the share of a new sequence's steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from recurra.errors import DataError, SpecError
from recurra.metrics.calibration import class_probabilities
from recurra.metrics.checks import (
    Booleans,
    Floats,
    Integers,
    Labels,
    as_floats,
    encode,
    same_length,
    undefined,
)

COVERAGE = 0.9


@dataclass(frozen=True, kw_only=True)
class ClassSets:
    """A calibration of sets of classes.

    method: "lac" (least ambiguous sets: score 1 - p of the class; the smallest sets on average; Sadinle, Lei
        & Wasserman 2019) or "aps" (adaptive sets: score = the probability of the class and of all that are
        more probable; larger sets that follow the difficulty of the row; Romano, Sesia & Candès 2020, without
        their random tie-breaking, so that a row's set never depends on chance).
    threshold: classes with a score up to it are in the set; infinite: all are.
    coverage: what was asked for; rows: how many it was calibrated on.
    """

    method: Literal["lac", "aps"]
    threshold: float
    coverage: float
    rows: int

    def sets(self, probabilities: Any, *, allow_empty: bool = True) -> Booleans:
        """Return (rows, C): which classes are in the set of each row.

        allow_empty: an empty set says that the row is unlike the calibration rows; False puts the most
            probable class in (coverage can only grow).
        """
        table = class_probabilities(probabilities)
        chosen = _class_scores(table, self.method) <= self.threshold
        if not allow_empty:
            empty = ~chosen.any(axis=1)
            chosen[empty, table[empty].argmax(axis=1)] = True
        return chosen

    def to_dict(self) -> dict[str, Any]:
        """Return the record for JSON."""
        return record_to_dict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> ClassSets:
        """Return the record that `to_dict` wrote."""
        return ClassSets(**{**values, "threshold": number_of(values["threshold"])})


@dataclass(frozen=True, kw_only=True)
class NumberIntervals:
    """A calibration of intervals for numbers.

    widths: (K,) one per column of the target: how far the interval reaches beyond the prediction, in units of
        the scale of the row (or, for `calibrate_quantiles`, beyond the predicted limits; may be negative).
    coverage: of each column by itself; rows: how many it was calibrated on.
    """

    widths: tuple[float, ...]
    coverage: float
    rows: int

    def interval(self, y_pred: Any, scale: Any = None) -> tuple[Floats, Floats]:
        """Return lower and upper limits in the shape of y_pred, (rows,) or (rows, K).

        scale: (rows,) or as y_pred: a positive measure of difficulty, given at calibration too; default 1.
        """
        predicted = as_floats("y_pred", y_pred)
        reach = _columns("y_pred", predicted, len(self.widths)) * 0.0 + np.array(self.widths)
        reach = (reach * _scales(scale, reach.shape)).reshape(predicted.shape)
        return predicted - reach, predicted + reach

    def widened(self, lower: Any, upper: Any) -> tuple[Floats, Floats]:
        """Return the predicted limits moved outwards (or inwards) by what calibration has found."""
        low, high = as_floats("lower", lower), as_floats("upper", upper)
        _columns("lower", low, len(self.widths))
        reach = np.array(self.widths) if low.ndim == 2 else self.widths[0]
        middle = (low + high) / 2
        return np.minimum(low - reach, middle), np.maximum(high + reach, middle)

    def to_dict(self) -> dict[str, Any]:
        """Return the record for JSON."""
        return record_to_dict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> NumberIntervals:
        """Return the record that `to_dict` wrote."""
        return NumberIntervals(**{**values, "widths": tuple(number_of(width) for width in values["widths"])})


def calibrate_classes(
    y_true: Any,
    probabilities: Any,
    labels: Labels | None = None,
    *,
    coverage: float = COVERAGE,
    method: Literal["lac", "aps"] = "lac",
) -> ClassSets:
    """Calibrate sets of classes.

    y_true: (rows,) labels of the calibration rows; probabilities: (rows, C); labels: names of the columns.
    coverage: chance that the set holds the true class, 0.8 to 0.99 usual.
    method: see `ClassSets`. Fewer than coverage / (1 - coverage) rows (9 for 0.9) can promise nothing: every
    set is then full, with a `MetricWarning`.
    """
    scores = class_scores(y_true, probabilities, labels, method=method)
    threshold = _quantile(scores, checked_coverage(coverage))
    return ClassSets(method=method, threshold=threshold, coverage=coverage, rows=len(scores))


def class_scores(y_true: Any, probabilities: Any, labels: Labels | None = None, *, method: str) -> Floats:
    """Return (rows,) how strange the true class of each row is; arguments as `calibrate_classes`."""
    if method not in ("lac", "aps"):
        raise SpecError(f"method must be 'lac' or 'aps', got {method!r}")
    table = class_probabilities(probabilities, labels)
    same_length(y_true=y_true, probabilities=table)
    codes = encode("y_true", y_true, range(table.shape[1]) if labels is None else labels)
    return np.asarray(_class_scores(table, method)[np.arange(len(codes)), codes])


def _class_scores(table: Floats, method: str) -> Floats:
    if method == "lac":
        return 1.0 - table
    order = np.argsort(-table, axis=1, kind="stable")
    cumulated = np.cumsum(np.take_along_axis(table, order, axis=1), axis=1)
    scores = np.empty_like(table)
    np.put_along_axis(scores, order, cumulated, axis=1)
    return scores


def calibrate_numbers(
    y_true: Any, y_pred: Any, *, coverage: float = COVERAGE, scale: Any = None
) -> NumberIntervals:
    """Calibrate intervals prediction ± width * scale, by the quantile of |y - prediction| / scale.

    y_true, y_pred: (rows,) or (rows, K); a column may be one step ahead of a forecast.
    scale: (rows,) or (rows, K), positive: makes intervals wider where the model says it knows less; default
    1. Too few rows: infinite widths and a `MetricWarning`.
    """
    return _intervals(number_scores(y_true, y_pred, scale), coverage)


def number_scores(y_true: Any, y_pred: Any, scale: Any = None) -> Floats:
    """Return (rows, K) how strange each true number is; arguments as `calibrate_numbers`."""
    truth, predicted = _two_tables(y_true, y_pred)
    return np.asarray(np.abs(truth - predicted) / _scales(scale, truth.shape))


def calibrate_quantiles(
    y_true: Any, lower: Any, upper: Any, *, coverage: float = COVERAGE
) -> NumberIntervals:
    """Calibrate predicted quantiles (conformalised quantile regression; Romano, Patterson & Candès 2019).

    Score: max(lower - y, y - upper), negative inside; `NumberIntervals.widened` applies it.
    y_true, lower, upper: (rows,) or (rows, K). Too few rows: infinite widths and a `MetricWarning`.
    """
    truth, low = _two_tables(y_true, lower)
    _, high = _two_tables(y_true, upper)
    return _intervals(np.maximum(low - truth, truth - high), coverage)


def _intervals(scores: Floats, coverage: float) -> NumberIntervals:
    checked = checked_coverage(coverage)
    widths = tuple(_quantile(column, checked) for column in scores.T)
    return NumberIntervals(widths=widths, coverage=coverage, rows=len(scores))


def _quantile(scores: Floats, coverage: float) -> float:
    found = order_statistic(scores, coverage)
    if math.isinf(found):
        undefined("the conformal threshold", f"{len(scores)} rows are too few for {coverage:.0%}", math.inf)
    return found


def order_statistic(scores: Floats, coverage: float) -> float:
    """Return the ceil((n + 1) coverage)-th smallest score: with n in place of n + 1 the promise would break.

    Infinite where there are too few scores.
    """
    rank = math.ceil((len(scores) + 1) * coverage - 1e-9)
    return float(np.partition(scores, rank - 1)[rank - 1]) if rank <= len(scores) else math.inf


def grouped_order_statistic(scores: Floats, offsets: Integers, coverage: float) -> float:
    """Return the least threshold that holds, on average over the sequences, the share `coverage` of their steps.

    scores: (N,) of the steps of all sequences; sequence i has those from offsets[i] to offsets[i + 1]. Every
        sequence has the same say, whatever its length, and the new one, of which nothing is known, has it as well
        and counts as wholly outside: if calibration sequences and a new one are exchangeable, the expected share of
        its steps inside is at least `coverage` (Dunn, Wasserman & Ramdas 2022; the risk control of Angelopoulos et
        al. 2022). Steps of one sequence may depend on each other. Sequences of one step: `order_statistic`.

    Sequences without steps have no say. Infinite where there are too few.
    """
    lengths = np.diff(offsets)
    some = int(np.sum(lengths > 0))
    shares = np.repeat(1.0 / np.maximum(lengths, 1), lengths) / (some + 1)
    order = np.argsort(scores, kind="stable")
    held = np.cumsum(shares[order])
    place = int(np.searchsorted(held, coverage - 1e-9))
    return float(scores[order[place]]) if place < len(scores) else math.inf


def checked_coverage(coverage: float) -> float:
    """Return the coverage as a number; raises SpecError where it is not between 0 and 1."""
    if not 0 < coverage < 1:
        raise SpecError(f"coverage must lie between 0 and 1, got {coverage}; use for example coverage=0.9")
    return float(coverage)


def _columns(name: str, values: Floats, count: int) -> Floats:
    table = values[:, None] if values.ndim == 1 else values
    if table.ndim != 2 or table.shape[1] != count:
        raise DataError(f"{name} must have {count} column(s) as at calibration, got shape {values.shape}")
    return table


def _two_tables(y_true: Any, y_pred: Any) -> tuple[Floats, Floats]:
    truth, predicted = as_floats("y_true", y_true), as_floats("y_pred", y_pred)
    if truth.shape != predicted.shape or truth.ndim not in (1, 2):
        raise DataError(
            f"y_true and the predictions must have one shape, got {truth.shape} and {predicted.shape}"
        )
    columns = 1 if truth.ndim == 1 else truth.shape[1]
    return _columns("y_true", truth, columns), _columns("y_pred", predicted, columns)


def _scales(scale: Any, shape: tuple[int, ...]) -> Floats:
    if scale is None:
        return np.ones(shape)
    scales = as_floats("scale", scale)
    scales = scales[:, None] if scales.ndim == 1 else scales
    if len(scales) != shape[0] or scales.shape[1] not in (1, shape[1]) or (scales <= 0).any():
        raise DataError(
            f"scale must be positive, one per row or per value {shape}, got shape {np.shape(scale)}"
        )
    return np.broadcast_to(scales, shape)


def set_coverage(y_true: Any, sets: Any, labels: Labels | None = None) -> float:
    """Return the share of rows whose set holds the true class. No rows: `nan` and a `MetricWarning`."""
    table = np.asarray(sets, dtype=np.bool_)
    codes = encode("y_true", y_true, range(table.shape[1]) if labels is None else labels)
    same_length(y_true=codes, sets=table)
    if len(codes) == 0:
        return undefined("set coverage", "there are no rows")
    return float(table[np.arange(len(codes)), codes].mean())


def set_sizes(sets: Any) -> Integers:
    """Return (rows,) the number of classes in each set; where it is 1 the model is sure, else let it abstain."""
    return np.asarray(np.asarray(sets, dtype=np.bool_).sum(axis=1), dtype=np.int64)


def record_to_dict(record: Any) -> dict[str, Any]:
    """Return the fields for JSON, which has no infinity: it is written as the text "inf"."""
    values: dict[str, Any] = asdict(record)
    for name, value in values.items():
        if isinstance(value, tuple):
            values[name] = ["inf" if math.isinf(item) else item for item in value]
        elif isinstance(value, float) and math.isinf(value):
            values[name] = "inf"
    return values


def number_of(value: Any) -> float:
    return float(value)
