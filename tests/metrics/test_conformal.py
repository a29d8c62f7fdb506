"""Conformal sets and intervals hold the truth as often as they promise, on rows never seen."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from recurra.errors import DataError, SpecError
from recurra.metrics import MetricWarning, abstention, conformal

RNG = np.random.default_rng(11)


def drawn_classes(rows: int, classes: int = 6, doubt: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities that are too sure of themselves."""
    table = RNG.dirichlet(np.full(classes, doubt), rows)
    truth = (RNG.random(rows)[:, None] > table.cumsum(axis=1)).sum(axis=1)
    sharpened = table**2.5
    return truth, sharpened / sharpened.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("method", ["lac", "aps"])
@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_class_sets_cover_as_promised(method: str, coverage: float) -> None:
    rule = conformal.calibrate_classes(*drawn_classes(5000), coverage=coverage, method=method)
    truth, table = drawn_classes(20_000)
    assert conformal.set_coverage(truth, rule.sets(table)) == pytest.approx(coverage, abs=0.015)


def test_lac_sets_are_the_smaller_and_aps_sets_the_fairer() -> None:
    calibration, (truth, table) = drawn_classes(5000), drawn_classes(20_000)
    sets = {m: conformal.calibrate_classes(*calibration, method=m).sets(table) for m in ("lac", "aps")}
    hard = table.max(axis=1) < np.quantile(table.max(axis=1), 0.3)
    assert conformal.set_sizes(sets["lac"]).mean() < conformal.set_sizes(sets["aps"]).mean()
    off = {m: abs(conformal.set_coverage(truth[hard], chosen[hard]) - 0.9) for m, chosen in sets.items()}
    assert off["aps"] < off["lac"]


def mean_coverage(rows: int, coverage: float) -> float:
    """Coverage over many calibrations by few rows, of scores whose law is known: it is the threshold itself."""
    rng = np.random.default_rng(5)
    covered = []
    for _ in range(2000):
        chance = 1.0 - rng.random(rows)
        rule = conformal.calibrate_classes(np.ones(rows, dtype=int), chance, coverage=coverage)
        covered.append(rule.threshold)
    return float(np.mean(covered))


def test_few_calibration_rows_keep_the_promise() -> None:
    assert mean_coverage(15, 0.9) == pytest.approx(15 / 16, abs=0.005)


def test_the_plain_quantile_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saboteur: without the + 1 for the new row, few calibration rows cover too little."""
    monkeypatch.setattr(
        conformal, "_quantile", lambda scores, c: np.sort(scores)[math.ceil(len(scores) * c) - 1]
    )
    with pytest.raises(AssertionError):
        assert mean_coverage(15, 0.9) >= 0.9


def test_a_set_may_be_empty_unless_that_is_forbidden() -> None:
    rule = conformal.ClassSets(method="lac", threshold=0.3, coverage=0.9, rows=100)
    table = [[0.5, 0.4, 0.1], [0.8, 0.1, 0.1]]
    assert rule.sets(table).tolist() == [[False] * 3, [True, False, False]]
    assert rule.sets(table, allow_empty=False).astype(int).tolist() == [[1, 0, 0], [1, 0, 0]]


def test_the_set_of_a_row_does_not_depend_on_the_others() -> None:
    rule = conformal.calibrate_classes(*drawn_classes(200), method="aps")
    _, table = drawn_classes(50)
    alone = np.concatenate([rule.sets(row[None]) for row in table])
    np.testing.assert_array_equal(rule.sets(table), alone)


def drawn_numbers(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets of two columns, predictions, and a measure of difficulty that is off by a factor."""
    difficulty = RNG.uniform(0.5, 3, (rows, 1))
    predicted = RNG.normal(size=(rows, 2))
    return predicted + difficulty * RNG.normal(size=(rows, 2)) * [1, 5], predicted, 7 * difficulty


