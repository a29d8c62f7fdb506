"""Texts that each come with a condition: a label or a vector that their beginning is learnt from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.data.corpus import Corpus, drawn
from recurra.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Told:
    """A corpus of texts, none of them empty, and one condition for each: labels, or rows of a table."""

    corpus: Corpus
    conditions: Any

    @classmethod
    def of(cls, corpus: Corpus, conditions: Any) -> Told:
        """Leave out empty texts. Raises DataError for running text, and where the numbers differ."""
        texts = corpus.source
        if not isinstance(texts, tuple):
            raise DataError(
                "conditions need a list of texts, one for each, got a file or folder of running text"
            )
        if len(conditions) != len(texts):
            raise DataError(
                f"conditions must hold one label or vector per text, got {len(conditions)} for {len(texts)} texts"
            )
        return _chosen(texts, conditions, [row for row, text in enumerate(texts) if text])

    def divided(self, share: float, seed: int) -> tuple[Told, Told]:
        """Set a share aside, random texts. Raises DataError where nothing would be left."""
        texts = self.corpus.source
        assert isinstance(texts, tuple)
        held = drawn(len(texts), share, seed)
        if len(held) >= len(texts):
            raise DataError(f"{len(texts)} texts are too few for a part of {share:g} to be set aside")
        rows = range(len(texts))
        first, second = ([row for row in rows if (row in held) == aside] for aside in (False, True))
        return _chosen(texts, self.conditions, first), _chosen(texts, self.conditions, second)


def _chosen(texts: tuple[str, ...], conditions: Any, rows: list[int]) -> Told:
    kept = conditions[rows] if isinstance(conditions, np.ndarray) else [conditions[row] for row in rows]
    return Told(corpus=Corpus.of([texts[row] for row in rows]), conditions=kept)
