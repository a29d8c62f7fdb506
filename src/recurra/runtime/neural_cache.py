"""A cache of what a text said lately, beside what a language model learnt (Grave, Joulin & Usunier 2017)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recurra import kernels
from recurra.ragged import Array, Ragged
from recurra.runtime.next_token import Reader
from recurra.spec import Spec, option

if TYPE_CHECKING:
    from recurra.runtime.language_model import LanguageModelPredictor

BLOCK = 256
"""Tokens that are compared with the window at a time; counted from the beginning of each document."""


@dataclass(frozen=True, kw_only=True)
class NeuralCache(Spec):
    """Tokens become likelier after a context that is like one which they followed lately; nothing is trained.

        p(w) = (1 - weight) p_model(w) + weight p_cache(w)
        p_cache(w) ~ sum over the last `window` steps i that w followed of exp(flatness h_t . h_i)

    where h is what leaves the last recurrent layer. Helps with words far more than with characters. It is part of
    scoring, never of the stored model.

    window: steps of the same document that are remembered. Usual: 100-2000.
    weight: share of the cache; what is best is found on validation text. Usual: 0.05-0.3.
    flatness: 0: all steps count alike (a unigram cache); higher: only contexts that are alike. Usual: 0.1-1.0.
    """

    section: ClassVar[str] = "cache"

    window: int = option(500, int, low=1, high=1_000_000, usual="100-2000")
    weight: float = option(0.1, float, low=0.0, high=1.0, open_low=True, open_high=True, usual="0.05-0.3")
    flatness: float = option(0.3, float, low=0.0, high=1000.0, usual="0.1-1.0")


def cached_losses(
    predictor: LanguageModelPredictor, batch: Ragged, following: Array, cache: NeuralCache
) -> Iterator[Array]:
    """Yield -log p of what follows each step of encoded documents, a block at a time, with the cache in.

    following: (N,) the id that follows each of the N steps. Each document begins with an empty cache.
    """
    for begin, end in zip(batch.offsets[:-1], batch.offsets[1:], strict=True):
        ids = np.asarray(batch.values)[begin:end]
        yield from _document(Reader(predictor), ids, following[begin:end], cache)


def _document(reader: Reader, ids: Array, following: Array, cache: NeuralCache) -> Iterator[Array]:
    held, held_next = np.zeros((0, reader.width), np.float32), np.zeros(0, np.int64)
    for place in range(0, len(ids), BLOCK):
        hidden = reader.read(ids[place : place + BLOCK].astype(np.int64))
        wanted = following[place : place + BLOCK].astype(np.int64)
        plain = -kernels.cross_entropy(reader.logits(hidden), wanted)
        held, held_next = np.concatenate([held, hidden]), np.concatenate([held_next, wanted])
        yield -_mixed(plain, hidden, wanted, held, held_next, cache)
        held, held_next = held[-cache.window :], held_next[-cache.window :]


def _mixed(
    plain: Array, hidden: Array, wanted: Array, held: Array, held_next: Array, cache: NeuralCache
) -> Array:
    """(n,) log of the mixture. held: the steps before these n, up to a window of them, and these n themselves."""
    count = len(hidden)
    # Row t stands at column `before + t`; it may look back over `window` columns, none of them its own.
    before = len(held) - count
    distance = np.arange(before, before + count)[:, None] - np.arange(len(held))[None, :]
    seen = (distance > 0) & (distance <= cache.window)
    alike = kernels.dense(hidden, held) * np.float32(cache.flatness)
    scores = np.where(seen, alike, np.float32(-np.inf))
    matches = np.where(held_next[None, :] == wanted[:, None], scores, np.float32(-np.inf))
    found = (matches > -np.inf).any(axis=1)
    mixed = plain.copy()
    any_seen = seen.any(axis=1)
    mixed[any_seen] += np.float32(math.log1p(-cache.weight))
    if found.any():
        share = kernels.logsumexp(matches[found]) - kernels.logsumexp(scores[found])
        both = np.stack([mixed[found], share + np.float32(math.log(cache.weight))], axis=1)
        mixed[found] = kernels.logsumexp(both)
    made: Array = mixed
    return made
