"""Ensembles: several models that predict, stream, save and verify as one, or are refused with the reason."""

from __future__ import annotations

import json
import os
from typing import Any
from unittest import mock

import numpy as np
import pytest

import recurra as rc
from recurra.errors import CorruptBundleError, SpecError, StateError, StorageError
from recurra.insight.states import hidden_states
from recurra.runtime.ensemble import Ensemble
from recurra.runtime.static_scaler import StaticScaler
from recurra.runtime.store import load_predictor, save_predictor
from recurra.runtime.verify import verify
from runtime.streaming import (
    SENTENCES,
    assert_same_bits,
    characters,
    events,
    model_of,
    numbers,
    plain_signal,
    timed_steps,
    words,
)
from shared import assert_noticed

TEXT = [model_of(words(), "mean", seed=1), model_of(words(), "attention", seed=2, cell="gru", hidden_size=5)]
SIGNAL = [model_of(plain_signal(), how, seed=3, task="regressor") for how in ("last", "max")]
SEQUENCES = [numbers(length, length) for length in (5, 1, 0, 12)]


def test_a_classifier_answers_with_the_mean_of_the_probabilities():
    joined = Ensemble.of(*TEXT)
    expected = (np.float64(TEXT[0].predict_proba(SENTENCES)) + TEXT[1].predict_proba(SENTENCES)) / 2
    assert_same_bits(joined.predict_proba(SENTENCES), expected.astype(np.float32))
    labels = [joined.classes[i] for i in expected.argmax(axis=1)]
    assert list(joined.predict(SENTENCES)) == labels
    record = next(iter(joined.records(SENTENCES)))
    assert record["label"] == labels[0]
    assert sum(record["probabilities"].values()) == pytest.approx(1.0, abs=1e-6)


def test_an_ensemble_of_its_first_member_alone_would_be_noticed():
    first_alone = mock.patch.object(
        Ensemble, "joined", lambda self, outputs: self._said(self.members[0], outputs[0])
    )
    assert_noticed(first_alone, test_a_classifier_answers_with_the_mean_of_the_probabilities)


def test_a_regressor_answers_with_the_mean_in_the_units_of_the_targets():
    joined = Ensemble.of(*SIGNAL)
    expected = (SIGNAL[0].predict(SEQUENCES) + SIGNAL[1].predict(SEQUENCES)) / 2
    np.testing.assert_allclose(joined.predict(SEQUENCES), expected, rtol=1e-6)
    assert joined.score(SEQUENCES, expected) == pytest.approx(1.0, abs=1e-6)


def test_members_with_other_scales_of_the_targets_are_joined_in_the_units():
    other = model_of(plain_signal(), "mean", task="regressor", seed=9)
    other.target = type(other.target)(mean=(100.0,), scale=(7.0,), vector=False)
    joined = Ensemble.of(SIGNAL[0], other)
    expected = (SIGNAL[0].predict(SEQUENCES) + other.predict(SEQUENCES)) / 2
    np.testing.assert_allclose(joined.predict(SEQUENCES), expected, rtol=1e-6)


def test_several_labels_and_thresholds_are_joined_too():
    members = [model_of(words(), seed=seed) for seed in (1, 2)]
    for member, threshold in zip(members, (None, [0.3, 0.4, 0.5]), strict=True):
        member.config = {"multilabel": True, "threshold": threshold}
    joined = Ensemble.of(*members)
    assert joined.threshold == pytest.approx([0.4, 0.45, 0.5])
    expected = (np.float64(members[0].predict_proba(SENTENCES)) + members[1].predict_proba(SENTENCES)) / 2
    np.testing.assert_allclose(joined.predict_proba(SENTENCES), expected, rtol=1e-6)


KINDS = [
    pytest.param(words, SENTENCES, lambda text: text.split(), {}, id="words"),
    pytest.param(plain_signal, SEQUENCES, list, {}, id="signal"),
    pytest.param(events, [timed_steps(9, 4), timed_steps(2, 5)], list, {}, id="events"),
    pytest.param(words, SENTENCES, lambda text: text.split(), {"look_ahead": 40}, id="both directions"),
]


