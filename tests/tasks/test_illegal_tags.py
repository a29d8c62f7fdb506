"""Tags of spans that break their scheme: kept, repaired or refused, by choice."""

from __future__ import annotations

import numpy as np
import pytest

import recurra as rc
from recurra.decoding.tags import rules_of
from recurra.errors import DataError, SpecError
from recurra.metrics.spans import spans_of, tags_of
from recurra.tasks.illegal_tags import lawful

NETWORK = rc.Network(hidden_size=4, num_layers=1)
TRAINING = rc.Training(epochs=1, sequence_length=None)
NAMES = {
    "bio": ("B-x", "I-x", "B-y", "I-y", "O"),
    "iob": ("B-x", "I-x", "B-y", "I-y", "O"),
    "bioes": ("B-x", "I-x", "E-x", "S-x", "B-y", "E-y", "O"),
    "bilou": ("B-x", "I-x", "L-x", "U-x", "B-y", "L-y", "O"),
}


@pytest.mark.parametrize("scheme", NAMES)
def test_repaired_tags_are_legal_hold_the_spans_that_were_read_and_legal_ones_stay(scheme):
    draw = np.random.default_rng(0)
    stayed = 0
    for _ in range(300):
        tags = [str(tag) for tag in draw.choice(NAMES[scheme], size=int(draw.integers(0, 6)))]
        (made,) = lawful([tags], [scheme], "repair", None)
        every = sorted({*tags, *made})
        rules = rules_of(every, scheme)
        assert rules.broken([every.index(tag) for tag in made]) == 0
        assert spans_of(made) == spans_of(tags)
        legal = rules.broken([every.index(tag) for tag in tags]) == 0
        assert (made == tags) == legal
        stayed += legal
    assert 20 < stayed < 280


def test_spans_are_written_by_each_scheme():
    spans = spans_of(["B-x", "I-x", "B-x", "O", "B-y", "B-x"])
    assert tags_of(spans, 6, "bio") == ["B-x", "I-x", "B-x", "O", "B-y", "B-x"]
    assert tags_of(spans, 6, "iob") == ["I-x", "I-x", "B-x", "O", "I-y", "I-x"]
    assert tags_of(spans, 6, "bioes") == ["B-x", "E-x", "S-x", "O", "S-y", "S-x"]
    assert tags_of(spans, 6, "bilou") == ["B-x", "L-x", "U-x", "O", "U-y", "U-x"]


def test_a_tagger_keeps_repairs_or_refuses_what_is_illegal():
    words = [["Ann", "Ray", "runs"], ["so", "Ann"]] * 8
    tags = [["I-name", "I-name", "O"], ["O", "B-name"]] * 8
    kept = rc.Tagger(NETWORK, TRAINING).fit(words, tags)
    assert kept.scores(words, tags)["illegal_gold_sequences"] == 8
    repaired = rc.Tagger(NETWORK, TRAINING, tags=rc.Tags(illegal="repair")).fit(words, tags)
    right = [["B-name", "I-name", "O"], ["O", "B-name"]] * 8
    same = rc.Tagger(NETWORK, TRAINING).fit(words, right)
    assert repaired.predictor_.outputs_of(repaired.predictor_.encode(words)).tobytes() == (
        same.predictor_.outputs_of(same.predictor_.encode(words)).tobytes()
    )
    assert repaired.scores(words, tags)["illegal_gold_sequences"] == 8
    with pytest.raises(
        DataError, match=r"targets\[\d+\] must follow the rules of bio, got 'I-name' at step 0"
    ):
        rc.Tagger(NETWORK, TRAINING, tags=rc.Tags(illegal="refuse")).fit(words, tags)
    rc.Tagger(NETWORK, TRAINING, tags=rc.Tags(illegal="refuse")).fit(words, right)


def test_a_repaired_tag_may_be_new_and_columns_are_repaired_apart():
    assert lawful([[("I-x", "NOUN"), ("O", "VERB")]], ["bio", None], "repair", None) == [
        [("B-x", "NOUN"), ("O", "VERB")]
    ]
    partly = [["I-x", None, "_"]]
    assert lawful(partly, ["bio"], "refuse", "_") == partly


@pytest.mark.parametrize(
    ("option", "words"), [("mend", "illegal must be one of"), ("repair", "has no effect")]
)
def test_an_unknown_choice_and_one_without_effect_are_refused(option, words):
    with pytest.raises(SpecError, match=words):
        rc.Tagger(NETWORK, TRAINING, tags=rc.Tags(illegal=option)).fit([["a", "b"]] * 8, [["X", "Y"]] * 8)
