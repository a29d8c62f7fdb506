"""What may come next, and how likely: each function takes the scores of one step and gives them changed."""

from __future__ import annotations

import numpy as np

from recurra import kernels
from recurra.ragged import Array


def best(scores: Array, count: int) -> Array:
    """The places of the `count` highest of a vector, the highest first, ties to the lower place; -inf never."""
    if count < len(scores):
        least = np.partition(scores, len(scores) - count)[len(scores) - count]
        places = np.flatnonzero((scores >= least) & (scores > -np.inf))
    else:
        places = np.flatnonzero(scores > -np.inf)
    return places[np.argsort(-scores[places], kind="stable")[:count]]


def penalised(scores: Array, tokens: Array, penalty: float) -> Array:
    """A copy of log-probabilities (V,) in which those of the given tokens are multiplied by `penalty`."""
    made = scores.copy()
    made[tokens] *= scores.dtype.type(penalty)
    return made


def tempered(scores: Array, temperature: float) -> Array:
    """Log-probabilities over a temperature above 0; not normalised."""
    return scores if temperature == 1.0 else scores / scores.dtype.type(temperature)


def top_k(scores: Array, k: int) -> Array:
    """Scores (V,) with all but the k highest at -inf; ties to the lower place."""
    if k >= len(scores):
        return scores
    made = np.full_like(scores, -np.inf)
    kept = best(scores, k)
    made[kept] = scores[kept]
    return made


def top_p(chances: Array, p: float) -> Array:
    """Probabilities (V,) with those outside the nucleus at 0.

    The nucleus is the shortest row of likeliest tokens, ties to the lower place, whose sum reaches p.
    """
    order = np.argsort(-chances, kind="stable")
    reached = np.cumsum(chances[order], dtype=np.float64)
    dropped = order[int(np.searchsorted(reached, p, side="left")) + 1 :]
    made = chances.copy()
    made[dropped] = 0
    return made


def chances(scores: Array, *, temperature: float, k: int | None, p: float | None) -> Array:
    """(V,) what is drawn from: scores over the temperature, then the k highest, then the nucleus.

    They need not sum to one.
    """
    scores = tempered(scores, temperature)
    if k is not None:
        scores = top_k(scores, k)
    made: Array = kernels.softmax(scores)
    return made if p is None else top_p(made, p)


def drawn(chances: Array, uniform: float) -> int:
    """The place that a uniform number of [0, 1) falls on, each place as wide as its chance."""
    reached = np.cumsum(chances, dtype=np.float64)
    place = int(np.searchsorted(reached, uniform * reached[-1], side="right"))
    # The product can round up to the sum itself, behind which there is nothing.
    return place if place < len(chances) else int(np.flatnonzero(chances)[-1])


class Uniforms:
    """The uniform numbers of one sample: the t-th depends on the seed, the sample and t alone (Philox)."""

    def __init__(self, seed: int, sample: int) -> None:
        self._bits = np.random.Philox(key=np.array([seed, sample], dtype=np.uint64))

    def next(self) -> float:
        """The next number of [0, 1), with 53 random bits."""
        return int(self._bits.random_raw() >> 11) * 2.0**-53
