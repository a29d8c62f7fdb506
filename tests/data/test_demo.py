from __future__ import annotations

import hashlib
import re
from collections import Counter

import numpy as np
import pytest

from data.leaks import shapes_shared_by_all_parts
from recurra.data import grammar
from recurra.data.dataset import PARTS, Dataset
from recurra.data.demo import LONGEST, SHORTEST, SIZES, STRUCTURES, demo_reviews
from recurra.data.duplicates import duplicates_across
from recurra.data.splits import by_column
from recurra.errors import DataError
from shared import assert_noticed

FROZEN = "7695bc7f031d5e02754071e0ecffcdc8fb270c8bda69a7cf1e877d0850cf2c1b"
SMALL = {"train": 600, "validation": 200, "test": 200}


@pytest.fixture(scope="module")
def reviews() -> Dataset:
    return demo_reviews()


def digest(reviews: Dataset) -> str:
    columns = (
        reviews.split,
        reviews.targets,
        reviews.columns["structure"],
        reviews.columns["frame"],
        reviews.inputs,
    )
    lines = "\n".join("\t".join(row) for row in zip(*columns, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


def check_frames_do_not_leak(dataset: Dataset) -> None:
    """No frame, and no clause shape in a frame, of one part is in another."""
    frames = {name: set(dataset.part(name).columns["frame"].tolist()) for name in PARTS}
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not frames[one] & frames[other]
    shapes = {
        name: {shape for frame in found for shape in shapes_in(frame)} for name, found in frames.items()
    }
    assert all(len(found) > 5 for found in shapes.values())
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not shapes[one] & shapes[other]


def shapes_in(frame: str) -> set[str]:
    """Clause shapes that fill a whole frame: those of plain reviews and comparisons without other words."""
    return {frame} if frame.count("[aspect]") == 1 and "," not in frame and frame.count(".") == 1 else set()


def test_the_default_reviews_are_the_frozen_ones(reviews: Dataset) -> None:
    assert digest(reviews) == FROZEN


def test_other_seeds_give_other_reviews() -> None:
    assert demo_reviews(1, SMALL).fingerprint != demo_reviews(2, SMALL).fingerprint


def test_parts_have_their_sizes_and_half_of_each_opinion(reviews: Dataset) -> None:
    for name, size in SIZES.items():
        part = reviews.part(name)
        assert Counter(part.targets) == {"positive": size // 2, "negative": size // 2}


def test_reviews_are_short_and_all_different(reviews: Dataset) -> None:
    lengths = [len(text.split()) for text in reviews.inputs]
    assert min(lengths) >= SHORTEST
    assert max(lengths) <= LONGEST
    assert len(set(reviews.inputs)) == len(reviews)


@pytest.mark.parametrize("seed", [0, 1])
def test_no_frame_of_one_part_is_in_another(seed: int) -> None:
    check_frames_do_not_leak(demo_reviews(seed))


def test_a_leak_of_frames_is_noticed() -> None:
    assert_noticed(shapes_shared_by_all_parts(), lambda: check_frames_do_not_leak(demo_reviews(0, SMALL)))


def test_no_review_stands_in_two_parts(reviews: Dataset) -> None:
    assert duplicates_across(reviews.inputs, by_column(reviews.split)).total == 0


def test_frames_have_blanks_where_reviews_have_opinions_and_aspects(reviews: Dataset) -> None:
    opinions = {
        word
        for words in (grammar.WORDS, grammar.RARE_WORDS, grammar.NOUNS)
        for p in words
        for word in words[p]
    }
    for text, frame in zip(reviews.inputs, reviews.columns["frame"], strict=True):
        assert not opinions & set(re.findall(r"[a-z]+", frame.lower()))
        for aspect in (aspect for aspect in grammar.ASPECTS if " " in aspect):
            text = text.replace(aspect, aspect.replace(" ", "-"))
        assert len(text.split()) == len(frame.split())


def test_both_opinions_use_the_same_words_equally_often(reviews: Dataset) -> None:
    """What a review means must not follow from the words that carry its arrangement."""
    train = reviews.part("train")
    for word in ("but", "although", "despite", "not", "far", "than"):
        held = np.array([word in re.findall(r"[a-z]+", text.lower()) for text in train.inputs])
        share = np.mean(np.array(train.targets)[held] == "positive")
        assert 0.35 < share < 0.65, word


def test_a_bag_of_words_stays_weak(reviews: Dataset) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    train, test = reviews.part("train"), reviews.part("test")
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=10, max_iter=2000))
    assert 0.6 < model.fit(train.inputs, train.targets).score(test.inputs, test.targets) < 0.8


def test_all_structures_occur_in_all_parts(reviews: Dataset) -> None:
    for name in PARTS:
        assert set(reviews.part(name).columns["structure"]) == set(STRUCTURES)


@pytest.mark.parametrize("sizes", [{"train": 3}, {"training": 10}, {"test": -2}])
def test_odd_sizes_and_unknown_parts_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(DataError, match="sizes must be even numbers for train, validation, test"):
        demo_reviews(0, sizes)
