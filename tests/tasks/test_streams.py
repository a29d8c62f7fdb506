"""Streams: every step once, in windows that vary and that meet, with state that stops where a document does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recurra.errors import DataError
from recurra.tasks.streams import Streams, handed_over, taken_over


@given(st.integers(1, 400), st.integers(1, 12), st.one_of(st.none(), st.integers(1, 60)), st.integers(0, 99))
def test_windows_tile_each_stream_and_streams_cover_all_steps(steps, count, window, seed):
    streams = Streams.over(steps, count=count, window=window)
    index = np.arange(streams.count)
    seen, begin = [], 0
    for number in range(streams.windows):
        end = streams.end_of(number, seed + number)
        assert begin < end <= streams.length
        seen.append(streams.cut(index, begin, end, lambda rows: np.zeros(len(rows), bool)).index)
        begin = end
    assert begin == streams.length
    assert set(np.concatenate(seen).tolist()) == set(range(steps))
    assert len(np.concatenate(seen)) - steps < streams.count


def test_window_lengths_vary_with_the_seed_about_the_asked_length():
    streams = Streams.over(100_000, count=4, window=100)
    ends = [[streams.end_of(w, seed) for w in range(streams.windows)] for seed in (1, 1, 2)]
    assert ends[0] == ends[1] != ends[2]
    lengths = np.diff([0, *ends[0]])
    assert abs(lengths.mean() - 100) < 1
    assert 3 < lengths.std() < 25
    assert (lengths < 60).any()


def test_a_piece_begins_where_a_document_does_and_where_a_stream_does():
    streams = Streams.over(12, count=2, window=None)
    cut = streams.cut(np.array([1, 0]), 1, 5, lambda rows: rows % 4 == 0)
    assert cut.index.tolist() == [7, 8, 9, 10, 1, 2, 3, 4]
    assert cut.offsets.tolist() == [0, 1, 4, 7, 8]
    assert cut.fresh.tolist() == [False, True, False, True]
    assert (cut.first.tolist(), cut.last.tolist()) == ([0, 2], [1, 3])


def test_states_go_from_the_last_piece_of_a_stream_to_its_first_and_not_over_documents():
    streams = Streams.over(12, count=2, window=None)
    before = streams.cut(np.array([0, 1]), 0, 3, lambda rows: rows % 3 == 0)
    states = {"l0": (torch.arange(float(len(before.fresh)))[:, None], None)}
    held = handed_over(states, before)
    assert held["l0"][0][:, 0].tolist() == before.last.tolist()
    after = streams.cut(np.array([0, 1]), 3, 6, lambda rows: rows == 3)
    taken = taken_over(held, after)["l0"][0][:, 0].tolist()
    assert taken == [0.0, float(before.last[1])]
    assert after.fresh.tolist() == [True, False]


def test_nothing_to_read_is_refused():
    with pytest.raises(DataError, match="at least two tokens"):
        Streams.over(0, count=2, window=5)
