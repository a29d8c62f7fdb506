"""The built-in reviews: short texts whose opinion depends on the order of the words, made offline.

Each review holds words of both opinions or a negation, in arrangements of which the same words in another
order mean the opposite: "although the plot is dull, the acting is charming" and "the plot is dull, although
the acting is charming". So a bag of words must stay weak. No sentence frame (a review with its words of
opinion and its aspects left blank) and no clause shape of one part occurs in another; see
`recurra.data.grammar`. The default reviews were frozen before any recurrent model was trained on them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np

from recurra.data.dataset import Dataset
from recurra.data.grammar import (
    AFFIRMED,
    AFFIRMED_NOUN,
    ALTHOUGH,
    ALTHOUGH_AFTER,
    AND,
    ASPECTS,
    BUT,
    COMPARED_AGAINST,
    COMPARED_FOR,
    DESPITE,
    NEGATED,
    NEGATED_NOUN,
    NEGATED_SHARE,
    NEGATIVE,
    NEUTRAL,
    NOUN_SHARE,
    OPENERS,
    OTHERS,
    POSITIVE,
    SAID,
    WORD,
    Draw,
    Piece,
    draw_shape,
    draw_word,
    fill,
    opposite,
)
from recurra.errors import DataError

SIZES: Mapping[str, int] = {"train": 3000, "validation": 600, "test": 1000}
SHORTEST, LONGEST = 6, 25


def demo_reviews(seed: int = 0, sizes: Mapping[str, int] = SIZES) -> Dataset:
    """Return the built-in reviews: kind "text", targets "positive" and "negative", half of each in every part.

    The columns are "frame" (the review with its blanks open) and "structure" (how it is built: "plain",
    "agreement", "contrast", "concession first", "concession last", "despite", "comparison", "hearsay").
    The same seed gives the same reviews on every machine. Raises DataError for unknown parts or odd sizes.
    """
    for part, size in sizes.items():
        if part not in SIZES or size < 0 or size % 2:
            raise DataError(f"sizes must be even numbers for {', '.join(SIZES)}, got {part}={size}")
    draw, seen = Draw(seed), set[str]()
    rows = [row for part, size in sizes.items() for row in _part_rows(draw, part, size, seen)]
    texts, labels, frames, structures, parts = (list(column) for column in zip(*rows, strict=True))
    return Dataset(
        inputs=texts,
        targets=labels,
        kind="text",
        columns={"frame": np.array(frames, dtype=object), "structure": np.array(structures, dtype=object)},
        split=np.array(parts),
        source=f"built-in reviews, seed {seed}",
    )


def _part_rows(draw: Draw, part: str, size: int, seen: set[str]) -> list[tuple[str, str, str, str, str]]:
    rows: list[tuple[str, str, str, str, str]] = []
    while len(rows) < size:
        polarity = POSITIVE if len(rows) % 2 == 0 else NEGATIVE
        structure = _STRUCTURE_NAMES[draw.weighted(_STRUCTURE_WEIGHTS)]
        made = _dressed(draw, STRUCTURES[structure][1](draw, part, polarity))
        text = _sentence(made.text)
        if SHORTEST <= len(text.split()) <= LONGEST and text not in seen:
            seen.add(text)
            rows.append((text, polarity, _sentence(made.frame), structure, part))
    return rows


def _dressed(draw: Draw, piece: Piece) -> Piece:
    """Put a few words that say nothing before or after a review, so that its ends mean little."""
    if draw.share(0.2):
        piece = _glue(draw.one(OPENERS), piece)
    if draw.share(0.12):
        piece = _glue(draw.one(NEUTRAL), piece)
    if draw.share(0.12):
        piece = _glue(piece, ".", draw.one(NEUTRAL))
    return piece


def _glue(*parts: str | Piece) -> Piece:
    pieces = [Piece(text=part, frame=part) if isinstance(part, str) else part for part in parts]
    return Piece(text=" ".join(p.text for p in pieces), frame=" ".join(p.frame for p in pieces))


def _sentence(text: str) -> str:
    """Set punctuation, capitals and "an": "although the ..." becomes "Although the ...."."""
    text = re.sub(r"\s+([,.])", r"\1", text)
    text = re.sub(r"\ba (?=[aeiou])", "an ", text)
    text = text if text.endswith(".") else text + "."
    return re.sub(r"(?:^|(?<=\. ))[a-z]", lambda match: match[0].upper(), text)


def _clause(draw: Draw, part: str, polarity: str, aspect: str) -> Piece:
    """Make a clause of an opinion: affirmed with a word of that opinion, or negated with one of the opposite."""
    noun, negated = draw.share(NOUN_SHARE), draw.share(NEGATED_SHARE)
    groups = (NEGATED_NOUN if noun else NEGATED) if negated else (AFFIRMED_NOUN if noun else AFFIRMED)
    return fill(draw, draw_shape(draw, groups, part), [opposite(polarity) if negated else polarity], aspect)


def _two_aspects(draw: Draw) -> tuple[str, str]:
    first = draw.one(ASPECTS)
    return first, draw.one([aspect for aspect in ASPECTS if aspect != first])


def _two_clauses(draw: Draw, part: str, first: str, second: str) -> tuple[Piece, Piece]:
    one, other = _two_aspects(draw)
    return _clause(draw, part, first, one), _clause(draw, part, second, other)


def _plain(draw: Draw, part: str, polarity: str) -> Piece:
    return _clause(draw, part, polarity, draw.one(ASPECTS))


def _agreement(draw: Draw, part: str, polarity: str) -> Piece:
    first, second = _two_clauses(draw, part, polarity, polarity)
    return _glue(first, draw.one(AND), second)


def _contrast(draw: Draw, part: str, polarity: str) -> Piece:
    first, second = _two_clauses(draw, part, opposite(polarity), polarity)
    return _glue(first, draw.one(BUT), second)


def _concession_first(draw: Draw, part: str, polarity: str) -> Piece:
    first, second = _two_clauses(draw, part, opposite(polarity), polarity)
    return _glue(draw.one(ALTHOUGH), first, ",", second)


def _concession_last(draw: Draw, part: str, polarity: str) -> Piece:
    first, second = _two_clauses(draw, part, polarity, opposite(polarity))
    return _glue(first, draw.one(ALTHOUGH_AFTER), second)


def _despite(draw: Draw, part: str, polarity: str) -> Piece:
    one, other = _two_aspects(draw)
    word = draw_word(draw, opposite(polarity))
    concession = Piece(text=f"{word} {one}", frame=f"{WORD} [aspect]")
    clause = _clause(draw, part, polarity, other)
    if draw.share(0.5):
        return _glue(draw.one(DESPITE), concession, ",", clause)
    return _glue(clause, draw.one(DESPITE), concession)


def _comparison(draw: Draw, part: str, polarity: str) -> Piece:
    in_favour = draw.share(0.5)
    shape = draw_shape(draw, COMPARED_FOR if in_favour else COMPARED_AGAINST, part)
    order = [polarity, opposite(polarity)] if in_favour else [opposite(polarity), polarity]
    return fill(draw, shape, order, draw.one(ASPECTS))


def _hearsay(draw: Draw, part: str, polarity: str) -> Piece:
    """What others said does not count, whether it comes first or last."""
    clause = _clause(draw, part, polarity, draw.one(ASPECTS))
    who = f"{draw.one(OTHERS)} {draw.one(SAID)}"
    said = Piece(text=f"{who} {draw_word(draw, opposite(polarity))}", frame=f"{who} {WORD}")
    return _glue(said, ", but", clause) if draw.share(0.5) else _glue(clause, ", but", said)


_Maker = Callable[[Draw, str, str], Piece]
STRUCTURES: Mapping[str, tuple[float, _Maker]] = {
    "plain": (0.34, _plain),
    "agreement": (0.22, _agreement),
    "contrast": (0.14, _contrast),
    "concession first": (0.08, _concession_first),
    "concession last": (0.08, _concession_last),
    "despite": (0.05, _despite),
    "comparison": (0.05, _comparison),
    "hearsay": (0.04, _hearsay),
}
_STRUCTURE_NAMES = tuple(STRUCTURES)
_STRUCTURE_WEIGHTS = tuple(weight for weight, _ in STRUCTURES.values())
