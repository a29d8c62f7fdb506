"""The cheap alternatives that every recurrent model is shown beside, with the estimators' contract."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from recurra.errors import SpecError, nearest
from recurra.evaluation.features import categories, count_features, summary_features
from recurra.ragged import Array
from recurra.tasks.materials import Materials


class Baseline(ABC):
    """`fit` on materials, then `answer`: probabilities (S, C) for classes, numbers for numbers.

    targets: encoded: class ids (S,), a 0/1 table (S, C), or numbers.
    """

    name: ClassVar[str]

    def __init__(self, *, outputs: int, multilabel: bool = False, characters: bool = False) -> None:
        self.outputs, self.multilabel, self.characters = outputs, multilabel, characters

    @abstractmethod
    def fit(self, train: Materials, targets: Array) -> None:
        """Learn from the training split alone."""

    @abstractmethod
    def answer(self, held: Materials) -> Array:
        """Probabilities or numbers for sequences."""

    def parameters(self) -> int:
        """How many learnt numbers it keeps."""
        return self.outputs


class Majority(Baseline):
    """The share of each class in training, for every sequence."""

    name = "majority"

    def fit(self, train: Materials, targets: Array) -> None:
        if self.multilabel:
            self.shares = targets.mean(axis=0)
        else:
            self.shares = np.bincount(targets, minlength=self.outputs) / max(len(targets), 1)

    def answer(self, held: Materials) -> Array:
        return np.repeat(self.shares[None, :], len(held), axis=0)


class Mean(Baseline):
    """The mean of the training targets, for every sequence."""

    name = "mean"

    def fit(self, train: Materials, targets: Array) -> None:
        self.mean = np.asarray(targets, dtype=np.float64).mean(axis=0)

    def answer(self, held: Materials) -> Array:
        return np.repeat(self.mean[None], len(held), axis=0)


class _Linear(Baseline):
    """Features, scaled where they are dense, and a linear model of scikit-learn on them."""

    def fit(self, train: Materials, targets: Array) -> None:
        features = self._fit_features(train)
        self.model = self._make()
        with warnings.catch_warnings():
            from sklearn.exceptions import ConvergenceWarning

            warnings.simplefilter("ignore", ConvergenceWarning)
            self.model.fit(features, targets)

    def answer(self, held: Materials) -> Array:
        return self._answer(self._features(held))

    def _make(self) -> Any:
        from sklearn.linear_model import LogisticRegression
        from sklearn.multiclass import OneVsRestClassifier

        logistic = LogisticRegression(C=self.strength, max_iter=1000)
        return OneVsRestClassifier(logistic) if self.multilabel else logistic

    strength: float = 1.0

    def _answer(self, features: Any) -> Array:
        known = self.model.predict_proba(features)
        if self.multilabel:
            return np.asarray(known)
        full = np.zeros((known.shape[0], self.outputs))
        full[:, self.model.classes_] = known
        return full

    def parameters(self) -> int:
        models = getattr(self.model, "estimators_", [self.model])
        return int(sum(np.size(m.coef_) + np.size(m.intercept_) for m in models if hasattr(m, "coef_")))

    @abstractmethod
    def _fit_features(self, train: Materials) -> Any: ...

    @abstractmethod
    def _features(self, held: Materials) -> Any: ...


class _Ridge(_Linear):
    """A linear model for numbers."""

    def _make(self) -> Any:
        from sklearn.linear_model import RidgeCV

        return RidgeCV(alphas=np.logspace(-2, 4, 13))

    def _answer(self, features: Any) -> Array:
        return np.asarray(self.model.predict(features))


class _Texts(_Linear):
    """TF-IDF of word 1-2-grams, or of character 1-3-grams where the networks read characters."""

    strength = 4.0

    def _fit_features(self, train: Materials) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        options: dict[str, Any] = {"sublinear_tf": True, "dtype": np.float64}
        if self.characters:
            options |= {"analyzer": "char_wb", "ngram_range": (1, 3)}
        else:
            options |= {"ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+(?:'\w+)?\b|[^\w\s]"}
        self.vectorizer = TfidfVectorizer(**options)
        return self.vectorizer.fit_transform(list(train.inputs))

    def _features(self, held: Materials) -> Any:
        return self.vectorizer.transform(list(held.inputs))


class TfidfLogistic(_Texts):
    """TF-IDF and logistic regression."""

    name = "tf-idf + logistic"


class TfidfRidge(_Ridge, _Texts):
    """TF-IDF and ridge regression."""

    name = "tf-idf + ridge"


class _Summaries(_Linear):
    """Standardised summary features of each channel, shares of each category, and the static features."""

    def _fit_features(self, train: Materials) -> Any:
        from sklearn.preprocessing import StandardScaler

        self.known = categories(train.inputs)
        self.scaler = StandardScaler().fit(self._raw(train))
        return self._features(train)

    def _features(self, held: Materials) -> Any:
        return np.clip(self.scaler.transform(self._raw(held)), -20, 20)

    def _raw(self, held: Materials) -> Array:
        parts = [summary_features(held.inputs), count_features(held.inputs, self.known)]
        if held.static is not None:
            parts.append(np.nan_to_num(np.asarray(held.static, dtype=np.float64).reshape(len(held), -1)))
        return np.concatenate(parts, axis=1)


class SummaryLogistic(_Summaries):
    """Logistic regression on summary features."""

    name = "summary + logistic"


class SummaryRidge(_Ridge, _Summaries):
    """Ridge regression on summary features."""

    name = "summary + ridge"


BASELINES: Mapping[str, type[Baseline]] = {
    kind.name: kind for kind in (Majority, Mean, TfidfLogistic, TfidfRidge, SummaryLogistic, SummaryRidge)
}


def choose(names: Any, *, task: str, kind: str) -> list[type[Baseline]]:
    """The baselines for a task and kind of data: "auto", "none", or names out of those that fit."""
    fitting = _fitting(task, kind)
    if names == "auto":
        return list(fitting.values())
    if names in (None, "none", ()):
        return []
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in fitting:
            raise SpecError(
                f"baselines must be 'auto', 'none' or of this task, got {name!r}{nearest(name, fitting)}"
            )
    return [fitting[name] for name in wanted]


def _fitting(task: str, kind: str) -> dict[str, type[Baseline]]:
    if task == "classifier":
        chosen: list[type[Baseline]] = [Majority, TfidfLogistic if kind == "text" else SummaryLogistic]
    else:
        chosen = [Mean, TfidfRidge if kind == "text" else SummaryRidge]
    return {baseline.name: baseline for baseline in chosen}
