"""The neural cache beside its formula, written out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recurra.errors import SpecError
from recurra.runtime import neural_cache
from recurra.runtime.neural_cache import NeuralCache
from recurra.runtime.next_token import Reader
from runtime.language_models import TEXT, writer

TEXTS = [TEXT[:150], "", "rain the hat", "the cat the cat the cat the cat"]


def by_the_formula(model, text, cache):
    """One token after the other, in doubles."""
    batch = model.encode([text])
    ids, following = np.asarray(batch.values), model.following(batch)
    hidden = Reader(model).read(ids).astype(np.float64)
    plain = np.asarray(writer_log_probs(model, text), dtype=np.float64)
    made = []
    for t in range(len(ids)):
        window = range(max(0, t - cache.window), t)
        chance = math.exp(plain[t])
        if len(window):
            weights = {i: math.exp(cache.flatness * float(hidden[t] @ hidden[i])) for i in window}
            found = sum(weight for i, weight in weights.items() if following[i] == following[t])
            chance = (1 - cache.weight) * chance + cache.weight * found / sum(weights.values())
        made.append(math.log(chance))
    return made


def writer_log_probs(model, text):
    return model.log_probabilities([text])[0]


@pytest.mark.parametrize(
    "cache", [NeuralCache(), NeuralCache(window=7, weight=0.4, flatness=1.5), NeuralCache(flatness=0.0)]
)
def test_it_is_the_formula(cache, monkeypatch):
    model = writer()
    for block in (5, 256):
        monkeypatch.setattr(neural_cache, "BLOCK", block)
        found = model.log_probabilities(TEXTS, cache=cache)
        for row, text in enumerate(TEXTS):
            np.testing.assert_allclose(found[row], by_the_formula(model, text, cache), rtol=2e-5, atol=2e-6)


def test_a_text_scores_alone_as_in_a_batch_and_begins_with_an_empty_cache():
    model, cache = writer("words"), NeuralCache(weight=0.3)
    together = model.log_probabilities(TEXTS, cache=cache)
    for row, text in enumerate(TEXTS):
        np.testing.assert_array_equal(together[row], model.log_probabilities([text], cache=cache)[0])
    assert together[0][0] == model.log_probabilities([TEXTS[0]])[0][0]


def test_repetition_becomes_likelier():
    model = writer("words")
    text = ["dog rain hat red big mat why sat " * 10]
    with_cache = model.log_probabilities(text, cache=NeuralCache(weight=0.3, flatness=1.0))
    assert np.mean(with_cache.values) > np.mean(model.log_probabilities(text).values) + 0.5


def test_options_out_of_range_are_refused():
    for options in ({"weight": 0.0}, {"weight": 1.0}, {"window": 0}, {"flatness": -1.0}):
        with pytest.raises(SpecError, match=next(iter(options))):
            NeuralCache(**options)
