"""Texts written token by token: the same alone and in a batch, by a seed, and within the rules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoding.toys import Hashed, rules
from recurra.decoding import writing
from recurra.decoding.choosing import Uniforms
from recurra.decoding.generation import Generation
from recurra.decoding.writing import Rules, write
from recurra.errors import DataError
from shared import assert_noticed

PROMPTS = [(1, 2), (), (3,), (1, 2)]


def written(generation, kept=None, prompts=((),), seed=0, vocabulary=5):
    """The tokens of every text, and the events that made them."""
    model = Hashed(vocabulary, seed, prompts)
    events = list(write(model, model.first, prompts, generation, kept or Rules()))
    made = [[] for _ in range(len(prompts) * generation.count)]
    for event in events:
        made[event.row].append(event.token)
    return made, events


def check_a_batch_of_prompts_is_each_alone():
    generation = Generation(length=12, top_k=4, seed=3, count=2)
    together, _ = written(generation, prompts=PROMPTS)
    alone = [written(generation, prompts=[prompt])[0] for prompt in PROMPTS]
    assert together == [text for texts in alone for text in texts]


@contextmanager
def draws_by_the_place_in_the_batch() -> Iterator[None]:
    """The texts of a batch take turns at one generator, as with a global seed."""
    shared = Uniforms(3, 0)
    with mock.patch.object(writing, "Uniforms", return_value=shared):
        yield


def test_a_batch_of_prompts_is_each_alone():
    assert_noticed(draws_by_the_place_in_the_batch(), check_a_batch_of_prompts_is_each_alone)


def test_another_seed_and_another_sample_are_another_text():
    first, _ = written(Generation(length=20, seed=0, count=3))
    other, _ = written(Generation(length=20, seed=1, count=3))
    assert len({tuple(text) for text in first + other}) == 6
    assert written(Generation(length=20, count=3))[0] == first


def test_a_longer_text_begins_with_the_shorter_one():
    short, long = (written(Generation(length=length, seed=5))[0][0] for length in (4, 9))
    assert long[:4] == short


def test_greedy_takes_the_likeliest_and_reports_its_log_probability():
    ((text,), events) = written(Generation(length=6, temperature=0))
    model, read = Hashed(5), []
    for token, event in zip(text, events, strict=True):
        scores = model.after(read)
        assert token == int(np.argmax(scores))
        assert event.log_probability == float(scores[token])
        read.append(token)
    assert [event.last for event in events] == [False] * 5 + [True]


def test_texts_end_by_the_end_token_each_for_itself():
    made, events = written(Generation(length=30, seed=1, count=8), Rules(end=0))
    assert len({len(text) for text in made}) > 2
    for row, text in enumerate(made):
        assert 0 not in text[:-1]
        assert text[-1] == 0 or len(text) == 30
        assert [event.last for event in events if event.row == row] == [False] * (len(text) - 1) + [True]


def test_what_is_never_written_is_not():
    made, _ = written(Generation(length=50, seed=2), Rules(never=(0, 3)))
    assert set(made[0]) == {1, 2, 4}


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 50), st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=3, unique=True)
)
def test_banned_texts_do_not_occur_also_across_tokens_and_out_of_the_prompt(seed, banned):
    spellings = ["a", "b", "ab", "bca", "d"]
    prompt = (2,)
    made, _ = written(
        Generation(length=25, seed=seed), rules(spellings, banned=banned), prompts=[prompt], seed=seed
    )
    text = "ab" + "".join(spellings[token] for token in made[0])
    for phrase in banned:
        assert "ab".count(phrase) == text.count(phrase), (text, phrase)


def test_a_ban_on_everything_is_an_error():
    with pytest.raises(DataError, match="nothing can be written"):
        written(Generation(length=3), rules("abcde", banned=list("abcde")))


def test_a_stop_text_ends_the_writing_even_inside_a_token():
    spellings = ["a", "b", "xyz", "c", "d"]
    made, _ = written(Generation(length=200, seed=4), rules(spellings, stop=["y"]))
    assert made[0][-1] == 2
    assert 2 not in made[0][:-1]


def test_a_repetition_penalty_makes_texts_less_repetitive_within_its_window():
    plain, _ = written(Generation(length=60, seed=1), vocabulary=12)
    punished, _ = written(Generation(length=60, seed=1, repetition_penalty=50.0), vocabulary=12)
    near, _ = written(
        Generation(length=60, seed=1, repetition_penalty=50.0, repetition_window=3), vocabulary=12
    )

    def repeated(text: list[int]) -> int:
        return sum(token in text[max(0, place - 3) : place] for place, token in enumerate(text))

    assert repeated(near[0]) < repeated(plain[0])
    # Without a window every token is punished once all have occurred, and repetitions come back.
    assert len(set(punished[0][:12])) == 12
    assert repeated(near[0]) < repeated(punished[0])
