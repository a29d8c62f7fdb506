"""Scores of forecasts follow their definitions and give the official scores of the M4 benchmarks."""

from __future__ import annotations

import csv
import gzip
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_pinball_loss

from recurra import metrics
from recurra.errors import DataError, SpecError
from recurra.metrics import MetricWarning, forecasting
from shared import shared_data


def test_smape_counts_both_zero_as_no_error() -> None:
    assert forecasting.smape([0, 100, 100], [0, 50, 0]) == pytest.approx((0 + 2 / 3 + 2) / 3)


def test_mase_is_one_for_the_naive_error_of_the_history() -> None:
    assert forecasting.mase([5.0, 6.0], [4.0, 7.0], [1, 2, 3, 2]) == 1.0
    assert forecasting.mase([[5.0, 6.0]], [[4.0, 7.0]], [[0, 5, 2, 7]], season=2) == 0.5


def test_mase_leaves_out_series_without_a_scale() -> None:
    with pytest.warns(MetricWarning, match="leaves out 1 series"):
        assert forecasting.mase([[1.0], [2.0]], [[2.0], [9.0]], [[1, 2, 3], [4, 4, 4]]) == 1.0
    with pytest.warns(MetricWarning, match="no series has a history that varies"):
        assert math.isnan(forecasting.mase([1.0], [2.0], [3.0]))


def test_directions_are_seen_from_the_last_true_value() -> None:
    truth, forecast = [[11, 10, 10, 12]], [[12, 11.5, 9, 10]]
    # Up: right. Down, forecast up from 11: wrong. No move: left out. Up, forecast no change: wrong.
    assert forecasting.directional_accuracy(truth, forecast, [10]) == pytest.approx(1 / 3)
    with pytest.warns(MetricWarning, match="never moves"):
        assert math.isnan(forecasting.directional_accuracy([1, 1], [1, 2], 1))


@given(st.integers(0, 1000), st.sampled_from([0.1, 0.5, 0.9]))
def test_pinball_equals_scikit_learn(seed: int, level: float) -> None:
    truth, forecast = np.random.default_rng(seed).normal(size=(2, 12))
    assert forecasting.pinball(truth, forecast, level) == pytest.approx(
        mean_pinball_loss(truth, forecast, alpha=level)
    )


def test_pinball_of_many_levels_is_their_mean() -> None:
    truth, forecast = np.random.default_rng(0).normal(size=(2, 5, 3))
    both = np.stack((forecast, forecast + 1), axis=-1)
    parts = [forecasting.pinball(truth, both[..., k], level) for k, level in enumerate((0.2, 0.8))]
    assert forecasting.pinball(truth, both, [0.2, 0.8]) == pytest.approx(np.mean(parts))


@given(st.integers(0, 1000), st.integers(2, 9), st.booleans())
def test_crps_equals_the_double_sum(seed: int, count: int, fair: bool) -> None:
    rng = np.random.default_rng(seed)
    truth, samples = rng.normal(size=(4,)), rng.normal(size=(count, 4)).round(1)
    pairs = np.abs(samples[:, None] - samples).sum(axis=(0, 1)) / (count * (count - fair))
    expected = np.mean(np.abs(samples - truth).mean(axis=0) - pairs / 2)
    assert forecasting.crps(truth, samples, fair=fair) == pytest.approx(expected)


def test_crps_of_a_normal_law_is_the_closed_form() -> None:
    # Gneiting & Raftery (2007): sigma (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)).
    samples = np.random.default_rng(1).normal(size=(200_000, 1))
    z, upper = 0.7, 0.7580363477769270
    expected = (
        z * (2 * upper - 1) + 2 * math.exp(-z * z / 2) / math.sqrt(2 * math.pi) - 1 / math.sqrt(math.pi)
    )
    assert forecasting.crps([z], samples) == pytest.approx(expected, abs=0.004)


def test_crps_of_one_sample_is_the_absolute_error() -> None:
    assert forecasting.crps([1.0, 2.0], [[3.0, 2.0]]) == 1.0


