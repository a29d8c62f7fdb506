"""After n steps a stream answers as `predict` does for the first n steps, bit for bit, whatever the model."""

from __future__ import annotations

import gc
import itertools
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.errors import DataError, SpecError, StateError
from recurra.graph.pool import POOLINGS
from recurra.ragged import Ragged
from recurra.spec import CELLS
from runtime.streaming import (
    assert_same_bits,
    characters,
    drops_a_step,
    events,
    gappy_signal,
    model_of,
    numbers,
    pieces,
    plain_signal,
    timed_signal,
    timed_steps,
    words,
)
from shared import assert_noticed

OPTIONS = [
    {},
    {"num_layers": 3, "initial_state": "learnt"},
    {"num_layers": 1, "layer_norm": True, "zoneout": 0.2},
]
SIGNAL = plain_signal()


def check_every_prefix(model, steps, prefixes) -> None:
    stream = model.stream()
    for n in range(len(steps) + 1):
        if n:
            stream.push(steps[n - 1])
        if n in prefixes:
            assert_same_bits(stream.outputs(), model.outputs([steps[:n]])[0])
            assert stream.result() == next(iter(model.records([steps[:n]])))
            assert stream.steps == n


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("cell", CELLS)
def test_every_prefix_is_answered_as_predict_does(cell, pooling):
    for options in OPTIONS + ([{"cell_clip": 0.1}] if cell == "lstm" else []):
        model = model_of(SIGNAL, pooling, cell=cell, **options)
        check_every_prefix(model, numbers(34, 5), {0, 1, 2, 33, 34})


def test_a_dropped_step_is_noticed():
    model = model_of(SIGNAL, "mean")
    assert_noticed(drops_a_step(), lambda: check_every_prefix(model, numbers(9, 5), {9}))


@given(cuts=st.lists(st.integers(0, 60), max_size=6), data=st.data())
@settings(max_examples=15)
def test_pieces_of_any_size_make_the_whole(cuts, data):
    pooling = data.draw(st.sampled_from(POOLINGS))
    cell = data.draw(st.sampled_from(CELLS))
    model, sequence = model_of(SIGNAL, pooling, cell=cell), numbers(60, 9)
    stream = model.stream()
    edges = sorted({0, 60, *cuts})
    for begin, end in itertools.pairwise(edges):
        stream.push(sequence[begin:end])
    assert_same_bits(stream.outputs(), model.outputs([sequence])[0])


@pytest.mark.parametrize("pooling", POOLINGS)
def test_words_may_be_pushed_one_by_one_or_in_chunks(pooling):
    model = model_of(words(), pooling)
    text = "one two, don't été 日本語 unknown three 😀 six seven five five"
    stream, chunks = model.stream(), model.stream()
    for word in text.split():
        stream.push(word)
    for chunk in ("one two,", " don't été", "日本語 unknown three 😀 ", "", "six seven five five"):
        chunks.push(chunk)
    assert_same_bits(stream.outputs(), model.outputs([text])[0])
    assert_same_bits(chunks.outputs(), stream.outputs())
    listed = model.stream()
    listed.push(["one", "two"])
    assert_same_bits(listed.outputs(), model.outputs([["one", "two"]])[0])


@given(st.lists(st.integers(0, 40), max_size=8))
@settings(max_examples=15)
def test_characters_may_be_cut_anywhere(cuts):
    text = "one two été <br> 日本 three 😀 five six zzz"
    stream = CHARACTERS.stream()
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    for begin, end in itertools.pairwise(edges):
        stream.push(text[begin:end])
    assert_same_bits(stream.outputs(), CHARACTERS.outputs([text])[0])


CHARACTERS = model_of(characters(), "mean", cell="gru")


def test_pieces_of_words_may_be_cut_before_a_space():
    model = model_of(pieces(), "attention")
    text = "one two, three! été naïve zzz six seven"
    stream = model.stream()
    for place, word in enumerate(text.split(" ")):
        stream.push(" " * bool(place) + word)
    assert_same_bits(stream.outputs(), model.outputs([text])[0])


def test_missing_values_and_their_masks():
    model = model_of(gappy_signal(), "mean")
    sequence = numbers(40, 8, missing=0.3)
    check_every_prefix(model, sequence, {1, 5, 40})
    check_every_prefix(model, sequence.astype(np.float32), {40})


@pytest.mark.parametrize(
    "form", [np.asarray, list, tuple, lambda row: np.asarray(row)[::-1][::-1], np.float32]
)
def test_a_row_may_come_in_any_form(form):
    model, sequence = model_of(SIGNAL, "max"), numbers(12, 4).round(3)
    stream = model.stream()
    for row in sequence.tolist():
        stream.push(form(row))
    given = [[np.asarray(form(row), dtype=np.float64) for row in sequence.tolist()]]
    assert_same_bits(stream.outputs(), model.outputs([np.asarray(given[0])])[0])


