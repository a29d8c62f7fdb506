"""Curves and areas agree with scikit-learn; a class that cannot be ranked is left out and named."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from recurra import metrics
from recurra.errors import DataError
from recurra.metrics import MetricWarning, curves

ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=50)


@settings(max_examples=40)
@given(ROWS)
def test_binary_curves_and_areas_equal_scikit_learn(rows: list[tuple[bool, int]]) -> None:
    truth, score = np.array([t for t, _ in rows]), np.array([s / 6 for _, s in rows])
    if truth.all() or not truth.any():
        return
    ours = metrics.roc_curve(truth, score)
    false, true, thresholds = sk.roc_curve(truth, score, drop_intermediate=False)
    np.testing.assert_allclose(ours.false_positive_rate, false)
    np.testing.assert_allclose(ours.true_positive_rate, true)
    np.testing.assert_allclose(ours.thresholds, thresholds)
    assert metrics.roc_auc(truth, score) == pytest.approx(sk.roc_auc_score(truth, score))
    curve = metrics.pr_curve(truth, score)
    precision, recall, thresholds = sk.precision_recall_curve(truth, score)
    np.testing.assert_allclose(curve.precision, precision)
    np.testing.assert_allclose(curve.recall, recall)
    np.testing.assert_allclose(curve.thresholds, thresholds)
    assert metrics.average_precision(truth, score) == pytest.approx(sk.average_precision_score(truth, score))


def test_one_against_the_rest_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    table, truth = rng.dirichlet(np.ones(5), 200), np.array(list("abcde"))[rng.integers(0, 5, 200)]
    codes = np.searchsorted(list("abcde"), truth)
    expected = sk.roc_auc_score(codes, table, multi_class="ovr")
    assert metrics.roc_auc(truth, table, labels=list("abcde")) == pytest.approx(expected)
    assert metrics.roc_auc(codes, table) == pytest.approx(expected)
    expected = sk.average_precision_score(np.eye(5)[codes], table)
    assert metrics.average_precision(truth, table, labels=list("abcde")) == pytest.approx(expected)


def test_label_tables_equal_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    truth, table = rng.random((100, 3)) < 0.3, rng.random((100, 3))
    assert metrics.roc_auc(truth, table) == pytest.approx(sk.roc_auc_score(truth, table))
    assert metrics.average_precision(truth, table) == pytest.approx(sk.average_precision_score(truth, table))


@pytest.mark.parametrize("score", [metrics.roc_auc, metrics.average_precision])
def test_one_class_and_no_rows_give_nan_and_a_warning(score) -> None:  # type: ignore[no-untyped-def]
    with pytest.warns(MetricWarning, match="holds one class only"):
        assert math.isnan(score([0, 0], [0.1, 0.2]))
    with pytest.warns(MetricWarning, match="there are no rows"):
        assert math.isnan(score([], []))


def test_a_missing_class_is_left_out_and_named() -> None:
    table = np.array([[0.5, 0.3, 0.2], [0.2, 0.6, 0.2], [0.4, 0.5, 0.1]])
    with pytest.warns(MetricWarning, match=r"leaves out 1 class\(es\) that y_true lacks or only has: 'c'"):
        area = metrics.roc_auc(["a", "b", "b"], table, labels=["a", "b", "c"])
    assert area == 1.0


def test_curves_of_one_class_have_nan_rates() -> None:
    with pytest.warns(MetricWarning, match="y_true has no negative rows"):
        curve = metrics.roc_curve([1, 1], [0.2, 0.3])
    assert np.isnan(curve.false_positive_rate).all()
    assert curve.true_positive_rate.tolist() == [0.0, 0.5, 1.0]
    with pytest.warns(MetricWarning, match="y_true has no positive rows"):
        assert np.isnan(metrics.pr_curve([0, 0], [0.2, 0.3]).recall[:-1]).all()


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(DataError, match=r"only 0 and 1"):
        metrics.roc_auc(["a", "b"], [0.1, 0.2])
    with pytest.raises(DataError, match="score must be finite, got 1 NaN"):
        metrics.roc_auc([0, 1], [0.1, math.nan])
    with pytest.raises(DataError, match="labels has 2, score_columns has 3"):
        metrics.roc_auc([0, 1], np.ones((2, 3)), labels=[0, 1])
    with pytest.raises(DataError, match="one shape"):
        metrics.roc_auc(np.ones((2, 2)), np.ones((2, 3)))


def test_ties_counted_for_the_model_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saboteur: an area that ranks positives first among ties must fail the comparison."""
    honest = curves._binary_roc_auc
    monkeypatch.setattr(curves, "_binary_roc_auc", lambda truth, score: honest(truth, score + 1e-9 * truth))
    with pytest.raises(AssertionError):
        test_binary_curves_and_areas_equal_scikit_learn.hypothesis.inner_test([(True, 1), (False, 1)])
