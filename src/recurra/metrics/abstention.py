"""Abstention: answer only where the error rate can be promised, and what that costs in answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import SpecError
from recurra.metrics.calibration import class_probabilities
from recurra.metrics.checks import (
    Booleans,
    Floats,
    Integers,
    Labels,
    as_floats,
    as_outcomes,
    encode,
    same_length,
    undefined,
)
from recurra.metrics.conformal import number_of, record_to_dict

STARTS = 5


@dataclass(frozen=True, kw_only=True)
class Abstention:
    """A calibrated rule to keep silent: answer only where the confidence reaches `threshold`.

    threshold: infinite where no confidence is high enough for the promise.
    error: the error rate among answered rows that is promised; confidence: with which chance.
    answered: share of the calibration rows that would be answered; rows: how many there were.
    """

    threshold: float
    error: float
    confidence: float
    answered: float
    rows: int

    def answers(self, probabilities: Any) -> Booleans:
        """Return (rows,) where to answer."""
        return np.asarray(class_probabilities(probabilities).max(axis=1) >= self.threshold)

    def to_dict(self) -> dict[str, Any]:
        """Return the record for JSON."""
        return record_to_dict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Abstention:
        """Return the record that `to_dict` wrote."""
        return Abstention(**{**values, "threshold": number_of(values["threshold"])})


def calibrate_abstention(
    y_true: Any,
    probabilities: Any,
    labels: Labels | None = None,
    *,
    error: float = 0.05,
    confidence: float = 0.95,
) -> Abstention:
    """Find the least confidence above which the error rate is at most `error`, with the given confidence.

    At most 100 thresholds, at equal numbers of rows, are tested from the highest down by the exact binomial
    bound (Clopper & Pearson 1934), until the first that fails; this is begun at five places, each with a
    fifth of the doubt, so that one early error does not end it (fixed-sequence testing with several starts:
    Angelopoulos et al. 2021, "Learn then test").
    y_true, probabilities, labels: as in `calibrate_classes`. None passes: never answer, and a
        `MetricWarning`.
    """
    if not (0 < error < 1 and 0 < confidence < 1):
        raise SpecError(f"error and confidence must lie between 0 and 1, got {error} and {confidence}")
    table = class_probabilities(probabilities, labels)
    same_length(y_true=y_true, probabilities=table)
    codes = encode("y_true", y_true, range(table.shape[1]) if labels is None else labels)
    sureness, wrong = table.max(axis=1), table.argmax(axis=1) != codes
    threshold = _last_safe(sureness, wrong, error, 1.0 - confidence)
    if math.isinf(threshold):
        undefined("the abstention threshold", f"no confidence keeps errors at {error:.0%}", math.inf)
    return Abstention(
        threshold=threshold,
        error=error,
        confidence=confidence,
        answered=float(np.mean(sureness >= threshold)) if len(codes) else 0.0,
        rows=len(codes),
    )


def _last_safe(sureness: Floats, wrong: Booleans, error: float, doubt: float) -> float:
    share_of_doubt = doubt / STARTS
    needed = math.ceil(math.log(share_of_doubt) / math.log(1.0 - error))
    if len(sureness) < needed:
        return math.inf
    order = np.argsort(-sureness, kind="stable")
    ordered, errors = sureness[order], np.cumsum(wrong[order])
    tried = np.unique(np.linspace(needed, len(sureness), 100).astype(int))
    # All rows that tie with the last one are answered too.
    answered = np.searchsorted(-ordered, -ordered[tried - 1], side="right")
    chances = _chances_of_so_few(errors[answered - 1], answered, error)
    safe = math.inf
    for start in np.linspace(0, len(tried), STARTS, endpoint=False).astype(int):
        failed = np.flatnonzero(chances[start:] > share_of_doubt)
        end = start + int(failed[0]) if len(failed) else len(tried)
        if end > start:
            safe = min(safe, float(ordered[tried[end - 1] - 1]))
    return safe


def _chances_of_so_few(errors: Integers, trials: Integers, rate: float) -> Floats:
    """Return P(X <= errors) of binomials: if the error rate were `rate`, how likely were so few errors?"""
    logs = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, int(trials.max()) + 1)))))
    chances = []
    for few, total in zip(errors.tolist(), trials.tolist(), strict=True):
        k = np.arange(few + 1)
        choose = logs[total] - logs[k] - logs[total - k]
        chances.append(np.exp(choose + k * math.log(rate) + (total - k) * math.log1p(-rate)).sum())
    return np.array(chances, dtype=np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class RiskCoverage:
    """Error rate among the most confident rows, for every share of rows answered.

    answered: (K,) share of rows, increasing to 1; error: (K,) error rate among them; threshold: (K,).
    area: mean of the error rate over the shares (AURC; Geifman & El-Yaniv 2017), lower is better.
    """

    answered: Floats
    error: Floats
    threshold: Floats
    area: float


def risk_coverage(right: Any, confidence: Any) -> RiskCoverage:
    """Return the risk-coverage curve.

    right: (rows,) 0/1 whether the prediction is right; confidence: (rows,) of it; `confidence_summary` has
    both. No rows: an empty curve with area `nan` and a `MetricWarning`.
    """
    wrong, sureness = ~as_outcomes("right", right), as_floats("confidence", confidence, ndim=1)
    rows = same_length(right=wrong, confidence=sureness)
    order = np.argsort(-sureness, kind="stable")
    last_of_ties = np.flatnonzero(np.diff(sureness[order], append=-math.inf))
    errors = np.cumsum(wrong[order])[last_of_ties] / (last_of_ties + 1.0)
    shares = (last_of_ties + 1.0) / max(rows, 1)
    area = (
        float(np.sum(errors * np.diff(shares, prepend=0.0)))
        if rows
        else undefined("AURC", "there are no rows")
    )
    return RiskCoverage(answered=shares, error=errors, threshold=sureness[order][last_of_ties], area=area)