def test_whole_numbers_are_numbers():
    model = model_of(SIGNAL)
    stream = model.stream()
    stream.push([1, 2, 3])
    stream.push(np.array([4, 5, 6]))
    assert_same_bits(stream.outputs(), model.outputs([[[1, 2, 3], [4, 5, 6]]])[0])


def test_elapsed_time_is_remembered_between_steps():
    model = model_of(timed_signal(), "last", cell="gru")
    values, times = numbers(15, 3, 2), np.cumsum(np.arange(15.0))
    whole = Ragged(values=values, offsets=np.array([0, 15]), columns={"time": times})
    stream = model.stream()
    for row, time in zip(values, times, strict=True):
        stream.push({"values": row, "time": time})
        stream.restore(json.loads(json.dumps(stream.state)))
    assert_same_bits(stream.outputs(), model.outputs(whole)[0])
    with pytest.raises(DataError, match="goes back"):
        stream.push({"values": values[0], "time": 0.0})


@pytest.mark.parametrize("pooling", POOLINGS)
def test_events_step_by_step(pooling):
    model, steps = model_of(events(), pooling), timed_steps(20, 7)
    check_every_prefix(model, steps, {0, 1, 20})


@pytest.mark.parametrize(
    "encoder", [words(max_length=5), plain_signal(max_length=5)], ids=["words", "signal"]
)
def test_a_bound_on_the_length_holds_in_a_stream_too(encoder):
    model = model_of(encoder, "mean")
    whole = "one two three four five six seven" if encoder.kind == "tokens" else numbers(9, 1)
    steps = whole.split() if isinstance(whole, str) else whole
    stream = model.stream()
    for step in steps:
        stream.push(step)
    assert stream.steps == 5
    assert_same_bits(stream.outputs(), model.outputs([whole])[0])


def test_the_last_steps_of_a_stream_are_never_known():
    model = model_of(words(max_length=5, truncate="start"))
    with pytest.raises(SpecError, match="truncate='start'"):
        model.stream()


def test_static_features_are_given_at_the_beginning():
    model = model_of(SIGNAL, "mean", static=True)
    sequence, static = numbers(11, 2), [30.0, float("nan")]
    stream = model.stream(static=static)
    for row in sequence:
        stream.push(row)
    assert_same_bits(stream.outputs(), model.outputs([sequence], [static])[0])
    stream.reset([1.0, 2.0])
    stream.push(sequence)
    assert_same_bits(stream.outputs(), model.outputs([sequence], [[1.0, 2.0]])[0])
    again = model.stream(static=[0, 0])
    again.restore(stream.snapshot())
    assert_same_bits(again.outputs(), stream.outputs())
    with pytest.raises(DataError, match="static must be given"):
        model.stream()
    with pytest.raises(DataError, match="without features per sequence"):
        model_of(SIGNAL).stream(static=[1.0])


def test_a_regressor_gives_values_and_no_probabilities():
    model = model_of(SIGNAL, "mean", task="regressor")
    stream = model.stream()
    stream.push(numbers(6, 3))
    assert stream.result() == {"value": float(model.predict([numbers(6, 3)])[0])}
    assert stream.predict() == model.predict([numbers(6, 3)])[0]
    with pytest.raises(SpecError, match="no probabilities"):
        stream.probabilities()


def test_probabilities_and_labels_of_a_classifier():
    model = model_of(SIGNAL)
    stream = model.stream()
    stream.push(numbers(6, 3))
    assert_same_bits(stream.probabilities(), model.predict_proba([numbers(6, 3)])[0])
    assert stream.predict() == model.predict([numbers(6, 3)])[0]


@pytest.mark.parametrize(
    "item", ["text", [1.0, 2.0], [1.0, 2.0, float("inf")], [1.0, 2.0, "x"], {"a": 1}, 3.0, None]
)
def test_a_piece_that_cannot_be_read_leaves_the_stream_as_it_was(item):
    model = model_of(SIGNAL, "attention")
    stream = model.stream()
    stream.push(numbers(3, 1))
    before = stream.state
    with pytest.raises(DataError):
        stream.push(item)
    assert stream.state == before


def test_missing_values_that_are_refused_are_refused_in_a_stream():
    stream = model_of(plain_signal(missing="refuse")).stream()
    with pytest.raises(DataError, match="missing"):
        stream.push(np.array([1.0, np.nan, 2.0]))


def test_numbers_too_far_from_training_are_refused():
    stream = model_of(SIGNAL).stream()
    with pytest.raises(DataError, match="too far"):
        stream.push(np.array([1e300, 0.0, 0.0]))


