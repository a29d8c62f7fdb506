"""Pieces of text that are looked for while tokens are written, whatever tokens they fall into."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TypeAlias

import numpy as np

from recurra.ragged import Array

Symbols: TypeAlias = Sequence[Hashable]
"""What a piece of text consists of: the characters of a str, the numbers of bytes, or words as they are."""

Matched: TypeAlias = tuple[int, ...]
"""How many symbols of each phrase the text ends with; its whole length where it was met."""


class Phrases:
    """Phrases over the spellings of a vocabulary; a state (`Matched`) says how far each one is met.

    phrases: each a sequence of at least one symbol. spellings: the symbols that each of the V tokens adds to a
    text. A phrase is found wherever it begins and ends, inside tokens and across them.
    """

    def __init__(self, phrases: Iterable[Symbols] = (), spellings: Sequence[Symbols] = ()) -> None:
        self._phrases = [_Phrase(phrase, spellings) for phrase in phrases]
        self.total = sum(phrase.length for phrase in self._phrases)

    def __bool__(self) -> bool:
        return bool(self._phrases)

    def begin(self, tokens: Iterable[int] = ()) -> Matched:
        """The state after a text that goes before, in which a phrase may begin, but none counts as met."""
        states: Matched = (0,) * len(self._phrases)
        for token in tokens:
            states = tuple(p.past(s, token) for p, s in zip(self._phrases, states, strict=True))
        return states

    def after(self, state: Matched, token: int) -> Matched:
        """The state after one more token; a phrase that is met stays met."""
        return tuple(int(p.next(s)[token]) for p, s in zip(self._phrases, state, strict=True))

    def any_met(self, state: Matched) -> bool:
        """Whether some phrase is met."""
        return any(s == p.length for p, s in zip(self._phrases, state, strict=True))

    def all_met(self, state: Matched) -> bool:
        """Whether every phrase is met."""
        return all(s == p.length for p, s in zip(self._phrases, state, strict=True))

    def completing(self, state: Matched) -> Array:
        """(V,) whether a token would complete some phrase."""
        found: Array = np.logical_or.reduce(self._completed(state))
        return found

    def completing_all(self, state: Matched) -> Array:
        """(V,) whether every phrase would be met after a token."""
        found: Array = np.logical_and.reduce(self._completed(state))
        return found

    def _completed(self, state: Matched) -> list[Array]:
        return [p.next(s) == p.length for p, s in zip(self._phrases, state, strict=True)]

    def progress(self, state: Matched) -> Array:
        """(V,) symbols of met phrases, and of the one that is met farthest, after each token.

        It is `total` where all are met and only there, and some token always makes it grow: the next symbol of
        the phrase that is met farthest.
        """
        met = partly = np.zeros(1, dtype=np.int64)
        for phrase, matched in zip(self._phrases, state, strict=True):
            reached = phrase.next(matched)
            whole = reached == phrase.length
            met = met + np.where(whole, phrase.length, 0)
            partly = np.maximum(partly, np.where(whole, 0, reached))
        return met + partly


class _Phrase:
    """One phrase as the automaton of Knuth, Morris & Pratt (1977), read a token at a time."""

    def __init__(self, phrase: Symbols, spellings: Sequence[Symbols]) -> None:
        self.length = len(phrase)
        codes = {symbol: number for number, symbol in enumerate(dict.fromkeys(phrase), 1)}
        self._table, self._border = _automaton([codes[symbol] for symbol in phrase], len(codes) + 1)
        longest = max((len(spelling) for spelling in spellings), default=0)
        self._codes = np.full((len(spellings), longest), -1, dtype=np.int64)
        for token, spelling in enumerate(spellings):
            self._codes[token, : len(spelling)] = [codes.get(symbol, 0) for symbol in spelling]
        self._next: dict[int, Array] = {}

    def next(self, state: int) -> Array:
        """(V,) the state after each token; `length` once the phrase was met, also inside the token."""
        if state not in self._next:
            self._next[state] = self._reached(state)
        return self._next[state]

    def _reached(self, state: int) -> Array:
        reached = np.full(len(self._codes), state, dtype=np.int64)
        for column in self._codes.T:
            going = (column >= 0) & (reached < self.length)
            reached[going] = self._table[reached[going], column[going]]
        return reached

    def past(self, state: int, token: int) -> int:
        """The state after a token of a text that goes before, where a whole match is none, only a beginning."""
        for code in self._codes[token]:
            if code >= 0:
                state = int(self._table[state, code])
        return self._border if state == self.length else state


def _automaton(phrase: list[int], alphabet: int) -> tuple[Array, int]:
    """(L + 1, alphabet) the symbols matched after each symbol, and how many are still matched after all L."""
    length = len(phrase)
    table = np.zeros((length + 1, alphabet), dtype=np.int64)
    table[0, phrase[0]] = 1
    border = 0
    for place in range(1, length + 1):
        table[place] = table[border]
        if place < length:
            table[place, phrase[place]] = place + 1
            border = int(table[border, phrase[place]])
    return table, border
