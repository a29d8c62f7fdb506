"""A text written token by token: drawn or greedy, for many prompts at once, each as if it were alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from recurra.decoding.choosing import Uniforms, chances, drawn, penalised
from recurra.decoding.generation import Generation
from recurra.decoding.phrases import Matched, Phrases
from recurra.errors import DataError
from recurra.ragged import Array


class NextToken(Protocol):
    """A language model that has read something in each of some rows."""

    def advance(self, parents: Array | None, tokens: Array) -> Array:
        """Let row i, for each of n, go on from what row parents[i] has read, and read tokens[i].

        Returns (n, V) log-probabilities of what comes next in each row. The rows are then these n; a parent may
        have several children or none. None: each row goes on from itself.
        """


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a text must keep, in terms of a vocabulary.

    never: tokens that are never written. end: the token that ends a text, if there is one. banned, required, stop:
    see `Generation`.
    """

    never: tuple[int, ...] = ()
    end: int | None = None
    banned: Phrases = field(default_factory=Phrases)
    required: Phrases = field(default_factory=Phrases)
    stop: Phrases = field(default_factory=Phrases)

    def simple(self, generation: Generation) -> bool:
        """Whether what may come next is the same after every text."""
        return generation.repetition_penalty == 1.0 and not (self.banned or self.required)


class Token(NamedTuple):
    """One token of one text.

    row: number of the text: prompt * count + sample. log_probability: under the model, before any rule or
    temperature. last: whether the text ends with it.
    """

    row: int
    token: int
    log_probability: float
    last: bool


@dataclass(kw_only=True)
class Line:
    """A text in the making: what the rules need to know of it."""

    row: int
    read: list[int]
    banned: Matched
    stop: Matched
    written: int = 0

    @classmethod
    def begin(cls, row: int, prompt: Sequence[int], rules: Rules) -> Line:
        """After a prompt: a banned phrase may begin in it, a phrase that stops may not."""
        return cls(row=row, read=list(prompt), banned=rules.banned.begin(prompt), stop=rules.stop.begin())

    def copy(self) -> Line:
        """The same text, to go on otherwise."""
        return Line(row=self.row, read=[*self.read], banned=self.banned, stop=self.stop, written=self.written)

    def allowed(self, log_probs: Array, generation: Generation, rules: Rules) -> Array:
        """(V,) the scores of the next token under the rules: -inf for what must not come."""
        scores = log_probs
        if generation.repetition_penalty != 1.0:
            window = generation.repetition_window
            recent = self.read if window is None else self.read[-window:]
            scores = penalised(
                scores, np.unique(np.asarray(recent, dtype=np.int64)), generation.repetition_penalty
            )
        if rules.never or rules.banned:
            scores = scores.copy()
            for token in rules.never:
                scores[token] = -np.inf
            if rules.banned:
                scores[rules.banned.completing(self.banned)] = -np.inf
        return scores

    def take(self, token: int, length: int, rules: Rules) -> bool:
        """Write a token; tells whether the text ends with it."""
        self.read.append(token)
        self.written += 1
        last = self.written == length or token == rules.end
        if rules.banned:
            self.banned = rules.banned.after(self.banned, token)
        if rules.stop:
            self.stop = rules.stop.after(self.stop, token)
            last = last or rules.stop.any_met(self.stop)
        return last


def write(
    model: NextToken,
    first: Array,
    prompts: Sequence[Sequence[int]],
    generation: Generation,
    rules: Rules,
) -> Iterator[Token]:
    """Yield the tokens of `generation.count` texts for each of S prompts, one of each unfinished text in turn.

    model: has read prompt i in row i. first: (S, V) log-probabilities of what comes after each prompt. A text is the
    same whatever stands beside it. Raises DataError where the rules leave nothing to write.
    """
    asked = generation.resolved()
    lines = [
        Line.begin(row, prompt, rules)
        for row, prompt in enumerate(prompt for prompt in prompts for _ in range(asked.count))
    ]
    uniforms = [] if asked.seed is None else [Uniforms(asked.seed, line.row % asked.count) for line in lines]
    parents: Array | None = np.repeat(np.arange(len(prompts)), asked.count)
    log_probs = np.repeat(first, asked.count, axis=0)
    while lines:
        tokens, lasts = [], []
        for line, row in zip(lines, log_probs, strict=True):
            scores = line.allowed(row, asked, rules)
            token = _choose(scores, asked, uniforms[line.row] if uniforms else None)
            last = line.take(token, asked.length, rules)
            yield Token(line.row, token, float(row[token]), last)
            tokens.append(token)
            lasts.append(last)
        if any(lasts):
            going = [place for place, last in enumerate(lasts) if not last]
            lines, tokens = [lines[place] for place in going], [tokens[place] for place in going]
            parents = np.array(going, dtype=np.int64) if parents is None else parents[going]
        if lines:
            log_probs = model.advance(parents, np.array(tokens, dtype=np.int64))
            parents = None


def _choose(scores: Array, asked: Generation, uniforms: Uniforms | None) -> int:
    likeliest = int(np.argmax(scores))
    if scores[likeliest] == -np.inf:
        raise DataError("nothing can be written: the banned texts leave no token; ban less")
    if uniforms is None:
        return likeliest
    assert asked.temperature is not None
    found = chances(scores, temperature=asked.temperature, k=asked.top_k, p=asked.top_p)
    return drawn(found, uniforms.next())
