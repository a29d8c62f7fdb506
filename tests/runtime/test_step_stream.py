"""An answer per step from a stream: the bits of the whole sequence, look-ahead, tags that stand, states, errors."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from recurra.errors import DataError, SpecError, StateError
from recurra.graph.stepping import Stepping
from recurra.runtime.tagger import TaggerPredictor
from recurra.runtime.verify import verify
from runtime.taggers import WORDS, tagger


def stepped(model: TaggerPredictor, items: list[Any], ahead: int | None = None) -> np.ndarray:
    stream = model.stream(look_ahead=ahead)
    parts = [stream.push_outputs(item)[:, 0] for item in items]
    return np.concatenate([*parts, stream.finish_outputs()]).astype(np.float32)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("options", [{}, {"initial_state": "learnt"}, {"zoneout": 0.1}])
def test_one_direction_answers_at_once_with_the_bits_of_the_whole(cell, options):
    model = tagger(cell=cell, **options)
    assert stepped(model, WORDS).tobytes() == model.outputs([WORDS]).tobytes()
    assert stepped(model, [" ".join(WORDS[:4]), [], WORDS[4:]]).tobytes() == model.outputs([WORDS]).tobytes()


def test_a_look_ahead_of_the_whole_sequence_gives_its_bits_and_its_tags():
    model = tagger(bidirectional=True)
    assert stepped(model, WORDS, len(WORDS)).tobytes() == model.outputs([WORDS]).tobytes()
    stream = model.stream(look_ahead=20)
    found = [record for word in WORDS for record in stream.push(word)]
    assert found == []
    assert stream.owed == len(WORDS)
    assert [record["label"] for record in stream.finish()] == model.predict([WORDS])[0]


def test_a_saboteur_that_reads_a_step_less_is_found(monkeypatch):
    model, honest = tagger(), Stepping.advance
    monkeypatch.setattr(Stepping, "advance", lambda self, x, rows: honest(self, x * np.float32(1.0001), rows))
    assert stepped(model, WORDS).tobytes() != model.outputs([WORDS]).tobytes()
    assert not verify(model).passed


def test_a_step_is_answered_when_its_look_ahead_is_full():
    model, stream = tagger(bidirectional=True), None
    stream = model.stream(look_ahead=3)
    counts = [len(stream.push(word)) for word in WORDS]
    assert counts == [0, 0, *[1] * 8]
    assert len(stream.finish()) == 2
    assert stream.owed == 0


@pytest.mark.parametrize(("bidirectional", "ahead"), [(False, None), (True, 1), (True, 3)])
def test_tags_that_were_given_stand_and_are_legal(bidirectional, ahead):
    model = tagger(bidirectional=bidirectional)
    generator = np.random.default_rng(0)
    for _ in range(20):
        stream, tags = model.stream(look_ahead=ahead), ["O"]
        for word in generator.choice(WORDS, 12):
            tags += [record["label"] for record in stream.push(str(word))]
        tags += [record["label"] for record in stream.finish()]
        assert len(tags) == 13
        for before, tag in pairwise(tags):
            assert tag[0] != "I" or before[2:] == tag[2:]


@pytest.mark.parametrize(("bidirectional", "ahead"), [(False, None), (True, 3)])
def test_a_stream_goes_on_from_its_state(bidirectional, ahead):
    model = tagger(bidirectional=bidirectional)
    whole = model.stream(look_ahead=ahead)
    expected = [record for word in WORDS for record in whole.push(word)] + whole.finish()
    found, state = [], None
    for word in WORDS:
        stream = model.stream(look_ahead=ahead)
        if state is not None:
            stream.restore(json.loads(state))
        found += stream.push(word)
        state = stream.snapshot()
    assert found + stream.finish() == expected
    whole.reset()
    assert [record for word in WORDS for record in whole.push(word)] == expected[
        : len(WORDS) - (ahead or 1) + 1
    ]


def test_numbers_of_a_signal_come_at_once():
    model = tagger(signal=True)
    signal = np.random.default_rng(1).standard_normal((9, 2))
    stream = model.stream()
    found = [record["value"] for row in signal for record in stream.push(row)]
    assert found == model.predict([signal])[0].tolist()


def test_streams_by_key_answer_for_the_newest_step():
    model = tagger(signal=True)
    signals = np.random.default_rng(2).standard_normal((3, 6, 2))
    streams = model.streams()
    for step in range(6):
        assert streams.push_many({key: signals[key, step] for key in range(3)}) == {}
        expected = [row[step] for row in model.predict(list(signals))]
        assert [streams.predict(key) for key in range(3)] == expected


@pytest.mark.parametrize(
    "options",
    [{}, {"bidirectional": True}, {"crf": False}, {"signal": True}, {"signal": True, "cell": "gru"}],
)
def test_verify_holds_every_promise(options):
    found = verify(tagger(scale=1.0, **options))
    assert found.passed, found.checks
    names = {check.name for check in found.checks}
    assert {"alone = batch", "permuted = batch", "streamed = batch", "resumed from a state = batch"} <= names


def test_errors_of_a_stream_are_clear():
    stream = tagger().stream()
    stream.push("one")
    state = stream.state
    assert stream.finish() == []
    with pytest.raises(DataError, match="was finished"):
        stream.push("two")
    with pytest.raises(StateError, match="none of a tagger's stream"):
        stream.restore({**state, "memory": {}})
    with pytest.raises(StateError, match="tags must be codes"):
        stream.restore({**state, "memory": {**state["memory"], "tag.0": 99}})
    with pytest.raises(SpecError, match="look_ahead"):
        tagger(bidirectional=True).stream()
