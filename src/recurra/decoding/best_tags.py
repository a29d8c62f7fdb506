"""The k best sequences of tags, of which `tags.decode` gives the first, each with its probability."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from recurra import kernels
from recurra.decoding.tags import TagRules, free_chain
from recurra.errors import SpecError
from recurra.ragged import Array, Offsets


def best_tags(
    emissions: Array,
    offsets: Offsets,
    count: int,
    chain: tuple[Array, Array, Array] | None,
    rules: TagRules | None = None,
) -> list[tuple[Array, Array]]:
    """Per sequence its best paths (k, T), the best first, and their probabilities (k,).

    Arguments as `decode`; count: paths at most, fewer where fewer are legal. Of equals the lower tags from the end
    come first, as in `decode`. An empty sequence has one path, which is certain. List Viterbi (Seshadri & Sundberg
    1994): for L tags a token costs L sorts of count * L numbers.
    """
    if count < 1:
        raise SpecError(f"count must be at least 1, got {count}")
    scores = free_chain(emissions.shape[1]) if chain is None else chain
    transitions, start, end = scores if rules is None else rules.add_to(*scores)
    given = kernels.log_softmax(emissions) if chain is None and len(emissions) else emissions
    found = []
    for first, last in pairwise(offsets):
        row = np.ascontiguousarray(given[first:last])
        paths = _paths(row, count, transitions, start, end) if len(row) else np.zeros((1, 0), np.int64)
        found.append((paths, _chances(row, paths, transitions, start, end)))
    return found


def _paths(row: Array, count: int, transitions: Array, start: Array, end: Array) -> Array:
    """(k, T) the best paths of one sequence."""
    labels = len(start)
    best = np.full(
        (labels, count), -np.inf, dtype=row.dtype
    )  # the scores of the best paths that end in a tag
    best[:, 0] = start + row[0]
    came: list[Array] = []  # where each came from: the tag before, times count, plus which of its paths
    for emitted in row[1:]:
        each = (best[:, :, None] + transitions[:, None, :]).reshape(labels * count, labels)
        order = np.argsort(-each, axis=0, kind="stable")[:count]
        best = (np.take_along_axis(each, order, axis=0) + emitted).T
        came.append(order.T)
    total = (best + end[:, None]).reshape(-1)
    chosen = np.argsort(-total, kind="stable")[:count]
    chosen = chosen[np.isfinite(total[chosen])]
    paths = np.zeros((len(chosen), len(row)), dtype=np.int64)
    for place in range(len(row) - 1, -1, -1):
        paths[:, place] = chosen // count
        if place:
            chosen = came[place - 1][chosen // count, chosen % count]
    return paths


def _chances(row: Array, paths: Array, transitions: Array, start: Array, end: Array) -> Array:
    """(k,) the probabilities of the paths among all legal ones."""
    k, length = paths.shape
    offsets = np.arange(k + 1, dtype=np.int64) * length
    repeated = np.ascontiguousarray(np.tile(row, (k, 1)))
    losses = kernels.crf_loss(repeated, offsets, paths.reshape(-1), transitions, start, end)
    return np.exp(-np.asarray(losses, dtype=np.float64))
