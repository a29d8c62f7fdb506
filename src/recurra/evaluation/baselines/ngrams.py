"""The baselines of a language model: how often tokens occur, and the n-grams that everybody has to beat."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from recurra.evaluation.kneser_ney import KneserNey
from recurra.ragged import Array, Ragged


class Ngrams:
    """N-grams of the order, among `orders`, that foretells validation text best."""

    name: ClassVar[str]

    @staticmethod
    def orders(unit: str) -> tuple[int, ...]:
        """The orders that are tried for a unit ("characters", "words", ...)."""
        raise NotImplementedError

    def fit(self, train: Ragged, held: Ragged, vocabulary: int, unit: str) -> None:
        """Count training documents of token ids; choose the order on the held ones."""
        best = np.inf
        for order in self.orders(unit):
            made = KneserNey.fit(train, vocabulary, order)
            loss = -float(np.mean(made.log_probabilities(held)))
            if loss >= best:
                break
            best, self.model = loss, made

    def log_probabilities(self, documents: Ragged) -> Array:
        """(N,) of each token after those before it in its document."""
        return self.model.log_probabilities(documents)

    def parameters(self) -> int:
        """How many learnt numbers it keeps."""
        return self.model.parameters


class Unigram(Ngrams):
    """Each token as often as it occurs, whatever stands before it."""

    name = "unigram"

    @staticmethod
    def orders(unit: str) -> tuple[int, ...]:
        return (1,)


class KneserNeyNgrams(Ngrams):
    """Interpolated modified Kneser-Ney n-grams; the order grows as long as validation text gains by it."""

    name = "kneser-ney"

    @staticmethod
    def orders(unit: str) -> tuple[int, ...]:
        return (2, 3, 4, 5) if unit == "words" else (3, 4, 5, 6, 7, 8, 9)


LANGUAGE_BASELINES = {kind.name: kind for kind in (Unigram, KneserNeyNgrams)}
