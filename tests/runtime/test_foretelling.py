"""Streams of models that foretell their own input, and what verify says of them."""

from __future__ import annotations

import numpy as np
import pytest

import recurra as rc
from recurra.runtime.foretelling import ForetellingStream
from recurra.runtime.verify import verify
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
    def without(self, predictor, **options):
        super(ForetellingStream, self).__init__(predictor)

    monkeypatch.setattr(ForetellingStream, "__init__", without)
    failed = {check.name for check in verify(models[1]).checks if not check.passed}
    assert "streamed = batch" in failed


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
    with pytest.raises(rc.errors.SpecError, match="has no result"):
        frames.stream().result()
    with pytest.raises(rc.errors.SpecError, match="no streams by key"):
        frames.streams()
