"""Scores of numbers agree with scikit-learn; zeros, constants and no rows are defined and warned of."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from recurra import metrics
from recurra.errors import DataError
from recurra.metrics import MetricWarning

ORACLES = {
    metrics.mse: sk.mean_squared_error,
    metrics.rmse: sk.root_mean_squared_error,
    metrics.mae: sk.mean_absolute_error,
    metrics.mape: sk.mean_absolute_percentage_error,
    metrics.r2: sk.r2_score,
}


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 30), st.integers(0, 3), st.booleans())
def test_scores_of_numbers_equal_scikit_learn(seed: int, rows: int, width: int, weighted: bool) -> None:
    rng = np.random.default_rng(seed)
    shape = (rows, width) if width else (rows,)
    truth, predicted = rng.normal(3, 2, shape), rng.normal(3, 2, shape)
    weights = rng.random(rows) + 0.01 if weighted else None
    for ours, theirs in ORACLES.items():
        expected = theirs(truth, predicted, sample_weight=weights)
        assert ours(truth, predicted, sample_weight=weights) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("score", ORACLES)
def test_no_rows_give_nan_and_a_warning(score) -> None:  # type: ignore[no-untyped-def]
    with pytest.warns(MetricWarning, match="is undefined"):
        assert math.isnan(score([], []))
    with pytest.warns(MetricWarning, match="is undefined"):
        assert math.isnan(score(np.zeros((0, 2)), np.zeros((0, 2))))


def test_mape_leaves_zeros_out_and_says_how_many() -> None:
    with pytest.warns(MetricWarning, match="MAPE is undefined at targets of 0: 1 of 3 are left out"):
        assert metrics.mape([0, 2, 4], [1, 1, 3]) == pytest.approx(0.375)
    with pytest.warns(MetricWarning, match="all targets are 0"):
        assert math.isnan(metrics.mape([0, 0], [1, 1]))


def test_r2_of_a_constant_target_is_one_or_zero_and_warned_of() -> None:
    with pytest.warns(MetricWarning, match="constant; 0.0 is returned"):
        assert metrics.r2([0.1] * 3, [0.1, 0.1, 0.2]) == 0.0
    with pytest.warns(MetricWarning, match="constant; 1.0 is returned"):
        assert metrics.r2([0.1] * 3, [0.1] * 3) == 1.0
    with pytest.warns(MetricWarning, match="at least two rows"):
        assert math.isnan(metrics.r2([1], [1]))


def test_residuals_are_positive_where_the_prediction_is_too_high() -> None:
    assert metrics.residuals([1, 2], [3, 1]).tolist() == [2, -1]


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(DataError, match=r"one shape, \(rows,\) or \(rows, columns\), got \(2,\) and \(3,\)"):
        metrics.mse([1, 2], [1, 2, 3])
    with pytest.raises(DataError, match="y_pred must be finite"):
        metrics.mae([1], [math.inf])
    with pytest.raises(DataError, match="y_true must be numbers"):
        metrics.mae(["one"], [1])
