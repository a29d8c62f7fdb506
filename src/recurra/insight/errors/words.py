"""Words that are typical for a mistake: more frequent where it is made than chance explains.

Log-odds ratio with an informative Dirichlet prior (Monroe, Colaresi and Quinn 2008): the difference in log-odds of a
word between two groups of texts, drawn towards its frequency over all texts, in units of its standard error. Raw
counts would put stop words first, and raw ratios words that occur once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
TELLING = 1.64
"""Standard errors from which on a word counts as typical: the 95% point of one side."""


@dataclass(frozen=True, kw_only=True)
class TypicalWord:
    """A word of a group of texts. z: log-odds ratio in standard errors; texts: how many of the group contain it."""

    word: str
    z: float
    texts: int


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Sequences of one class taken for another. share: of the true class; words: typical of them, see `words`."""

    true: str
    predicted: str
    count: int
    share: float
    words: tuple[TypicalWord, ...] = ()


def words_of(text: str, *, letters: bool = False) -> set[str]:
    """The different words of a text in lower case; `letters`: its letter triples, "^" and "$" being its ends."""
    low = text.lower()
    if letters:
        framed = f"^{low}$"
        return {framed[at : at + 3] for at in range(len(framed) - 2)}
    return set(_WORD.findall(low))


def typical_words(
    group: Iterable[set[str]],
    others: Iterable[set[str]],
    *,
    prior: Counter[str] | None = None,
    strength: float = 100.0,
    most: int = 8,
    least: float = TELLING,
) -> tuple[TypicalWord, ...]:
    """The words that tell a group of texts from others, the most typical first.

    group, others: the words of each text. prior: in how many texts of the whole each word is; by default of both
    groups. strength: of the prior, in words. most: how many at most. least: standard errors from which on.
    A word of a single text is left out.
    """
    ours, theirs = (Counter(word for text in texts for word in text) for texts in (group, others))
    known = ours + theirs if prior is None else prior
    candidates = sorted(word for word, texts in ours.items() if texts > 1)
    if not candidates:
        return ()
    scores = _z(candidates, ours, theirs, known, strength)
    order = np.argsort(-scores, kind="stable")[:most]
    return tuple(
        TypicalWord(word=candidates[place], z=float(scores[place]), texts=ours[candidates[place]])
        for place in order
        if scores[place] >= least
    )


def _z(
    words: Sequence[str], ours: Counter[str], theirs: Counter[str], known: Counter[str], strength: float
) -> np.ndarray:
    total = max(known.total(), 1)
    added = np.array([strength * max(known[word], 1) / total for word in words])

    def log_odds(counts: Counter[str]) -> tuple[np.ndarray, np.ndarray]:
        shown = np.array([counts[word] for word in words]) + added
        return np.log(shown / (counts.total() + strength - shown)), 1 / shown

    (mine, my_error), (other, other_error) = log_odds(ours), log_odds(theirs)
    made: np.ndarray = (mine - other) / np.sqrt(my_error + other_error)
    return made
