"""An answer per step without recurrence: constants, the tags of words and endings, linear models on windows."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import numpy as np

from recurra.data.encoder import truncated
from recurra.evaluation.baselines.contract import Baseline, Setting, Sizes
from recurra.evaluation.tag_models import FrequentTag, WindowTagger
from recurra.ragged import Array, Ragged
from recurra.tasks.materials import Materials

REACH = 5
"""Steps to either side that a linear model sees of a signal."""
_WORDS_PER_SECOND = 2.5e4
"""Words whose features are made and hashed, measured."""
_UPDATES_PER_SECOND = 2e5
"""Words times tags that `WindowTagger` learns from, over all its passes, measured."""


class StepConstant(Baseline):
    """The share of each tag in training, or the mean of the numbers, for every step."""

    name = "most frequent label"
    tasks = ("tagger",)

    def fit(self, train: Materials, targets: Any, held: Materials, held_targets: Any) -> None:
        values = targets.values
        if self.setting.numeric:
            self.constant: Array = np.asarray(np.nanmean(np.asarray(values, dtype=np.float64), axis=0))
        else:
            counts = np.bincount(values[values >= 0], minlength=self.setting.outputs)
            self.constant = counts / max(counts.sum(), 1)

    def answer(self, held: Materials) -> Array:
        steps = sum(map(len, sequences_of(self.setting, held)))
        return np.repeat(self.constant[None], steps, axis=0)

    def parameters(self) -> int:
        return int(self.constant.size)


class WordTag(Baseline):
    """The shares of the tags that a word has in training; an unknown word's by its ending."""

    name = "most frequent tag"
    tasks = ("tagger",)
    kinds = ("text",)
    numeric = False

    def fit(self, train: Materials, targets: Any, held: Materials, held_targets: Any) -> None:
        words = [word for words in sequences_of(self.setting, train) for word in words]
        self.model = FrequentTag(self.setting.outputs).fit(words, targets.values)

    def answer(self, held: Materials) -> Array:
        return self.model.shares([word for words in sequences_of(self.setting, held) for word in words])

    def parameters(self) -> int:
        return self.model.size()


class WordWindows(Baseline):
    """Logistic regression on words, endings and shapes of a window of five words."""

    name = "linear on words"
    tasks = ("tagger",)
    kinds = ("text",)
    numeric = False

    def prepare(self) -> None:
        for part in ("linear_model", "feature_extraction"):
            import_module(f"sklearn.{part}")

    def fit(self, train: Materials, targets: Any, held: Materials, held_targets: Any) -> None:
        sentences = sequences_of(self.setting, train)
        self.model = WindowTagger(self.setting.outputs, self.setting.seed).fit(sentences, targets.values)

    def answer(self, held: Materials) -> Array:
        return self.model.shares(sequences_of(self.setting, held))

    def parameters(self) -> int:
        return self.model.size()

    @classmethod
    def seconds(cls, setting: Setting, sizes: Sizes) -> float:
        words = sizes.train * sizes.mean
        learning = words * setting.outputs / _UPDATES_PER_SECOND
        return (words + sizes.others * sizes.mean) / _WORDS_PER_SECOND + learning


class SignalWindows(Baseline):
    """Logistic regression, or ridge regression of numbers, on the numbers of eleven steps.

    They are those around each step; of a network that reads forward alone, the step and the ten before it.
    Standardised by the training split; missing values, and steps beyond the ends, count as the mean.
    """

    name = "linear on steps"
    tasks = ("tagger",)
    kinds = ("signal",)

    def prepare(self) -> None:
        import_module("sklearn.linear_model")

    def fit(self, train: Materials, targets: Any, held: Materials, held_targets: Any) -> None:
        from sklearn.linear_model import LogisticRegression, Ridge

        batch = _read(self.setting, train)
        table = _table(batch)
        with warnings.catch_warnings():  # of a channel that has no value at all
            warnings.simplefilter("ignore", RuntimeWarning)
            self.mean = np.nan_to_num(np.nanmean(table, axis=0))
            spread = np.nan_to_num(np.nanstd(table, axis=0))
        self.spread = np.where(spread > 0, spread, 1.0)
        values = np.asarray(targets.values)
        known = np.flatnonzero(known_steps(values))
        self.only = None
        if not self.setting.numeric and len(np.unique(values[known])) < 2:
            self.only = int(values[known][0]) if len(known) else 0
            return
        self.model = Ridge() if self.setting.numeric else LogisticRegression(max_iter=1000)
        self.model.fit(self._windows(batch)[known], values[known])

    def answer(self, held: Materials) -> Array:
        features = self._windows(_read(self.setting, held))
        if self.setting.numeric:
            return np.asarray(self.model.predict(features)) if len(features) else np.zeros(0)
        shares = np.zeros((len(features), self.setting.outputs))
        if self.only is not None:
            shares[:, self.only] = 1.0
        elif len(features):
            shares[:, self.model.classes_] = self.model.predict_proba(features)
        return shares

    def _windows(self, batch: Ragged) -> Array:
        scaled = np.nan_to_num((_table(batch) - self.mean) / self.spread)
        ahead = REACH if self.setting.network.bidirectional else 0
        return shifted(scaled, batch.offsets, range(ahead - 2 * REACH, ahead + 1))

    def parameters(self) -> int:
        return 1 if self.only is not None else int(self.model.coef_.size + np.size(self.model.intercept_))


def known_steps(values: Array) -> Array:
    """(N,) whether the target of a step is given, of codes (N,) or of numbers (N,) or (N, K)."""
    if values.dtype.kind == "f":
        return np.asarray(np.isfinite(values.reshape(len(values), -1)).all(axis=1))
    return np.asarray(values >= 0)


def shifted(values: Array, offsets: Array, places: Iterable[int]) -> Array:
    """(N, places x F) the rows of the steps at these distances in the same sequence, zeros beyond its ends."""
    steps, lengths = np.arange(len(values)), np.diff(offsets)
    begin, end = np.repeat(offsets[:-1], lengths), np.repeat(offsets[1:], lengths)
    parts = []
    for place in places:
        at = steps + place
        inside = (at >= begin) & (at < end)
        parts.append(np.where(inside[:, None], values[np.where(inside, at, 0)], 0.0))
    return np.concatenate(parts, axis=1)


def sequences_of(setting: Setting, held: Materials) -> list[Any]:
    """The steps of each sequence as the network reads them: words, or as many numbers as there are steps."""
    if isinstance(held.inputs, Ragged):
        return [range(length) for length in _read(setting, held).lengths.tolist()]
    encoder: Any = setting.encoder
    return [[word for word, _, _ in encoder.tokens(item)] for item in held.inputs]


def _read(setting: Setting, held: Materials) -> Ragged:
    """The numbers of the steps that the network reads."""
    spec: Any = setting.inputs
    return truncated(held.inputs, spec.max_length, spec.truncate)


def _table(batch: Ragged) -> Array:
    return np.asarray(batch.values, dtype=np.float64).reshape(int(batch.offsets[-1]), -1)
