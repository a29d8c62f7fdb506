"""Lengths, scores of a comparison and residuals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.report import figures
from recurra.report.figures.lengths import _edges
from recurra.report.figures.scores import lower_is_better, main_metric, ranking, telling


@settings(max_examples=100)
@given(st.lists(st.integers(min_value=0, max_value=10_000_000), min_size=1, max_size=50))
def test_bins_hold_every_length_and_have_whole_borders(lengths: list[int]) -> None:
    edges, geometric = _edges(np.array(lengths, dtype=np.float64))
    assert np.histogram(np.maximum(lengths, edges[0]), edges)[0].sum() == len(lengths)
    assert (np.diff(edges) > 0).all()
    assert (edges[1:] == np.round(edges[1:])).all()
    assert edges[0] == (0.5 if geometric and min(lengths) == 0 else round(edges[0]))
    assert len(edges) <= 34


def test_the_histogram_counts_what_numpy_counts() -> None:
    data = figures.length_histogram({"train": [1, 2, 2, 3], "test": [3]}).data
    assert data["from"] == [1.0, 2.0, 3.0]
    assert (data["train sequences"], data["test sequences"]) == ([1, 2, 1], [0, 0, 1])


def test_a_long_tail_gets_a_logarithmic_axis() -> None:
    lengths = np.array([3] * 100 + [100_000], dtype=np.float64)
    assert _edges(lengths)[1]
    assert not _edges(lengths[:100])[1]


def test_empty_sequences_are_counted_on_a_logarithmic_axis_too() -> None:
    data = figures.length_histogram({"train": [0, 0, 500]}).data
    assert (data["from"][0], data["below"][0], data["train sequences"][0]) == (0, 1, 2)


def test_the_box_plot_has_the_percentiles() -> None:
    data = figures.length_box({"train": range(101), "empty": []}).data
    assert data["split"] == ["train"]
    assert [data[name][0] for name in ("5th percentile", "median", "95th percentile", "longest")] == [
        5,
        50,
        95,
        100,
    ]


ROWS = [
    {"name": "a", "kind": "recurrent", "scores": {"accuracy": 0.8, "log_loss": 0.5}},
    {"name": "b", "kind": "recurrent", "scores": {"accuracy": 0.9}, "intervals": {"accuracy": [0.85, 0.93]}},
    {"name": "c", "kind": "baseline", "scores": {"log_loss": 0.4}},
]


def test_scores_are_ranked_by_the_sense_of_the_measure() -> None:
    assert [row["name"] for row in ranking(ROWS, "accuracy")] == ["b", "a"]
    assert [row["name"] for row in ranking(ROWS, "log_loss")] == ["c", "a"]
    assert main_metric(ROWS) == "accuracy"


@pytest.mark.parametrize(
    ("name", "low"),
    [
        ("rmse", True),
        ("log_loss", True),
        ("expected_calibration_error", True),
        ("accuracy", False),
        ("r2", False),
    ],
)
def test_measures_know_whether_low_is_good(name: str, low: bool) -> None:
    assert lower_is_better(name) is low


def test_the_score_figure_has_intervals_and_names_the_order() -> None:
    figure = figures.scores_with_intervals(ROWS)
    assert figure.data["low"] == [0.85, None]
    assert "best first (higher is better): b 0.900 (0.850 to 0.930); a 0.800" in figure.alt


@pytest.mark.parametrize("seeds", [{"accuracy": [0.7, 0.8]}, [{"accuracy": 0.7}, {"accuracy": 0.8}], 5, None])
def test_single_seeds_are_taken_in_either_form(seeds: object) -> None:
    figures.scores_with_intervals([{"name": "a", "scores": {"accuracy": 0.75}, "seeds": seeds}])


def test_residuals_are_predicted_minus_true() -> None:
    figure = figures.residuals([1.0, 2.0, np.nan], [1.5, 1.0, 3.0])
    assert figure.data == {"predicted": [1.5, 1.0], "residual": [0.5, -1.0]}


def test_predictions_are_drawn_beside_the_truth_with_their_correlation() -> None:
    assert "correlation 1.000" in figures.predicted_and_true([1, 2, 3], [2, 4, 6]).alt
    assert "correlation –" in figures.predicted_and_true([1, 1], [2, 4]).alt


def test_the_usual_measures_come_first_and_the_main_one_before_them() -> None:
    names = ["recall_weighted", "log_loss", "accuracy", "own"]
    assert telling(names) == ["accuracy", "log_loss", "recall_weighted", "own"]
    assert telling(names, "own") == ["own", "accuracy", "log_loss", "recall_weighted"]
