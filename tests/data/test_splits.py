from __future__ import annotations

from collections import Counter
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.leaks import every_row_its_own_group, time_forgotten
from recurra.data.dataset import Dataset
from recurra.data.splits import (
    SHARES,
    Split,
    by_column,
    chronological,
    grouped,
    split_dataset,
    stratified,
)
from recurra.errors import DataError
from recurra.ragged import Ragged
from shared import assert_noticed

LABELS = st.lists(st.sampled_from("abcde"), min_size=0, max_size=200)
SHARE = st.sampled_from([SHARES, (0.8, 0.1, 0.1), (0.5, 0.5, 0.0), (0.7, 0.0, 0.3), (1.0, 0.0, 0.0)])


def check_covers(split: Split, count: int) -> None:
    """Every position is in exactly one part."""
    assert np.sort(np.concatenate(split.parts())).tolist() == list(range(count))


def check_groups_do_not_leak(groups: list[Any], split: Split) -> None:
    held = [{groups[row] for row in part.tolist()} for part in split.parts()]
    for one, other in combinations(held, 2):
        assert not one & other


def check_the_future_does_not_leak(starts: Any, ends: Any, split: Split, gap: float = 0.0) -> None:
    """Every part is over before the next begins."""
    parts = [part for part in split.parts() if len(part)]
    for earlier, later in pairwise(parts):
        assert ends[earlier].max() < starts[later].min()
        assert ends[earlier].max() + gap <= starts[later].min()


@given(LABELS, SHARE, st.integers(0, 5))
def test_stratified_puts_every_sequence_into_one_part(labels: list[str], shares: Any, seed: int) -> None:
    split = stratified(labels, shares, seed)
    check_covers(split, len(labels))
    for part, share in zip(split.parts(), shares, strict=True):
        assert share > 0 or not len(part)


@given(LABELS, st.integers(0, 5))
def test_stratified_keeps_the_shares_of_every_class(labels: list[str], seed: int) -> None:
    split = stratified(labels, SHARES, seed)
    for label, count in Counter(labels).items():
        for part, share in zip(split.parts(), SHARES, strict=True):
            found = sum(labels[row] == label for row in part.tolist())
            assert abs(found - share * count) <= 2
    for part, share in zip(split.parts(), SHARES, strict=True):
        assert abs(len(part) - share * len(labels)) <= 6


def test_the_default_is_60_20_20_and_says_so() -> None:
    split = stratified(["a"] * 500 + ["b"] * 500)
    assert [len(part) for part in split] == [600, 200, 200]
    assert split.sizes == "train 600, validation 200, test 200 of 1,000 sequences (stratified, seed 0)"


def test_a_seed_gives_the_same_split_and_another_seed_another_one() -> None:
    labels = list("abab" * 30)
    assert np.array_equal(stratified(labels, seed=3).train, stratified(labels, seed=3).train)
    assert not np.array_equal(stratified(labels, seed=3).train, stratified(labels, seed=4).train)


def test_a_class_of_one_or_two_is_first_in_train_then_in_test() -> None:
    split = stratified(["common"] * 98 + ["twice", "twice"])
    assert {98, 99} & set(split.train.tolist())
    assert {98, 99} & set(split.test.tolist())
    assert 9 in stratified(["common"] * 9 + ["once"]).train


def test_many_small_classes_do_not_all_round_the_same_way() -> None:
    split = stratified([str(row // 4) for row in range(400)])
    assert [len(part) for part in split] == [240, 80, 80]


def test_numbers_are_stratified_by_their_ranks() -> None:
    targets = np.random.default_rng(0).exponential(size=1000)
    means = [targets[part].mean() for part in stratified(targets)]
    assert max(means) / min(means) < 1.15


def test_several_labels_are_stratified_by_the_rarest() -> None:
    targets = [("common", "rare") if row < 10 else ("common",) for row in range(100)]
    held = [sum("rare" in targets[row] for row in part.tolist()) for part in stratified(targets)]
    assert held == [6, 2, 2]


def test_missing_numbers_cannot_be_split() -> None:
    with pytest.raises(DataError, match="targets must not be missing in a split"):
        stratified(np.array([1.0, np.nan]))


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.5, 0.4, 0.2), (-0.1, 0.6, 0.5), (0.0, 0.5, 0.5)])
def test_shares_that_do_not_add_up_are_refused(shares: Any) -> None:
    with pytest.raises(DataError, match="shares must be three numbers"):
        stratified(["a", "b"], shares)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=120), st.integers(0, 5))
def test_no_group_is_in_two_parts(groups: list[int], seed: int) -> None:
    if len(set(groups)) < 3:
        with pytest.raises(DataError, match="groups must be at least 3"):
            grouped(groups, SHARES, seed)
        return
    split = grouped(groups, SHARES, seed)
    check_covers(split, len(groups))
    check_groups_do_not_leak(groups, split)
    assert all(len(part) for part in split.parts())