@pytest.mark.parametrize(("encoder", "inputs", "pieces", "options"), KINDS)
def test_a_stream_of_an_ensemble_gives_the_bits_of_predict(encoder, inputs, pieces, options):
    second = model_of(encoder(), "last", seed=2, cell="gru", hidden_size=5, bidirectional=bool(options))
    joined = Ensemble.of(model_of(encoder(), "mean", seed=1), second)
    expected = joined.predict_proba(inputs)
    keyed = joined.streams(**options)
    for row, sequence in enumerate(inputs):
        keyed.start(row)
        items = pieces(sequence)
        stream, resumed = joined.stream(**options), joined.stream(**options)
        for item in items[: len(items) // 2]:
            stream.push(item)
        resumed.restore(stream.snapshot())
        for item in items[len(items) // 2 :]:
            resumed.push(item)
        assert_same_bits(resumed.probabilities(), expected[row])
        assert resumed.result() == next(iter(joined.records(inputs[row : row + 1])))
    for step in range(max(len(pieces(sequence)) for sequence in inputs)):
        errors = keyed.push_many(
            {row: pieces(s)[step] for row, s in enumerate(inputs) if step < len(pieces(s))}
        )
        assert not errors
    assert_same_bits(keyed.outputs(range(len(inputs))), joined.outputs(inputs))


def test_many_streams_grow_and_a_long_piece_at_once_is_as_many_short_ones():
    joined = Ensemble.of(*SIGNAL)
    many = joined.streams()
    for key in range(40):
        many.push(key, numbers(20, key))
    expected = joined.predict([numbers(20, key) for key in range(40)])
    assert [many.predict(key) for key in range(40)] == list(expected)


def test_a_state_belongs_to_the_ensemble_and_not_to_a_member():
    joined, others = Ensemble.of(*SIGNAL), Ensemble.of(*SIGNAL[::-1])
    stream = joined.stream()
    stream.push(numbers(1)[0])
    for stranger in (SIGNAL[0].stream(), others.stream()):
        with pytest.raises(StateError, match="belongs to model"):
            stranger.restore(stream.state)


def test_members_that_read_otherwise_predict_together_and_are_not_streamed():
    pair = [model_of(words(), "mean"), model_of(characters(), "mean")]
    joined = Ensemble.of(*pair)
    assert not joined.shares_steps
    expected = (np.float64(pair[0].predict_proba(SENTENCES)) + pair[1].predict_proba(SENTENCES)) / 2
    assert_same_bits(joined.predict_proba(SENTENCES), expected.astype(np.float32))
    for begin in (joined.stream, joined.streams):
        with pytest.raises(SpecError, match="read sequences in different ways"):
            begin()


def test_static_features_reach_every_member():
    members = [model_of(plain_signal(), "mean", static=True, seed=seed) for seed in (1, 2)]
    static = np.arange(8.0).reshape(4, 2)
    joined = Ensemble.of(*members)
    expected = sum(np.float64(member.predict_proba(SEQUENCES, static)) for member in members) / 2
    assert_same_bits(joined.predict_proba(SEQUENCES, static), expected.astype(np.float32))
    stream = joined.stream(static=static[0])
    for row in SEQUENCES[0]:
        stream.push(row)
    assert_same_bits(stream.probabilities(), joined.predict_proba(SEQUENCES[:1], static[:1])[0])


def _relabelled() -> Any:
    made = model_of(words(), seed=5)
    made.target = type(made.target).fit(["x", "y", "z"])
    return made


def _wide() -> Any:
    made = model_of(words())
    made.config = {"multilabel": True, "threshold": None}
    return made


def _with_static(names: tuple[str, ...]) -> Any:
    made = model_of(words(), static=True)
    scaler = made.head.static
    made.head = type(made.head)(
        outputs=3, pooling="last", static=StaticScaler(names=names, mean=scaler.mean, scale=scaler.scale)
    )
    return made


REFUSED = [
    (lambda: [TEXT[0]], "has 2 to 64 models, got 1"),
    (lambda: TEXT * 33, "has 2 to 64 models, got 66"),
    (lambda: [TEXT[0], SIGNAL[0]], "member 1 is a classifier, member 2 a regressor"),
    (lambda: [TEXT[0], _relabelled()], "same labels: member 1 has 'a', 'b', 'c', member 2 'x', 'y', 'z'"),
    (lambda: [TEXT[0], _wide()], "member 1 gives one label per sequence, member 2 several labels"),
    (lambda: [TEXT[0], model_of(plain_signal())], "member 1 reads texts, member 2 steps of"),
    (
        lambda: [TEXT[0], model_of(words(), static=True)],
        "texts, member 2 texts with the features 'age', 'mass'",
    ),
    (lambda: [_with_static(("age", "mass")), _with_static(("mass", "age"))], "must read the same data"),
    (lambda: [TEXT[0], Ensemble.of(*TEXT)], "got an ensemble; give its members"),
    (lambda: [TEXT[0], 3], "a member must be a loaded model, a fitted estimator or the path"),
]


@pytest.mark.parametrize(("members", "message"), REFUSED, ids=[message[:30] for _, message in REFUSED])
def test_models_that_cannot_answer_as_one_are_refused_with_the_reason(members, message):
    with pytest.raises(SpecError, match=message):
        Ensemble.of(*members())


def test_what_needs_one_network_is_refused_in_words():
    joined = Ensemble.of(*TEXT)
    for name in ("network", "parameters", "model"):
        with pytest.raises(SpecError, match="do it with its members"):
            getattr(joined, name)
    assert "2 members" in repr(joined)
    assert joined == joined
    assert joined != Ensemble.of(*TEXT)


def saved(joined: Ensemble, path: Any) -> Any:
    joined.save(path)
    return rc.load(path)


@pytest.mark.parametrize(
    "members", [TEXT, SIGNAL, [TEXT[0], model_of(characters(), "mean")]], ids=["text", "numbers", "mixed"]
)
def test_an_ensemble_is_one_bundle_with_the_bits_of_the_live_one(members, tmp_path):
    joined = Ensemble.of(*members)
    loaded = saved(joined, tmp_path / "joined")
    inputs = SENTENCES if members[0].encoder.kind == "tokens" else SEQUENCES
    assert isinstance(loaded, Ensemble)
    assert type(loaded) is type(joined)
    assert_same_bits(loaded.outputs(inputs), joined.outputs(inputs))
    assert [member.identity for member in loaded.members] == [member.identity for member in members]
    assert loaded.model_id
    again = saved(loaded, tmp_path / "again")
    assert again.model_id == loaded.model_id
    assert_same_bits(again.outputs(inputs), joined.outputs(inputs))


def test_members_with_one_encoder_keep_one_file_of_it(tmp_path):
    Ensemble.of(*TEXT).save(tmp_path / "a")
    Ensemble.of(TEXT[0], model_of(characters(), "mean")).save(tmp_path / "b")
    files = [sorted(name for name in os.listdir(tmp_path / each) if "tokenizer" in name) for each in "ab"]
    assert files == [["0-tokenizer.json"], ["0-tokenizer.json", "1-tokenizer.json"]]
    card = (tmp_path / "a" / "README.md").read_text()
    assert "Classifier of 2 models" in card
    assert "2 x 5 GRU" in card


def test_a_damaged_ensemble_is_refused_with_the_file(tmp_path):
    path = Ensemble.of(*TEXT).save(tmp_path / "joined")
    weights = path / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(CorruptBundleError, match=r"model\.safetensors"):
        load_predictor(path)


FORGED = [
    ({"members": []}, "a list of 2 to 64 models"),
    ({"members": 3}, "a list of 2 to 64 models"),
    ({"members": [{"members": []}, {"members": []}]}, "must hold single models"),
    ({"members": [{}, {}]}, "lacks or mistypes 'task'"),
    ({"task": "oracle"}, "not of 'oracle'"),
    ({"files": []}, "0-tokenizer"),
]


@pytest.mark.parametrize(("change", "message"), FORGED, ids=[message[:20] for _, message in FORGED])
def test_a_config_that_makes_no_ensemble_is_refused(change, message, tmp_path):
    from runtime.test_verify import forged

    path = Ensemble.of(*TEXT).save(tmp_path / "joined")
    forged(path, "config.json", lambda data: json.dumps({**json.loads(data), **change}).encode())
    with pytest.raises(CorruptBundleError, match=message):
        load_predictor(path)


def test_paths_and_estimators_are_members_too(tmp_path):
    paths = [
        save_predictor(m, tmp_path / str(i), training={}, scores={}, data={}) for i, m in enumerate(TEXT)
    ]
    joined = rc.Ensemble.of(*paths)
    assert_same_bits(joined.outputs(SENTENCES), Ensemble.of(*TEXT).outputs(SENTENCES))
    with pytest.raises(StorageError):
        rc.Ensemble.of(paths[0], tmp_path / "nothing")


def test_the_states_of_an_ensemble_are_those_of_its_members():
    with pytest.raises(SpecError, match="watch is for one model"):
        Ensemble.of(*TEXT).stream(watch=True)
    with pytest.raises(SpecError, match="of an ensemble, give a member"):
        hidden_states(Ensemble.of(*TEXT), SENTENCES)


@pytest.mark.parametrize(
    "members", [TEXT, [TEXT[0], model_of(characters(), "mean")]], ids=["shared", "mixed"]
)
def test_an_ensemble_is_verified_with_its_members(members, tmp_path):
    result = verify(saved(Ensemble.of(*members), tmp_path / "joined"))
    assert result.passed
    names = {check.name for check in result.checks}
    assert {"alone = batch", "permuted = batch", "now = when it was saved"} <= names
    assert "member 2: recurra = torch.nn" in names
    assert ("streamed = batch" in names) == (members is TEXT)
