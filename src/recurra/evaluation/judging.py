"""What a task is judged by: its main score from per-sequence ingredients, and all its scores.

The tests themselves are in `recurra.metrics.significance`; here is what they are fed with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.evaluation.judge import Judge as Judge
from recurra.evaluation.judge import f1_of_counts
from recurra.evaluation.step_judging import decided_tags, step_judge, step_scores
from recurra.ragged import Array


def _right(decided: Array, targets: Array) -> Array:
    right: Array = (decided == targets).astype(np.float64)[:, None]
    return right


def _hits(decided: Array, targets: Array) -> Array:
    called, true = decided.astype(bool), targets.astype(bool)
    counts = [(called & true).sum(axis=1), (called & ~true).sum(axis=1), (~called & true).sum(axis=1)]
    return np.stack(counts, axis=1).astype(np.float64)


def _squares(numbers: Array, targets: Array) -> Array:
    squares: Array = ((numbers - targets) ** 2).reshape(len(targets), -1).mean(axis=1)[:, None]
    return squares


ACCURACY = Judge(
    score="accuracy",
    rises=True,
    unit="points",
    factor=100.0,
    ingredients=_right,
    combine=lambda m: m[..., 0],
    additive=True,
)
F1_MICRO = Judge(
    score="f1_micro", rises=True, unit="points", factor=100.0, ingredients=_hits, combine=f1_of_counts
)
RMSE = Judge(
    score="rmse",
    rises=False,
    unit="in RMSE",
    factor=1.0,
    ingredients=_squares,
    combine=lambda m: np.sqrt(m[..., 0]),
)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of every row alike.

    multilabel: whether a sequence may have several labels. Of a tagger: numeric: whether steps have numbers; tags:
    the names of the codes of its steps; scheme: what spans they mark, whose F1 is the main score then.
    """

    task: str
    multilabel: bool = False
    numeric: bool = False
    tags: tuple[str, ...] = ()
    scheme: str | None = None

    @property
    def judge(self) -> Judge:
        """The main score."""
        if self.task == "tagger":
            return step_judge(self.tags, self.scheme)
        if self.task == "regressor":
            return RMSE
        return F1_MICRO if self.multilabel else ACCURACY

    def decided(self, answers: Array, targets: Any = None) -> Array:
        """The most probable class, labels from a probability of one half, or the numbers themselves.

        Of a tagger: the codes of the legal tags whose probabilities have the greatest product over each of the
        sequences of `targets`.
        """
        if self.task == "regressor" or self.numeric:
            return answers
        if self.task == "tagger":
            return decided_tags(answers, targets.offsets, self.tags, self.scheme)
        return answers >= 0.5 if self.multilabel else answers.argmax(axis=1)

    def scores(self, targets: Any, answers: Array, decided: Array | None = None) -> dict[str, float]:
        """All scores of the task, by what was `decided`; None: by `self.decided`."""
        from recurra.metrics import classification_scores, multilabel_scores, regression_scores

        if self.task == "tagger":
            chosen = self.decided(answers, targets) if decided is None else decided
            return step_scores(chosen, targets, self.tags, self.scheme)
        if self.task == "regressor":
            return regression_scores(targets, answers)
        found = multilabel_scores if self.multilabel else classification_scores
        return dict(found(targets, answers))


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What one row was right and wrong about, sequence by sequence, on all test sequences of all folds.

    ingredients: (seeds, S, k), for `judge`. units: (S,) number of the unit that each sequence belongs to, a
    group (a speaker, a document) whose sequences depend on each other; None: every sequence is a unit.
    """

    judge: Judge
    ingredients: Array
    units: Array | None = None

    @property
    def count(self) -> int:
        """How many units there are."""
        return self.ingredients.shape[1] if self.units is None else int(self.units.max(initial=-1)) + 1

    def scores(self, shares: Array) -> Array:
        """(seeds,) the main score with these (units,) shares."""
        weights = shares if self.units is None else shares[self.units]
        means = np.einsum("s,rsk->rk", weights, self.ingredients) / max(float(weights.sum()), 1e-300)
        return self.judge.combine(means)

    @property
    def score(self) -> float:
        """The main score of all sequences, the mean over the seeds."""
        return float(self.scores(np.full(self.count, 1.0 / max(1, self.count))).mean())

    def per_unit(self) -> Array:
        """(units,) the mean of the first ingredient over the seeds (and, in a group, over its sequences)."""
        each = self.ingredients[..., 0].mean(axis=0)
        if self.units is None:
            return np.asarray(each)
        return np.bincount(self.units, each, self.count) / np.bincount(self.units, minlength=self.count)
