"""Scores of numbers: MSE, RMSE, MAE, MAPE, R²; vector targets are averaged over their columns."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from recurra.errors import DataError
from recurra.metrics.checks import Floats, MetricWarning, as_floats, as_weights, undefined


def _pair(y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Floats, Floats, Floats]:
    truth, predicted = as_floats("y_true", y_true), as_floats("y_pred", y_pred)
    truth, predicted = (column[:, None] if column.ndim == 1 else column for column in (truth, predicted))
    if truth.shape != predicted.shape or truth.ndim != 2:
        raise DataError(
            "y_true and y_pred must have one shape, (rows,) or (rows, columns), "
            f"got {np.shape(y_true)} and {np.shape(y_pred)}"
        )
    return truth, predicted, as_weights(sample_weight, len(truth))


def _no_rows(score: str, weights: Floats) -> float:
    return undefined(score, "all weights are 0" if len(weights) else "there are no rows")


def _mean_by_column(values: Floats, weights: Floats) -> Floats:
    return np.asarray(np.average(values, axis=0, weights=weights))


def mse(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Mean squared error. y_true, y_pred: (rows,) or (rows, K); no rows: `nan` and a `MetricWarning`."""
    truth, predicted, weights = _pair(y_true, y_pred, sample_weight)
    if weights.sum() == 0:
        return _no_rows("MSE", weights)
    return float(np.mean(_mean_by_column((truth - predicted) ** 2, weights)))


def rmse(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Root mean squared error, in the unit of the target; the root is taken per column, then averaged."""
    truth, predicted, weights = _pair(y_true, y_pred, sample_weight)
    if weights.sum() == 0:
        return _no_rows("RMSE", weights)
    return float(np.mean(np.sqrt(_mean_by_column((truth - predicted) ** 2, weights))))


def mae(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Mean absolute error, in the unit of the target. Arguments as in `mse`."""
    truth, predicted, weights = _pair(y_true, y_pred, sample_weight)
    if weights.sum() == 0:
        return _no_rows("MAE", weights)
    return float(np.mean(_mean_by_column(np.abs(truth - predicted), weights)))


def mape(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Mean absolute percentage error as a fraction: mean of |y - f| / |y|; times 100 for per cent.

    It is undefined at targets of 0: these are left out, and a `MetricWarning` says how many. Where all are 0
    the result is `nan`. (scikit-learn divides by 2e-16 there, which lets one zero decide the mean.)
    """
    truth, predicted, weights = _pair(y_true, y_pred, sample_weight)
    if weights.sum() == 0:
        return _no_rows("MAPE", weights)
    usable = (truth != 0) & (weights[:, None] > 0)
    if not usable.any():
        return undefined("MAPE", "all targets are 0")
    zeros = int((truth == 0).sum())
    if zeros:
        warnings.warn(
            f"MAPE is undefined at targets of 0: {zeros} of {truth.size} are left out",
            MetricWarning,
            stacklevel=2,
        )
    ratio = np.divide(np.abs(truth - predicted), np.abs(truth), out=np.zeros_like(truth), where=usable)
    cell_weights = np.where(usable, weights[:, None], 0.0)
    columns = usable.any(axis=0)
    return float(np.mean((ratio * cell_weights).sum(axis=0)[columns] / cell_weights.sum(axis=0)[columns]))


def r2(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Coefficient of determination: 1 - sum of squared errors / sum of squared deviations from the mean.

    1 is perfect, 0 as good as the mean of y_true, below 0 worse. Averaged over columns.
    A constant target: 1.0 where it is hit exactly, else 0.0 (as scikit-learn), and a `MetricWarning`.
    Fewer than two rows: `nan` and a `MetricWarning`.
    """
    truth, predicted, weights = _pair(y_true, y_pred, sample_weight)
    if (weights > 0).sum() < 2:
        return undefined("R²", "it needs at least two rows")
    errors = _mean_by_column((truth - predicted) ** 2, weights)
    spread = _mean_by_column((truth - _mean_by_column(truth, weights)) ** 2, weights)
    counted = truth[weights > 0]
    varies = counted.max(axis=0) > counted.min(axis=0)
    if not varies.all():
        undefined("R²", "a target column is constant", 0.0 if errors[~varies].any() else 1.0)
    constant = np.where(errors == 0, 1.0, 0.0)
    return float(np.mean(np.where(varies, 1.0 - errors / np.where(varies, spread, 1.0), constant)))


def residuals(y_true: Any, y_pred: Any) -> Floats:
    """Return y_pred - y_true in the shape given: what was predicted too high is positive."""
    truth, predicted, _ = _pair(y_true, y_pred, None)
    return np.asarray(predicted - truth).reshape(np.shape(y_true))


def finite_or_none(value: float) -> float | None:
    """Return the number for JSON, which has no `nan`: `None` where it is not finite."""
    return float(value) if math.isfinite(value) else None
