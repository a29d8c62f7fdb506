"""Scores of a corpus that may be larger than memory: encoded into a file, read in stretches, summed as it goes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A corpus as a model reads it, mapped from a file: documents behind boundaries, and what follows each step."""

    predictor: LanguageModelPredictor
    tokens: TokenFile
    batch: Ragged
    following: Array

    @property
    def losses(self) -> Iterator[Array]:
        """What each step loses on what follows it, some at a time, in order."""
        return self.predictor.losses(self.batch, self.following)

    def scores(self, losses: Iterable[Array]) -> dict[str, Any]:
        """As `LanguageModelPredictor.scores`, of losses as `losses` are."""
        nats, count = self._summed(losses)
        return {
            **scores_of_nats(nats, count, characters=self.tokens.characters),
            "unit": self.predictor.unit,
            "tokens": self.tokens.tokens,
            "characters": self.tokens.characters,
            "documents": self.tokens.documents,
            "unknown_rate": self.tokens.unknown / self.tokens.tokens,
        }

    def _summed(self, losses: Iterable[Array]) -> tuple[float, int]:
        """Nats of all that the model foretells, and how many tokens (and ends) that is."""
        nats, count, place = 0.0, 0, 0
        for some in losses:
            wanted = self.following[place : place + len(some)]
            counted = some if self.predictor.ends else some[wanted != self.predictor.boundary]
            nats, count = nats + float(np.sum(counted, dtype=np.float64)), count + len(counted)
            place += len(some)
        return nats, count


@contextmanager
def encoded_corpus(predictor: LanguageModelPredictor, corpus: Corpus) -> Iterator[Encoded]:
    """Encode a corpus, of any size, into a temporary file.

    Raises DataError for a corpus without a token, and SpecError for a model under conditions.
    """
    predictor.conditions(None, 0)
    with tempfile.TemporaryDirectory(prefix="recurra-") as place:
        tokens = write_tokens(Path(place) / "ids", corpus, predictor.encoder)
        steps = tokens.ids[:-1]
        heads = np.concatenate([np.zeros(0, np.int64), *_heads(steps, predictor.boundary)])
        batch = Ragged(values=steps, offsets=np.append(heads, len(steps)))
        yield Encoded(predictor=predictor, tokens=tokens, batch=batch, following=tokens.ids[1:])


def score_corpus(predictor: LanguageModelPredictor, corpus: Corpus) -> dict[str, Any]:
    """As `predictor.scores` of all documents, in memory that does not grow with them; raises as `encoded_corpus`."""
    with encoded_corpus(predictor, corpus) as held:
        return held.scores(held.losses)


def _heads(steps: Array, boundary: int) -> Iterator[Array]:
    """Where documents begin."""
    for begin in range(0, len(steps), BLOCK):
        yield begin + np.flatnonzero(steps[begin : begin + BLOCK] == boundary)
