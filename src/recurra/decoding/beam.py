"""Beam search: the likeliest continuation that a search of bounded width finds, with texts that must occur."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from recurra.decoding.choosing import best
from recurra.decoding.generation import Generation
from recurra.decoding.phrases import Matched
from recurra.decoding.writing import Line, NextToken, Rules
from recurra.errors import DataError
from recurra.ragged import Array


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """A text that beam search found.

    tokens: what follows the prompt, with the end token where it ends by it. log_probability: of the tokens under the
    model and the repetition penalty. score: it over the length penalty; the best hypothesis has the highest.
    """

    tokens: tuple[int, ...]
    log_probability: float
    score: float


@dataclass(frozen=True, kw_only=True)
class _Live:
    """A hypothesis that goes on: its text, the sum of its log-probabilities, and what it holds of `required`."""

    line: Line
    total: float
    required: Matched

    def child(self, token: int, total: float, length: int, rules: Rules) -> tuple[_Live, bool]:
        """The hypothesis with one more token, and whether its text ends by it."""
        line = self.line.copy()
        last = line.take(token, length, rules)
        required = rules.required.after(self.required, token) if rules.required else self.required
        return _Live(line=line, total=total, required=required), last


def length_penalty(tokens: int, alpha: float) -> float:
    """((5 + tokens) / 6) ** alpha (Wu et al. 2016, equation 14)."""
    return float(((5 + tokens) / 6) ** alpha)


def beam_search(
    model: NextToken, first: Array, prompt: Sequence[int], generation: Generation, rules: Rules
) -> list[Hypothesis]:
    """The `generation.count` best continuations of one prompt, the best first; fewer where fewer exist.

    model: has read the prompt in row 0. first: (V,) log-probabilities of what comes after it. Kept per step are the
    `beam` best hypotheses; with required phrases the `beam` best for each amount of required text that is written
    (grid beam search), so that the phrases are met wherever `length` has room for them. Ties go to the earlier
    hypothesis, then to the lower id. Raises DataError where nothing can be written by the rules.
    """
    asked = generation.resolved()
    start = Line.begin(0, prompt, rules)
    live = [_Live(line=start, total=0.0, required=rules.required.begin())]
    log_probs, finished = first[None], _Finished(asked)
    while live:
        parents, going = [], []
        for parent, child, last in _grown(live, log_probs, asked, rules):
            if not last:
                parents.append(parent)
                going.append(child)
            elif rules.required.all_met(child.required):
                finished.add(child.line.read[len(prompt) :], child.total)
        live = going
        if live and finished.settled(max(each.total for each in live)):
            break
        if live:
            tokens = np.array([each.line.read[-1] for each in live], dtype=np.int64)
            log_probs = model.advance(np.array(parents, dtype=np.int64), tokens)
    if not finished.found:
        raise DataError(
            "no text was found that keeps to the rules: the required texts do not fit in the length, or are banned; "
            "write more tokens, or require and ban less"
        )
    return finished.found


def _grown(
    live: Sequence[_Live], log_probs: Array, asked: Generation, rules: Rules
) -> Iterator[tuple[int, _Live, bool]]:
    """Yield the best children by bank: the place of the parent, the child, whether its text ends."""
    scores = _scores(live, log_probs, asked, rules)
    assert asked.beam is not None
    width = scores.shape[1]
    for places in _banks(live, scores.shape, rules):
        for place in places[best(scores.ravel()[places], asked.beam)]:
            parent, token = divmod(int(place), width)
            yield (parent, *live[parent].child(token, float(scores[parent, token]), asked.length, rules))


def _scores(live: Sequence[_Live], log_probs: Array, asked: Generation, rules: Rules) -> Array:
    """(n, V) float64 the log-probability of every hypothesis with every next token; -inf for what must not come."""
    if rules.simple(asked):
        # All rows at once: what the rules say is the same for all of them.
        scores = log_probs.astype(np.float64)
        scores[:, rules.never] = -np.inf
        scores += np.array([each.total for each in live])[:, None]
        return scores
    return np.stack(
        [
            each.total + _closed(each, each.line.allowed(row, asked, rules), rules)
            for each, row in zip(live, log_probs, strict=True)
        ]
    )


def _closed(each: _Live, scores: Array, rules: Rules) -> Array:
    """Scores in which no token ends a text that does not hold all that is required."""
    scores = scores.astype(np.float64)
    if not rules.required:
        return scores
    ending = np.zeros(len(scores), dtype=bool)
    if rules.end is not None:
        ending[rules.end] = True
    if rules.stop:
        ending |= rules.stop.completing(each.line.stop)
    scores[ending & ~rules.required.completing_all(each.required)] = -np.inf
    return scores


def _banks(live: Sequence[_Live], shape: tuple[int, ...], rules: Rules) -> Iterator[Array]:
    """The places of (hypothesis, token) pairs that compete with each other: those of equal progress."""
    if not rules.required:
        yield np.arange(shape[0] * shape[1])
        return
    progress = np.concatenate([rules.required.progress(each.required) for each in live])
    for bank in np.unique(progress):
        yield np.flatnonzero(progress == bank)


class _Finished:
    """The best finished hypotheses so far, at most `count`."""

    def __init__(self, asked: Generation) -> None:
        assert asked.length_penalty is not None
        self._count, self._length, self._alpha = asked.count, asked.length, asked.length_penalty
        self.found: list[Hypothesis] = []

    def add(self, tokens: Sequence[int], total: float) -> None:
        """Keep a hypothesis if it is among the best; of equals the one that was there first."""
        score = total / length_penalty(len(tokens), self._alpha)
        self.found.append(Hypothesis(tokens=tuple(tokens), log_probability=total, score=score))
        self.found = sorted(self.found, key=lambda each: -each.score)[: self._count]

    def settled(self, total: float) -> bool:
        """Whether no text that goes on from a log-probability can be better than those that there are.

        Going on, a log-probability only falls, and the penalty of the greatest length divides it most.
        """
        full = len(self.found) == self._count
        return full and total / length_penalty(self._length, self._alpha) <= self.found[-1].score