def test_interval_score_by_hand_and_as_pinball_of_its_limits() -> None:
    truth, low, high = np.array([0.0, 5.0, -2.0]), np.full(3, -1.0), np.full(3, 1.0)
    assert forecasting.interval_score(truth, low, high, level=0.8) == pytest.approx((2 + 42 + 12) / 3)
    limits = np.stack((low, high), axis=-1)
    twice = 2 * forecasting.pinball(truth, limits, [0.1, 0.9])
    assert forecasting.interval_score(truth, low, high, level=0.8) == pytest.approx(twice * 2 / 0.2)
    assert forecasting.interval_coverage(truth, low, high) == pytest.approx(1 / 3)


def test_forecast_scores_hold_what_was_given() -> None:
    truth, forecast = np.array([[11.0, 12.0]]), np.array([[11.5, 12.5]])
    result = metrics.forecast_scores(
        truth,
        forecast,
        history=[[9, 10]],
        samples=forecast[None],
        lower=forecast - 1,
        upper=forecast + 1,
    )
    assert result["mae"] == result["crps"] == result["mase"] == 0.5
    assert result["directional_accuracy"] == result["interval_coverage"] == 1.0
    assert result["interval_width"] == result["interval_score"] == 2.0
    assert set(result) - {"interval_coverage"} <= set(metrics.HIGHER_IS_BETTER)


@pytest.mark.parametrize(
    "score",
    [
        lambda: forecasting.smape([], []),
        lambda: forecasting.pinball([], [], 0.5),
        lambda: forecasting.crps([], np.zeros((3, 0))),
        lambda: forecasting.interval_score([], [], []),
        lambda: forecasting.interval_coverage([], [], []),
    ],
)
def test_no_values_are_nan_and_warned_of(score) -> None:  # type: ignore[no-untyped-def]
    with pytest.warns(MetricWarning, match="there are no values"):
        assert math.isnan(score())


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(DataError, match=r"one shape, \(steps,\) or \(series, steps\)"):
        forecasting.smape([1], [1, 2])
    with pytest.raises(SpecError, match="season must be at least 1"):
        forecasting.mase([1], [1], [1, 2], season=0)
    with pytest.raises(DataError, match="one series per row of y_true, 2, got 1"):
        forecasting.mase([[1], [2]], [[1], [2]], [[1, 2]])
    with pytest.raises(DataError, match=r"quantiles must have shape \(1, 2\)"):
        forecasting.pinball([1], [1], [0.1, 0.9])
    with pytest.raises(DataError, match="samples must have shape"):
        forecasting.crps([1, 2], [1, 2])
    with pytest.raises(DataError, match=r"lower must not be above upper, as in 1 value"):
        forecasting.interval_score([1], [2], [1])
    with pytest.raises(SpecError, match="level must lie between 0 and 1"):
        forecasting.interval_score([1], [1], [1], level=90)


def read_series(path: Path) -> list[np.ndarray]:
    with gzip.open(path, "rt") as file:
        rows = list(csv.reader(file))[1:]
    return [np.array([float(cell) for cell in row[1:] if cell]) for row in rows]


@pytest.mark.parametrize(
    ("frequency", "season", "smape", "mase"), [("Hourly", 24, 13.912, 1.193), ("Weekly", 1, 9.161, 2.777)]
)
def test_seasonal_naive_gets_its_official_m4_scores(
    frequency: str, season: int, smape: float, mase: float
) -> None:
    folder = shared_data("m4_hourly_weekly")
    history = read_series(folder / f"{frequency}-train.csv.gz")
    truth = np.array(read_series(folder / f"{frequency}-test.csv.gz"))
    forecast = np.array([np.resize(series[-season:], truth.shape[1]) for series in history])
    assert round(100 * forecasting.smape(truth, forecast), 3) == smape
    assert round(forecasting.mase(truth, forecast, history, season=season), 3) == mase
