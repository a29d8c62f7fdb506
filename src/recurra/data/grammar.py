"""The grammar of the built-in reviews: words, clause shapes, and the ways in which clauses are joined.

A *clause shape* is a clause with its words of opinion and its aspects left blank: "the [aspect] is far from
[word] this time". Every shape belongs to exactly one part of the data, by a hash of its text, so that no shape
of the test part is ever seen in training. The frozen reviews follow from these lists: a change here changes
the data, and a test that pins their content fails.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

ASPECT, WORD, NOUN = "[aspect]", "[word]", "[noun]"
POSITIVE, NEGATIVE = "positive", "negative"


def _words(*lines: str) -> tuple[str, ...]:
    return tuple(" ".join(lines).split())


ASPECTS = (
    *_words(
        "plot story script ending cast soundtrack setting opening finale premise score lead villain tone pace",
        "climax",
    ),
    "first half",
    "second half",
)

# From frequent to rare: a word is drawn with a weight of 1 / (rank + 4).
WORDS = {
    POSITIVE: _words(
        "good great funny brilliant charming clever gripping lovely moving fresh superb witty elegant warm"
    ),
    NEGATIVE: _words(
        "bad dull boring disappointing clumsy tedious flat weak silly stale poor bland lifeless awful"
    ),
}
RARE_WORDS = {
    POSITIVE: _words(
        "sublime beguiling sumptuous deft buoyant luminous exquisite spellbinding nimble enchanting majestic",
        "riveting heartfelt sparkling masterly poignant radiant ingenious dazzling exhilarating",
    ),
    NEGATIVE: _words(
        "mawkish turgid insipid leaden ponderous vapid abysmal dismal trite cloying plodding hackneyed inane",
        "soporific grating lacklustre threadbare inept stilted cumbersome",
    ),
}
NOUNS = {
    POSITIVE: _words("joy triumph delight success treat gem"),
    NEGATIVE: _words("mess bore failure disaster letdown chore"),
}
RARE_SHARE = 0.04
NOUN_SHARE = 0.1
NEGATED_SHARE = 0.2

_TAILS = (
    "",
    "from start to finish",
    "in nearly every scene",
    "most of the time",
    "this time",
    "as far as I can tell",
)
_DEGREES = ("", "really", "quite", "truly", "simply", "very", "so")
_SUBJECTS = ("the [aspect]", "its [aspect]", "the whole [aspect]", "this [aspect]")
_GIVERS = ("it has", "you get", "we get", "the film offers", "the director gives us")
_STINGY = ("it does not have", "you never get", "we hardly get", "the film does not offer")
_NO_ONE = ("nobody would", "no one could", "I would not", "I would never", "you can hardly")


def _shapes(*slots: Sequence[str]) -> tuple[str, ...]:
    return tuple(" ".join(filter(None, choice)) for choice in itertools.product(*slots))


AFFIRMED = (
    _shapes(_SUBJECTS, ("is", "was", "feels", "felt", "seems", "remains"), _DEGREES, [WORD], _TAILS),
    _shapes(_GIVERS, ["a"], ("", "really", "truly", "very"), [f"{WORD} {ASPECT}"], _TAILS),
    _shapes(("I find", "I found", "we found", "I would call"), ["the [aspect]"], _DEGREES, [WORD], _TAILS),
)
NEGATED = (
    _shapes(
        _SUBJECTS,
        ("is not", "was not", "isn't", "wasn't", "is never", "was hardly", "does not feel", "never feels"),
        ("", "very", "really"),
        [WORD],
        _TAILS,
    ),
    _shapes(
        _SUBJECTS, ("is", "was", "feels", "felt"), ("far from", "anything but", "by no means"), [WORD], _TAILS
    ),
    _shapes(_NO_ONE, ["call the [aspect]"], ("", "really"), [WORD], _TAILS),
    _shapes(_STINGY, ["a"], ("", "really", "truly", "very"), [f"{WORD} {ASPECT}"], _TAILS),
)
AFFIRMED_NOUN = (_shapes(_SUBJECTS, ("is", "was", "turns out to be", "remains"), [f"a {NOUN}"], _TAILS),)
NEGATED_NOUN = (
    _shapes(
        _SUBJECTS,
        ("is", "was"),
        ("not", "hardly", "far from", "anything but", "never"),
        [f"a {NOUN}"],
        _TAILS,
    ),
)

# The first blank of a comparison takes the opinion of the review where it says "for", the opposite elsewhere.
COMPARED_FOR = (
    _shapes(_SUBJECTS, ("is", "was", "feels", "felt"), [f"more {WORD} than {WORD}"], _TAILS),
    _shapes(_SUBJECTS, ("is", "was", "feels", "felt"), [f"{WORD} rather than {WORD}"], _TAILS),
    _shapes(_SUBJECTS, ("is", "was", "feels", "felt"), [f"{WORD} and not {WORD}"], _TAILS),
)
COMPARED_AGAINST = (
    _shapes(_SUBJECTS, ("is", "was", "feels", "felt"), [f"less {WORD} than {WORD}"], _TAILS),
    _shapes(_SUBJECTS, ("is", "was"), [f"not {WORD} but {WORD}"], _TAILS),
)

AND = (", and", "and", ", and what is more,")
BUT = (", but", ", yet", ", but in the end", ", and still")
ALTHOUGH = ("although", "though", "even though", "while")
ALTHOUGH_AFTER = (", although", ", though", ", even though", ", even if")
DESPITE = ("despite the", "in spite of the", "for all its")
OTHERS = ("my friends", "the critics", "my brother", "most people", "the people next to us")
SAID = ("called it", "found it", "said it was", "thought it was")
OPENERS = ("honestly,", "to be fair,", "for what it is worth,", "I have to say,", "all in all,")
NEUTRAL = (
    "We saw it on a Friday.",
    "It runs for two hours.",
    "I watched it at home.",
    "It is the second part of a series.",
    "There were few people in the room.",
    "It came out last year.",
)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A stretch of a review: its text and the same with the blanks still open."""

    text: str
    frame: str


