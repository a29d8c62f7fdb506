"""Tokens as text for somebody who reads along: each piece as soon as nothing can change it."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

Spellings = Sequence[str] | Sequence[bytes]
"""What each token adds to a text: characters, or bytes of UTF-8."""


class Pieces:
    """A text that arrives token by token, given on in pieces that are certain.

    spellings: what each token adds. between: stands between two tokens (a space between words), and before the
    first where `follows`. stop: texts of which the first to occur ends the text, and is not part of it; what could
    be the beginning of one is held back. Bytes that are no UTF-8 become U+FFFD, once they cannot become a character
    any more.
    """

    def __init__(
        self, spellings: Spellings, *, between: str = "", follows: bool = False, stop: Sequence[str] = ()
    ) -> None:
        self._spellings, self._between, self._stop = spellings, between, tuple(stop)
        self._begun, self._stopped, self._held = follows, False, ""
        self._bytes = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        """The text that is certain now; often the token's own, sometimes nothing."""
        spelling = self._spellings[token]
        text = self._bytes.decode(spelling) if isinstance(spelling, bytes) else spelling
        between = self._between if self._begun else ""
        self._begun = True
        return self._certain(between + text)

    def finish(self) -> str:
        """The rest, where nothing more comes."""
        rest = "" if self._stopped else self._certain(self._bytes.decode(b"", True)) + self._held
        self._held, self._stopped = "", True
        return rest

    def _certain(self, text: str) -> str:
        if self._stopped:
            return ""
        self._held += text
        ends = [place for place in (self._held.find(stop) for stop in self._stop) if place >= 0]
        if ends:
            self._stopped = True
            return self._held[: min(ends)]
        keep = max((_overlap(self._held, stop) for stop in self._stop), default=0)
        certain, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return certain


def _overlap(text: str, stop: str) -> int:
    """The most characters at the end of a text that begin `stop`, short of the whole."""
    for size in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:size]):
            return size
    return 0
