"""From scores per token to tags: the best path, its probability at each token, and only sequences that are legal.

Tags of spans ("B-person", "I-person", "O") follow a scheme, under which not every tag may stand beside every other.
`rules_of` reads the scheme off the tags; `decode` never gives an illegal sequence, whatever the scores.

| scheme | tags | what may follow |
|---|---|---|
| `bio` (IOB2) | O B I | I-x only after B-x or I-x |
| `iob` (IOB1) | O B I | anything but B-x after what is not x |
| `bioes`, `bilou` | O B I E S, O B I L U | a span is B I* E or S; nothing else begins, goes on or ends one |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recurra import kernels
from recurra.errors import SpecError, nearest
from recurra.ragged import Array, Offsets

SCHEMES = ("bio", "iob", "bioes", "bilou")
_SINGLE = {"bioes": ("E", "S"), "bilou": ("L", "U")}


@dataclass(frozen=True, kw_only=True)
class TagRules:
    """Which tags may follow which, begin and end a sequence; True: may. pairs: (L, L) from a tag to the next."""

    pairs: Array
    start: Array
    end: Array

    def add_to(self, transitions: Array, start: Array, end: Array) -> tuple[Array, Array, Array]:
        """The scores with minus infinity where a rule forbids."""
        held = ((transitions, self.pairs), (start, self.start), (end, self.end))
        made = [np.where(allowed, scores, np.float32(-np.inf)) for scores, allowed in held]
        return made[0], made[1], made[2]

    def broken(self, tags: Sequence[int]) -> int:
        """How many times a sequence of tag numbers breaks a rule."""
        if not len(tags):
            return 0
        row = np.asarray(tags)
        inside = int(np.sum(~self.pairs[row[:-1], row[1:]]))
        return inside + int(not self.start[row[0]]) + int(not self.end[row[-1]])


def scheme_of(tags: Sequence[object]) -> str | None:
    """The scheme that a set of tags is written in, by their prefixes; None where they are no tags of spans.

    B and I alone are "bio" where some label has a B, else "iob".
    """
    parts = [str(tag).partition("-") for tag in tags if tag != "O"]
    if not parts or any(dash != "-" or not label for _, dash, label in parts):
        return None
    prefixes = {prefix for prefix, _, _ in parts}
    for scheme, (last, single) in _SINGLE.items():
        if prefixes <= {"B", "I", last, single} and prefixes & {last, single}:
            return scheme
    if not prefixes <= {"B", "I"}:
        return None
    return "bio" if "B" in prefixes else "iob"


def rules_of(tags: Sequence[object], scheme: str | None) -> TagRules | None:
    """The rules of a scheme for these tags, in their order; None for None. Raises SpecError for an unknown scheme."""
    if scheme is None:
        return None
    if scheme not in SCHEMES:
        raise SpecError(
            f"scheme must be one of {', '.join(SCHEMES)}, got {scheme!r}{nearest(scheme, SCHEMES)}"
        )
    known = [_parted(str(tag)) for tag in tags]
    outside = ("O", "")
    pairs = np.array([[_may(a, b, scheme) for b in known] for a in known], dtype=bool)
    start = np.array([_may(outside, tag, scheme) for tag in known], dtype=bool)
    end = np.array([_may(tag, outside, scheme) for tag in known], dtype=bool)
    return TagRules(pairs=pairs, start=start, end=end)


def _parted(tag: str) -> tuple[str, str]:
    prefix, dash, label = tag.partition("-")
    return (prefix, label) if dash else ("O", "")


def _may(before: tuple[str, str], tag: tuple[str, str], scheme: str) -> bool:
    """Whether `tag` may follow `before`, each as (prefix, label)."""
    same = before[1] == tag[1]
    if scheme == "bio":
        return tag[0] != "I" or (before[0] in "BI" and same)
    if scheme == "iob":
        return tag[0] != "B" or (before[0] in "BI" and same)
    last, _ = _SINGLE[scheme]
    if before[0] in ("B", "I"):
        return tag[0] in ("I", last) and same
    return tag[0] not in ("I", last)


def decode(
    emissions: Array,
    offsets: Offsets,
    chain: tuple[Array, Array, Array] | None,
    rules: TagRules | None = None,
) -> Array:
    """(N,) the best tags: the best path where there is a chain or rules, else the best tag of each token.

    emissions: (N, L) scores, or log-probabilities of a softmax. chain: transitions, start and end.
    Of equals the lowest tag wins.
    """
    if chain is None and rules is None:
        best: Array = np.argmax(emissions, axis=1) if len(emissions) else np.zeros(0, np.int64)
        return best
    scores = free_chain(emissions.shape[1]) if chain is None else chain
    scores = scores if rules is None else rules.add_to(*scores)
    given = kernels.log_softmax(emissions) if chain is None and len(emissions) else emissions
    path: Array = kernels.viterbi(given, offsets, *scores)[0]
    return path


def marginals(
    emissions: Array,
    offsets: Offsets,
    chain: tuple[Array, Array, Array] | None,
    rules: TagRules | None = None,
) -> Array:
    """(N, L) the probability of each tag at each token, over all sequences that the rules allow."""
    if chain is None and rules is None:
        made: Array = kernels.softmax(emissions) if len(emissions) else emissions
        return made
    scores = free_chain(emissions.shape[1]) if chain is None else chain
    held = scores if rules is None else rules.add_to(*scores)
    shares: Array = kernels.crf_marginals(emissions, offsets, *held)
    return shares


def free_chain(labels: int) -> tuple[Array, Array, Array]:
    """The chain of a softmax per token: every pair scores nothing."""
    nothing = np.zeros(labels, np.float32)
    return np.zeros((labels, labels), np.float32), nothing, nothing
