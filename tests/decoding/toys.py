"""Small language models whose next token depends on all that was read, and what may be asked of them."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from recurra import kernels
from recurra.decoding.phrases import Phrases
from recurra.decoding.writing import Rules


class Hashed:
    """Log-probabilities made of a hash of everything read: no two histories are alike."""

    def __init__(self, vocabulary: int, seed: int = 0, prompts: Sequence[Sequence[int]] = ((),)) -> None:
        self.vocabulary, self.seed = vocabulary, seed
        self.rows = [tuple(prompt) for prompt in prompts]

    def after(self, read: Sequence[int]) -> np.ndarray:
        """(V,) log-probabilities of what comes after a text."""
        key = zlib.crc32(repr((self.seed, list(map(int, read)))).encode())
        logits = np.random.Generator(np.random.Philox(key)).normal(size=self.vocabulary) * 1.5
        made: np.ndarray = kernels.log_softmax(logits.astype(np.float32))
        return made

    @property
    def first(self) -> np.ndarray:
        """(S, V) what comes after the prompts."""
        return np.stack([self.after(row) for row in self.rows])

    def advance(self, parents: np.ndarray | None, tokens: np.ndarray) -> np.ndarray:
        """As `NextToken.advance`."""
        before = self.rows if parents is None else [self.rows[parent] for parent in parents]
        self.rows = [(*row, int(token)) for row, token in zip(before, tokens, strict=True)]
        return self.first

    def total(self, tokens: Sequence[int], prompt: Sequence[int] = ()) -> float:
        """The log-probability of a whole continuation, summed in order."""
        read, total = list(prompt), 0.0
        for token in tokens:
            total += float(self.after(read)[token])
            read.append(token)
        return total


def texts(vocabulary: int, length: int, end: int | None = None) -> Iterator[tuple[int, ...]]:
    """Every sequence of exactly `length` tokens, or that ends sooner by the end token."""
    for size in range(1, length + 1):
        for text in itertools.product(range(vocabulary), repeat=size):
            ended = end is not None and text[-1] == end
            if end not in text[:-1] and (ended or size == length):
                yield text


def rules(spellings: Sequence[str], **phrases: Sequence[str]) -> Rules:
    """Rules over tokens that are spelled so."""
    return Rules(**{name: Phrases(values, spellings) for name, values in phrases.items()})
