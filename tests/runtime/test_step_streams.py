"""Streams by key of taggers: each answers as it does alone, whatever comes between; caps, losses, lines of JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from recurra.errors import DataError, LostStreamError, SpecError
from recurra.runtime.step_stream import StepStream
from recurra.runtime.step_streams import StepStreams
from recurra.runtime.wire import Wire
from runtime.test_keyed import Clock
from runtime.test_step_stream import WORDS, tagger


def alone(model: Any, words: list[str], ahead: int | None) -> list[dict[str, Any]]:
    stream = model.stream(look_ahead=ahead)
    return [record for word in words for record in stream.push(word)] + stream.finish()


def check_interleaved_streams_answer_as_alone(bidirectional: bool, ahead: int | None) -> None:
    model = tagger(bidirectional=bidirectional)
    streams = model.streams(look_ahead=ahead)
    assert isinstance(streams, StepStreams)
    sentences = {"a": WORDS, "b": WORDS[::-1], 3: WORDS[2:7]}
    found: dict[Any, list[Any]] = {key: [] for key in sentences}
    for step in range(len(WORDS)):
        items = {key: words[step] for key, words in sentences.items() if step < len(words)}
        assert streams.push_many(items) == {}
        for key, record in streams.results(items).items():
            found[key] += record["answers"]
    for key, words in sentences.items():
        assert streams.steps(key) == len(words)
        assert found[key] + streams.finish(key) == alone(model, words, ahead)
    assert len(streams) == 0


@pytest.mark.parametrize(("bidirectional", "ahead"), [(False, None), (True, 1), (True, 3)])
def test_interleaved_streams_answer_as_they_do_alone(bidirectional, ahead):
    check_interleaved_streams_answer_as_alone(bidirectional, ahead)


def test_the_comparison_notices_streams_that_share_what_they_remember(monkeypatch):
    class Sharing(StepStreams):
        def _fresh(self):
            self.one = getattr(self, "one", None) or super()._fresh()
            return self.one

    with monkeypatch.context() as patch:
        patch.setattr("recurra.runtime.step_streams.StepStreams", Sharing)
        with pytest.raises(AssertionError):
            check_interleaved_streams_answer_as_alone(False, None)
    check_interleaved_streams_answer_as_alone(False, None)


def test_numbers_read_ahead_by_key():
    model = tagger(signal=True, bidirectional=True)
    signal = np.random.default_rng(2).standard_normal((5, 2))
    streams = model.streams(look_ahead=9)
    for row in signal:
        assert streams.push("a", row) == []
    values = [record["value"] for record in streams.finish("a")]
    assert values == model.predict([signal])[0].tolist()


def test_states_go_from_key_to_key_and_to_a_stream():
    model = tagger(bidirectional=True)
    streams = model.streams(look_ahead=3)
    for word in WORDS[:4]:
        streams.push("a", word)
    streams.restore("b", json.loads(json.dumps(streams.state("a"))))
    stream = StepStream(model, look_ahead=3)
    stream.restore(streams.snapshot("b"))
    for word in WORDS[4:]:
        assert streams.push("a", word) == streams.push("b", word) == stream.push(word)
    streams.reset("a")
    assert (streams.steps("a"), streams.result("a")) == (0, {"answers": []})


def test_streams_go_for_room_and_for_time_and_are_missed():
    now, kept = Clock(), {}
    streams = tagger().streams(max_streams=2, idle_seconds=5.0, clock=now, on_evict=kept.__setitem__)
    for key in ("a", "b", "a", "c"):
        streams.push(key, "one")
    assert streams.keys() == ["a", "c"]
    assert kept["b"]["steps"] == 1
    now.now = 6.0
    assert streams.keys() == []
    assert streams.evicted == {"idle": 2, "room": 1}
    with pytest.raises(LostStreamError, match="no stream 'b' is held"):
        streams.result("b")
    with pytest.raises(LostStreamError, match="no stream 'x' is held"):
        tagger().streams(lost="error").push("x", "one")


def test_what_cannot_be_read_leaves_the_stream_and_no_key_behind():
    streams = tagger().streams()
    streams.push("a", "one")
    assert isinstance(streams.push_many({"a": 3, "b": 4, "c": "two"})["a"], DataError)
    assert streams.keys() == ["a", "c"]
    assert streams.steps("a") == 1
    with pytest.raises(SpecError, match="at most max_streams=1 keys"):
        tagger().streams(max_streams=1).push_many({"a": "one", "b": "two"})
    with pytest.raises(SpecError, match="look_ahead"):
        tagger(bidirectional=True).streams()


def test_lines_are_answered_by_the_answers_that_stand():
    model = tagger(bidirectional=True)
    wire = Wire(model.streams(look_ahead=2), most=8)
    lines = [
        {"key": "a", "input": "one"},
        {"key": "b", "input": "two three"},
        {"key": "a", "input": "two", "end": True},
        {"key": "b", "end": True, "state": True},
        {"key": "a", "input": "one"},
        {"key": "a", "end": "yes"},
    ]
    first, second, third, fourth, again, wrong = wire.answer(json.dumps(line).encode() for line in lines)
    assert (first["answers"], first["steps"]) == ([], 1)
    assert third["answers"] == alone(model, ["one", "two"], 2)
    assert second["answers"] + fourth["answers"] == alone(model, ["two", "three"], 2)
    assert fourth["state"]["steps"] == 2
    assert again["steps"] == 1
    assert "end must be true or false" in wrong["error"]["message"]


def test_end_is_refused_where_every_line_is_answered_in_full():
    (answer,) = Wire(tagger(signal=True).streams(), most=8).answer([b'{"input": [1, 2], "end": true}'])
    assert "end has no effect on this model" in answer["error"]["message"]