def inside(truth: np.ndarray, limits: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return ((limits[0] <= truth) & (truth <= limits[1])).mean(axis=0)


@pytest.mark.parametrize("scaled", [False, True])
def test_intervals_cover_each_column_as_promised(scaled: bool) -> None:
    truth, predicted, scale = drawn_numbers(5000)
    rule = conformal.calibrate_numbers(truth, predicted, scale=scale if scaled else None)
    truth, predicted, scale = drawn_numbers(20_000)
    limits = rule.interval(predicted, scale if scaled else None)
    assert inside(truth, limits) == pytest.approx([0.9, 0.9], abs=0.015)
    hard = scale[:, 0] > np.quantile(scale, 0.8)
    conditional = inside(truth[hard], (limits[0][hard], limits[1][hard]))
    assert (np.abs(conditional - 0.9) < 0.025).all() == scaled


def test_intervals_of_one_column_keep_its_shape() -> None:
    rule = conformal.calibrate_numbers(np.arange(50.0), np.zeros(50))
    low, high = rule.interval([1.0, 2.0, 3.0])
    assert low.shape == high.shape == (3,)
    assert high - low == pytest.approx(2 * rule.widths[0])


@pytest.mark.parametrize("factor", [0.5, 1.7])
def test_predicted_quantiles_are_widened_or_narrowed_to_the_promise(factor: float) -> None:
    def drawn(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        spread = RNG.uniform(0.5, 3, rows)
        return spread * RNG.normal(size=rows), -1.64 * spread * factor, 1.64 * spread * factor

    rule = conformal.calibrate_quantiles(*drawn(5000))
    truth, low, high = drawn(20_000)
    assert inside(truth, rule.widened(low, high)) == pytest.approx(0.9, abs=0.015)
    assert (rule.widths[0] > 0) == (factor < 1)


def test_narrowed_limits_never_cross() -> None:
    rule = conformal.NumberIntervals(widths=(-5.0,), coverage=0.9, rows=99)
    assert [limit.tolist() for limit in rule.widened([0.0], [2.0])] == [[1.0], [1.0]]


def test_abstention_keeps_the_promised_error_in_nineteen_of_twenty_calibrations() -> None:
    truth, table = drawn_classes(20_000, doubt=0.15)
    wrong = table.argmax(axis=1) != truth
    broken = 0
    for _ in range(100):
        rows = RNG.integers(0, len(truth), 1500)
        rule = abstention.calibrate_abstention(truth[rows], table[rows], error=0.15)
        answered = rule.answers(table)
        broken += bool(answered.any() and wrong[answered].mean() > 0.15)
    assert broken <= 11  # the 99.5% point of the binomial law of 100 draws at 5%


def test_abstention_answers_all_where_all_is_right_and_none_where_too_few_rows() -> None:
    table = np.column_stack((np.linspace(0.5, 1, 200), np.linspace(0.5, 0, 200)))
    assert abstention.calibrate_abstention([0] * 200, table).answered == 1.0
    with pytest.warns(MetricWarning, match="no confidence keeps errors at 5%"):
        rule = abstention.calibrate_abstention([0] * 20, table[:20])
    assert not rule.answers(table).any()


def test_the_risk_of_a_perfect_order_is_least() -> None:
    right = np.array([1] * 80 + [0] * 20)
    perfect = abstention.risk_coverage(right, np.linspace(1, 0, 100))
    assert perfect.error[79] == 0.0
    assert perfect.error[-1] == pytest.approx(0.2)
    assert abstention.risk_coverage(right, np.ones(100)).area == pytest.approx(0.2)
    assert perfect.area < 0.2 < abstention.risk_coverage(right, np.linspace(0, 1, 100)).area
    with pytest.warns(MetricWarning, match="AURC"):
        assert math.isnan(abstention.risk_coverage([], []).area)


def test_too_few_rows_promise_nothing_and_say_so() -> None:
    with pytest.warns(MetricWarning, match="8 rows are too few for 90%"):
        rule = conformal.calibrate_classes([0] * 8, [0.3] * 8)
    assert rule.sets([[0.99, 0.01]]).all()
    with pytest.warns(MetricWarning, match="0 rows are too few"):
        assert conformal.calibrate_numbers([], []).widths == (math.inf,)


def test_records_travel_through_json() -> None:
    with pytest.warns(MetricWarning):
        records = [
            conformal.calibrate_classes([0], [0.3]),
            conformal.NumberIntervals(widths=(0.5, math.inf), coverage=0.9, rows=3),
            abstention.calibrate_abstention([0], [0.3]),
        ]
    for record in records:
        text = json.dumps(record.to_dict(), allow_nan=False)
        assert type(record).from_dict(json.loads(text)) == record


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(SpecError, match="method must be 'lac' or 'aps', got 'raps'"):
        conformal.calibrate_classes([0], [0.5], method="raps")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="coverage must lie between 0 and 1, got 90"):
        conformal.calibrate_classes([0], [0.5], coverage=90)
    with pytest.raises(DataError, match="scale must be positive"):
        conformal.calibrate_numbers([0.0], [0.5], scale=[0.0])
    with pytest.raises(DataError, match="one shape"):
        conformal.calibrate_numbers([0.0], [[0.5]])
    with pytest.raises(DataError, match="must have 1 column"):
        conformal.NumberIntervals(widths=(1.0,), coverage=0.9, rows=9).interval([[1.0, 2.0]])
    with pytest.raises(SpecError, match="error and confidence must lie between 0 and 1"):
        abstention.calibrate_abstention([0], [0.5], error=5)
    with pytest.warns(MetricWarning, match="set coverage"):
        assert math.isnan(conformal.set_coverage([], np.zeros((0, 2))))
