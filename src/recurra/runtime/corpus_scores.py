"""Scores of a corpus that may be larger than memory: encoded into a file, read in stretches, summed as it goes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra.data.corpus import Corpus
from recurra.data.token_file import TokenFile, write_tokens
from recurra.metrics.text import scores_of_nats
from recurra.ragged import Array, Ragged

if TYPE_CHECKING:
    from recurra.runtime.language_model import LanguageModelPredictor

BLOCK = 1 << 22
"""Ids that are searched for the beginnings of documents at a time."""


def score_corpus(predictor: LanguageModelPredictor, corpus: Corpus) -> dict[str, Any]:
    """As `predictor.scores` of all documents, in memory that does not grow with them.

    Raises DataError for a corpus without a token, and SpecError for a model under conditions.
    """
    predictor.conditions(None, 0)
    with tempfile.TemporaryDirectory(prefix="recurra-") as place:
        tokens = write_tokens(Path(place) / "ids", corpus, predictor.encoder)
        nats, count = _summed(predictor, tokens)
    return {
        **scores_of_nats(nats, count, characters=tokens.characters),
        "unit": predictor.unit,
        "tokens": tokens.tokens,
        "characters": tokens.characters,
        "documents": tokens.documents,
        "unknown_rate": tokens.unknown / tokens.tokens,
    }


def _summed(predictor: LanguageModelPredictor, tokens: TokenFile) -> tuple[float, int]:
    """Nats of all that the model foretells, and how many tokens (and ends) that is."""
    steps, following = tokens.ids[:-1], tokens.ids[1:]
    heads = np.concatenate([np.zeros(0, np.int64), *_heads(steps, predictor.boundary)])
    batch = Ragged(values=steps, offsets=np.append(heads, len(steps)))
    nats, count, place = 0.0, 0, 0
    for losses in predictor.losses(batch, following):
        wanted = following[place : place + len(losses)]
        counted = losses if predictor.ends else losses[wanted != predictor.boundary]
        nats, count = nats + float(np.sum(counted, dtype=np.float64)), count + len(counted)
        place += len(losses)
    return nats, count


def _heads(steps: Array, boundary: int) -> Iterator[Array]:
    """Where documents begin."""
    for begin in range(0, len(steps), BLOCK):
        yield begin + np.flatnonzero(steps[begin : begin + BLOCK] == boundary)
