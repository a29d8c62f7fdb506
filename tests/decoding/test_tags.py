"""Decoding of tags: the best legal path and the marginals over all legal ones; never an illegal sequence."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra import kernels
from recurra.decoding.tags import SCHEMES, TagRules, decode, marginals, rules_of, scheme_of
from recurra.errors import SpecError
from recurra.metrics.spans import spans_of
from shared import assert_noticed

TAGS = {
    "bio": ["B-a", "B-b", "I-a", "I-b", "O"],
    "iob": ["B-a", "B-b", "I-a", "I-b", "O"],
    "bioes": ["B-a", "E-a", "I-a", "O", "S-a", "S-b"],
    "bilou": ["B-a", "I-a", "L-a", "O", "U-a", "U-b"],
}


def legal_by_spans(tags: list[str], scheme: str) -> bool:
    """Whether the strict reading of the scheme gives every tag that is not O a place in a span."""
    covered = {i for span in spans_of(tags, scheme=scheme) for i in range(span.start, span.end)}
    return covered == {i for i, tag in enumerate(tags) if tag != "O"}


@pytest.mark.parametrize("scheme", ["bio", "bioes", "bilou"])
def test_the_rules_allow_what_the_scheme_reads_as_whole_spans_and_nothing_else(scheme):
    tags = TAGS[scheme]
    rules = rules_of(tags, scheme)
    for row in product(range(len(tags)), repeat=3):
        assert (rules.broken(row) == 0) == legal_by_spans([tags[i] for i in row], scheme), row


def test_iob_begins_with_b_only_beside_a_span_of_its_own_label():
    rules = rules_of(TAGS["iob"], "iob")
    number = {tag: i for i, tag in enumerate(TAGS["iob"])}
    for row, broken in [
        ("I-a B-a I-a", 0),
        ("O B-a", 1),
        ("I-b B-a", 1),
        ("I-a I-b", 0),
        ("B-a", 1),
        ("", 0),
    ]:
        assert rules.broken([number[tag] for tag in row.split()]) == broken, row


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        (["O", "B-x", "I-x"], "bio"),
        (["O", "I-x"], "iob"),
        (["O", "B-x", "E-x", "S-x"], "bioes"),
        (["U-x", "O"], "bilou"),
        (["NOUN", "VERB"], None),
        (["O"], None),
        (["B-x", "Q-x"], None),
        (["B-", "O"], None),
    ],
)
def test_the_scheme_is_read_off_the_tags(tags, scheme):
    assert scheme_of(tags) == scheme


def check_legal(scheme: str, seed: int, chained: bool) -> None:
    draw = np.random.default_rng(seed)
    tags = TAGS[scheme]
    lengths = draw.integers(0, 9, 5)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    size = len(tags)
    emissions = (draw.normal(size=(int(offsets[-1]), size)) * 3).astype(np.float32)
    shapes = ((size, size), (size,), (size,))
    chain = tuple(draw.normal(size=s).astype(np.float32) for s in shapes) if chained else None
    rules = rules_of(tags, scheme)
    chosen = decode(emissions, offsets, chain, rules)
    shares = marginals(emissions, offsets, chain, rules)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    for begin, end in pairwise(offsets):
        assert rules.broken(chosen[begin:end]) == 0
        assert end == begin or not shares[begin][~rules.start].any()


@settings(max_examples=40)
@given(st.sampled_from(SCHEMES), st.integers(0, 999), st.booleans())
def test_no_answer_is_ever_illegal(scheme, seed, chained):
    check_legal(scheme, seed, chained)


def test_a_decoder_that_forgets_the_rules_is_noticed(monkeypatch):
    class Forgotten:
        def __enter__(self):
            monkeypatch.setattr(TagRules, "add_to", lambda self, *scores: scores)

        def __exit__(self, *_):
            monkeypatch.undo()

    assert_noticed(Forgotten(), lambda: [check_legal("bio", seed, False) for seed in range(5)])


def test_a_softmax_under_rules_takes_the_likeliest_legal_sequence():
    tags = TAGS["bio"]
    rules = rules_of(tags, "bio")
    emissions = np.random.default_rng(0).normal(size=(4, len(tags))).astype(np.float32)
    offsets = np.array([0, 4])
    scores = kernels.log_softmax(emissions)
    legal = [row for row in product(range(len(tags)), repeat=4) if rules.broken(row) == 0]
    best = max(legal, key=lambda row: sum(scores[t, tag] for t, tag in enumerate(row)))
    assert decode(emissions, offsets, None, rules).tolist() == list(best)


def test_without_chain_and_rules_every_token_is_by_itself():
    emissions = np.array([[0.0, 2.0], [1.0, 1.0]], np.float32)
    assert decode(emissions, np.array([0, 2]), None).tolist() == [1, 0]
    np.testing.assert_array_equal(marginals(emissions, np.array([0, 2]), None), kernels.softmax(emissions))
    nothing = np.zeros((0, 2), np.float32)
    assert decode(nothing, np.array([0, 0]), None).shape == (0,)
    assert marginals(nothing, np.array([0, 0]), None).shape == (0, 2)


def test_an_unknown_scheme_is_refused():
    with pytest.raises(SpecError, match="did you mean 'bioes'"):
        rules_of(["O"], "bioe")
