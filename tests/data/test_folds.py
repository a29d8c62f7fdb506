from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.leaks import every_row_its_own_group, gap_forgotten, time_forgotten
from recurra.data import folds
from recurra.data.folds import (
    IN_TIME,
    Fold,
    blocked_folds,
    grouped_folds,
    nested_folds,
    rolling_folds,
    stratified_folds,
    timed_folds,
)
from recurra.errors import DataError, SpecError
from shared import assert_noticed


def check_tested_once(found: list[Fold], count: int) -> None:
    """Every row is tested exactly once, and never learnt from where it is tested."""
    assert sorted(np.concatenate([fold.test for fold in found]).tolist()) == list(range(count))
    for train, test in found:
        assert not set(train.tolist()) & set(test.tolist())


def check_groups_do_not_leak(groups: list[int], found: list[Fold]) -> None:
    for train, test in found:
        assert not {groups[row] for row in train.tolist()} & {groups[row] for row in test.tolist()}


@given(st.lists(st.sampled_from("abc"), min_size=10, max_size=100), st.integers(2, 10), st.integers(0, 3))
def test_stratified_folds_spread_every_class(labels: list[str], k: int, seed: int) -> None:
    found = stratified_folds(labels, k, seed)
    check_tested_once(found, len(labels))
    for label, count in Counter(labels).items():
        held = [sum(labels[row] == label for row in fold.test.tolist()) for fold in found]
        assert max(held) - min(held) <= 1
        assert sum(held) == count


@settings(max_examples=50)
@given(st.lists(st.integers(0, 20), min_size=30, max_size=100), st.integers(2, 5))
def test_grouped_folds_never_share_a_group(groups: list[int], k: int) -> None:
    if len(set(groups)) < k:
        return
    found = grouped_folds(groups, k)
    check_tested_once(found, len(groups))
    check_groups_do_not_leak(groups, found)


def test_a_leak_of_groups_is_noticed() -> None:
    groups = [row // 8 for row in range(64)]
    assert_noticed(
        every_row_its_own_group(), lambda: check_groups_do_not_leak(groups, grouped_folds(groups, 4))
    )


@given(st.integers(20, 100), st.integers(2, 5), st.integers(0, 3))
def test_blocked_folds_keep_a_gap_on_both_sides(count: int, k: int, gap: int) -> None:
    for train, test in blocked_folds(count, k, gap):
        assert np.array_equal(test, np.arange(test[0], test[-1] + 1))
        assert np.abs(train[:, None] - test[None, :]).min() > gap
    check_tested_once(blocked_folds(count, k), count)


@given(
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(0, 4),
    st.none() | st.integers(1, 8),
    st.none() | st.just(2),
)
def test_rolling_folds_only_learn_from_the_past(
    k: int, horizon: int, gap: int, window: int | None, step: int | None
) -> None:
    found = rolling_folds(60, k, horizon=horizon, gap=gap, window=window, step=step)
    assert len(found) == k
    assert found[-1].test[-1] == 59
    for train, test in found:
        assert train[-1] + gap + 1 == test[0]
        assert len(test) == horizon
        assert len(train) == window if window else train[0] == 0


def test_a_forgotten_gap_is_noticed() -> None:
    def check() -> None:
        for train, test in folds.rolling_folds(30, 3, horizon=2, gap=4):
            assert test[0] - train[-1] > 4

    assert_noticed(gap_forgotten(), check)


def check_nested(found: list[Any]) -> None:
    """What the inner folds choose on is never tested by the outer one."""
    for fold in found:
        held = set(fold.test.tolist())
        for train, test in fold.inner:
            assert len(train)
            assert len(test)
            assert not held & {*train.tolist(), *test.tolist()}
            assert {*train.tolist(), *test.tolist()} <= set(fold.train.tolist())
            assert not set(train.tolist()) & set(test.tolist())


@settings(max_examples=50)
@given(st.lists(st.integers(0, 20), min_size=40, max_size=100), st.integers(0, 3))
def test_nested_folds_keep_groups_apart_inside_and_outside(groups: list[int], seed: int) -> None:
    if len(set(groups)) < 9:
        return
    names = np.array(groups)
    found = nested_folds(grouped_folds(groups, 3, seed), lambda rows: grouped_folds(names[rows].tolist(), 3))
    check_nested(found)
    for fold in found:
        check_groups_do_not_leak(groups, [fold, *fold.inner])


@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 3), st.none() | st.integers(24, 30))
def test_nested_rolling_folds_only_learn_from_the_past(
    k: int, horizon: int, gap: int, window: int | None
) -> None:
    outer = rolling_folds(80, k, horizon=horizon, gap=gap, window=window)
    found = nested_folds(outer, lambda rows: rolling_folds(len(rows), 2, horizon=horizon, gap=gap))
    check_nested(found)
    for fold in found:
        for train, test in fold.inner:
            assert train.max() + gap < test.min()
            assert test.max() + gap < fold.test.min()


