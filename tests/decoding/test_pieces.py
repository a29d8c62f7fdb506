"""Pieces of text that are certain: joined they are the text, and none is taken back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recurra.decoding.pieces import Pieces


def joined(tokens, spellings, **options):
    pieces = Pieces(spellings, **options)
    parts = [pieces.push(token) for token in tokens]
    return "".join([*parts, pieces.finish()]), parts


@given(st.text(max_size=20))
def test_bytes_become_characters_once_they_are_whole(text):
    spellings = [bytes([value]) for value in range(256)]
    made, parts = joined(text.encode("utf-8"), spellings)
    assert made == text
    assert "\ufffd" not in "".join(parts) or "\ufffd" in text
    assert [part for part in parts if part] == list(text)


@given(st.binary(max_size=20))
def test_bytes_that_are_no_text_are_replaced_as_python_does(content):
    spellings = [bytes([value]) for value in range(256)]
    assert joined(content, spellings)[0] == content.decode("utf-8", "replace")


@given(
    st.lists(st.integers(0, 4), max_size=15),
    st.lists(st.text("abc", min_size=1, max_size=4), max_size=3),
)
def test_a_text_ends_before_the_first_stop(tokens, stops):
    spellings = ["a", "b", "ab", "cab", ""]
    whole = "".join(spellings[token] for token in tokens)
    made, _ = joined(tokens, spellings, stop=stops)
    # What is certain once the first stop is complete is what stands before the earliest one then.
    seen = ""
    for token in tokens:
        seen += spellings[token]
        hits = [seen.find(stop) for stop in stops if stop in seen]
        if hits:
            assert made == whole[: min(hits)]
            break
    else:
        assert made == whole


def test_words_stand_apart_and_apart_from_a_prompt():
    words = [("the",), ("cat",), ()]
    assert joined([0, 2, 1], words) == ("the cat", ["the", "", " cat"])
    assert joined([0, 1], words, follows=True)[0] == " the cat"


def test_a_stop_of_words_is_whole_words():
    words = [("then",), ("the",), ("end",), ("is",)]
    made, parts = joined([0, 1, 3, 1, 2, 0], words, stop=[("the", "end")])
    assert made == "then the is"
    assert parts == ["then", "", " the is", "", "", ""]


def test_what_may_begin_a_stop_is_held_back_and_no_more():
    pieces = Pieces(["a", "\n", "b"], stop=["\n\n"])
    assert [pieces.push(token) for token in (0, 1, 2, 1, 1, 0)] == ["a", "", "\nb", "", "", ""]
    assert pieces.finish() == ""
