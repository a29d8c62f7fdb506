"""Ways to rewrite a text of which a reader knows what they do to its meaning; each says where it does not apply."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Rewrite = Callable[[str, int], "str | None"]
"""A text and a seed -> the rewritten text, or None where the rewriting does not apply."""

NEGATIONS = frozenset({"not", "no", "never", "nothing", "hardly", "without", "neither", "nor", "none"})
_VERB = re.compile(
    r"\b(is|are|was|were|am|has|have|had|can|could|will|would|should|does|do|did)\b", re.IGNORECASE
)
_CONTRAST = re.compile(r"^(.*\S)\s*,?\s+but\s+(\S.*?)(\s*[.!?]*)$", re.IGNORECASE | re.DOTALL)
_WORD = re.compile(r"\w+(?:'\w+)*")


@dataclass(frozen=True, kw_only=True)
class Rewriting:
    """One way of rewriting. name: of it. does: what it does, in words. rewrite: the function."""

    name: str
    does: str
    rewrite: Rewrite


def negated(text: str, seed: int) -> str | None:
    """ "not" after the first auxiliary verb; does not apply to a text with a negation, or with no such verb."""
    words = {word.lower() for word in _WORD.findall(text)}
    found = _VERB.search(text)
    if found is None or words & NEGATIONS or any(word.endswith("n't") for word in words):
        return None
    return f"{text[: found.end()]} not{text[found.end() :]}"


def swapped_at_but(text: str, seed: int) -> str | None:
    """ "A but B." becomes "B but A."; does not apply to a text without exactly one "but" between two clauses."""
    if len(re.findall(r"\bbut\b", text, flags=re.IGNORECASE)) != 1:
        return None
    found = _CONTRAST.match(text)
    if found is None:
        return None
    before, after, end = found.groups()
    return f"{after} but {before.rstrip(' ,')}{end}"


def shuffled(text: str, seed: int) -> str | None:
    """The words (between white space) in random order; does not apply to fewer than three words."""
    words = text.split()
    if len(words) < 3:
        return None
    order = np.random.default_rng([seed, len(words)]).permutation(len(words))
    return " ".join(words[place] for place in order)


def doubled(text: str, seed: int) -> str | None:
    """The text twice; does not apply to an empty one."""
    return f"{text} {text}" if text.strip() else None


def first_half(text: str, seed: int) -> str | None:
    """The first half of the words; does not apply to fewer than four."""
    words = text.split()
    return " ".join(words[: len(words) // 2]) if len(words) >= 4 else None


def adding(addition: str) -> Rewriting:
    """A sentence with no bearing on the matter, put behind the text."""

    def rewrite(text: str, seed: int) -> str | None:
        return f"{text} {addition}" if text.strip() else None

    return Rewriting(name="irrelevant addition", does=f"adds {addition!r} at the end", rewrite=rewrite)


ADDITION = "we watched it on a tuesday ."

REWRITINGS: Mapping[str, Rewriting] = {
    each.name: each
    for each in (
        Rewriting(name="negation", does='puts "not" after the first auxiliary verb', rewrite=negated),
        Rewriting(name="contrast", does='swaps the two sides of "but"', rewrite=swapped_at_but),
        Rewriting(name="word order", does="shuffles the words", rewrite=shuffled),
        Rewriting(name="length doubled", does="says the text twice", rewrite=doubled),
        Rewriting(name="first half", does="keeps the first half of the words", rewrite=first_half),
        adding(ADDITION),
    )
}
"""English; `behaviour` takes any other rewritings."""
