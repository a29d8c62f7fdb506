"""Ragged batches: made from and turned into every other form, without losing or inventing an element."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.errors import DataError
from recurra.ragged import Ragged

lengths = st.lists(st.integers(0, 7), min_size=1, max_size=9)


def made(sizes: list[int], width: int = 2) -> Ragged:
    total = sum(sizes)
    values = np.arange(total * width, dtype=np.float32).reshape(total, width)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return Ragged(values=values, offsets=offsets, columns={"id": np.arange(total)})


def same(first: Ragged, second: Ragged) -> None:
    np.testing.assert_array_equal(first.offsets, second.offsets)
    np.testing.assert_array_equal(first.values, second.values)
    for name, column in first.columns.items():
        np.testing.assert_array_equal(column, second.columns[name])


@given(lengths)
def test_padded_and_back_is_the_same(sizes):
    batch = made(sizes)
    padded, counts = batch.to_padded(fill=-1)
    again = Ragged.from_padded(padded, counts)
    np.testing.assert_array_equal(again.values, batch.values)
    turned = Ragged.from_padded(np.swapaxes(padded, 0, 1), counts, batch_first=False)
    np.testing.assert_array_equal(turned.values, batch.values)


@given(st.lists(st.integers(1, 7), min_size=1, max_size=9))
def test_packed_and_back_is_the_same(sizes):
    batch = made(sizes)
    again = Ragged.from_packed(batch.to_packed())
    np.testing.assert_array_equal(again.offsets, batch.offsets)
    np.testing.assert_array_equal(again.values, batch.values)


@given(lengths, st.randoms())
def test_permuted_and_back_is_the_same(sizes, random):
    batch = made(sizes)
    order = list(range(len(batch)))
    random.shuffle(order)
    same(batch.permute(order).permute(np.argsort(order)), batch)


@given(lengths, st.integers(1, 4))
def test_split_and_concatenated_is_the_same(sizes, size):
    batch = made(sizes)
    same(Ragged.concatenate(batch.split(size)), batch)


@given(lengths)
def test_select_gives_the_sequences_asked_for(sizes):
    batch = made(sizes)
    mask = np.arange(len(batch)) % 2 == 0
    chosen = batch.select(mask)
    for position, row in enumerate(np.flatnonzero(mask)):
        np.testing.assert_array_equal(chosen[position], batch[int(row)])


def test_nested_batches_hold_characters_in_words_in_sentences():
    nested = Ragged.from_nested([[[1, 2], [3]], [], [[4, 5, 6]]])
    assert nested.lengths.tolist() == [2, 0, 1]
    assert nested.values.lengths.tolist() == [2, 1, 3]
    assert nested.select([2, 0])[0].values.tolist() == [4, 5, 6]


def test_lists_of_different_width_are_refused():
    with pytest.raises(DataError, match="same number of features"):
        Ragged.from_lists([np.zeros((2, 3)), np.zeros((2, 4))])


@pytest.mark.parametrize("offsets", [[0, 3, 2, 4], [1, 4], [0, 5], [[0, 4]], []])
def test_offsets_that_do_not_fit_are_refused(offsets):
    with pytest.raises(DataError, match="offsets"):
        Ragged(values=np.zeros(4), offsets=np.array(offsets))


def test_columns_must_have_a_row_per_value():
    with pytest.raises(DataError, match="'time' must have 4 rows"):
        Ragged(values=np.zeros(4), offsets=np.array([0, 4]), columns={"time": np.zeros(3)})


def test_lengths_that_do_not_fit_a_padded_array_are_refused():
    with pytest.raises(DataError, match="lengths"):
        Ragged.from_padded(np.zeros((2, 3)), [4, 1])
    with pytest.raises(DataError, match="one per row"):
        Ragged.from_padded(np.zeros((2, 3)), [1])
