"""Texts written by an engine that only takes steps: the loops that its user would write around it.

The scores of a step are looked at in NumPy, which for one text is quicker than an engine's own operators.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.ragged import Array

State = Any
"""What an engine remembers of n texts; None before any of them was begun."""


@dataclass(frozen=True, kw_only=True)
class Stepper:
    """An engine that reads one token of each of n texts at a time.

    step: ids (n,) and the state before -> scores (n, V) of what comes next, up to a constant per row, and the
    state after; the state None begins. pick: the states of some of the texts, by number.
    """

    step: Callable[[Array, State], tuple[Array, State]]
    pick: Callable[[State, Array], State]


@dataclass(frozen=True, kw_only=True)
class Script:
    """What is written: `length` tokens behind the id `first`, none of them one of `never`."""

    first: int
    never: tuple[int, ...]
    length: int


def log_softmax(scores: Array) -> Array:
    """(n, V) float64."""
    wide = scores.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    made: Array = wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))
    return made


def greedy(engine: Stepper, script: Script) -> list[int]:
    """The likeliest token each time."""
    ids, state, made = np.array([script.first]), None, []
    for _ in range(script.length):
        scores, state = engine.step(ids, state)
        scores[:, script.never] = -np.inf
        ids = scores.argmax(axis=1)
        made.append(int(ids[0]))
    return made


def drawn(engine: Stepper, script: Script, temperature: float, generator: np.random.Generator) -> list[int]:
    """Each token drawn from softmax(scores / temperature)."""
    ids, state, made = np.array([script.first]), None, []
    for _ in range(script.length):
        scores, state = engine.step(ids, state)
        row = scores[0]
        row[list(script.never)] = -np.inf
        shares = np.cumsum(np.exp((row - row.max()) / temperature))
        token = int(np.searchsorted(shares, generator.random() * shares[-1], side="right"))
        made.append(token)
        ids = np.array([token])
    return made


def searched(engine: Stepper, script: Script, width: int) -> list[int]:
    """The best text that a beam finds: of all that go on from the `width` best, the `width` best are kept."""
    ids, state, totals = np.array([script.first]), None, np.zeros(1)
    parents, tokens = [], []
    for _ in range(script.length):
        scores, state = engine.step(ids, state)
        found = log_softmax(scores)
        found[:, script.never] = -np.inf
        rivals = (totals[:, None] + found).ravel()
        best = np.argpartition(-rivals, min(width, len(rivals)) - 1)[:width]
        best = best[np.argsort(-rivals[best], kind="stable")]
        totals = rivals[best]
        rows, ids = np.divmod(best, scores.shape[1])
        state = engine.pick(state, rows)
        parents.append(rows)
        tokens.append(ids)
    return _traced(parents, tokens)


def _traced(parents: Sequence[Array], tokens: Sequence[Array]) -> list[int]:
    """The tokens of the text that is first in the end."""
    row, made = 0, []
    for before, ids in zip(reversed(parents), reversed(tokens), strict=True):
        made.append(int(ids[row]))
        row = int(before[row])
    return made[::-1]


def along(engine: Stepper, script: Script, ids: Sequence[int]) -> Array:
    """(n, V) the probability of every token behind `first` and each beginning of some ids."""
    state, made = None, []
    for token in [script.first, *ids[:-1]]:
        scores, state = engine.step(np.array([token]), state)
        made.append(np.exp(log_softmax(scores)[0]))
    return np.stack(made)
