"""Chosen thresholds are the best of all, in either float width, and decisions follow the costs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra import metrics
from recurra.errors import DataError, SpecError
from recurra.metrics import MetricWarning

ROWS = st.lists(st.tuples(st.booleans(), st.floats(0, 1, width=32)), min_size=1, max_size=30)
DTYPES = st.sampled_from([np.float32, np.float64])


def f1_score(truth: np.ndarray, called: np.ndarray) -> float:
    return float(2 * (truth & called).sum() / (truth.sum() + called.sum()))


def columns(rows: list[tuple[bool, float]], dtype: type) -> tuple[np.ndarray, np.ndarray]:
    return np.array([t for t, _ in rows]), np.array([p for _, p in rows], dtype=dtype)


@settings(max_examples=40)
@given(ROWS, DTYPES)
def test_no_threshold_has_a_better_f1(rows: list[tuple[bool, float]], dtype: type) -> None:
    truth, chance = columns([*rows, (True, 0.5)], dtype)
    chosen = metrics.choose_threshold(truth, chance)
    reached = f1_score(truth, chance >= dtype(chosen.threshold))
    assert reached == pytest.approx(chosen.score)
    assert reached >= max(f1_score(truth, chance >= t) for t in chance) - 1e-12


@settings(max_examples=40)
@given(ROWS, DTYPES, st.lists(st.integers(0, 9), min_size=4, max_size=4))
def test_no_threshold_costs_less(rows: list[tuple[bool, float]], dtype: type, cost: list[int]) -> None:
    truth, chance = columns(rows, dtype)
    costs = np.array(cost, dtype=float).reshape(2, 2)
    chosen = metrics.choose_threshold(truth, chance, by="cost", cost=costs)

    def mean_cost(threshold: float) -> float:
        return float(costs[truth.astype(int), (chance >= dtype(threshold)).astype(int)].mean())

    assert mean_cost(chosen.threshold) == pytest.approx(chosen.score)
    assert mean_cost(chosen.threshold) <= min(mean_cost(t) for t in [*chance, 0.0, 2.0]) + 1e-12


def test_of_equally_good_thresholds_the_nearest_to_one_half_is_taken() -> None:
    assert metrics.choose_threshold([0, 1], [0.1, 0.8]).threshold == pytest.approx(0.45)


def test_a_cost_may_call_none_positive() -> None:
    chosen = metrics.choose_threshold([0, 0], [0.3, 1.0], by="cost")
    assert chosen.threshold > 1.0
    assert chosen.score == 0.0


def test_undefined_choices_are_one_half_and_warned_of() -> None:
    with pytest.warns(MetricWarning, match="y_true has no positive rows; 0.5 is returned"):
        chosen = metrics.choose_threshold([0, 0], [0.3, 0.4])
    assert chosen.threshold == 0.5
    assert math.isnan(chosen.score)
    with pytest.warns(MetricWarning, match="there are no rows"):
        assert metrics.choose_threshold([], [], by="cost").threshold == 0.5


def test_one_threshold_per_label() -> None:
    truth, table = [[0, 1], [1, 0], [1, 0]], [[0.1, 0.3], [0.2, 0.1], [0.3, 0.2]]
    thresholds = metrics.choose_thresholds(truth, table)
    assert thresholds == pytest.approx([0.15, 0.25])
    assert metrics.decide(table, thresholds).astype(int).tolist() == truth


def test_the_cheapest_class_is_the_most_probable_one_at_equal_costs_only() -> None:
    table = [[0.6, 0.3, 0.1], [0.2, 0.3, 0.5]]
    assert metrics.cheapest_class(table, 1 - np.eye(3)).tolist() == [0, 2]
    expensive_miss = [[0, 1, 1], [1, 0, 1], [50, 50, 0]]
    assert metrics.cheapest_class(table, expensive_miss).tolist() == [2, 2]


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(SpecError, match="by must be 'f1' or 'cost'"):
        metrics.choose_threshold([0], [0.1], by="gain")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"cost\[true\]\[called\], got shape \(3, 3\)"):
        metrics.choose_threshold([0], [0.1], by="cost", cost=np.eye(3))
    with pytest.raises(DataError, match=r"cost must have shape \(2, 2\)"):
        metrics.cheapest_class([[0.5, 0.5]], np.eye(3))
    with pytest.raises(DataError, match=r"must be \(rows, labels\)"):
        metrics.choose_thresholds([[0, 1]], [[0.1]])
