"""A language model asked for what comes next: streamed, verified, exported, and the bits of scoring."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest

import recurra as rc
from recurra import kernels
from recurra.errors import InputError
from recurra.runtime.continuation import Continuation
from recurra.runtime.export import export_onnx
from recurra.runtime.next_token import NextTokens
from recurra.runtime.store import save_predictor
from recurra.runtime.verify import verify
from recurra.runtime.verify_writing import writing_checks
from runtime.language_models import TEXT, UNITS, writer
from shared import assert_noticed

TEXTS = [TEXT[:60], "", "rain", "zz☃qx the"]


@pytest.mark.parametrize("unit", UNITS)
def test_what_comes_next_has_the_bits_of_scoring(unit):
    model = writer(unit, cell="gru", initial_state="learnt")
    batch = model.encode(TEXTS)
    whole = np.concatenate(list(model.walk(batch)))
    np.testing.assert_array_equal(model.outputs(TEXTS), whole[batch.offsets[1:] - 1])


def check_a_stream_says_what_comes_next(unit="characters"):
    model = writer(unit)
    stream = model.stream()
    np.testing.assert_array_equal(stream.outputs(), model.outputs([""])[0])
    for place in range(0, 40, 8):
        stream.push(TEXT[place : place + 8])
        np.testing.assert_array_equal(stream.outputs(), model.outputs([TEXT[: place + 8]])[0])
    stream.reset()
    np.testing.assert_array_equal(stream.outputs(), model.outputs([""])[0])


def test_a_stream_says_what_comes_next():
    """A stream that began with nothing, where a document begins behind its boundary, would be noticed."""
    forgets = mock.patch.object(Continuation, "begun", Continuation.stepping)
    assert_noticed(forgets, check_a_stream_says_what_comes_next)


def test_records_name_the_likeliest_next_tokens():
    model = writer()
    stream = model.stream()
    stream.push("the c")
    record = stream.result()
    chances = np.asarray(kernels.softmax(model.outputs(["the c"])))[0]
    tokens = [*model.encoder.vocabulary, None]
    best = np.argsort(-chances, kind="stable")[:5]
    assert [each["token"] for each in record["next"]] == [tokens[place] for place in best]
    assert [each["probability"] for each in record["next"]] == chances[best].tolist()
    assert stream.predict() == tokens[best[0]]


def test_many_streams_begin_behind_the_boundary_also_beyond_the_first_rows():
    model = writer()
    streams = model.streams(max_streams=100)
    keys = list(range(60))
    for key in keys:
        streams.push(key, TEXT[key : key + 5])
    for key in keys:
        wanted = model.outputs([TEXT[key : key + 5]])[0]
        np.testing.assert_array_equal(streams.outputs([key])[0], wanted)


@pytest.mark.parametrize("unit", ["words", "bytes"])
def test_a_stored_model_is_verified(unit, tmp_path):
    model = writer(unit, scale=2.0)
    save_predictor(model, tmp_path / "m", training={}, scores={}, data={})
    found = verify(rc.load(tmp_path / "m"))
    assert found.passed, found.to_record()
    names = {check.name for check in found.checks}
    assert {"every token scored = the text so far", "written alone = in a batch", "streamed = batch"} <= names
    assert {"now = when it was saved", "written with 3 threads", "interleaved by key = batch"} <= names


def test_verify_notices_texts_that_depend_on_the_batch(monkeypatch):
    honest = NextTokens.advance

    def advance(self, parents, tokens):
        log_probs = honest(self, parents, tokens)
        return np.roll(log_probs, 1, axis=1) if len(tokens) > 3 else log_probs

    monkeypatch.setattr(NextTokens, "advance", advance)
    failed = [check.name for check in writing_checks(writer(), TEXTS) if not check.passed]
    assert failed == ["written alone = in a batch"]


def test_a_model_is_exported_as_what_comes_next(tmp_path):
    pytest.importorskip("onnxruntime")
    made = export_onnx(writer(scale=2.0), tmp_path / "onnx")
    assert made.difference <= 1e-5
    assert made.step is not None
    assert (tmp_path / "onnx" / "tokenizer.json").is_file()


def test_a_continuation_is_not_scored():
    with pytest.raises(InputError, match="is not scored"):
        writer().answering.scores(TEXTS, None)


def test_what_is_stored_of_it_is_the_language_model(tmp_path):
    model = writer()
    save_predictor(model.answering, tmp_path / "m", training={}, scores={}, data={})
    stored = rc.load(tmp_path / "m")
    assert stored.generate("the", length=10) == model.generate("the", length=10)
    np.testing.assert_array_equal(stored.outputs(TEXTS), model.outputs(TEXTS))


@pytest.mark.parametrize("embedding_size", [6, 4])
def test_a_tied_head_is_verified_and_exported_as_any_other(embedding_size, tmp_path):
    model = writer(hidden_size=6, embedding_size=embedding_size, num_layers=1, tied_embedding=True)
    found = verify(model)
    assert found.passed, [check for check in found.checks if not check.passed]
    assert {"recurra = torch.nn", "recurra = ONNX Runtime"} <= {check.name for check in found.checks}