def test_groups_keep_the_shares_where_they_are_small() -> None:
    split = grouped([row // 5 for row in range(1000)])
    assert [len(part) for part in split] == [600, 200, 200]


def test_a_leak_of_groups_is_noticed() -> None:
    groups = [row // 10 for row in range(100)]
    assert_noticed(every_row_its_own_group(), lambda: check_groups_do_not_leak(groups, grouped(groups)))


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 15)), min_size=1, max_size=80),
    st.sampled_from([0.0, 3.0]),
)
def test_the_future_never_leaks_into_the_past(spans: list[tuple[int, int]], gap: float) -> None:
    starts = np.array([start for start, _ in spans], dtype=float)
    ends = starts + np.array([length for _, length in spans])
    try:
        split = chronological(starts.tolist(), ends=ends, gap=gap)
    except DataError:  # all of them overlap
        return
    check_the_future_does_not_leak(starts, ends, split, gap)
    assert len(split.train)


def test_sequences_that_all_overlap_cannot_be_split_by_time() -> None:
    with pytest.raises(DataError, match="they all overlap in time"):
        chronological([0.0, 1.0, 2.0], ends=[9.0, 9.0, 9.0])


def test_chronological_follows_time_not_the_order_of_rows() -> None:
    split = chronological([5, 1, 4, 2, 3])
    assert split.train.tolist() == [1, 3, 4]
    assert split.validation.tolist() == [2]
    assert split.test.tolist() == [0]


def test_sequences_that_begin_together_stay_together() -> None:
    split = chronological([1.0] * 5 + [2.0] * 5)
    assert [part.tolist() for part in split] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], []]


def test_a_leak_of_the_future_is_noticed() -> None:
    starts = np.arange(50.0)
    ends = starts + 3

    def check() -> None:
        check_the_future_does_not_leak(starts, ends, chronological(starts.tolist(), ends=ends))

    assert_noticed(time_forgotten(), check)


def test_times_must_be_finite_and_ends_not_before_them() -> None:
    with pytest.raises(DataError, match="times must be one finite number per sequence"):
        chronological([1.0, float("nan")])
    with pytest.raises(DataError, match="not before its time"):
        chronological([1.0, 2.0], ends=[0.0, 3.0])


def test_a_column_of_parts_is_followed() -> None:
    split = by_column(["test", "train", "validation", "train"])
    assert [part.tolist() for part in split] == [[1, 3], [2], [0]]


def test_a_part_that_the_column_lacks_is_cut_from_train() -> None:
    column = np.array(["train"] * 100 + ["test"] * 50)
    split = by_column(column, targets=["a", "b"] * 75)
    assert [len(part) for part in split] == [90, 10, 50]
    assert split.test.tolist() == list(range(100, 150))
    assert "validation cut from train" in split.sizes
    assert len(by_column(column, missing=0).validation) == 0


def test_a_column_without_train_is_refused() -> None:
    with pytest.raises(DataError, match="must name training sequences"):
        by_column(["test", "test"])


def test_a_split_cannot_hold_a_sequence_twice_or_one_that_is_not_there() -> None:
    one, two = np.array([0, 1]), np.array([1])
    with pytest.raises(DataError, match="at most one part"):
        Split(train=one, validation=two, test=np.array([], dtype=int), total=3)
    with pytest.raises(DataError, match="positions from 0 to 1"):
        Split(train=np.array([2]), validation=two, test=one[:1], total=2)


def test_names_say_the_part_of_each_sequence() -> None:
    split = Split(train=np.array([0]), validation=np.array([2]), test=np.array([3]), total=5)
    assert split.names().tolist() == ["train", "", "validation", "test", ""]
    assert split.dropped == 2


def dataset(**known: Any) -> Dataset:
    return Dataset(inputs=[f"text {row}" for row in range(20)], targets=["a", "b"] * 10, **known)


def test_a_dataset_is_split_by_its_own_split_where_it_has_one() -> None:
    own = np.array(["train"] * 10 + ["validation"] * 5 + ["test"] * 5)
    assert split_dataset(dataset(split=own)).test.tolist() == [15, 16, 17, 18, 19]
    assert "stratified" in split_dataset(dataset()).how


def test_a_dataset_is_split_by_group_or_time_where_asked() -> None:
    who = np.repeat(np.arange(5), 4)
    made = dataset(columns={"who": who, "day": [f"2024-01-{20 - row:02d}" for row in range(20)]})
    check_groups_do_not_leak(who.tolist(), split_dataset(made, group="who"))
    assert split_dataset(made, time="day").test.tolist() == [0, 1, 2, 3]
    with pytest.raises(DataError, match="has no column 'whom'; did you mean 'who'"):
        split_dataset(made, group="whom")


def test_sequences_with_times_are_split_by_their_steps() -> None:
    times = np.arange(20.0)
    inputs = Ragged(values=np.zeros((20, 1)), offsets=np.arange(0, 21, 2), columns={"time": times})
    split = split_dataset(Dataset(inputs=inputs, kind="signal"), time="time")
    check_the_future_does_not_leak(times[::2], times[1::2], split)
    with pytest.raises(DataError, match="no column 'time' to split by"):
        split_dataset(dataset(), time="time")
