"""Kneser-Ney n-grams beside the definition worked by hand, by brute force, and on a real text."""

from __future__ import annotations

import gzip
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.errors import DataError, SpecError
from recurra.evaluation import kneser_ney
from recurra.evaluation.kneser_ney import KneserNey
from recurra.ragged import Ragged
from shared import assert_noticed, shared_data

MARK = -1
"""What begins a document in the reference below."""


def documents(*texts):
    return Ragged.from_lists([list(text) for text in texts], np.int64)


class Reference:
    """The definition, word for word: dictionaries of tuples, fractions, one document after the other."""

    def __init__(self, texts, vocabulary, order):
        self.vocabulary, self.order = vocabulary, order
        marked = [(MARK, *text) for text in texts]
        occurs = Counter(
            text[end - length : end]
            for text in marked
            for end in range(1, len(text) + 1)
            for length in range(1, min(order, end) + 1)
        )
        lefts = defaultdict(set)
        for gram in occurs:
            if len(gram) > 1:
                lefts[gram[1:]].add(gram[0])
        self.counts = {}
        for gram, times in occurs.items():
            highest = len(gram) == order or gram[0] == MARK
            if gram != (MARK,):
                self.counts[gram] = times if highest else len(lefts[gram])
        self.discounts = [self.discounts_of(length) for length in range(1, order + 1)]

    def discounts_of(self, length):
        n = Counter(times for gram, times in self.counts.items() if len(gram) == length)
        if not all(n[times] for times in (1, 2, 3, 4)):
            return (Fraction(1, 2), Fraction(1), Fraction(3, 2))
        y = Fraction(n[1], n[1] + 2 * n[2])
        found = tuple(i - (i + 1) * y * n[i + 1] / n[i] for i in (1, 2, 3))
        good = all(0 <= d <= i for i, d in enumerate(found, 1))
        return found if good else (Fraction(1, 2), Fraction(1), Fraction(3, 2))

    def chance(self, token, history, length=None):
        """p(token | history), with n-grams of `length` at most."""
        length = min(self.order, len(history) + 1) if length is None else length
        if length == 0:
            return Fraction(1, self.vocabulary)
        context = tuple(history[len(history) - length + 1 :])
        follow = {g[-1]: c for g, c in self.counts.items() if len(g) == length and g[:-1] == context}
        shorter = self.chance(token, history, length - 1)
        if not follow:
            return shorter
        taken = {t: self.discounts[length - 1][min(c, 3) - 1] for t, c in follow.items()}
        total = sum(follow.values())
        share = (follow[token] - taken[token]) / total if token in follow else Fraction(0)
        return share + sum(taken.values()) / total * shorter


def check_the_example_worked_by_hand():
    """a b a b a c: b follows a twice and c once; a follows two different tokens, the beginning and b."""
    model = KneserNey.fit(documents([0, 1, 0, 1, 0, 2]), 3, order=2)
    # Continuations: a 2, b 1, c 1 of 4, discounts 1, 1/2, 1/2, half left for 1/3 each.
    np.testing.assert_allclose(model.distribution([2]), [5 / 12, 7 / 24, 7 / 24])
    # After a: b 2 and c 1 of 3, discounts 1 and 1/2, half left for the continuations.
    np.testing.assert_allclose(model.distribution([0]), [10 / 48, 23 / 48, 15 / 48])
    np.testing.assert_allclose(model.distribution([])[0], 17 / 24)


@contextmanager
def counts_occurrences_everywhere() -> Iterator[None]:
    """Lower orders count how often, not after how many different tokens: absolute discounting, not Kneser-Ney."""
    honest = kneser_ney._smoothed
    with mock.patch.object(kneser_ney, "_smoothed", lambda grams, longer, mark: honest(grams, None, mark)):
        yield


def test_the_example_worked_by_hand():
    assert_noticed(counts_occurrences_everywhere(), check_the_example_worked_by_hand)


