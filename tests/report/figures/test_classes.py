"""Confusion, balance, confidence, calibration and ranking curves."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.report import figures
from recurra.report.figures.confusion import confused_pairs


def test_the_confusion_matrix_keeps_rows_true_and_columns_predicted() -> None:
    figure = figures.confusion([[8, 2], [5, 5]], ["cat", "dog"])
    assert figure.data == {"true class": ["cat", "dog"], "predicted cat": [8, 5], "predicted dog": [2, 5]}
    assert "13 of 20 are right (65.0%)" in figure.alt
    assert "dog taken for cat, 5 times (50.0% of dog)" in figure.alt


def test_confused_pairs_come_most_frequent_first_without_the_right_ones() -> None:
    pairs = confused_pairs([[5, 1, 0], [0, 5, 5], [2, 0, 8]], ["a", "b", "c"])
    assert [pair[:3] for pair in pairs] == [("b", "c", 5), ("c", "a", 2), ("a", "b", 1)]
    assert pairs[0][3] == pytest.approx(0.5)


def test_eighty_classes_are_drawn_at_a_readable_size_in_a_small_file() -> None:
    generator = np.random.default_rng(0)
    matrix = np.diag(generator.integers(10, 30, 80)) + (generator.random((80, 80)) < 0.05)
    figure = figures.confusion(matrix, [f"class number {i}" for i in range(80)])
    assert 80 * 13 <= figure.size[0] < 1400
    assert figure.svg.count("class number") == 160
    assert len(figure.svg) < 250_000


def test_counts_are_written_into_the_cells_of_few_classes_only() -> None:
    assert ">777<" in figures.confusion([[777, 0], [0, 1]], ["a", "b"]).svg
    large = np.eye(30, dtype=int) * 777
    assert ">777<" not in figures.confusion(large, list(range(30))).svg


def test_confidence_counts_are_those_of_numpy() -> None:
    sure, right = np.array([0.52, 0.97, 0.99, 1.0, 0.6]), np.array([False, True, True, True, True])
    figure = figures.confidence_histogram(sure, right)
    assert figure.data["right"] == np.histogram(sure[right], np.linspace(0, 1, 21))[0].tolist()
    assert sum(figure.data["wrong"]) == 1
    assert "4 right, mean confidence 0.890; 1 wrong, mean confidence 0.520" in figure.alt


def test_a_scatter_of_many_points_is_thinned_and_says_so() -> None:
    generator = np.random.default_rng(0)
    figure = figures.confidence_scatter(generator.random(20_000), generator.random(20_000) < 0.8)
    assert len(figure.data["confidence"]) == 1500
    assert "1,500 of 20,000 points are drawn" in figure.alt
    assert len(figure.svg) < 200_000


def test_confidently_wrong_predictions_are_counted() -> None:
    assert (
        "2 wrong ones have a confidence of 0.9 or more"
        in figures.confidence_scatter([0.95, 0.99, 0.5], [0, 0, 1]).alt
    )


def test_confidences_that_are_not_numbers_are_left_out() -> None:
    assert sum(figures.confidence_histogram([0.5, np.nan], [1, 1]).data["right"]) == 1


@pytest.mark.parametrize(
    "bins",
    [
        [
            {"confidence": 0.9, "accuracy": 0.7, "count": 10},
            {"confidence": 0.1, "accuracy": None, "count": 0},
        ],
        {"probability": [0.9, 0.1], "frequency": [0.7, np.nan], "count": [10, 0]},
    ],
)
def test_calibration_takes_rows_or_columns_and_leaves_empty_bins_out(bins: object) -> None:
    figure = figures.calibration(bins)  # type: ignore[arg-type]
    assert figure.data == {"confidence": [0.9], "accuracy": [0.7], "count": [10]}
    assert "0.200 from the share that is right; over all, the model is too sure" in figure.alt


def test_long_roc_curves_are_thinned_and_keep_their_ends() -> None:
    rate = np.linspace(0, 1, 5000)
    data = figures.roc({"a": (rate, rate**0.5, 0.75)}).data
    columns = list(data.values())
    assert len(columns[0]) == 300
    assert (columns[0][0], columns[0][-1], columns[1][-1]) == (0.0, 1.0, 1.0)


def test_many_roc_curves_share_one_entry_with_the_range_of_their_areas() -> None:
    curves = {f"c{i}": ([0, 1], [0, 1], 0.5 + i / 100) for i in range(20)}
    assert "20 curves, area 0.500 to 0.690" in figures.roc(curves).alt


def test_class_balance_takes_counts_with_or_without_splits() -> None:
    alone, split = figures.class_balance({"a": 3, "b": 1}), figures.class_balance({"train": {"a": 3, "b": 1}})
    assert alone.data["class"] == split.data["class"] == ["a", "b"]
    assert "a is the most frequent (75.0%) and b the rarest (25.0%)" in split.alt


def test_class_balance_of_many_classes_draws_the_ends_and_stores_all() -> None:
    figure = figures.class_balance({f"class {i}": 100 - i for i in range(77)})
    assert len(figure.data["class"]) == 77
    assert figure.svg.count(">class ") == 30
    assert "47 more" in figure.svg
