"""Which sequences each step is made of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.errors import DataError
from recurra.training.batches import mixed_seed, shuffled, steps_of_epoch

LENGTHS = st.lists(st.integers(0, 40), min_size=1, max_size=200).map(lambda rows: np.asarray(rows, np.int64))


@settings(deadline=None)
@given(
    lengths=LENGTHS, size=st.integers(1, 40), tokens=st.none() | st.integers(1, 100), accumulate=st.integers(1, 4),
    bucket=st.booleans(), seed=st.integers(0, 2**63 - 1), epoch=st.integers(-3, 1000),
)  # fmt: skip
def test_every_sequence_comes_once_and_no_batch_is_too_large(
    lengths: np.ndarray, size: int, tokens: int | None, accumulate: int, bucket: bool, seed: int, epoch: int
) -> None:
    steps = steps_of_epoch(
        lengths,
        batch_size=size,
        batch_tokens=tokens,
        accumulate=accumulate,
        bucket=bucket,
        seed=seed,
        epoch=epoch,
    )
    assert sorted(int(i) for step in steps for index in step for i in index) == list(range(len(lengths)))
    assert all(1 <= len(step) <= accumulate for step in steps)
    for index in (index for step in steps for index in step):
        assert 1 <= len(index) <= size
        assert tokens is None or len(index) == 1 or lengths[index].sum() <= tokens


def test_batches_follow_from_seed_and_epoch_alone() -> None:
    lengths = np.arange(100)

    def order(seed: int, epoch: int) -> list[int]:
        steps = steps_of_epoch(lengths, batch_size=7, seed=seed, epoch=epoch)
        return [int(i) for step in steps for index in step for i in index]

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


def test_shuffling_is_the_same_on_every_machine() -> None:
    assert shuffled(10, 5, 3, 0).tolist() == [4, 1, 3, 9, 5, 7, 8, 6, 0, 2]
    assert mixed_seed(5, 3, 0) == 4739669348000939885


def test_bucketed_batches_hold_sequences_of_like_length() -> None:
    lengths = np.random.default_rng(0).integers(1, 1000, 3200)

    def spread(bucket: bool) -> float:
        steps = steps_of_epoch(lengths, batch_size=32, bucket=bucket)
        return float(np.mean([np.ptp(lengths[index]) for step in steps for index in step]))

    assert spread(True) < 50
    assert spread(False) > 500


def test_bucketed_batches_do_not_come_in_order_of_length() -> None:
    lengths = np.arange(640)
    firsts = [int(step[0][0]) for step in steps_of_epoch(lengths, batch_size=32)]
    assert firsts != sorted(firsts)


@pytest.mark.parametrize("bucket", [True, False])
def test_accumulated_batches_make_the_same_steps_as_one_large_batch(bucket: bool) -> None:
    lengths = np.random.default_rng(0).integers(0, 30, 333)
    small = steps_of_epoch(lengths, batch_size=16, accumulate=2, bucket=bucket, seed=4, epoch=1)
    large = steps_of_epoch(lengths, batch_size=32, accumulate=1, bucket=bucket, seed=4, epoch=1)
    assert [np.concatenate(step).tolist() for step in small] == [step[0].tolist() for step in large]


def test_a_sequence_longer_than_the_token_bound_is_a_batch_of_its_own() -> None:
    steps = steps_of_epoch(np.asarray([3, 50, 3, 3]), batch_size=4, batch_tokens=9, bucket=True)
    assert sorted(sorted(index.tolist()) for step in steps for index in step) == [[0, 2, 3], [1]]


def test_an_empty_training_split_is_refused() -> None:
    with pytest.raises(DataError, match="at least one sequence"):
        steps_of_epoch(np.zeros(0, np.int64), batch_size=4)
