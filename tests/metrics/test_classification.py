"""Class scores agree with scikit-learn, and are defined and warned of where it has nothing to count."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from recurra import metrics
from recurra.errors import DataError, SpecError
from recurra.metrics import MetricWarning, classification

PAIRS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1, max_size=40)
TABLES = st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=20)


@contextmanager
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@settings(max_examples=40)
@given(PAIRS)
def test_scores_of_classes_equal_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    truth, predicted = map(list, zip(*pairs, strict=True))
    assert metrics.accuracy(truth, predicted) == pytest.approx(sk.accuracy_score(truth, predicted))
    with quiet():
        expected = sk.confusion_matrix(truth, predicted)
        np.testing.assert_array_equal(metrics.confusion_matrix(truth, predicted), expected)
        assert metrics.balanced_accuracy(truth, predicted) == pytest.approx(
            sk.balanced_accuracy_score(truth, predicted)
        )
        ours = metrics.class_scores(truth, predicted)
        theirs = sk.precision_recall_fscore_support(truth, predicted)
    for mine, other in zip((ours.precision, ours.recall, ours.f1, ours.support), theirs, strict=True):
        np.testing.assert_allclose(mine, other)


@settings(max_examples=40)
@given(PAIRS, st.sampled_from(["micro", "macro", "weighted"]), st.booleans())
def test_averages_equal_scikit_learn(pairs: list[tuple[str, str]], average: str, given_labels: bool) -> None:
    truth, predicted = map(list, zip(*pairs, strict=True))
    labels = list("dcbae") if given_labels else None
    with quiet():
        ours = metrics.averaged_scores(truth, predicted, average, labels)
        theirs = sk.precision_recall_fscore_support(truth, predicted, average=average, labels=labels)
    np.testing.assert_allclose((ours.precision, ours.recall, ours.f1), theirs[:3])


@settings(max_examples=40)
@given(TABLES, st.sampled_from(["micro", "macro", "weighted", "samples"]))
def test_scores_of_label_tables_equal_scikit_learn(table: list[list[bool]], average: str) -> None:
    truth, predicted = np.array(table)[:, :3], np.array(table)[:, 3:]
    with quiet():
        ours = metrics.averaged_scores(truth, predicted, average)
        theirs = sk.precision_recall_fscore_support(truth, predicted, average=average)
    np.testing.assert_allclose((ours.precision, ours.recall, ours.f1), theirs[:3])
    assert metrics.accuracy(truth, predicted) == pytest.approx(sk.accuracy_score(truth, predicted))
    assert metrics.hamming_loss(truth, predicted) == pytest.approx(sk.hamming_loss(truth, predicted))


def test_accuracy_weighs_rows() -> None:
    assert metrics.accuracy(["a", "b"], ["a", "c"], sample_weight=[3, 1]) == 0.75


def test_mixed_labels_keep_pythons_equality() -> None:
    assert metrics.accuracy(["1", 1, None, 2.0], [1, 1, None, 2]) == 0.75


def test_confusion_matrix_follows_the_given_order_and_keeps_absent_classes() -> None:
    matrix = metrics.confusion_matrix(["x", "y", "y"], ["x", "x", "y"], labels=["y", "x", "z"])
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_one_class_only_gives_a_one_by_one_matrix() -> None:
    assert metrics.confusion_matrix([7, 7], [7, 7]).tolist() == [[2]]
    assert metrics.averaged_scores([7, 7], [7, 7], "macro").f1 == 1.0


def test_no_rows_give_nan_and_a_warning() -> None:
    with pytest.warns(MetricWarning, match="accuracy is undefined: there are no rows; nan is returned"):
        assert math.isnan(metrics.accuracy([], []))
    with pytest.warns(MetricWarning, match="balanced accuracy is undefined"):
        assert math.isnan(metrics.balanced_accuracy([], []))
    with pytest.warns(MetricWarning, match="macro average is undefined"):
        assert math.isnan(metrics.averaged_scores([], [], "macro").f1)
    with pytest.warns(MetricWarning, match="hamming loss"):
        assert math.isnan(metrics.hamming_loss(np.zeros((0, 2)), np.zeros((0, 2))))
    assert metrics.confusion_matrix([], [], labels=["a", "b"]).tolist() == [[0, 0], [0, 0]]


def test_weights_of_zero_give_nan_and_a_warning() -> None:
    with pytest.warns(MetricWarning, match="all weights are 0"):
        assert math.isnan(metrics.accuracy([1], [1], sample_weight=[0]))


def test_a_class_never_predicted_has_precision_zero_and_is_named() -> None:
    with pytest.warns(MetricWarning, match="precision is undefined: class 'b' does not occur in the pred"):
        scores = metrics.class_scores(["a", "b"], ["a", "a"])
    assert scores.precision.tolist() == [0.5, 0.0]


def test_rows_without_labels_are_counted_in_the_warning() -> None:
    with pytest.warns(MetricWarning, match=r"1 row\(s\) have no label in the predictions"):
        metrics.averaged_scores([[1, 0], [1, 1]], [[0, 0], [1, 1]], "samples")


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(DataError, match="y_true has 2, y_pred has 1"):
        metrics.accuracy([1, 2], [1])
    with pytest.raises(DataError, match="same kind of labels"):
        metrics.accuracy(["1"], np.array([1]))
    with pytest.raises(DataError, match=r"got 'cat'; did you mean 'cats'\?"):
        metrics.confusion_matrix(["cat"], ["cats"], labels=["cats", "dogs"])
    with pytest.raises(DataError, match="labels must all differ"):
        metrics.confusion_matrix([0], [0], labels=[0, 0])
    with pytest.raises(SpecError, match=r"average must be a known one, got 'marco'; did you mean 'macro'\?"):
        metrics.averaged_scores([0], [0], "marco")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="samples"):
        metrics.averaged_scores([0], [0], "samples")
    with pytest.raises(DataError, match="only 0 and 1"):
        metrics.hamming_loss([[2, 0]], [[1, 0]])
    with pytest.raises(DataError, match="one shape"):
        metrics.hamming_loss([[1, 0]], [[1]])
    with pytest.raises(DataError, match="must not be negative"):
        metrics.accuracy([1], [1], sample_weight=[-1])
    with pytest.raises(DataError, match="rows of equal length"):
        metrics.accuracy([[1, 0], [1]], [[1, 0], [1, 1]])


def test_swapping_truth_and_prediction_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saboteur: precision and recall from a transposed matrix must fail the comparison."""
    right = classification.confusion_matrix
    monkeypatch.setattr(classification, "confusion_matrix", lambda *arguments: right(*arguments).T)
    with pytest.raises(AssertionError):
        test_scores_of_classes_equal_scikit_learn.hypothesis.inner_test([("a", "b"), ("a", "a"), ("b", "b")])