def test_inner_folds_of_all_rows_are_refused_and_a_leak_is_noticed() -> None:
    outer = stratified_folds(["a", "b"] * 20, 4)
    with pytest.raises(DataError, match="inner folds must be of the 30 train rows that are handed in, got"):
        nested_folds(outer, lambda _: stratified_folds(["a", "b"] * 20, 2))
    leaking = [
        folds.NestedFold(train=f.train, test=f.test, inner=(Fold(train=f.test, test=f.train),)) for f in outer
    ]
    with pytest.raises(AssertionError):
        check_nested(leaking)


@pytest.mark.parametrize(
    "cv",
    [
        stratified_folds(["a", "b"] * 30, 3),
        grouped_folds([row // 4 for row in range(60)], 3),
        blocked_folds(60, 3, gap=2),
        rolling_folds(60, 3, horizon=10, gap=2),
        rolling_folds(60, 3, horizon=10, window=20),
        nested_folds(stratified_folds(["a", "b"] * 30, 3), lambda rows: blocked_folds(len(rows), 2)),
    ],
    ids=["stratified", "grouped", "blocked", "expanding", "rolling", "nested"],
)
def test_scikit_learn_takes_every_kind_of_folds(cv: list[Fold]) -> None:
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV, cross_val_score

    inputs = np.random.default_rng(0).standard_normal((60, 3))
    targets = inputs.sum(axis=1)
    assert len(cross_val_score(Ridge(), inputs, targets, cv=cv)) == 3
    assert GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=cv).fit(inputs, targets).n_splits_ == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: stratified_folds(["a"] * 3, 4),
            r"k must lie between 2 and the number of sequences \(3\), got 4",
        ),
        (lambda: stratified_folds([], 2), "k must lie between 2"),
        (lambda: grouped_folds([1, 1, 1], 2), r"number of groups \(1\)"),
        (lambda: blocked_folds(10, 2, gap=9), "leaves nothing to learn from"),
        (lambda: blocked_folds(10, 2, gap=-1), "gap must be at least 0"),
        (lambda: rolling_folds(5, 3, horizon=2), "5 rows are 2 too few for k=3"),
        (lambda: rolling_folds(5, 0), "must be at least 1"),
    ],
)
def test_folds_that_cannot_be_are_refused(make: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()


def check_time_does_not_leak(starts: Any, ends: Any, found: list[Fold], kind: str, gap: float) -> None:
    """What is learnt from is over before the test begins, by the gap; or, in blocks, begins after it is over."""
    for train, test in found:
        before = (ends[train] < starts[test].min()) & (ends[train] + gap <= starts[test].min())
        after = (starts[train] > ends[test].max()) & (starts[train] >= ends[test].max() + gap)
        assert np.all(before | (after if kind == "blocked" else False))


@settings(max_examples=60)
@given(st.sampled_from(IN_TIME), st.integers(2, 4), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_timed_folds_never_learn_from_what_overlaps_the_test(kind: str, k: int, gap: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    starts = draw.integers(0, 200, 80).astype(float)
    ends = starts + draw.integers(0, 6, 80)
    found = timed_folds(starts, k, kind=kind, ends=ends, gap=gap)
    assert len(found) == k
    check_time_does_not_leak(starts, ends, found, kind, gap)
    tested = np.concatenate([fold.test for fold in found])
    assert len(set(tested.tolist())) == len(tested)
    assert (len(tested) == 80) == (kind == "blocked")
    assert np.all(np.diff([starts[fold.test].min() for fold in found]) > 0)
    if kind == "rolling":
        sizes = [len(fold.train) for fold in found]
        assert max(sizes) < 80 * 0.75


def test_a_leak_through_time_is_noticed() -> None:
    starts = np.arange(60.0)
    assert_noticed(
        time_forgotten(),
        lambda: check_time_does_not_leak(
            starts, starts + 3, timed_folds(starts, 3, ends=starts + 3), "expanding", 0.0
        ),
    )


def test_timed_folds_refuse_what_they_cannot_part() -> None:
    with pytest.raises(SpecError, match="did you mean 'rolling'"):
        timed_folds(np.arange(20.0), 3, kind="rollin")
    with pytest.raises(DataError, match="distinct times"):
        timed_folds([1.0, 1.0, 2.0], 3)
    with pytest.raises(DataError, match="nothing to learn from"):
        timed_folds(np.arange(20.0), 3, gap=50)