TEXTS = st.lists(st.lists(st.integers(0, 3), max_size=25), min_size=1, max_size=4).filter(any)


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.integers(1, 4), st.lists(st.integers(0, 4), max_size=8))
def test_it_is_the_definition(texts, order, other):
    model, wanted = KneserNey.fit(documents(*texts), 5, order), Reference(texts, 5, order)
    np.testing.assert_allclose(np.array(wanted.discounts, float)[: model.order], model.discounts)
    held = [*texts, other]
    chances = [
        float(wanted.chance(token, (MARK, *text[:place])))
        for text in held
        for place, token in enumerate(text)
    ]
    np.testing.assert_allclose(np.exp(model.log_probabilities(documents(*held))), chances, rtol=1e-9)


@settings(max_examples=40, deadline=None)
@given(TEXTS, st.integers(1, 5), st.lists(st.integers(0, 4), max_size=8))
def test_what_may_follow_sums_to_one_and_is_what_is_scored(texts, order, history):
    model = KneserNey.fit(documents(*texts), 5, order)
    found = model.distribution(history)
    assert found.min() > 0
    assert found.sum() == pytest.approx(1, abs=1e-12)
    scored = [model.log_probabilities(documents([*history, token]))[-1] for token in range(5)]
    np.testing.assert_allclose(np.log(found), scored, rtol=1e-9)


def test_the_discounts_are_those_of_chen_and_goodman():
    """n1 = 4, n2 = 2, n3 = 1, n4 = 1: Y = 1/2, D1 = 1 - 1/2, D2 = 2 - 3/4, D3+ = 3 - 2."""
    counts = np.array([1, 1, 1, 1, 2, 2, 3, 4])
    assert kneser_ney._discounts(counts) == pytest.approx((0.5, 1.25, 1.0))
    assert kneser_ney._discounts(np.array([1, 1, 2, 3])) == kneser_ney.FALLBACK
    # Many threes and few twos would make the second discount negative.
    assert kneser_ney._discounts(np.array([1] * 9 + [2] + [3] * 9 + [4])) == kneser_ney.FALLBACK


def test_documents_do_not_run_into_each_other():
    apart = KneserNey.fit(documents([0, 1], [2, 3]), 4, order=2)
    joined = KneserNey.fit(documents([0, 1, 2, 3]), 4, order=2)
    assert apart.distribution([1])[2] < joined.distribution([1])[2]
    scores = apart.log_probabilities(documents([0, 1], [2, 3]))
    np.testing.assert_array_equal(scores[:2], apart.log_probabilities(documents([0, 1])))
    np.testing.assert_array_equal(scores[2:], apart.log_probabilities(documents([2, 3])))


def test_bad_input_is_refused():
    for order in (0, 2.0, True):
        with pytest.raises(SpecError, match="order must be a whole number"):
            KneserNey.fit(documents([0]), 2, order)
    with pytest.raises(DataError, match="at least one token"):
        KneserNey.fit(documents([], []), 2)
    with pytest.raises(DataError, match="ids must lie between 0 and 1, got 0 to 2"):
        KneserNey.fit(documents([0, 2]), 2)
    with pytest.raises(DataError, match="whole numbers"):
        KneserNey.fit(replace(documents([0, 1]), values=np.zeros((2, 1))), 2)


def test_characters_of_shakespeare_in_seconds():
    """Orders improve up to 7 on the last tenth of the text; 1.5165 nats per character is what a network must beat."""
    with gzip.open(shared_data("tinyshakespeare") / "input.txt.gz", "rt", encoding="utf-8") as file:
        text = file.read()
    ids = np.unique(np.array(list(text)), return_inverse=True)[1]
    cut = int(len(ids) * 0.9)
    nats = [
        -KneserNey.fit(documents(ids[:cut]), 65, order).log_probabilities(documents(ids[cut:])).mean()
        for order in (3, 7)
    ]
    assert nats[0] == pytest.approx(2.034, abs=0.01)
    assert nats[1] == pytest.approx(1.5165, abs=0.0005)