# ---- states ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_stream_goes_on_from_its_state(cell, pooling):
    model, sequence = model_of(SIGNAL, pooling, cell=cell), numbers(40, 6)
    first = model.stream()
    for row in sequence[:21]:
        first.push(row)
    for held in (first.state, first.snapshot(), json.dumps(first.state)):
        second = model.stream()
        second.push(numbers(4, 99))
        second.restore(held)
        assert second.state == first.state
        for row in sequence[21:]:
            second.push(row)
        assert_same_bits(second.outputs(), model.outputs([sequence])[0])


def test_reset_begins_anew():
    model, sequence = model_of(SIGNAL, "attention", initial_state="learnt"), numbers(9, 6)
    stream = model.stream()
    stream.push(numbers(5, 1)[0])
    stream.reset()
    assert stream.steps == 0
    assert_same_bits(stream.outputs(), model.outputs([sequence[:0]])[0])
    stream.push(sequence)
    assert_same_bits(stream.outputs(), model.outputs([sequence])[0])


def foreign_state_is_refused() -> None:
    mine, other = model_of(SIGNAL, seed=1), model_of(SIGNAL, seed=2)
    stream = mine.stream()
    stream.push(numbers(3, 1))
    before = stream.state
    foreign = other.stream()
    foreign.push(numbers(8, 1))
    if _takes(stream, foreign.state):
        raise AssertionError("the state of another model was taken")
    assert stream.state == before


def _takes(stream, state) -> bool:
    try:
        stream.restore(state)
    except StateError:
        return False
    return True


def test_the_state_of_another_model_is_refused(monkeypatch):
    foreign_state_is_refused()
    # The saboteur: states are no longer tagged.
    monkeypatch.setattr("recurra.runtime.predictor.fingerprint", lambda predictor: "model")
    with pytest.raises(AssertionError):
        foreign_state_is_refused()


def test_a_state_is_small_and_does_not_grow():
    stream = model_of(SIGNAL, "attention").stream()
    sizes = []
    for _ in range(3):
        stream.push(numbers(500, 1))
        sizes.append(len(stream.snapshot()))
    assert max(sizes) < 1500
    assert max(sizes) - min(sizes) < 10


CHANGES = {
    "format": lambda s: {**s, "format": 2},
    "a key too many": lambda s: {**s, "more": 1},
    "a key missing": lambda s: {k: v for k, v in s.items() if k != "steps"},
    "steps": lambda s: {**s, "steps": -1},
    "whole steps": lambda s: {**s, "steps": 1.5},
    "memory": lambda s: {**s, "memory": {"time": "noon"}},
    "memory kind": lambda s: {**s, "memory": [1]},
    "static": lambda s: {**s, "static": [1.0]},
    "look-ahead": lambda s: {**s, "look_ahead": 3},
    "arrays": lambda s: {**s, "arrays": {}},
    "shape": lambda s: {**s, "arrays": {**s["arrays"], "recur": {"shape": [1, 2], "data": ""}}},
    "huge shape": lambda s: {**s, "arrays": {**s["arrays"], "pool": {"shape": [2**40], "data": ""}}},
    "bytes": lambda s: {**s, "arrays": {**s["arrays"], "pool": {**s["arrays"]["pool"], "data": "AAAA"}}},
    "base64": lambda s: {**s, "arrays": {**s["arrays"], "pool": {**s["arrays"]["pool"], "data": "?"}}},
    "text": lambda s: "not json",
    "deep": lambda s: "[" * 100_000,
    "number": lambda s: 7,
    "list": lambda s: "[1]",
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_malformed_state_is_refused_and_changes_nothing(name):
    stream = model_of(SIGNAL, "mean").stream()
    stream.push(numbers(3, 1))
    before = stream.state
    with pytest.raises(StateError):
        stream.restore(CHANGES[name](before))
    assert stream.state == before


# ---- bidirectional models --------------------------------------------------------------------------------------


def test_a_bidirectional_model_is_refused_with_the_reason():
    model = model_of(SIGNAL, bidirectional=True)
    with pytest.raises(SpecError, match=r"reads from the end.*look_ahead"):
        model.stream()
    for odd in (0, -1, 2.5, True):
        with pytest.raises(SpecError, match="look_ahead must be"):
            model.stream(look_ahead=odd)
    with pytest.raises(SpecError, match="no effect"):
        model_of(SIGNAL).stream(look_ahead=4)


def test_memory_of_a_long_stream_is_flat():
    stream, rows = model_of(SIGNAL, "attention").stream(), numbers(64, 1)

    def held_after(turns: int) -> int:
        for _ in range(turns):
            for row in rows:
                stream.push(row)
        gc.collect()  # what nobody holds, of whatever ran before in this process, does not count
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = held_after(1)
        after = held_after(100)
    finally:
        tracemalloc.stop()
    assert stream.steps == 101 * 64
    assert after - before < 4096
