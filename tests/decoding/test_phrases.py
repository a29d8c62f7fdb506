"""Phrases found in text that arrives in tokens of any spelling."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recurra.decoding.phrases import Phrases

SPELLINGS = ["a", "b", "ab", "ba", "aab", "", "c"]
TOKENS = st.lists(st.integers(0, len(SPELLINGS) - 1), max_size=12)
TEXTS = st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=3, unique=True)


def spelled(tokens):
    return "".join(SPELLINGS[token] for token in tokens)


@given(TOKENS, TEXTS)
def test_a_phrase_is_met_exactly_where_the_text_holds_it(tokens, texts):
    phrases = Phrases(texts, SPELLINGS)
    state = phrases.begin()
    for place, token in enumerate(tokens):
        before, after = spelled(tokens[:place]), spelled(tokens[: place + 1])
        if not phrases.any_met(state):
            found = phrases.completing(state)
            for other, spelling in enumerate(SPELLINGS):
                assert found[other] == any(text in before + spelling for text in texts)
        state = phrases.after(state, token)
        assert phrases.any_met(state) == any(text in after for text in texts)
        assert phrases.all_met(state) == all(text in after for text in texts)


@given(TOKENS, TOKENS, TEXTS)
def test_a_phrase_may_begin_in_what_goes_before_but_is_not_met_there(before, tokens, texts):
    phrases = Phrases(texts, SPELLINGS)
    state = phrases.begin(before)
    for token in tokens:
        state = phrases.after(state, token)
    whole, first = spelled(before + tokens), spelled(before)

    def ends_behind(text):
        places = [at for at in range(len(whole)) if whole.startswith(text, at)]
        return any(at + len(text) > len(first) for at in places)

    assert phrases.any_met(state) == any(map(ends_behind, texts))


@given(TOKENS, TEXTS)
def test_progress_can_always_grow_and_is_total_where_all_are_met_alone(tokens, texts):
    phrases = Phrases(texts, SPELLINGS)
    state, reached = phrases.begin(), 0
    for token in tokens:
        found = phrases.progress(state)
        if not phrases.all_met(state):
            assert found.max() > reached
        reached = int(found[token])
        state = phrases.after(state, token)
        assert (reached == phrases.total) == phrases.all_met(state)


def test_words_are_symbols_as_well_as_characters_are():
    words = [("new",), ("york",), ("times",), ()]
    phrases = Phrases([("new", "york"), ("york", "times")], words)
    state = phrases.begin()
    for token in (0, 3, 1):
        state = phrases.after(state, token)
    assert phrases.any_met(state)
    assert not phrases.all_met(state)
    assert phrases.all_met(phrases.after(state, 2))
    assert phrases.total == 4
