"""A conformal calibration that travels with a model: one record for every task, for any coverage.

It keeps the thresholds at every whole per cent, so that the coverage can be chosen when predicting; `at` turns
it into the rule of that coverage (`ClassSets`, `LabelSets` or `NumberIntervals`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from recurra.errors import DataError, SpecError
from recurra.metrics.abstention import Abstention, calibrate_abstention
from recurra.metrics.checks import (
    Booleans,
    Floats,
    Integers,
    Labels,
    as_outcomes,
    as_probabilities,
    undefined,
)
from recurra.metrics.conformal import (
    COVERAGE,
    ClassSets,
    NumberIntervals,
    checked_coverage,
    class_scores,
    grouped_order_statistic,
    number_scores,
    order_statistic,
)

LEVELS = (*(percent / 100 for percent in range(1, 100)), 0.995, 0.999)


@dataclass(frozen=True, kw_only=True)
class LabelSets:
    """A calibration of sets of labels where a sequence may have several: the set holds *all* true ones.

    Score: 1 - the least probability among the true labels, 0 where there are none (outer sets: Cauchois, Gupta
    & Duchi 2021). threshold: labels with 1 - p up to it are in the set. coverage, rows: as `ClassSets`.
    """

    threshold: float
    coverage: float
    rows: int

    def sets(self, probabilities: Any) -> Booleans:
        """Return (rows, L): which labels are in the set of each row."""
        return np.asarray(1.0 - as_probabilities("probabilities", probabilities, ndim=2) <= self.threshold)


@dataclass(frozen=True, kw_only=True)
class Conformal:
    """What calibration on held-out rows has found; goes into a bundle by `to_dict` and `from_dict`.

    kind: "classes", "labels" (several per sequence) or "numbers". method: "lac" or "aps" for classes, see
        `ClassSets`; "outer" for labels; "absolute" for numbers.
    coverage: what was asked for; `at` takes others. rows: how many it was calibrated on; where every step has an
        answer, these are sequences, and the coverage is that of the steps of a sequence, on average.
    levels: the coverages that thresholds are kept for; thresholds: per column of the target (of classes and labels
        there is one, or several columns of tags) the threshold at each level, infinite where the rows are too few.
    abstention: the rule to keep silent by, where an error rate was asked for (one class per sequence).
    """

    kind: Literal["classes", "labels", "numbers"]
    method: Literal["lac", "aps", "outer", "absolute"]
    coverage: float
    rows: int
    levels: tuple[float, ...]
    thresholds: tuple[tuple[float, ...], ...]
    abstention: Abstention | None = None

    def at(
        self, coverage: float | None = None, *, column: int = 0
    ) -> ClassSets | LabelSets | NumberIntervals:
        """Return the rule for a coverage: the one that was asked for at calibration, or any whole per cent.

        column: of several columns of tags, the one that is meant.

        Raises SpecError for a coverage that no threshold is kept for. Too few calibration rows for it: full sets
        or infinite intervals, and a `MetricWarning`.
        """
        level = self.coverage if coverage is None else checked_coverage(coverage)
        place = int(np.argmin(np.abs(np.array(self.levels) - level)))
        if not math.isclose(self.levels[place], level, abs_tol=1e-9):
            raise SpecError(
                f"coverage must be a whole per cent, 0.995, 0.999 or the {self.coverage} of calibration, got {level}"
            )
        found = tuple(column[place] for column in self.thresholds)
        if any(map(math.isinf, found)):
            undefined("the conformal threshold", f"{self.rows} rows are too few for {level:.1%}", math.inf)
        if self.kind == "numbers":
            return NumberIntervals(widths=found, coverage=level, rows=self.rows)
        if self.kind == "labels":
            return LabelSets(threshold=found[0], coverage=level, rows=self.rows)
        assert self.method in ("lac", "aps")
        method: Any = self.method
        return ClassSets(method=method, threshold=found[column], coverage=level, rows=self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, which has no infinity: it is written as the text "inf"."""
        return {
            "kind": self.kind,
            "method": self.method,
            "coverage": self.coverage,
            "rows": self.rows,
            "levels": list(self.levels),
            "thresholds": [["inf" if math.isinf(t) else t for t in column] for column in self.thresholds],
            "abstention": None if self.abstention is None else self.abstention.to_dict(),
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Conformal:
        """Return the record that `to_dict` wrote."""
        silent = values["abstention"]
        return Conformal(
            **{
                **values,
                "levels": tuple(float(level) for level in values["levels"]),
                "thresholds": tuple(tuple(float(t) for t in column) for column in values["thresholds"]),
                "abstention": None if silent is None else Abstention.from_dict(silent),
            }
        )


def conformal_classes(
    y_true: Any,
    probabilities: Any,
    labels: Labels | None = None,
    *,
    coverage: float = COVERAGE,
    method: Literal["lac", "aps"] = "lac",
    max_error: float | None = None,
) -> Conformal:
    """Calibrate sets of classes; arguments as `calibrate_classes`.

    max_error: also calibrate when to keep silent, so that at most this share of the given answers is wrong
    (`calibrate_abstention`, with 95% confidence).
    """
    scores = class_scores(y_true, probabilities, labels, method=method)
    silent = (
        None
        if max_error is None
        else calibrate_abstention(y_true, probabilities, labels, error=max_error, confidence=0.95)
    )
    return _record("classes", method, scores[:, None], coverage, silent)


def conformal_labels(y_true: Any, probabilities: Any, *, coverage: float = COVERAGE) -> Conformal:
    """Calibrate sets that hold all labels of a sequence; y_true: (rows, L) of 0/1, probabilities: (rows, L)."""
    truth, table = as_outcomes("y_true", y_true), as_probabilities("probabilities", probabilities, ndim=2)
    if truth.shape != table.shape:
        raise DataError(f"y_true and probabilities must have one shape, got {truth.shape} and {table.shape}")
    scores = np.where(truth, 1.0 - table, 0.0).max(axis=1, initial=0.0)
    return _record("labels", "outer", scores[:, None], coverage, None)


def conformal_numbers(y_true: Any, y_pred: Any, *, coverage: float = COVERAGE) -> Conformal:
    """Calibrate intervals of one width around predictions; y_true, y_pred: (rows,) or (rows, K), each column
    by itself."""
    return _record("numbers", "absolute", number_scores(y_true, y_pred), coverage, None)


def conformal_steps(
    scores: Floats, offsets: Integers, *, kind: Literal["classes", "numbers"], method: Any, coverage: float
) -> Conformal:
    """Calibrate sets or intervals for every step of a sequence; see `grouped_order_statistic` for the promise.

    scores: (N, K) how strange the truth of each step and column is (`class_scores`, `number_scores`), of the steps
    whose truth is known; offsets: (S + 1,) where those of each sequence begin.
    """

    def found(column: Floats, level: float) -> float:
        return grouped_order_statistic(column, offsets, level)

    return _record(kind, method, scores, coverage, None, found, int(np.sum(np.diff(offsets) > 0)))


def _record(
    kind: Any,
    method: Any,
    scores: Floats,
    coverage: float,
    silent: Abstention | None,
    quantile: Callable[[Floats, float], float] = order_statistic,
    rows: int | None = None,
) -> Conformal:
    asked = checked_coverage(coverage)
    levels = tuple(sorted({*LEVELS, asked}))
    thresholds = tuple(tuple(quantile(column, level) for level in levels) for column in scores.T)
    found = Conformal(
        kind=kind,
        method=method,
        coverage=asked,
        rows=len(scores) if rows is None else rows,
        levels=levels,
        thresholds=thresholds,
        abstention=silent,
    )
    found.at()  # says at once where the rows are too few for what is asked
    return found
