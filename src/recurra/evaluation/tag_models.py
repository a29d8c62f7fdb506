"""Cheap taggers: the most frequent tag with rules for endings, and a linear model on a window of words.

Both give probabilities (N, L) for the N words of all sentences, in order; what they learn is plain counts, or the
weights of a logistic regression. They see no tag but the one they give, and nothing beyond two words away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from recurra.ragged import Array

Sentences = Sequence[Sequence[str]]

LONGEST_ENDING = 5
"""Characters of an ending that a rule may look at."""

RARE = 10
"""Words that occur at most so often teach what endings mean: the unknown ones will be like them (Brants 2000)."""

BUCKETS = 1 << 18
"""Columns that the features of the window are hashed into."""

PASSES = 8


class FrequentTag:
    """The tag that a word had most often; for an unknown one that of its longest known ending, case told apart."""

    def __init__(self, tags: int) -> None:
        self.tags = tags

    def fit(self, words: Sequence[str], numbers: Array) -> FrequentTag:
        """Learn from words and their tag numbers; -1 teaches nothing."""
        counts: dict[str, Array] = defaultdict(lambda: np.zeros(self.tags))
        for word, number in zip(words, numbers.tolist(), strict=True):
            if number >= 0:
                counts[word][number] += 1
        endings: dict[tuple[str, str], Array] = defaultdict(lambda: np.zeros(self.tags))
        for word, found in counts.items():
            if found.sum() <= RARE:
                for key in _endings(word):
                    endings[key] += found
        every = np.sum(list(counts.values()), axis=0) if counts else np.ones(self.tags)
        self.words: Mapping[str, Array] = dict(counts)
        self.endings: Mapping[tuple[str, str], Array] = dict(endings)
        self.every = every / every.sum()
        return self

    def shares(self, words: Sequence[str]) -> Array:
        """(N, L) the shares of the tags of each word."""
        known: dict[str, Array] = {}
        for word in set(words):
            known[word] = self._shares(word)
        return np.array([known[word] for word in words]).reshape(-1, self.tags)

    def _shares(self, word: str) -> Array:
        found = self.words.get(word)
        if found is None:
            found = next((self.endings[key] for key in _endings(word) if key in self.endings), self.every)
        made: Array = found / found.sum()
        return made

    def size(self) -> int:
        """Numbers that were learnt."""
        return self.tags * (len(self.words) + len(self.endings) + 1)


def _endings(word: str) -> Iterator[tuple[str, str]]:
    """A word's shape with its endings, the longest first, and its shape alone."""
    shape = _shape(word)
    for size in range(min(LONGEST_ENDING, len(word)), -1, -1):
        yield shape, word[len(word) - size :].lower()


def _shape(word: str) -> str:
    if any(letter.isdigit() for letter in word):
        return "digits"
    if not any(letter.isalnum() for letter in word):
        return "symbols"
    if word.isupper():
        return "upper"
    return "title" if word[:1].isupper() else "lower"


class WindowTagger:
    """Multinomial logistic regression on a word, its endings and shape, and the two words on either side.

    Features are hashed into 2^18 columns; learnt by averaged stochastic gradient descent (scikit-learn).
    """

    def __init__(self, tags: int, seed: int = 0) -> None:
        self.tags, self.seed = tags, seed

    def fit(self, sentences: Sentences, numbers: Array) -> WindowTagger:
        """Learn from sentences and the tag numbers of their words; -1 teaches nothing."""
        from sklearn.linear_model import SGDClassifier

        labelled = numbers >= 0
        self.only = None if len(np.unique(numbers[labelled])) > 1 else int(numbers[labelled][0])
        if self.only is None:
            self.model = SGDClassifier(
                loss="log_loss", alpha=1e-6, max_iter=PASSES, tol=None, average=True, random_state=self.seed
            )
            self.model.fit(_hashed(sentences)[labelled], numbers[labelled])
        return self

    def shares(self, sentences: Sentences) -> Array:
        """(N, L) probabilities: softmax of the scores."""
        count = sum(map(len, sentences))
        made = np.zeros((count, self.tags))
        if self.only is not None:
            made[:, self.only] = 1.0
        elif count:
            scores = self.model.decision_function(_hashed(sentences))
            if scores.ndim == 1:  # two tags: the score of the second
                scores = np.stack([np.zeros_like(scores), scores], axis=1)
            raised = np.exp(scores - scores.max(axis=1, keepdims=True))
            made[:, self.model.classes_] = raised / raised.sum(axis=1, keepdims=True)
        return made

    def size(self) -> int:
        """Numbers that were learnt."""
        return 0 if self.only is not None else int(self.model.coef_.size + self.model.intercept_.size)


def _hashed(sentences: Sentences) -> Any:
    from sklearn.feature_extraction import FeatureHasher

    hasher = FeatureHasher(n_features=BUCKETS, input_type="string", alternate_sign=False)
    return hasher.transform(feature for sentence in sentences for feature in _features(sentence)).tocsr()


def _features(sentence: Sequence[str]) -> Iterator[list[str]]:
    lower = ["<<", "<", *(word.lower() for word in sentence), ">", ">>"]
    for place, word in enumerate(sentence):
        own = lower[place + 2]
        found = ["b", f"w={word}", f"l={own}", f"s={_shape(word)}", f"p={own[:3]}", f"f={place == 0}"]
        found += [f"e{size}={own[-size:]}" for size in range(1, min(LONGEST_ENDING, len(own)) + 1)]
        found += [f"{at - 2}={lower[place + at]}" for at in (0, 1, 3, 4)]
        found += [
            f"-1,0={lower[place + 1]} {own}",
            f"0,1={own} {lower[place + 3]}",
            f"-1e={lower[place + 1][-2:]}",
        ]
        yield found
