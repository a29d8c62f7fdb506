"""Linear chains of tags: the loss of a conditional random field, its marginals, and the best path.

The score of tags y over the n tokens of a row is

    score(y) = start[y_1] + sum_t emissions[t, y_t] + sum_t transitions[y_t, y_t+1] + end[y_n]

(Lafferty et al. 2001), and p(y) = exp(score(y)) / sum over all y' of exp(score(y')). L labels, N tokens, S rows.
"""

from __future__ import annotations

from recurra.errors import KernelError
from recurra.kernels import checks
from recurra.kernels.checks import float_like, floats
from recurra.kernels.operators import face_of
from recurra.kernels.weights import Array

UNKNOWN_TAG = -1
"""Stands in `tags` for a token whose tag is not known: any may be true there."""


def crf_loss(
    emissions: Array, offsets: Array, tags: Array, transitions: Array, start: Array, end: Array
) -> Array:
    """(S,) -log p(tags) of every row, in nats; 0 for an empty one.

    emissions: (N, L); offsets: (S+1,) int64; tags: (N,) int64 below L, `UNKNOWN_TAG` where unknown: the loss is
    then minus the log of the probability of all tags that agree with the known ones. transitions: (L, L), from a
    tag to the next; start, end: (L,). -inf forbids; a row whose tags are forbidden has an infinite loss.
    Gradients reach emissions, transitions, start and end. Forward-backward algorithm in log space.
    """
    _checked(emissions, transitions, start, end)
    checks.integers("tags", tags, emissions.shape[0])
    return face_of(emissions).crf_loss(emissions, offsets, tags, transitions, start, end)


def crf_marginals(emissions: Array, offsets: Array, transitions: Array, start: Array, end: Array) -> Array:
    """(N, L) the probability of each tag at each token, over all paths of its row; without gradient."""
    _checked(emissions, transitions, start, end)
    return face_of(emissions).crf_marginals(emissions, offsets, transitions, start, end)


def viterbi(
    emissions: Array, offsets: Array, transitions: Array, start: Array, end: Array
) -> tuple[Array, Array]:
    """(N,) int64 the best path of every row, of equals the lowest tags from the end, and its score (S,)."""
    _checked(emissions, transitions, start, end)
    path, score = face_of(emissions).viterbi(emissions, offsets, transitions, start, end)
    return path, score


def _checked(emissions: Array, transitions: Array, start: Array, end: Array) -> None:
    floats("emissions", emissions, None, None)
    labels = emissions.shape[1]
    if labels < 1:
        raise KernelError(f"emissions must have at least one column, got shape {tuple(emissions.shape)}")
    float_like("emissions", emissions, "transitions", transitions, labels, labels)
    float_like("emissions", emissions, "start", start, labels)
    float_like("emissions", emissions, "end", end, labels)
