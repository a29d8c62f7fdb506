"""Streams of models that foretell their own input, and what verify says of them."""

from __future__ import annotations

import json

import numpy as np
import pytest

import recurra as rc
from recurra.runtime.verify import verify
from recurra.runtime.walking import Walking
from recurra.runtime.wire import Wire
from tasks.test_frame_model import rolls

TEXTS = ["the cat sat on the mat", "the dog sat on the log; ", "a cat, a dog"] * 4
TRAINING = rc.Training(epochs=1, batch_size=4, sequence_length=9, learning_rate=0.01)
CELLS = [("lstm", "learnt"), ("gru", "zero")]


@pytest.fixture(scope="module", params=CELLS, ids=lambda p: p[0])
def models(request):
    cell, start = request.param
    network = rc.Network(cell=cell, hidden_size=6, num_layers=2, embedding_size=4, initial_state=start)
    words = rc.LanguageModel(network, TRAINING, rc.Words(min_count=1)).fit(TEXTS)
    frames = rc.FrameModel(network.replace(embedding_size=None), TRAINING).fit(rolls())
    return words.predictor_, frames.predictor_


def test_verify_finds_every_bit_the_same(models):
    for model in models:
        found = verify(model)
        names = [check.name for check in found.checks]
        assert found.passed, found
        assert {"streamed = batch", "resumed from a state = batch", "permuted = batch"} <= set(names)


def test_a_stream_that_did_not_read_the_beginning_would_be_seen(models, monkeypatch):
    monkeypatch.setattr(Walking, "begun", Walking.stepping)
    failed = {check.name for check in verify(models[1]).checks if not check.passed}
    assert {"streamed = batch", "interleaved by key = batch"} <= failed


def test_what_may_come_next_is_that_of_the_whole_text(models):
    text, frames = models
    stream = text.stream()
    for piece in ("the cat ", "sat"):
        stream.push(piece)
    whole = np.concatenate(list(text.walk(text.encode(["the cat sat"]))))
    assert stream.outputs().tobytes() == whole[-1].tobytes()
    assert stream.probabilities().sum() == pytest.approx(1.0, abs=1e-5)
    stream.reset()
    assert stream.outputs().tobytes() == whole[0].tobytes()
    roll = frames.stream()
    for frame in rolls(1)[0]:
        roll.push(frame)
    assert roll.probabilities().tobytes() == frames.next_frame(rolls(1))[0].tobytes()


def test_what_a_stream_cannot_say_is_refused(models):
    for model in models:
        with pytest.raises(rc.errors.SpecError, match="look_ahead has no effect"):
            model.stream(look_ahead=3)
    frames = models[1]
    with pytest.raises(rc.errors.DataError, match=r"0 and 1 alone, got 0\.5"):
        frames.stream().push([0.5, 0, 0, 0, 0])
    errors = frames.streams().push_many({"a": [0, 0, 2, 0, 0], "b": [0, 0, 1, 0, 0]})
    assert list(errors) == ["a"]
    assert "got 2" in str(errors["a"])


def test_lines_are_answered_by_what_may_come_next(models):
    """As `recurra stream` does it: of texts the likeliest tokens, of frames the probability of each yes."""
    text, frames = models
    given = [{"key": "a", "text": "the "}, {"key": "b", "text": "a dog"}, {"key": "a", "text": "cat"}]
    answers = Wire(text.streams(), most=2).answer([json.dumps(line).encode() for line in given])
    assert [(answer["key"], answer["steps"]) for answer in answers] == [("a", 1), ("b", 2), ("a", 2)]
    stream = text.answering.stream()
    stream.push("the cat")
    assert answers[-1]["next"] == stream.result()["next"]
    piece = rolls(1)[0]
    lines = [b'{"key": 1, "reset": true}', json.dumps({"key": 1, "input": piece.tolist()}).encode(), b"[0.5]"]
    begun, after, odd = Wire(frames.streams(), most=2).answer(lines)
    assert (begun["steps"], after["steps"]) == (0, len(piece))
    assert begun["next"] == frames.next_frame([piece[:0]])[0].tolist()
    assert after["next"] == frames.next_frame([piece])[0].tolist()
    assert odd["error"]["type"] == "DataError"


def test_streams_by_key_foretell_what_each_foretells_alone(models):
    frames = models[1]
    many, pieces = frames.streams(max_streams=8), rolls(3, seed=5)
    for step in range(max(map(len, pieces))):
        going = {key: piece[step] for key, piece in enumerate(pieces) if step < len(piece)}
        assert many.push_many(going) == {}
    for key, piece in enumerate(pieces):
        expected = frames.next_frame([piece])[0]
        assert many.probabilities(key).tobytes() == expected.tobytes()
        assert many.result(key) == {"next": expected.tolist()}
        many.reset(key)
        assert many.probabilities(key).tobytes() == frames.next_frame([piece[:0]])[0].tobytes()
    many.restore("copy", frames.stream().state)
    assert many.outputs(["copy"]).tobytes() == many.outputs([0]).tobytes()
