"""Spans of characters to tags of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recurra.data.sentences import Sentence
from recurra.errors import DataError


@dataclass(kw_only=True)
class Odd:
    """Spans that were widened to whole tokens, and such that were left out."""

    widened: int = 0
    dropped: int = 0


class TokenCutter:
    """Cuts a text into the tokens of `Words`, with their places; nothing is changed in them."""

    def __init__(self) -> None:
        from recurra.data.text import Words
        from recurra.data.tokenization import pipeline

        self._cut = pipeline(Words()).pre_tokenizer.pre_tokenize_str

    def __call__(self, text: str) -> list[tuple[str, int, int]]:
        """Tokens as (token, begin, end)."""
        return [(text[begin:end], begin, end) for _, (begin, end) in self._cut(text)]


def span_tags(text: str, spans: Any, cut: TokenCutter, where: str) -> tuple[Sentence, list[Any], Odd]:
    """The tokens of a text, in the text, and their BIO tags.

    A span that begins or ends inside a token takes the whole token; one that shares a token with an earlier span
    (the earlier and longer go first) or holds no token is left out. Both are counted. Raises DataError for spans that
    are not (begin, end, label) with 0 <= begin < end <= length.
    """
    tokens = cut(text)
    tags, odd = ["O"] * len(tokens), Odd()
    wanted = sorted((_span(one, len(text), where) for one in spans or ()), key=lambda s: (s[0], -s[1], s[2]))
    for begin, end, label in wanted:
        inside = [i for i, (_, first, last) in enumerate(tokens) if first < end and last > begin]
        if not inside or any(tags[i] != "O" for i in inside):
            odd.dropped += 1
            continue
        odd.widened += tokens[inside[0]][1] < begin or tokens[inside[-1]][2] > end
        for place, i in enumerate(inside):
            tags[i] = f"{'I' if place else 'B'}-{label}"
    words = Sentence((token for token, _, _ in tokens), text, [(begin, end) for _, begin, end in tokens])
    return words, list(tags), odd


def _span(one: Any, length: int, where: str) -> tuple[int, int, str]:
    if isinstance(one, Mapping):
        found: Any = (one.get("begin", one.get("start")), one.get("end"), one.get("label", one.get("type")))
    elif isinstance(one, (list, tuple)) and len(one) == 3:
        found = one
    else:
        raise DataError(
            f"{where}: a span must be [begin, end, label] or an object with these keys, got {one!r:.60}"
        )
    begin, end, label = found
    whole = all(isinstance(place, int) and not isinstance(place, bool) for place in (begin, end))
    if not whole or not 0 <= begin < end <= length or not isinstance(label, str) or not label:
        raise DataError(
            f"{where}: a span must lie within the {length} characters of its text and have a label, got {one!r:.60}"
        )
    return begin, end, label
