"""Which sequences each step is made of: length-bucketed, shuffled from (seed, epoch), capped in size."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

import numpy as np

from recurra.errors import DataError
from recurra.training.problem import IndexArray

POOL = 50
"""Batches whose sequences are sorted by length together; more would batch ever the same sequences."""


def mixed_seed(seed: int, *places: int) -> int:
    """Return 63 well-mixed bits that follow from `seed` and `places` alone, on every machine."""
    digest = hashlib.blake2b(struct.pack(f"<{1 + len(places)}q", seed, *places), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def shuffled(count: int, *key: int) -> IndexArray:
    """Return a permutation of `range(count)` that follows from `key` alone.

    Raw Philox words are sorted: unlike `Generator.permutation`, NumPy guarantees them across its
    versions.
    """
    words = np.random.Philox(key=mixed_seed(*key)).random_raw(count)
    return np.argsort(words, kind="stable").astype(np.int64)


def steps_of_epoch(
    lengths: IndexArray,
    *,
    batch_size: int,
    batch_tokens: int | None = None,
    accumulate: int = 1,
    bucket: bool = True,
    seed: int = 0,
    epoch: int = 0,
) -> list[list[IndexArray]]:
    """Return the steps of one epoch; each is up to `accumulate` batches of positions in `lengths`.

    Every sequence comes exactly once. A batch holds at most `batch_size` sequences and `batch_tokens`
    tokens, but always at least one sequence. With `bucket`, batches hold sequences of like length and the
    steps come in random order. `accumulate` batches of size b make the same steps as one batch of size
    `accumulate * b`.
    """
    if len(lengths) == 0:
        raise DataError(
            "the training split must hold at least one sequence, got none; check how the data is split"
        )
    order = shuffled(len(lengths), seed, epoch, 0)
    if not bucket:
        return _steps(_packed(order, lengths, batch_size, batch_tokens), accumulate)
    pool = POOL * batch_size * accumulate
    steps: list[list[IndexArray]] = []
    for begin in range(0, len(order), pool):
        part = order[begin : begin + pool]
        part = part[np.argsort(lengths[part], kind="stable")]
        steps += _steps(_packed(part, lengths, batch_size, batch_tokens), accumulate)
    return [steps[i] for i in shuffled(len(steps), seed, epoch, 1)]


def _packed(
    order: IndexArray, lengths: IndexArray, batch_size: int, batch_tokens: int | None
) -> list[IndexArray]:
    """Cut `order` into consecutive batches within both bounds."""
    if batch_tokens is None:
        return [order[begin : begin + batch_size] for begin in range(0, len(order), batch_size)]
    cuts, tokens, begin = [0], 0, 0
    for place, length in enumerate(lengths[order].tolist()):
        if place > begin and (place - begin == batch_size or tokens + length > batch_tokens):
            cuts.append(place)
            tokens, begin = 0, place
        tokens += length
    return [order[a:b] for a, b in zip(cuts, [*cuts[1:], len(order)], strict=True)]


def _steps(batches: Sequence[IndexArray], accumulate: int) -> list[list[IndexArray]]:
    return [list(batches[begin : begin + accumulate]) for begin in range(0, len(batches), accumulate)]
