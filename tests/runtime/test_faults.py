"""What users and their data do to a stored model: nothing at all, nonsense, other columns, a misspelt config."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from recurra.data.events import Events
from recurra.data.signal import Signal
from recurra.data.text import Words
from recurra.errors import CorruptBundleError, DataError
from recurra.runtime.store import load_predictor, save_predictor
from recurra.runtime.wire import Wire, as_line
from runtime.streaming import (
    SENTENCES,
    assert_same_bits,
    characters,
    gappy_signal,
    model_of,
    numbers,
    pieces,
    plain_signal,
    words,
)
from runtime.test_verify import forged


def loaded(encoder: Any, path: Any, **options: Any) -> Any:
    save_predictor(model_of(encoder, "mean", **options), path, training={}, scores={}, data={})
    return load_predictor(path)


NOTHING = [([], 0), ([""], 1), (["", "", ""], 3), (["one", "", "two"], 3)]


@pytest.mark.parametrize("both", [False, True], ids=["one way", "both"])
@pytest.mark.parametrize(("texts", "count"), NOTHING, ids=str)
def test_no_sequences_and_empty_ones_have_defined_answers(texts, count, both, tmp_path):
    model = loaded(words(), tmp_path / "m", bidirectional=both)
    made = model.predict_proba(texts)
    assert made.shape == (count, 3)
    assert np.isfinite(made).all()
    assert len(model.predict(texts)) == len(list(model.records(texts))) == count
    for row, text in enumerate(texts):
        assert_same_bits(made[row], model.predict_proba([text])[0])


GARBAGE = {
    "lone surrogate": "one \ud800 two \udfff",
    "null": "one\x00two \x00",
    "byte order mark": "\ufeffone two",
    "combining": "e\u0301\u0301\u0301 " + "\u0300" * 500,
    "right to left": "\u202eone \u05d0\u05d1 \u0627\u0644",
    "joined emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467 one",
    "private use": "\ue000\U0010ffff",
    "line ends": "one\r\ntwo\u2028three\x85four",
    "a word of ten million letters": "a" * 10_000_000,
}


@pytest.mark.parametrize("kind", [words, characters, pieces])
@pytest.mark.parametrize("name", [name for name in GARBAGE if "million" not in name])
def test_any_text_is_answered_alone_in_a_batch_and_in_a_stream(kind, name, tmp_path):
    model = loaded(kind(), tmp_path / "m")
    made = model.predict_proba([GARBAGE[name], SENTENCES[0]])
    assert np.isfinite(made).all()
    assert_same_bits(made[1], model.predict_proba([SENTENCES[0]])[0])
    stream = model.stream()
    stream.push(GARBAGE[name])
    assert_same_bits(stream.probabilities(), made[0])


def test_a_line_of_ten_million_letters_is_one_answer(tmp_path):
    model = loaded(words(), tmp_path / "m")
    line = json.dumps({"input": GARBAGE["a word of ten million letters"]}).encode()
    (answer,) = Wire(model.streams(), most=8).answer([line])
    assert answer["steps"] == 1
    assert len(as_line(answer)) < 1000


@pytest.mark.parametrize(
    "line", [b"\xff\xfe\x00", b'{"input": "\xc3\x28"}', b'{"input": "one\\ud800"}', b"\x00"]
)
def test_bytes_that_are_no_text_are_answered_by_an_error_or_replaced_and_the_next_line_goes_on(
    line, tmp_path
):
    model = loaded(words(), tmp_path / "m")
    first, second = Wire(model.streams(), most=8).answer([line, b'{"input": "one two"}'])
    assert "error" in first or first["steps"] >= 1
    assert second["steps"] - first.get("steps", 0) == 2
    as_line(first).decode()


def test_texts_of_unknown_words_alone_are_answered_alike(tmp_path):
    model = loaded(words(), tmp_path / "m")
    made = model.predict_proba(["qqq qqz", "ёёё ωωω", "xx 77"])
    assert_same_bits(made[0], made[1])
    assert_same_bits(made[0], made[2])
    assert (made[0] != model.predict_proba(["one two"])[0]).any()


def test_a_vocabulary_of_the_unknown_word_alone_is_a_model(tmp_path):
    encoder = Words(min_count=1000).fit(SENTENCES)
    assert encoder.vocabularies == {"tokens": 1}
    model = loaded(encoder, tmp_path / "m")
    made = model.predict_proba(["one", "two two", ""])
    assert np.isfinite(made).all()
    assert_same_bits(made[0], model.predict_proba(["anything"])[0])


STEPS = [
    {"a": 1.0, "b": 20.0, "kind": "x"},
    {"a": 2.5, "b": -3.0, "kind": "y"},
    {"a": 0.5, "b": 4.0, "kind": "x"},
]


def _turned(step: dict[str, Any]) -> dict[str, Any]:
    return dict(reversed(step.items()))


def test_columns_in_another_order_are_the_same_sequence_in_batch_and_stream(tmp_path):
    model = loaded(Events(min_count=1).fit([STEPS, STEPS[:1]]), tmp_path / "m")
    expected = model.predict_proba([STEPS])
    assert_same_bits(model.predict_proba([[_turned(step) for step in STEPS]]), expected)
    stream = model.stream()
    for step in STEPS:
        stream.push(_turned(step))
    assert_same_bits(stream.probabilities(), expected[0])


DRIFTED = [
    ({"a": 1.0, "b": 2.0, "kind": "x", "c": 3.0}, "'c', which training had not"),
    ({"a": 1.0, "kind": "x"}, "no .*'b', which training had"),
    ({"a": "N/A", "b": 2.0, "kind": "x"}, "'a'"),
]


@pytest.mark.parametrize(("step", "message"), DRIFTED, ids=[message for _, message in DRIFTED])
def test_other_columns_are_refused_by_name_and_a_stream_stays_as_it_was(step, message, tmp_path):
    model = loaded(Events(min_count=1).fit([STEPS, STEPS[:1]]), tmp_path / "m")
    with pytest.raises(DataError, match=message):
        model.predict([[step]])
    stream = model.stream()
    stream.push(STEPS[0])
    before = stream.snapshot()
    with pytest.raises(DataError, match=message):
        stream.push(step)
    assert stream.snapshot() == before


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, np.int16, list, tuple])
def test_numbers_of_another_type_are_the_same_numbers(kind, tmp_path):
    model = loaded(plain_signal(), tmp_path / "m")
    whole = np.arange(12.0).reshape(4, 3)
    given = kind(whole.tolist()) if kind in (list, tuple) else whole.astype(kind)
    assert_same_bits(model.predict_proba([given]), model.predict_proba([whole]))


def test_a_row_of_missing_values_does_not_touch_its_neighbours(tmp_path):
    model = loaded(gappy_signal(missing="impute"), tmp_path / "m")
    good = [numbers(length, length) for length in (5, 9)]
    made = model.predict_proba([good[0], np.full((7, 3), np.nan), good[1]])
    assert np.isfinite(made).all()
    assert_same_bits(made[[0, 2]], model.predict_proba(good))


def test_one_sequence_that_cannot_be_read_is_named_and_nothing_is_answered_wrongly(tmp_path):
    model = loaded(Signal(missing="refuse").fit([numbers(20)]), tmp_path / "m")
    bad = numbers(4, 1)
    bad[2, 1] = np.nan
    with pytest.raises(DataError, match=r"missing|NaN"):
        model.predict([numbers(3), bad])
    assert np.isfinite(model.predict_proba([numbers(3)])).all()


MISSPELT = [
    (("network", "hiden_size"), 7, "did you mean 'hidden_size'"),
    (("network", "hidden_size"), "seven", "hidden_size"),
    (("network", "num_layers"), 0, "num_layers"),
    (("network", "cell"), "lstmm", "lstmm"),
    (("head", "pooling"), "men", "men"),
    (("task",), "clasifier", "did you mean 'classifier'"),
    (("target", "kind"), "labell", "labell"),
    (("input", "kind"), "wrds", "wrds"),
]


@pytest.mark.parametrize(
    ("place", "value", "message"), MISSPELT, ids=[".".join(place) for place, _, _ in MISSPELT]
)
def test_a_config_with_a_misspelt_or_impossible_entry_is_refused_by_name(place, value, message, tmp_path):
    loaded(words(), tmp_path / "m")

    def change(data: bytes) -> bytes:
        config = json.loads(data)
        inner = config
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
        return json.dumps(config).encode()

    forged(tmp_path / "m", "config.json", change)
    with pytest.raises(CorruptBundleError, match=message):
        load_predictor(tmp_path / "m")
