"""Scores of probabilities agree with scikit-learn and with hand counts."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve as sk_curve

from recurra import metrics
from recurra.errors import DataError, SpecError
from recurra.metrics import MetricWarning


def drawn(classes: int, rows: int = 120) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(classes)
    return rng.integers(0, classes, rows), rng.dirichlet(np.ones(classes), rows)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_log_loss_and_brier_equal_scikit_learn(classes: int) -> None:
    truth, table = drawn(classes)
    labels = list(range(classes))
    assert metrics.log_loss(truth, table) == pytest.approx(sk.log_loss(truth, table, labels=labels))
    score = table[:, 1] if classes == 2 else table
    expected = sk.brier_score_loss(truth, score, labels=None if classes == 2 else labels)
    assert metrics.brier(truth, table) == pytest.approx(expected)


def test_two_columns_and_the_second_alone_are_the_same() -> None:
    truth, table = drawn(2)
    assert metrics.brier(truth, table) == pytest.approx(metrics.brier(truth, table[:, 1]))
    assert metrics.log_loss(truth, table) == pytest.approx(metrics.log_loss(truth, table[:, 1]))


def test_label_tables_are_mean_over_all_decisions() -> None:
    rng = np.random.default_rng(0)
    truth, table = rng.random((50, 4)) < 0.4, rng.random((50, 4))
    assert metrics.log_loss(truth, table) == pytest.approx(sk.log_loss(truth.ravel(), table.ravel()))
    assert metrics.brier(truth, table) == pytest.approx(sk.brier_score_loss(truth.ravel(), table.ravel()))


def test_an_impossible_event_costs_the_epsilon_of_its_dtype() -> None:
    impossible = np.array([[1.0, 0.0]])
    assert metrics.log_loss([1], impossible) == pytest.approx(-math.log(np.finfo(np.float64).eps))
    single = metrics.log_loss([1], impossible.astype(np.float32))
    assert single == pytest.approx(-math.log(np.finfo(np.float32).eps))


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=1, max_size=60),
    st.sampled_from(["uniform", "quantile"]),
)
def test_calibration_curve_equals_scikit_learn(rows: list[tuple[bool, int]], strategy: str) -> None:
    # Halves between the multiples of 0.1, so that no probability stands on a limit of two of the bins.
    happened = np.array([h for h, _ in rows])
    chance = np.array([(2 * k + 1) / 42 for _, k in rows])
    ours = metrics.calibration_curve(happened, chance, bins=5, strategy=strategy)
    assert ours.count.sum() == len(rows)
    rounding = 1e-12  # a mean of equal numbers may be off by its last bit
    assert np.all((ours.lower < ours.probability) & (ours.probability <= ours.upper + rounding))
    np.testing.assert_allclose((ours.frequency * ours.count).sum(), happened.sum())
    if strategy == "uniform" and 0 < happened.sum() < len(rows):
        frequency, probability = sk_curve(happened, chance, n_bins=5, strategy=strategy)
        np.testing.assert_allclose(ours.frequency, frequency)
        np.testing.assert_allclose(ours.probability, probability)


def test_expected_calibration_error_by_hand() -> None:
    table = [[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]]
    # Confidence 0.9 with one of two right, 0.6 with both right: (0.4 * 2 + 0.4 * 2) / 4.
    assert metrics.expected_calibration_error([0, 1, 1, 1], table) == pytest.approx(0.4)


def test_expected_calibration_error_of_true_probabilities_is_small() -> None:
    rng = np.random.default_rng(3)
    table = rng.dirichlet(np.ones(4), 20_000)
    truth = (rng.random(len(table))[:, None] > table.cumsum(axis=1)).sum(axis=1)
    assert metrics.expected_calibration_error(truth, table) < 0.02
    sharpened = table**3 / (table**3).sum(axis=1, keepdims=True)
    assert metrics.expected_calibration_error(truth, sharpened) > 0.15


def test_confidence_is_of_the_predicted_class_not_of_the_positive_one() -> None:
    summary = metrics.confidence_summary(["no", "yes"], [[0.9, 0.1], [0.8, 0.2]], ["no", "yes"], bins=10)
    assert summary.confidence.tolist() == [0.9, 0.8]
    assert summary.right.tolist() == [True, False]
    assert (summary.mean_right, summary.mean_wrong) == (0.9, 0.8)
    assert summary.gap == pytest.approx(0.85 - 0.5)
    assert summary.right_counts.sum() == summary.wrong_counts.sum() == 1


def test_confidence_of_given_decisions() -> None:
    summary = metrics.confidence_summary([1], [[0.7, 0.3]], y_pred=[1])
    assert summary.right.tolist() == [True]
    assert summary.confidence.tolist() == [0.3]


def test_confidence_without_wrong_predictions_is_json() -> None:
    report = metrics.confidence_summary([0], [[0.7, 0.3]]).to_dict()
    assert report["mean_wrong"] is None
    assert json.loads(json.dumps(report, allow_nan=False))["right"] == 1


@pytest.mark.parametrize("score", [metrics.log_loss, metrics.brier, metrics.expected_calibration_error])
def test_no_rows_give_nan_and_a_warning(score) -> None:  # type: ignore[no-untyped-def]
    with pytest.warns(MetricWarning, match="there are no rows"):
        assert math.isnan(score([], np.zeros((0, 3))))
    with pytest.warns(MetricWarning, match="there are no rows"):
        assert math.isnan(score(np.zeros((0, 3)), np.zeros((0, 3))))


def test_one_class_is_defined() -> None:
    assert metrics.log_loss([1, 1], [0.5, 0.5]) == pytest.approx(math.log(2))
    assert metrics.brier([1, 1], [0.5, 0.5]) == 0.25


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(DataError, match="pass probabilities, not logits"):
        metrics.log_loss([0], [[2.5, -1.0]])
    with pytest.raises(DataError, match=r"sum to 1 in every row, got 1.2 in row 1"):
        metrics.log_loss([0, 0], [[0.5, 0.5], [0.6, 0.6]])
    with pytest.raises(DataError, match="finite"):
        metrics.brier([0], [[math.nan, 1.0]])
    with pytest.raises(DataError, match="labels has 3, probability_columns has 2"):
        metrics.brier([0], [[0.5, 0.5]], labels=[0, 1, 2])
    with pytest.raises(SpecError, match="bins must be at least 1, got 0"):
        metrics.calibration_curve([0], [0.5], bins=0)
    with pytest.raises(SpecError, match="strategy must be 'uniform' or 'quantile'"):
        metrics.calibration_curve([0], [0.5], strategy="equal")  # type: ignore[arg-type]
