"""A row of a comparison, put together from its runs over seeds and folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.evaluation.judging import Evidence, Judge, Question
from recurra.evaluation.runs import Run
from recurra.evaluation.verdict import interval
from recurra.metrics.regression import finite_or_none
from recurra.ragged import Array
from recurra.tasks.estimator import SequenceEstimator
from recurra.training.history import History


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of a comparison.

    kind: "recurrent" or "baseline". members: models that answer together, more than 1 for the ensemble of seeds,
    which is never the winner: it is no single model. seeds: per seed the test scores, the mean over the folds;
    scores, spread: mean and standard deviation over the seeds; intervals: 95%, over test sequences and seeds.
    fold_scores: (folds,) main test score. validation, train: mean scores there, in evaluation mode at the restored
    weights. gap: main score on train minus on validation (sign turned where less is better), so that overfitting
    is positive. parts: parameters by part. seconds: mean training time; latency_ms: of one answer alone, the
    median. answers: (seeds, S, ...) on the test split of the first fold. estimator: of the seed that is best on
    the first fold's validation split; histories: of the first fold.
    """

    name: str
    kind: str
    seeds: tuple[Mapping[str, float], ...]
    scores: Mapping[str, float]
    spread: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    fold_scores: tuple[float, ...]
    validation: Mapping[str, float]
    train: Mapping[str, float]
    gap: float
    parameters: int
    parts: Mapping[str, int]
    megabytes: float
    seconds: float
    latency_ms: float
    evidence: Evidence
    answers: Array
    estimator: SequenceEstimator | None = None
    best_seed: int = 0
    histories: tuple[Any, ...] = ()
    members: int = 1

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints of the row."""
        gap = finite_or_none(self.gap)
        return {
            "name": self.name,
            "kind": self.kind,
            "scores": dict(self.scores),
            "spread": dict(self.spread),
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "seeds": [dict(scores) for scores in self.seeds],
            "folds": list(self.fold_scores),
            "validation": dict(self.validation),
            "train": dict(self.train),
            **({} if gap is None else {"overfitting_gap": gap}),
            "parameters": self.parameters,
            "parts": dict(self.parts),
            "megabytes": round(self.megabytes, 3),
            "seconds": round(self.seconds, 3),
            "latency_ms": round(self.latency_ms, 4),
            **({"members": self.members} if self.members > 1 else {}),
        }


def entry(runs: Sequence[Run], judge: Judge, units: Array | None, asked: SequenceEstimator) -> Entry:
    """The row of these runs: every seed of every fold of one name."""
    seeds, folds = sorted({run.seed for run in runs}), sorted({run.fold for run in runs})
    by = {(run.fold, run.seed): run for run in runs}
    first = [by[folds[0], seed] for seed in seeds]
    evidence = Evidence(
        judge=judge,
        ingredients=np.stack(
            [np.concatenate([by[fold, seed].ingredients for fold in folds]) for seed in seeds]
        ),
        units=units,
    )
    each = [_mean([by[fold, seed].scores["test"] for fold in folds]) for seed in seeds]
    held = [run.scores["validation"][judge.score] for run in first]
    best = int(np.argmax(judge.sign * np.asarray(held)))
    train, validation = (_mean([run.scores[part] for run in runs]) for part in ("train", "validation"))
    timed = [run for run in runs if run.alone] or list(runs)
    return Entry(
        name=runs[0].row,
        kind=runs[0].kind,
        seeds=tuple(each),
        scores=_mean(each),
        spread=_deviation(each),
        intervals={judge.score: interval(evidence)},
        fold_scores=tuple(
            float(np.mean([by[fold, seed].scores["test"][judge.score] for seed in seeds])) for fold in folds
        ),
        validation=validation,
        train=train,
        gap=judge.sign * (train[judge.score] - validation[judge.score]),
        parameters=round(np.mean([run.parameters for run in runs])),
        parts=first[0].parts,
        megabytes=float(np.mean([run.megabytes for run in runs])),
        seconds=float(np.mean([run.seconds for run in timed])),
        latency_ms=1000 * float(np.mean([run.latency for run in timed])),
        evidence=evidence,
        answers=np.stack([run.test for run in first]),
        estimator=estimator_of(first[best], asked) if runs[0].kind == "recurrent" else None,
        best_seed=best,
        histories=tuple(History(epochs=[dict(e) for e in run.epochs]) for run in first)
        if first[0].epochs
        else (),
    )


def ensemble(
    runs: Sequence[Run], row: Entry, question: Question, coded: Sequence[Mapping[str, Array]]
) -> Entry | None:
    """The mean of the answers of all seeds of a network, as a row; None with one seed. coded: targets per fold."""
    seeds, folds = sorted({run.seed for run in runs}), sorted({run.fold for run in runs})
    if len(seeds) < 2:
        return None
    judge = question.judge
    together: dict[str, list[Array]] = {
        part: [np.mean([getattr(run, part) for run in runs if run.fold == fold], axis=0) for fold in folds]
        for part in ("validation", "test")
    }
    scores = {
        part: [question.scores(coded[fold][part], answers) for fold, answers in zip(folds, made, strict=True)]
        for part, made in together.items()
    }
    ingredients = [
        judge.ingredients(question.decided(answers, coded[fold]["test"]), coded[fold]["test"])
        for fold, answers in zip(folds, together["test"], strict=True)
    ]
    evidence = Evidence(judge=judge, ingredients=np.concatenate(ingredients)[None], units=row.evidence.units)
    test = _mean(scores["test"])
    return Entry(
        name=f"{row.name}, {len(seeds)} together",
        kind="recurrent",
        seeds=(test,),
        scores=test,
        spread=dict.fromkeys(test, 0.0),
        intervals={judge.score: interval(evidence)},
        fold_scores=tuple(found[judge.score] for found in scores["test"]),
        validation=_mean(scores["validation"]),
        train={},
        gap=float("nan"),
        parameters=row.parameters * len(seeds),
        parts={name: size * len(seeds) for name, size in row.parts.items()},
        megabytes=row.megabytes * len(seeds),
        seconds=row.seconds * len(seeds),
        latency_ms=row.latency_ms * len(seeds),
        evidence=evidence,
        answers=together["test"][0][None],
        members=len(seeds),
    )


def estimator_of(run: Run, asked: SequenceEstimator) -> SequenceEstimator:
    """The fitted estimator of a run: from memory, else from its bundle, with the history it was trained with."""
    if run.model is not None:
        found: SequenceEstimator = run.model
        return found
    assert run.bundle is not None
    made = type(asked).load(run.bundle)
    made.history_ = History(epochs=[dict(epoch) for epoch in run.epochs])
    made.notes_ = run.notes
    return made


def _mean(every: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = [name for name in every[0] if all(name in scores for scores in every)]
    return {name: float(np.mean([scores[name] for scores in every])) for name in names}


def _deviation(every: Sequence[Mapping[str, float]]) -> dict[str, float]:
    ddof = 1 if len(every) > 1 else 0
    return {name: float(np.std([scores[name] for scores in every], ddof=ddof)) for name in every[0]}
