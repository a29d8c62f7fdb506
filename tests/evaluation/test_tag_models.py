"""Cheap taggers: what they learn, what they say of words they never met, and that missing tags teach nothing."""

from __future__ import annotations

import numpy as np
import pytest

import recurra as rc
from recurra.evaluation.tag_models import FrequentTag, WindowTagger
from shared import shared_data

SENTENCES = [
    ["The", "cat", "walked", "."],
    ["A", "dog", "talked", "loudly", "."],
    ["Dogs", "run", "."],
    ["the", "run", "ended", "badly", "!"],
] * 5
TAGS = {"D": 0, "N": 1, "V": 2, "A": 3, ".": 4}
NUMBERS = np.array([TAGS[tag] for tag in "DNV." + "DNVA." + "NV." + "DNVA."] * 5)


def flat(sentences):
    return [word for sentence in sentences for word in sentence]


def test_the_most_frequent_tag_of_a_word_and_of_its_ending():
    words = ["walk", "walk", "walk", "jumped", "1999", "Rome"]
    model = FrequentTag(4).fit(words, np.array([0, 0, 1, 2, 3, 1]))
    best = model.shares(["walk", "played", "2026", "Paris", "xyz"]).argmax(axis=1)
    assert best.tolist() == [0, 2, 3, 1, 0]
    shares = model.shares(["walk", "q"])
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert shares[0].tolist() == pytest.approx([2 / 3, 1 / 3, 0, 0])


def test_a_missing_tag_teaches_nothing():
    words, numbers = ["a", "b", "a"], np.array([0, -1, -1])
    assert FrequentTag(2).fit(words, numbers).shares(["a", "b"]).tolist() == [[1, 0], [1, 0]]
    with_gaps = np.where(np.arange(len(NUMBERS)) % 3 == 0, -1, NUMBERS)
    model = WindowTagger(5).fit(SENTENCES, with_gaps)
    assert model.shares([["The", "cat"]]).shape == (2, 5)


def test_the_window_tells_a_noun_from_a_verb_by_what_stands_beside_it():
    model = WindowTagger(5).fit(SENTENCES, NUMBERS)
    assert model.shares([["the", "run", "ended", "."]]).argmax(axis=1).tolist() == [0, 1, 2, 4]
    assert model.shares([["Dogs", "run", "."]]).argmax(axis=1).tolist() == [1, 2, 4]
    np.testing.assert_allclose(model.shares(SENTENCES).sum(axis=1), 1)
    assert model.shares([[], []]).shape == (0, 5)
    assert model.size() > 0


def test_a_sentence_is_answered_as_alone():
    model = WindowTagger(5).fit(SENTENCES, NUMBERS)
    whole = model.shares(SENTENCES[:3])
    np.testing.assert_array_equal(whole[4:9], model.shares([SENTENCES[1]]))


@pytest.mark.parametrize("only", [0, 1])
def test_two_tags_and_a_single_one_are_told_apart(only):
    two = WindowTagger(2).fit([["a", "b"]] * 9, np.array([0, 1] * 9))
    assert two.shares([["a", "b"]]).argmax(axis=1).tolist() == [0, 1]
    single = WindowTagger(2).fit([["a", "b"]], np.array([only, -1]))
    assert single.shares([["b"]]).argmax(axis=1).tolist() == [only]


def test_on_a_real_treebank_the_window_is_better_than_the_word_alone():
    place = shared_data("ud_telugu_mtg")
    train, test = (
        rc.read(place / f"te_mtg-ud-{part}.conllu.gz", task="tagger") for part in ("train", "test")
    )
    names = sorted(set(flat(train.targets)))
    numbers = np.array([names.index(tag) for tag in flat(train.targets)])
    truth = np.array([names.index(tag) if tag in names else -1 for tag in flat(test.targets)])
    alone = FrequentTag(len(names)).fit(flat(train.inputs), numbers).shares(flat(test.inputs))
    window = WindowTagger(len(names)).fit(train.inputs, numbers).shares(test.inputs)
    right = [float(np.mean(shares.argmax(axis=1) == truth)) for shares in (alone, window)]
    assert 0.86 < right[0] < right[1]
    assert right[1] > 0.90
