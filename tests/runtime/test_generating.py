"""Texts out of a language model: alone as in a batch, the same by a seed at any thread count, without torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
import pytest

from recurra import kernels
from recurra.errors import SpecError
from recurra.runtime.next_token import NextTokens
from runtime.language_models import TEXT, UNITS, writer
from shared import assert_noticed

PROMPTS = ["the cat", "", "zebra quux", "a", "the cat"]
WAYS = [
    {"length": 30, "temperature": 0.7, "seed": 3, "count": 2},
    {"length": 20, "temperature": 0},
    {"length": 12, "beam": 3, "count": 2},
]


def check_a_batch_of_prompts_is_each_alone():
    for unit in UNITS:
        model = writer(unit)
        for options in WAYS:
            together = model.generations(PROMPTS, **options)
            assert together == [model.generations([prompt], **options)[0] for prompt in PROMPTS]


@contextmanager
def keeps_the_states_in_place() -> Iterator[None]:
    """A text goes on from the state in its own place, although the texts before it have ended."""
    honest = NextTokens.advance

    def advance(self: NextTokens, parents: np.ndarray | None, tokens: np.ndarray) -> np.ndarray:
        return honest(self, np.arange(len(tokens)) % self._stepper.rows, tokens)

    with mock.patch.object(NextTokens, "advance", advance):
        yield


def test_a_batch_of_prompts_is_each_alone():
    assert_noticed(keeps_the_states_in_place(), check_a_batch_of_prompts_is_each_alone)


@pytest.mark.parametrize("options", WAYS)
def test_texts_are_the_same_at_any_thread_count(options):
    before = kernels.get_num_threads()
    made = []
    try:
        for threads in (1, 2, 3):
            kernels.set_num_threads(threads)
            made.append(writer(hidden_size=40).generations(PROMPTS, **options))
    finally:
        kernels.set_num_threads(before)
    assert made[0] == made[1] == made[2]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_the_log_probability_of_a_text_is_what_scoring_it_gives(unit, cell):
    """Written step by step and scored whole are the same numbers, bit for bit, where the text is the tokens."""
    model = writer(unit, cell=cell, ends=False, initial_state="learnt")
    for prompt in ("the cat ", ""):
        (written,) = model.generations([prompt], length=25, temperature=0.6)[0]
        ids = model.encoder.encode([prompt + written.text])
        if len(ids.values) != len(model.encoder.encode([prompt]).values) + 25:
            assert unit in ("bpe", "bytes"), "only there other tokens spell the same, or are no text"
            continue
        scored = np.asarray(model.log_probabilities([prompt + written.text]).values[-25:])
        assert written.log_probability == sum(map(float, scored))


@pytest.mark.parametrize("unit", UNITS)
def test_pieces_are_the_text(unit):
    model = writer(unit)
    for options in ({"seed": 4}, {"stop": ("at",) if unit != "words" else ("cat", "on a")}, {"beam": 2}):
        pieces = list(model.pieces("the", length=60, **options))
        assert "".join(pieces) == model.generate("the", length=60, **options)
    assert len(list(model.pieces("the", length=60, seed=4))) > 5


def test_words_are_set_apart_from_the_prompt_and_not_from_nothing():
    model = writer("words")
    assert model.generate("the cat", length=5, seed=1).startswith(" ")
    assert not model.generate("", length=5, seed=1).startswith(" ")


def test_texts_end_where_the_model_ends_them_and_say_so():
    (texts,) = writer().generations([""], length=40, count=40, temperature=1.5)
    assert {each.ended for each in texts} == {"end", "length"}
    assert all((each.tokens == 40) for each in texts if each.ended == "length")
    endless = writer(ends=False).generations([""], length=40, count=10, temperature=1.5)[0]
    assert {(each.ended, each.tokens) for each in endless} == {("length", 40)}


def test_the_unknown_token_is_never_written():
    texts = writer().generations(PROMPTS, length=80, count=5, temperature=5.0)
    assert "<unk>" not in repr(texts)
    assert all(set(each.text) <= set(TEXT) for made in texts for each in made)


def test_banned_required_and_stop_texts_hold_for_every_unit():
    for unit in UNITS:
        model = writer(unit, ends=False)
        banned = model.generations(["the"], length=60, count=5, banned=["the", "cat"], temperature=2.0)[0]
        assert all("cat" not in each.text and "the" not in each.text for each in banned)
        (required, *_) = model.generations(["a"], length=20, beam=3, required=["big red", "dog"])[0]
        assert "big red" in required.text
        assert "dog" in required.text
        stops = ["the", "mat", "sat"] if unit == "words" else ["t", "m"]
        stopped = model.generations(["a"], length=2000, count=3, temperature=3.0, stop=stops)[0]
        assert {each.ended for each in stopped} == {"stop"}
        assert all(stop not in each.text for each in stopped for stop in stops)


def test_texts_that_the_vocabulary_cannot_spell_are_refused():
    for name in ("banned", "stop"):
        with pytest.raises(SpecError, match=f"{name} holds 'zoé', which this model cannot write"):
            writer("words").generate("the", **{name: ["zoé"]})
    with pytest.raises(SpecError, match="Generation has no option 'temprature'; did you mean 'temperature'"):
        writer().generate("", temprature=1.0)
    with pytest.raises(SpecError, match="count=2 needs generations"):
        writer().generate("", count=2)


def test_writing_loads_no_torch():
    code = (
        "import sys; sys.path.insert(0, 'tests'); from runtime.language_models import writer;"
        "model = writer(); model.generate('the', length=5); model.generate('the', length=5, beam=2);"
        "assert not {'torch', 'scipy', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
