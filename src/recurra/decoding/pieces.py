"""Tokens as text for somebody who reads along: each piece as soon as nothing can change it."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Any, TypeAlias

Spelling: TypeAlias = str | bytes | tuple[str, ...]
"""What a token adds to a text: characters, bytes of UTF-8, or words."""


class Pieces:
    """A text that arrives token by token, given on in pieces that are certain.

    spellings: of the V tokens, all of one kind. Words stand apart by a space, the first one too where `follows`
    (a prompt stands before it). stop: of which the first to occur ends the text, and is not part of it; texts, or
    tuples of words. What could be the beginning of one is held back. Bytes that are no UTF-8 become U+FFFD, once they
    cannot become a character any more.
    """

    def __init__(
        self,
        spellings: Sequence[Spelling],
        *,
        follows: bool = False,
        stop: Sequence[str | tuple[str, ...]] = (),
    ) -> None:
        self._spellings, self._stop = spellings, tuple(stop)
        self._held: Any = () if spellings and isinstance(spellings[0], tuple) else ""
        self._begun, self._stopped = follows, False
        self._bytes = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        """The text that is certain now; often the token's own, sometimes nothing."""
        spelling = self._spellings[token]
        return self._certain(self._bytes.decode(spelling) if isinstance(spelling, bytes) else spelling)

    def finish(self) -> str:
        """The rest, where nothing more comes."""
        if self._stopped:
            return ""
        before = self._certain(self._bytes.decode(b"", True)) if isinstance(self._held, str) else ""
        rest = "" if self._stopped else self._written(self._held)
        self._stopped = True
        return before + rest

    def _certain(self, symbols: Any) -> str:
        if self._stopped:
            return ""
        self._held += symbols
        ends = [place for place in (_place(self._held, stop) for stop in self._stop) if place >= 0]
        if ends:
            self._stopped = True
            return self._written(self._held[: min(ends)])
        certain = len(self._held) - max((_overlap(self._held, stop) for stop in self._stop), default=0)
        now, self._held = self._held[:certain], self._held[certain:]
        return self._written(now)

    def _written(self, symbols: Any) -> str:
        if isinstance(symbols, str):
            return symbols
        text = " ".join(symbols)
        before = " " if self._begun and symbols else ""
        self._begun = self._begun or bool(symbols)
        return before + text


def _place(symbols: Any, stop: Any) -> int:
    """Where `stop` begins first; -1 where it does not occur."""
    if isinstance(symbols, str):
        return symbols.find(stop)
    places = range(len(symbols) - len(stop) + 1)
    return next((place for place in places if symbols[place : place + len(stop)] == stop), -1)


def _overlap(symbols: Any, stop: Any) -> int:
    """The most symbols at the end that begin `stop`, short of the whole."""
    for size in range(min(len(symbols), len(stop) - 1), 0, -1):
        if symbols[len(symbols) - size :] == stop[:size]:
            return size
    return 0
