"""`Sentence`: words that know the text in which they stood."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from recurra.errors import DataError


class Sentence(list[str]):
    """The words of a sentence, with the text and the place of each in it: a list of words wherever one will do.

    text: the sentence as it was written. spans: where each word begins and ends in it, in characters. Words that are
    written as one ("don't" for "do" and "n't") and are no parts of it have the same place.
    Raises DataError for places that are not one per word and in order inside the text.
    """

    def __init__(self, words: Iterable[str], text: str, spans: Sequence[tuple[int, int]]) -> None:
        super().__init__(words)
        self.text, self.spans = text, tuple(spans)
        begins = [begin for begin, _ in self.spans]
        inside = all(0 <= begin <= end <= len(text) for begin, end in self.spans)
        if len(self.spans) != len(self) or not inside or begins != sorted(begins):
            raise DataError(
                f"spans must be one place inside the text per word, in order; got {len(self.spans)} for "
                f"{len(self)} words"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return (Sentence, (list(self), self.text, self.spans))


def sentence_of(tokens: Sequence[tuple[Sequence[str], str, bool]]) -> Sentence:
    """Put a sentence together from what is written: words of each piece, the piece itself, whether a space follows.

    Words that together are the piece ("can" and "not" of "cannot") each get their part of it, others all of it.
    """
    words: list[str] = []
    spans: list[tuple[int, int]] = []
    text, gap = "", ""
    for parts, piece, space in tokens:
        text += gap
        begin = len(text)
        whole = "".join(parts) == piece
        for part in parts:
            words.append(part)
            spans.append((begin, begin + len(part)) if whole else (begin, begin + len(piece)))
            begin += len(part) if whole else 0
        text, gap = text + piece, " " * space
    return Sentence(words, text, spans)


def text_of(item: str | Sequence[str]) -> str:
    """The text of words: as it was written where that is known, else the words joined by single spaces."""
    if isinstance(item, str):
        return item
    return item.text if isinstance(item, Sentence) else " ".join(str(word) for word in item)
