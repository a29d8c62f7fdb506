"""Streams by key: interleaved, batched, evicted, restored, from several threads: the bits that each gives alone."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from recurra.errors import DataError, LostStreamError, SpecError, StateError
from recurra.graph.pool import POOLINGS
from recurra.runtime.keyed import FIRST_ROWS
from runtime.streaming import (
    assert_same_bits,
    events,
    gappy_signal,
    model_of,
    numbers,
    plain_signal,
    shares_a_row,
    timed_steps,
    words,
)
from shared import assert_noticed

SIGNAL = plain_signal()
MODELS = [
    model_of(SIGNAL, "last", cell="lstm"),
    model_of(SIGNAL, "mean", cell="gru", initial_state="learnt"),
    model_of(SIGNAL, "max", cell="rnn", num_layers=1),
    model_of(SIGNAL, "attention", cell="lstm", layer_norm=True, zoneout=0.1),
]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Interleaved(RuleBasedStateMachine):
    """Any order of pushes, batches, restarts, restores and evictions, against one list of steps per key."""

    KEYS = st.integers(0, 5)
    LIMIT = 4

    @initialize(model=st.sampled_from(MODELS))
    def begin(self, model):
        self.model, self.clock = model, Clock()
        self.streams = model.streams(max_streams=self.LIMIT, idle_seconds=10.0, clock=self.clock)
        self.expected: dict[int, list[np.ndarray]] = {}
        self.used: dict[int, float] = {}
        self.saved: dict[int, tuple[dict, list[np.ndarray]]] = {}

    def _expire(self):
        for key in [k for k, t in self.used.items() if t < self.clock.now - 10.0]:
            del self.used[key], self.expected[key]

    def _touch(self, keys):
        """What pushing to these keys does to the others: the oldest of them make room for new ones."""
        kept = {key: self.used.pop(key) for key in keys if key in self.used}
        self.used.update(dict.fromkeys(kept, self.clock.now))
        for key in keys:
            if key not in self.used:
                if len(self.used) == self.LIMIT:
                    oldest = next(iter(self.used))
                    del self.used[oldest], self.expected[oldest]
                self.expected[key] = []
                self.used[key] = self.clock.now

    @rule(key=KEYS, seed=st.integers(0, 9))
    def push(self, key, seed):
        self._expire()
        self._touch([key])
        row = numbers(1, seed)[0]
        self.streams.push(key, row)
        self.expected[key].append(row)

    @rule(
        keys=st.lists(KEYS, unique=True, max_size=4),
        lengths=st.lists(st.integers(0, 9), min_size=4, max_size=4),
    )
    def push_many(self, keys, lengths):
        self._expire()
        self._touch(keys)
        items = {key: numbers(length, key) for key, length in zip(keys, lengths, strict=False)}
        assert self.streams.push_many(items) == {}
        for key, rows in items.items():
            self.expected[key].extend(rows)

    @rule(keys=st.lists(KEYS, unique=True, max_size=4))
    def push_one_row_to_many(self, keys):
        self._expire()
        self._touch(keys)
        assert self.streams.push_many({key: numbers(1, key)[0] for key in keys}) == {}
        for key in keys:
            self.expected[key].append(numbers(1, key)[0])

    @rule(key=KEYS)
    def push_nonsense(self, key):
        self._expire()
        with pytest.raises(DataError):
            self.streams.push(key, ["no", "numbers", "here"])

    @rule(key=KEYS)
    def reset(self, key):
        self._expire()
        if key in self.used:
            self._touch([key])
            self.streams.reset(key)
            self.expected[key] = []
        else:
            with pytest.raises(LostStreamError):
                self.streams.reset(key)

    @rule(key=KEYS)
    def save(self, key):
        self._expire()
        if key in self.used:
            self.saved[key] = self.streams.state(key), list(self.expected[key])

    @rule(key=KEYS, source=KEYS)
    def restore(self, key, source):
        self._expire()
        if source in self.saved:
            state, steps = self.saved[source]
            self._touch([key])
            self.streams.restore(key, json.dumps(state))
            self.expected[key] = list(steps)

    @rule(key=KEYS)
    def drop(self, key):
        self.streams.drop(key)
        self.used.pop(key, None)
        self.expected.pop(key, None)

    @rule(seconds=st.sampled_from([1.0, 4.0, 11.0]))
    def wait(self, seconds):
        self.clock.now += seconds

    @invariant()
    def every_stream_is_as_alone(self):
        if not hasattr(self, "streams"):
            return
        self._expire()
        assert self.streams.keys() == list(self.used)
        if self.used:
            together = self.streams.outputs(list(self.used))
            alone = self.model.outputs([np.reshape(self.expected[key], (-1, 3)) for key in self.used])
            assert_same_bits(together, alone)
            assert [self.streams.steps(key) for key in self.used] == [
                len(self.expected[k]) for k in self.used
            ]


Interleaved.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestInterleaved = Interleaved.TestCase


def check_interleaved_is_isolated(model, keys: int = 5, steps: int = 12) -> None:
    streams, rows = model.streams(), {key: numbers(steps, key) for key in range(keys)}
    for step in range(steps):
        assert streams.push_many({key: rows[key][step] for key in rows if step % (key + 1) == 0}) == {}
    for key in rows:
        taken = rows[key][[step for step in range(steps) if step % (key + 1) == 0]]
        assert_same_bits(streams.outputs([key])[0], model.outputs([taken])[0])


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("encoder", [SIGNAL, gappy_signal()], ids=["plain", "masks"])
def test_batched_steps_are_those_of_each_stream_alone(encoder, pooling):
    check_interleaved_is_isolated(model_of(encoder, pooling))


def test_a_buffer_shared_between_keys_is_noticed():
    model = model_of(SIGNAL, "mean")
    assert_noticed(shares_a_row(), lambda: check_interleaved_is_isolated(model))


def test_texts_of_different_lengths_are_stepped_together():
    model = model_of(words(), "attention")
    streams = model.streams()
    texts = {"a": "one two three four", "b": "", "c": "zzz 日本語 six", "d": "one " * 40}
    assert streams.push_many(texts) == {}
    assert streams.push_many({"a": "five", "b": "one"}) == {}
    whole = {**texts, "a": texts["a"] + " five", "b": "one"}
    assert streams.results(whole) == dict(zip(whole, model.records(list(whole.values())), strict=True))


def test_events_remember_their_times_by_key():
    model = model_of(events(), "mean")
    streams, logs = model.streams(), {key: timed_steps(9, key) for key in range(3)}
    for step in range(9):
        assert streams.push_many({key: log[step] for key, log in logs.items()}) == {}
    assert_same_bits(streams.outputs(list(logs)), model.outputs(list(logs.values())))


def test_one_unreadable_piece_fails_alone():
    model = model_of(SIGNAL)
    streams = model.streams()
    streams.push_many({key: numbers(2, 1) for key in "abc"})
    before = streams.state("b")
    errors = streams.push_many(
        {"a": numbers(1, 1), "b": np.array([1.0, np.inf, 0.0]), "c": numbers(1, 3), "new": "x"}
    )
    assert set(errors) == {"b", "new"}
    assert all(isinstance(error, DataError) for error in errors.values())
    assert streams.state("b") == before
    assert [streams.steps(key) for key in "abc"] == [3, 2, 3]
    assert "new" not in streams


def test_static_features_belong_to_their_key():
    model = model_of(SIGNAL, "mean", static=True)
    streams, rows = model.streams(), numbers(4, 1)
    streams.push("a", rows, static=[1.0, 2.0])
    streams.start("b", static=[30.0, 4.0])
    errors = streams.push_many({"b": rows, "c": rows, "d": rows}, static={"d": [5.0, 6.0]})
    assert set(errors) == {"c"}
    assert "static must be given" in str(errors["c"])
    with pytest.raises(DataError, match="given before"):
        streams.push("a", rows, static=[1.0, 2.0])
    expected = model.outputs([rows] * 3, [[1.0, 2.0], [30.0, 4.0], [5.0, 6.0]])
    assert_same_bits(streams.outputs(["a", "b", "d"]), expected)


def test_growing_keeps_every_stream():
    model = model_of(SIGNAL, "mean", initial_state="learnt")
    streams = model.streams()
    rows = {key: numbers(3, key) for key in range(3 * FIRST_ROWS)}
    for key, row in rows.items():
        streams.push(key, row)
    assert_same_bits(streams.outputs(list(rows)), model.outputs(list(rows.values())))


# ---- caps and losses -------------------------------------------------------------------------------------------


def test_the_stream_that_waits_longest_makes_room():
    kept = {}
    model = model_of(SIGNAL, "mean")
    streams = model.streams(max_streams=2, on_evict=kept.__setitem__)
    for key in ("a", "b", "a", "c"):
        streams.push(key, numbers(1, 1))
    assert streams.keys() == ["a", "c"]
    assert streams.evicted == {"idle": 0, "room": 1}
    with pytest.raises(LostStreamError, match="no stream 'b' is held"):
        streams.result("b")
    streams.restore("b", kept["b"])
    assert_same_bits(streams.outputs(["b"]), model.outputs([numbers(1, 1)]))
    assert streams.keys() == ["c", "b"]


def test_idle_streams_go_by_a_clock_that_never_jumps(monkeypatch):
    import time

    now = Clock()
    monkeypatch.setattr(time, "time", lambda: 1e12)
    streams = model_of(SIGNAL).streams(idle_seconds=5.0, clock=now)
    streams.push("a", numbers(1, 1))
    now.now = 4.0
    streams.push("b", numbers(1, 1))
    monkeypatch.setattr(time, "time", lambda: -1e12)
    assert len(streams) == 2
    now.now = 5.1
    assert streams.keys() == ["b"]
    assert "a" not in streams
    assert streams.evicted == {"idle": 1, "room": 0}
    assert model_of(SIGNAL).streams()._clock is time.monotonic


def test_a_lost_key_begins_anew_or_is_an_error_by_choice():
    model = model_of(SIGNAL)
    streams = model.streams(max_streams=1)
    streams.push("a", numbers(3, 1))
    streams.push("b", numbers(1, 1))
    streams.push("a", numbers(1, 1))
    assert streams.steps("a") == 1
    strict = model.streams(max_streams=1, lost="error")
    with pytest.raises(LostStreamError, match="never begun"):
        strict.push("a", numbers(1, 1))
    strict.start("a")
    strict.push("a", numbers(3, 1))
    strict.start("b")
    assert isinstance(strict.push_many({"a": numbers(1, 1)})["a"], LostStreamError)
    assert strict.steps("b") == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_streams": 0}, "max_streams must be"),
        ({"max_streams": True}, "max_streams must be"),
        ({"idle_seconds": 0}, "idle_seconds must be"),
        ({"lost": "restrat"}, "did you mean 'restart'"),
        ({"look_ahead": 3}, "no effect"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(SpecError, match=message):
        model_of(SIGNAL).streams(**options)


def test_more_keys_at_once_than_there_may_be_are_refused():
    streams = model_of(SIGNAL).streams(max_streams=2)
    with pytest.raises(SpecError, match="at most max_streams=2"):
        streams.push_many({key: numbers(1, key) for key in range(3)})
    assert len(streams) == 0


def test_states_pass_between_single_and_keyed_streams_of_one_model_only():
    model = model_of(SIGNAL, "attention")
    stream, streams = model.stream(), model.streams()
    for row in numbers(9, 1):
        stream.push(row)
    streams.restore("a", stream.snapshot())
    assert streams.state("a") == stream.state
    stream.restore(streams.snapshot("a"))
    with pytest.raises(StateError, match="belongs to model"):
        model_of(SIGNAL, "attention", seed=9).streams().restore("a", stream.state)
    with pytest.raises(StateError):
        streams.restore("new", {"format": 1})
    assert "new" not in streams


def test_several_threads_may_push_at_once():
    model = model_of(SIGNAL, "mean")
    streams, errors = model.streams(), []

    def work(key: int) -> None:
        try:
            for row in numbers(40, key):
                streams.push(key, row)
                streams.push_many({(key, "x"): row, (key, "y"): row})
                streams.result(key)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(key,)) for key in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    for key in range(4):
        expected = model.outputs([numbers(40, key)])[0]
        for mine in (key, (key, "x"), (key, "y")):
            assert_same_bits(streams.outputs([mine])[0], expected)


def test_bidirectional_streams_by_key_with_a_look_ahead():
    model = model_of(SIGNAL, "mean", bidirectional=True)
    streams, single = model.streams(look_ahead=4), {key: model.stream(look_ahead=4) for key in range(20)}
    for step in range(9):
        rows = {key: numbers(9, key)[step] for key in single}
        assert streams.push_many(rows) == {}
        for key, stream in single.items():
            stream.push(rows[key])
    for key, stream in single.items():
        assert_same_bits(streams.outputs([key])[0], stream.outputs())
        assert streams.state(key) == stream.state
