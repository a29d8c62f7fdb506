"""Linear chains of tags, one step at a time, over NumPy or torch arrays: the oracle and the fallback."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.kernels.namespace import namespace
from recurra.kernels.reference_operators import logsumexp

Array = Any


def crf_loss(
    emissions: Array, offsets: np.ndarray, tags: np.ndarray, transitions: Array, start: Array, end: Array
) -> Array:
    """-log p of every row: log of the sum over all paths minus that over those which agree with the tags."""
    xp = namespace(emissions)
    open_to = (tags[:, None] < 0) | (tags[:, None] == np.arange(emissions.shape[1]))
    allowed = xp.where(
        _mask(xp, emissions, open_to), emissions, xp.scalar(emissions, -np.inf) + emissions * 0
    )
    losses = [
        _total(xp, emissions[a:b], transitions, start, end)
        - _total(xp, allowed[a:b], transitions, start, end)
        for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    ]
    return xp.cat([loss[None] for loss in losses]) if losses else xp.zeros(emissions, (0,))


def _mask(xp: Any, like: Array, open_to: np.ndarray) -> Array:
    return open_to if isinstance(like, np.ndarray) else xp.torch.as_tensor(open_to, device=like.device)


def _total(xp: Any, emissions: Array, transitions: Array, start: Array, end: Array) -> Array:
    """Log of the sum of exp(score) over all paths of one row; 0 for an empty one."""
    if not len(emissions):
        return xp.zeros(emissions, (1,))[0]
    return logsumexp((_beginnings(emissions, transitions, start)[-1] + end)[None])[0]


def _beginnings(emissions: Array, transitions: Array, start: Array) -> list[Array]:
    """(L,) per token: log of the sum over all beginnings that end there in each tag."""
    found = [start + emissions[0]]
    for t in range(1, len(emissions)):
        found.append(emissions[t] + logsumexp(found[-1] + transitions.T))
    return found


def crf_marginals(
    emissions: np.ndarray, offsets: np.ndarray, transitions: np.ndarray, start: np.ndarray, end: np.ndarray
) -> np.ndarray:
    """The probability of each tag at each token."""
    made = np.zeros_like(emissions)
    for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        if a == b:
            continue
        row = emissions[a:b]
        forward = np.stack(_beginnings(row, transitions, start))
        backward = [end]
        for t in range(b - a - 1, 0, -1):
            backward.append(logsumexp(transitions + (row[t] + backward[-1])))
        total = logsumexp((forward[-1] + end)[None])[0]
        made[a:b] = np.exp(forward + np.stack(backward[::-1]) - total)
    return made


def viterbi(
    emissions: np.ndarray, offsets: np.ndarray, transitions: np.ndarray, start: np.ndarray, end: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The best path of every row and its score."""
    path = np.zeros(len(emissions), dtype=np.int64)
    scores = np.zeros(len(offsets) - 1, dtype=emissions.dtype)
    for s, (a, b) in enumerate(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)):
        if a == b:
            continue
        best, came = start + emissions[a], []
        for t in range(a + 1, b):
            each = best[:, None] + transitions
            came.append(each.argmax(axis=0))
            best = each.max(axis=0) + emissions[t]
        best = best + end
        path[b - 1], scores[s] = best.argmax(), best.max()
        for t in range(b - 2, a - 1, -1):
            path[t] = came[t - a][path[t + 1]]
    return path, scores