class Draw:
    """Random choices from `random.random` alone, whose stream Python promises never to change."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def share(self, probability: float) -> bool:
        """Tell whether an event of this probability happens."""
        return self._random() < probability

    def one(self, items: Sequence[str]) -> str:
        """Return one of the items, all alike."""
        return items[int(self._random() * len(items))]

    def group(self, groups: Sequence[Sequence[str]]) -> Sequence[str]:
        """Return one of the groups of items, all alike."""
        return groups[int(self._random() * len(groups))]

    def weighted(self, weights: Sequence[float]) -> int:
        """Return a position with a probability in proportion to its weight."""
        point = self._random() * sum(weights)
        for position, weight in enumerate(weights):
            point -= weight
            if point < 0:
                return position
        return len(weights) - 1


@cache
def part_of_shape(shape: str) -> str:
    """Return the part of the data that a clause shape belongs to, for all seeds: 60% train, 16%, 24%."""
    number = int.from_bytes(hashlib.sha256(shape.encode()).digest()[:4], "big") % 100
    return "train" if number < 60 else "validation" if number < 76 else "test"


def opposite(polarity: str) -> str:
    """Return the other opinion."""
    return NEGATIVE if polarity == POSITIVE else POSITIVE


def draw_word(draw: Draw, polarity: str) -> str:
    """Draw an adjective: frequent ones often, and a few that are so rare that training may not hold them."""
    if draw.share(RARE_SHARE):
        return draw.one(RARE_WORDS[polarity])
    words = WORDS[polarity]
    return words[draw.weighted([1 / (rank + 4) for rank in range(len(words))])]


def draw_shape(draw: Draw, groups: Sequence[Sequence[str]], part: str) -> str:
    """Draw a clause shape of a part."""
    while True:
        shape = draw.one(draw.group(groups))
        if part_of_shape(shape) == part:
            return shape


def fill(draw: Draw, shape: str, polarities: Sequence[str], aspect: str) -> Piece:
    """Fill the blanks of a shape: its opinions in order, and its aspect."""
    text = shape.replace(ASPECT, aspect)
    for polarity in polarities:
        if NOUN in text:
            text = text.replace(NOUN, draw.one(NOUNS[polarity]), 1)
        else:
            text = text.replace(WORD, draw_word(draw, polarity), 1)
    return Piece(text=text, frame=shape)
