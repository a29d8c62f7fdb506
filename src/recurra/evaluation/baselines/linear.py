"""Linear models and naive Bayes on features that know little or nothing of order."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from importlib import import_module
from typing import Any

import numpy as np

from recurra.evaluation.baselines.contract import Baseline
from recurra.evaluation.features import categories, count_features, summary_features
from recurra.ragged import Array
from recurra.tasks.materials import Materials


class _Classes(Baseline):
    """Features and a classifier of scikit-learn on them."""

    tasks = ("classifier",)
    strength = 1.0

    def prepare(self) -> None:
        for part in ("linear_model", "feature_extraction.text", "multiclass", "naive_bayes", "preprocessing"):
            import_module(f"sklearn.{part}")

    def fit(self, train: Materials, targets: Array, held: Materials, held_targets: Array) -> None:
        features = self._fit_features(train)
        self.model = self._made()
        with warnings.catch_warnings():
            from sklearn.exceptions import ConvergenceWarning

            warnings.simplefilter("ignore", ConvergenceWarning)
            self.model.fit(features, targets)

    def answer(self, held: Materials) -> Array:
        known = self.model.predict_proba(self._features(held))
        if self.setting.multilabel:
            return np.asarray(known)
        full = np.zeros((known.shape[0], self.setting.outputs))
        full[:, self.model.classes_] = known
        return full

    def _made(self) -> Any:
        from sklearn.multiclass import OneVsRestClassifier

        return OneVsRestClassifier(self._single()) if self.setting.multilabel else self._single()

    def _single(self) -> Any:
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=self.strength, max_iter=1000)

    def parameters(self) -> int:
        models = getattr(self.model, "estimators_", [self.model])
        names = ("coef_", "intercept_", "feature_log_prob_", "class_log_prior_")
        return int(sum(np.size(getattr(m, name)) for m in models for name in names if hasattr(m, name)))

    @abstractmethod
    def _fit_features(self, train: Materials) -> Any: ...

    @abstractmethod
    def _features(self, held: Materials) -> Any: ...


class _Numbers(_Classes):
    """Features and ridge regression, its strength chosen by leaving one out."""

    tasks = ("regressor",)

    def _made(self) -> Any:
        from sklearn.linear_model import RidgeCV

        return RidgeCV(alphas=np.logspace(-2, 4, 13))

    def answer(self, held: Materials) -> Array:
        return np.asarray(self.model.predict(self._features(held)))


class _Texts(_Classes):
    """TF-IDF of word 1-2-grams, or of character 1-3-grams where the networks read characters."""

    kinds = ("text",)
    strength = 4.0

    def _fit_features(self, train: Materials) -> Any:
        self.vectorizer = self._vectorizer()
        return self.vectorizer.fit_transform(list(train.inputs))

    def _vectorizer(self) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(sublinear_tf=True, dtype=np.float64, **self._grams())

    def _grams(self) -> dict[str, Any]:
        if self.setting.characters:
            return {"analyzer": "char_wb", "ngram_range": (1, 3)}
        return {"ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+(?:'\w+)?\b|[^\w\s]"}

    def _features(self, held: Materials) -> Any:
        return self.vectorizer.transform(list(held.inputs))


class TfidfLogistic(_Texts):
    """TF-IDF and logistic regression."""

    name = "tf-idf + logistic"


class TfidfRidge(_Numbers, _Texts):
    """TF-IDF and ridge regression."""

    name = "tf-idf + ridge"


class NaiveBayes(_Texts):
    """Multinomial naive Bayes on whether each 1-2-gram occurs (Wang & Manning 2012: presence beats counts)."""

    name = "naive Bayes"

    def _vectorizer(self) -> Any:
        from sklearn.feature_extraction.text import CountVectorizer

        return CountVectorizer(binary=True, dtype=np.float64, **self._grams())

    def _single(self) -> Any:
        from sklearn.naive_bayes import MultinomialNB

        return MultinomialNB()


class _Summaries(_Classes):
    """Standardised summary features of each channel, shares of each category, and the static features."""

    kinds = ("signal", "events")

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


class SummaryRidge(_Numbers, _Summaries):
    """Ridge regression on summary features."""

    name = "summary + ridge"
