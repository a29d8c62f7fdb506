"""Beam search beside all that there is to find."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoding.toys import Hashed, rules, texts
from recurra.decoding import beam
from recurra.decoding.beam import beam_search, length_penalty
from recurra.decoding.generation import Generation
from recurra.decoding.phrases import Phrases
from recurra.decoding.writing import Rules, write
from recurra.errors import DataError
from shared import assert_noticed


def found(generation, kept=None, prompt=(), seed=0, vocabulary=3):
    model = Hashed(vocabulary, seed, [prompt])
    return beam_search(model, model.first[0], prompt, generation, kept or Rules())


def exhaustive(seed, vocabulary, length, alpha, end=None, holds=lambda text: True):
    model = Hashed(vocabulary, seed)
    every = [text for text in texts(vocabulary, length, end) if holds(text)]
    return sorted(
        ((model.total(text) / length_penalty(len(text), alpha), text) for text in every),
        key=lambda pair: -pair[0],
    )


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(2, 3),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.6, 2.0]),
    st.booleans(),
)
def test_a_beam_as_wide_as_all_texts_finds_the_best_of_all(seed, vocabulary, length, alpha, ends):
    end = 0 if ends else None
    wanted = exhaustive(seed, vocabulary, length, alpha, end)
    count = min(5, len(wanted))
    made = found(
        Generation(beam=vocabulary**length + 5, length=length, length_penalty=alpha, count=count),
        Rules(end=end),
        seed=seed,
        vocabulary=vocabulary,
    )
    assert [each.tokens for each in made] == [text for _, text in wanted[:count]]
    assert [each.score for each in made] == [score for score, _ in wanted[:count]]


@pytest.mark.parametrize("options", [{}, {"count": 3}, {"length_penalty": 0.0}])
def test_hypotheses_scored_at_once_and_one_by_one_are_the_same(options):
    generation, kept = Generation(beam=3, length=6, **options), Rules(never=(1,), end=0)
    for seed in range(6):
        together = found(generation, kept, seed=seed, vocabulary=5)
        with mock.patch.object(Rules, "simple", return_value=False):
            assert found(generation, kept, seed=seed, vocabulary=5) == together
        assert not any(1 in each.tokens for each in together)


@pytest.mark.parametrize(
    ("options", "kept"),
    [({"repetition_penalty": 2.0}, {}), ({}, {"banned": [[2]]}), ({}, {"required": [[2]]})],
)
def test_texts_with_rules_of_their_own_are_not_scored_at_once(options, kept):
    spelled = {name: Phrases(phrases, [(token,) for token in range(3)]) for name, phrases in kept.items()}
    assert Rules(never=(0,), end=1).simple(Generation(beam=2, length=4))
    assert not Rules(**spelled).simple(Generation(beam=2, length=4, **options))


def check_a_beam_of_one_is_greedy():
    for seed in range(8):
        model = Hashed(4, seed, [(1,)])
        greedy = [
            event.token
            for event in write(model, model.first, [(1,)], Generation(length=7, temperature=0), Rules())
        ]
        (hypothesis,) = found(Generation(beam=1, length=7), prompt=(1,), seed=seed, vocabulary=4)
        assert list(hypothesis.tokens) == greedy
        assert hypothesis.log_probability == pytest.approx(Hashed(4, seed).total(greedy, (1,)), rel=1e-12)


@contextmanager
def forgets_the_parents() -> Iterator[None]:
    """The state of a child is that of the hypothesis in its own place, not of the one it goes on from."""

    def advance(self: Hashed, parents: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        self.rows = [(*self.rows[min(i, len(self.rows) - 1)], int(t)) for i, t in enumerate(tokens)]
        return self.first

    with mock.patch.object(Hashed, "advance", advance):
        yield


@contextmanager
def prefers_the_worst() -> Iterator[None]:
    """The children of a step come back from the worst to the best."""
    with mock.patch.object(beam, "best", lambda scores, count: np.argsort(scores, kind="stable")[:count]):
        yield


def test_a_beam_of_one_is_greedy():
    assert_noticed(prefers_the_worst(), check_a_beam_of_one_is_greedy)


def check_every_hypothesis_has_the_log_probability_of_its_text():
    for seed in range(6):
        for each in found(Generation(beam=4, length=6, count=4), Rules(end=2), seed=seed):
            assert each.log_probability == Hashed(3, seed).total(each.tokens)
            assert each.score == each.log_probability / length_penalty(len(each.tokens), 0.6)


def test_every_hypothesis_has_the_log_probability_of_its_text():
    assert_noticed(forgets_the_parents(), check_every_hypothesis_has_the_log_probability_of_its_text)


def test_a_wide_beam_finds_better_texts_than_greedy():
    found_by = {
        width: [found(Generation(beam=width, length=7), seed=seed)[0].score for seed in range(12)]
        for width in (1, 30)
    }
    assert all(narrow <= wide for narrow, wide in zip(found_by[1], found_by[30], strict=True))
    assert sum(found_by[1]) < sum(found_by[30])


def test_the_penalty_of_length_is_that_of_wu_and_others():
    assert length_penalty(1, 0.6) == 1.0
    assert length_penalty(7, 1.0) == 2.0
    assert length_penalty(50, 0.0) == 1.0


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 1000),
    st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=2, unique=True),
    st.integers(1, 3),
)
def test_required_texts_are_met_wherever_there_is_room(seed, required, width):
    length = sum(map(len, required))
    kept = rules("abc", required=required)
    (hypothesis, *_) = found(Generation(beam=width, length=length, required=("x",)), kept, seed=seed)
    text = "".join("abc"[token] for token in hypothesis.tokens)
    assert all(phrase in text for phrase in required)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([["ab"], ["ab", "ba"], ["c", "aa"]]))
def test_a_wide_beam_with_required_texts_finds_the_best_that_holds_them(seed, required):
    end = 2

    def holds(text):
        return all(phrase in "".join("abc"[token] for token in text) for phrase in required)

    wanted = exhaustive(seed, 3, 4, 0.6, end, holds)
    kept = rules("abc", required=required)
    made = found(
        Generation(beam=200, length=4, required=("x",)), Rules(end=end, required=kept.required), seed=seed
    )
    assert (made[0].score, made[0].tokens) == wanted[0]


def test_required_texts_without_room_and_banned_ones_are_errors():
    with pytest.raises(DataError, match="no text was found"):
        found(Generation(beam=2, length=2, required=("x",)), rules("abc", required=["abc"]))
    with pytest.raises(DataError, match="no text was found"):
        found(Generation(beam=2, length=5, required=("x",)), rules("abc", required=["ab"], banned=["ab"]))


def test_a_stop_text_waits_until_what_is_required_is_there():
    kept = rules("abc", required=["cab"], stop=["b"])
    for seed in range(5):
        (best, *_) = found(Generation(beam=3, length=12, required=("x",)), kept, seed=seed)
        text = "".join("abc"[token] for token in best.tokens)
        assert "cab" in text
        assert "b" not in text.replace("cab", "", 1)
