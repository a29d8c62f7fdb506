"""Scores of forecasts: points, quantiles, samples and intervals.

Shapes: (H,) one series over H steps, (S, H) S series; every mean is over all values unless a docstring says
per series. MAE, RMSE and MAPE are those of `regression`, of all values together.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from recurra.errors import DataError, SpecError
from recurra.metrics.checks import Floats, MetricWarning, as_floats, as_probabilities, undefined
from recurra.metrics.regression import mae, mape, rmse


def _pair(y_true: Any, y_pred: Any) -> tuple[Floats, Floats]:
    truth, predicted = as_floats("y_true", y_true), as_floats("y_pred", y_pred)
    if truth.shape != predicted.shape or truth.ndim not in (1, 2):
        raise DataError(
            "y_true and y_pred must have one shape, (steps,) or (series, steps), "
            f"got {truth.shape} and {predicted.shape}"
        )
    return truth, predicted


def smape(y_true: Any, y_pred: Any) -> float:
    """Symmetric mean absolute percentage error as a fraction: mean of 2 |y - f| / (|y| + |f|), 0 to 2.

    The definition of the M3 and M4 competitions (Makridakis et al. 2020), which write it in per cent. Where
    both are 0 the error is 0. No values: `nan` and a `MetricWarning`.
    """
    truth, predicted = _pair(y_true, y_pred)
    if truth.size == 0:
        return undefined("sMAPE", "there are no values")
    total = np.abs(truth) + np.abs(predicted)
    ratio = np.divide(2 * np.abs(truth - predicted), total, out=np.zeros_like(truth), where=total > 0)
    return float(ratio.mean())


def mase(y_true: Any, y_pred: Any, history: Sequence[Any], *, season: int = 1) -> float:
    """Mean absolute scaled error: MAE / in-sample MAE of the seasonal naive forecast, mean over series.

    Hyndman & Koehler (2006): below 1 it beats, on average, the one-season-back forecast of the training part.
    y_true, y_pred: (S, H), or (H,) for one series. history: S training series of any length, in the same
        order ((H,): one series). season: m, observations per season; 1: the last value.
    A history that is constant or not longer than `season` has no scale: its series is left out with a
    `MetricWarning`; where none is left the result is `nan`.
    """
    truth, predicted = _pair(y_true, y_pred)
    if season < 1:
        raise SpecError(f"season must be at least 1, got {season}")
    rows = [history] if truth.ndim == 1 else list(history)
    truth, predicted = np.atleast_2d(truth), np.atleast_2d(predicted)
    if len(rows) != len(truth):
        raise DataError(f"history must have one series per row of y_true, {len(truth)}, got {len(rows)}")
    scales = np.array([_naive_error(as_floats("history", row, ndim=1), season) for row in rows])
    usable = scales > 0
    if truth.size == 0 or not usable.any():
        return undefined("MASE", "no series has a history that varies")
    if not usable.all():
        reason = "their history is constant or too short"
        warnings.warn(f"MASE leaves out {int((~usable).sum())} series: {reason}", MetricWarning, stacklevel=2)
    errors = np.abs(truth - predicted).mean(axis=1)
    return float(np.mean(errors[usable] / scales[usable]))


def _naive_error(series: Floats, season: int) -> float:
    return float(np.abs(series[season:] - series[:-season]).mean()) if len(series) > season else 0.0


def directional_accuracy(y_true: Any, y_pred: Any, last: Any) -> float:
    """Share of steps whose direction (up or down from the value before) is forecast.

    Compared are the signs of y_t - y_{t-1} and f_t - y_{t-1}; before the first step stands `last`, one value
    per series. Steps at which the truth does not move have no direction and are left out; where there are no
    others the result is `nan`, with a `MetricWarning`. A forecast of no change is wrong.
    """
    truth, predicted = _pair(y_true, y_pred)
    first = as_floats("last", last).reshape(-1, 1)
    truth, predicted = np.atleast_2d(truth), np.atleast_2d(predicted)
    if len(first) != len(truth):
        raise DataError(f"last must have one value per series, {len(truth)}, got {len(first)}")
    before = np.concatenate((first, truth[:, :-1]), axis=1)[:, : truth.shape[1]]
    moves = truth != before
    if not moves.any():
        return undefined("directional accuracy", "the truth never moves")
    return float(np.mean((np.sign(truth - before) == np.sign(predicted - before))[moves]))


def pinball(y_true: Any, quantiles: Any, levels: Any) -> float:
    """Mean quantile (pinball) loss, over values and levels: (y - q) a where y >= q, else (q - y) (1 - a).

    Koenker & Bassett (1978). y_true: any shape; quantiles: that shape and, at the end, (Q,) levels; levels:
    (Q,) between 0 and 1. One level: a number, and quantiles in the shape of y_true. No values: `nan`, warned.
    """
    truth, forecast = as_floats("y_true", y_true), as_floats("quantiles", quantiles)
    shares = as_probabilities("levels", levels)
    if shares.ndim == 0:
        shares, forecast = shares[None], forecast[..., None]
    if forecast.shape != (*truth.shape, len(shares)):
        raise DataError(f"quantiles must have shape {(*truth.shape, len(shares))}, got {forecast.shape}")
    if forecast.size == 0:
        return undefined("pinball loss", "there are no values")
    errors = truth[..., None] - forecast
    return float(np.mean(np.maximum(shares * errors, (shares - 1.0) * errors)))


def crps(y_true: Any, samples: Any, *, fair: bool = False) -> float:
    """Continuous ranked probability score from samples: mean |x - y| - mean |x - x'| / 2, in the unit of y.

    Gneiting & Raftery (2007), equation 21; for one sample it is the absolute error. It rewards samples that
    are both near and as spread as they should be.
    y_true: any shape; samples: (M, *that shape). fair: mean over pairs of *different* samples (Ferro 2014),
    which does not depend on M in expectation. No values: `nan` and a `MetricWarning`.
    """
    truth, drawn = as_floats("y_true", y_true), as_floats("samples", samples)
    if drawn.ndim == 0 or drawn.shape[1:] != truth.shape or len(drawn) < (2 if fair else 1):
        raise DataError(f"samples must have shape (samples, *{truth.shape}), got {drawn.shape}")
    if truth.size == 0:
        return undefined("CRPS", "there are no values")
    count = len(drawn)
    ordered = np.sort(drawn, axis=0)
    # sum over pairs |x_i - x_j| = 2 sum_k (2 k - M + 1) x_(k), k from 0.
    weights = (2 * np.arange(count) - count + 1).reshape(-1, *[1] * truth.ndim)
    spread = 2 * (weights * ordered).sum(axis=0) / (count * (count - 1) if fair else count**2)
    return float(np.mean(np.abs(drawn - truth).mean(axis=0) - spread / 2))


def interval_score(y_true: Any, lower: Any, upper: Any, *, level: float = 0.9) -> float:
    """Winkler's interval score: width + 2 / (1 - level) times the distance by which y is outside; mean.

    Winkler (1972); Gneiting & Raftery (2007), equation 43. level: the coverage that the interval is meant to
    have. Lower is better. No values: `nan` and a `MetricWarning`.
    """
    truth, low, high = _limits(y_true, lower, upper)
    if not 0 < level < 1:
        raise SpecError(f"level must lie between 0 and 1, got {level}; use for example level=0.9")
    if truth.size == 0:
        return undefined("interval score", "there are no values")
    outside = np.maximum(low - truth, 0.0) + np.maximum(truth - high, 0.0)
    return float(np.mean(high - low + 2.0 / (1.0 - level) * outside))


def interval_coverage(y_true: Any, lower: Any, upper: Any) -> float:
    """Share of values inside of their interval, limits included. No values: `nan` and a `MetricWarning`."""
    truth, low, high = _limits(y_true, lower, upper)
    if truth.size == 0:
        return undefined("interval coverage", "there are no values")
    return float(np.mean((low <= truth) & (truth <= high)))


def _limits(y_true: Any, lower: Any, upper: Any) -> tuple[Floats, Floats, Floats]:
    truth, low, high = as_floats("y_true", y_true), as_floats("lower", lower), as_floats("upper", upper)
    if not truth.shape == low.shape == high.shape:
        raise DataError(
            f"y_true, lower, upper must have one shape, got {truth.shape}, {low.shape}, {high.shape}"
        )
    if (low > high).any():
        raise DataError(f"lower must not be above upper, as in {int((low > high).sum())} value(s)")
    return truth, low, high


def forecast_scores(
    y_true: Any,
    y_pred: Any,
    *,
    history: Sequence[Any] | None = None,
    season: int = 1,
    samples: Any = None,
    lower: Any = None,
    upper: Any = None,
    level: float = 0.9,
) -> dict[str, float]:
    """Return the scores of a forecaster; shapes as at the top of this file.

    Always: mae, rmse, mape and smape (fractions). With `history` (the training part of every series): mase
    with `season`, and directional_accuracy. With `samples`: crps. With `lower` and `upper`, meant to cover
    `level`: interval_score, interval_coverage and interval_width.
    """
    truth, predicted = _pair(y_true, y_pred)
    flat = truth.ravel(), predicted.ravel()
    result = {"mae": mae(*flat), "rmse": rmse(*flat)}
    if truth.size:
        result |= {"mape": mape(*flat), "smape": smape(truth, predicted)}
    if history is not None:
        rows = [history] if truth.ndim == 1 else list(history)
        result["mase"] = mase(truth, predicted, history, season=season)
        last = [as_floats("history", row, ndim=1)[-1] for row in rows]
        result["directional_accuracy"] = directional_accuracy(truth, predicted, last)
    if samples is not None:
        result["crps"] = crps(truth, samples)
    if lower is not None and upper is not None:
        result["interval_score"] = interval_score(truth, lower, upper, level=level)
        result["interval_coverage"] = interval_coverage(truth, lower, upper)
        result["interval_width"] = float(np.mean(np.asarray(upper) - np.asarray(lower)))
    return result
