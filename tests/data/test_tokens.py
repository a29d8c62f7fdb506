"""Words that are read by their characters: what is known, how a text is cut, what is stored, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import recurra as rc
from recurra.data.encoder import encoder_from_record
from recurra.errors import CorruptBundleError, DataError

SENTENCES = [["The", "dog", "barks"], ["the", "Dog"], [], ["été"]]


def test_words_are_known_in_lower_case_and_characters_as_they_are():
    encoder = rc.Tokens(min_count=2).fit(SENTENCES)
    assert encoder.words == ("<unk>", "dog", "the")
    batch = encoder.encode([["The", "cat"], []])
    assert batch.lengths.tolist() == [2, 0]
    assert batch.columns["words"].tolist() == [2, 0]
    assert [len(word) for word in batch[0]] == [3, 3]
    assert encoder.characters[int(batch.values[0][0])] == "T"
    assert encoder.unknown_rate([["the", "cat"]]) == 0.5


def test_a_text_is_cut_into_words_and_a_list_is_not():
    encoder = rc.Tokens().fit(SENTENCES)
    assert encoder.tokens("Dogs don't.") == [("Dogs", 0, 4), ("don't", 5, 10), (".", 10, 11)]
    assert encoder.tokens(["a b", "c"]) == [("a b", 0, 3), ("c", 4, 5)]
    assert encoder.encode(["Dogs don't."]).lengths.tolist() == [3]


def test_long_words_keep_their_first_and_last_characters():
    encoder = rc.Tokens(max_characters=5).fit([["abcdefghij"]])
    (word,) = encoder.encode([["abcdefghij"]])[0]
    assert "".join(encoder.characters[i] for i in word) == "abcij"


def test_composed_and_decomposed_letters_are_the_same():
    encoder = rc.Tokens(min_count=1).fit(SENTENCES)
    one, two = encoder.encode([["été"]]), encoder.encode([["e\u0301te\u0301"]])
    assert one.values.values.tobytes() == two.values.values.tobytes()
    assert one.columns["words"].tolist() == two.columns["words"].tolist()


def test_beginnings_and_endings_are_looked_up_by_themselves():
    encoder = rc.Tokens(min_count=1, affixes=2).fit([["Sings", "sang", "a"], ["rings"]])
    assert encoder.spec.slots == ("begin1", "begin2", "end1", "end2")
    assert set(encoder.affixes["end2"]) == {"<unk>", "gs"}  # of "ng" and "a" there is one each
    batch = encoder.encode([["KINGS", "a", ""]])
    known = encoder.affixes["end1"].index("s")
    assert batch.columns["end1"].tolist() == [known, 0, 0]
    assert batch.columns["end2"].tolist() == [encoder.affixes["end2"].index("gs"), 0, 0]
    assert batch.columns["begin1"].tolist() == [0, 0, 0]
    none = rc.Tokens(min_count=1, affixes=0).fit([["sings"]])
    assert set(none.encode([["sings"]]).columns) == {"words"}


def test_what_is_stored_gives_the_same_encoder():
    encoder = rc.Tokens(min_count=1, units=7).fit(SENTENCES)
    again = encoder_from_record(encoder.to_record(), encoder.files())
    assert again == encoder
    few = {"encoder.json": b'{"words": ["<unk>", "a"], "characters": ["<unk>"]}'}
    with pytest.raises(CorruptBundleError, match="holds 2 words, the record says 6"):
        encoder_from_record({**encoder.to_record(), "words": 6}, few)


def test_steps_of_a_stream_are_those_of_the_whole():
    encoder = rc.Tokens(min_count=1, max_length=3).fit(SENTENCES)
    whole, memory, parts = encoder.encode(["The dog barks loud"]), None, []
    for word in ("The dog", "barks", "loud"):
        made, memory = encoder.step(word, memory)
        parts += made.columns["words"].tolist()
    assert parts == whole.columns["words"].tolist()
    assert len(parts) == 3


@pytest.mark.parametrize("inputs", ["a text", [["a", 1]], [None]])
def test_what_is_no_sequence_of_words_is_refused(inputs):
    with pytest.raises(DataError, match="inputs"):
        rc.Tokens().fit(inputs)


def test_cutting_keeps_words_whole():
    batch = rc.Tokens(min_count=1).fit(SENTENCES).encode(SENTENCES)
    part = batch.cut(np.array([1, 0, 0, 0]), np.array([3, 1, 0, 1]))
    assert part.lengths.tolist() == [2, 1, 0, 1]
    assert [len(word) for word in part[0]] == [3, 5]
    assert len(part.columns["words"]) == 4
