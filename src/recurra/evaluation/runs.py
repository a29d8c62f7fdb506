"""One run: a row of the comparison trained once, with one seed, on one fold; and everything it leaves behind."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from recurra.data.splits import stratified
from recurra.data.text import Characters
from recurra.evaluation.baselines import BASELINES, Setting
from recurra.evaluation.judging import Question
from recurra.ragged import Array
from recurra.spec import Network, Training
from recurra.tasks.estimator import SequenceEstimator
from recurra.tasks.materials import Materials
from recurra.tasks.tagger import Tagger
from recurra.training.callbacks import Callback

PARTS = ("train", "validation", "test")
Parts = Mapping[str, Materials]
_TIMED = 25
"""Test sequences whose answers are timed, one at a time."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to train: the row's name, fold and seed.

    estimator: as asked for; for a baseline the network that it stands beside. share: of the training split, for
    learning curves.
    """

    row: str
    kind: str
    fold: int
    seed: int
    estimator: Any
    share: float = 1.0

    @property
    def words(self) -> str:
        """The run in words, for progress."""
        part = "" if self.share == 1.0 else f", {self.share:.0%} of the training split"
        return f"{self.row}, fold {self.fold + 1}, seed {self.seed}{part}"

    @property
    def described(self) -> dict[str, Any]:
        """Everything that the outcome depends on beside data and code, as plain values."""
        options = {}
        for name, value in self.estimator.get_params(deep=False).items():
            plain = (
                {"kind": type(value).__name__, **value.to_dict()}
                if hasattr(value, "to_dict")
                else repr(value)
            )
            options[name] = plain
        asked = {"row": self.row if self.kind == "baseline" else "", "kind": self.kind}
        return {
            **asked,
            "seed": self.seed,
            "share": self.share,
            "task": self.estimator.task,
            "options": options,
        }


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run left behind.

    seconds: of training; latency: seconds of one answer alone, the median; alone: whether both were taken while
    nothing else of this comparison ran. scores: part -> name -> score, of the restored weights. validation, test:
    answers there; ingredients: (S, k) of the main score on test. epochs: the history's records. model: the fitted
    estimator, where it is in memory; bundle: where it is stored.
    """

    row: str
    kind: str
    fold: int
    seed: int
    share: float
    seconds: float
    latency: float
    alone: bool
    parameters: int
    parts: Mapping[str, int]
    megabytes: float
    scores: Mapping[str, Mapping[str, float]]
    validation: Array
    test: Array
    ingredients: Array
    epochs: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    bundle: str | None = None
    model: Any = field(default=None, compare=False)


def question_of(estimator: SequenceEstimator) -> Question:
    """What a fitted estimator answers."""
    if estimator.task != "tagger":
        return Question(task=estimator.task, multilabel=bool(getattr(estimator, "multilabel_", False)))
    tagger: Any = estimator
    if tagger.numeric_:
        return Question(task="tagger", numeric=True)
    return Question(task="tagger", tags=tuple(tagger.target_.classes[0]), scheme=tagger.schemes_[0])


def blank(estimator: SequenceEstimator, parts: Parts) -> SequenceEstimator:
    """The estimator with its encoders fitted and its model built, but nothing learnt: for sizes and targets."""
    again = type(estimator)(**estimator.get_params(deep=False)).set_params(training__epochs=0)
    train, held = parts["train"], parts["validation"]
    return again.fit(
        train.inputs,
        train.targets,
        static=train.static,
        validation_data=(held.inputs, held.targets, held.static),
    )


def setting_of(asked: SequenceEstimator, empty: SequenceEstimator, seed: int = 0) -> Setting:
    """What a baseline is told; `empty` is the `blank` of `asked`."""
    question = question_of(empty)
    network, training = asked._spec("network"), asked._spec("training")
    assert isinstance(network, Network)
    assert isinstance(training, Training)
    return Setting(
        task=asked.task,
        outputs=len(question.tags) or empty.head_.outputs,
        multilabel=question.multilabel,
        characters=isinstance(asked.inputs, Characters),
        parameters=empty.summary().parameters,
        operations=empty.summary().operations,
        network=network,
        training=training.planned(empty.lengths_.get("sequences", 1)),
        inputs=empty.encoder_.spec,
        encoder=empty.encoder_,
        numeric=question.numeric,
        seed=seed,
    )


def execute(job: Job, parts: Parts, *, alone: bool, progress: Callback | None = None) -> Run:
    """Train one row once and score it on all three parts."""
    parts = _shortened(parts, job.share)
    run = _network(job, parts, progress) if job.kind == "recurrent" else _baseline(job, parts)
    return replace(run, alone=alone)


def _shortened(parts: Parts, share: float) -> Parts:
    """A part of the training split, the same rows first for every share, stratified."""
    if share >= 1.0:
        return parts
    train = parts["train"]
    rows = stratified(train.targets, (share, 1.0 - share, 0.0), seed=0).train
    return {**parts, "train": train.select(rows)}


def _network(job: Job, parts: Parts, progress: Callback | None) -> Run:
    asked = job.estimator
    model = type(asked)(**asked.get_params(deep=False)).set_params(training__seed=job.seed)
    train, held = parts["train"], parts["validation"]
    begin = time.perf_counter()
    model.fit(
        train.inputs,
        train.targets,
        static=train.static,
        validation_data=(held.inputs, held.targets, held.static),
        progress=progress,
    )
    seconds = time.perf_counter() - begin
    answered = {part: _answered(model, parts[part]) for part in PARTS}
    answers = {part: found for part, (found, _) in answered.items()}
    coded = {part: model.coded(parts[part]) for part in PARTS}
    question = question_of(model)
    if question.task == "classifier":
        # By the predictor, which knows a threshold that was chosen on validation.
        scores = {part: dict(model.predictor_.scores_of(answers[part], coded[part])) for part in PARTS}
    else:
        scores = {part: question.scores(coded[part], *answered[part]) for part in PARTS}
    summary = model.summary()
    return Run(
        **_named(job),
        seconds=seconds,
        latency=_latency(model.answers, parts["test"]),
        parameters=summary.parameters,
        parts=summary.parts,
        megabytes=summary.megabytes,
        scores=scores,
        validation=answers["validation"],
        test=answers["test"],
        ingredients=question.judge.ingredients(answered["test"][1], coded["test"]),
        epochs=tuple(model.history_.epochs),
        notes=tuple(model.notes_),
        model=model,
    )


def _answered(model: SequenceEstimator, given: Materials) -> tuple[Array, Array]:
    """The answers of a network and what it decides by them."""
    if isinstance(model, Tagger):  # which decides on whole sequences
        return model.answered(given)
    answers = model.answers(given)
    return answers, model.decided(answers)


def _baseline(job: Job, parts: Parts) -> Run:
    empty = blank(job.estimator, parts)
    coded = {part: empty.coded(parts[part]) for part in PARTS}
    baseline = BASELINES[job.row](setting_of(job.estimator, empty, job.seed))
    baseline.prepare()
    begin = time.perf_counter()
    baseline.fit(parts["train"], coded["train"], parts["validation"], coded["validation"])
    seconds = time.perf_counter() - begin
    answers = {part: baseline.answer(parts[part]) for part in PARTS}
    question = question_of(empty)
    return Run(
        **_named(job),
        seconds=seconds,
        latency=_latency(baseline.answer, parts["test"]),
        parameters=baseline.parameters(),
        parts={job.row: baseline.parameters()},
        megabytes=baseline.parameters() * (4 if baseline.neural else 8) / 2**20,
        scores={part: question.scores(coded[part], answers[part]) for part in PARTS},
        validation=answers["validation"],
        test=answers["test"],
        ingredients=question.judge.ingredients(
            question.decided(answers["test"], coded["test"]), coded["test"]
        ),
    )


def _named(job: Job) -> dict[str, Any]:
    return {
        "row": job.row,
        "kind": job.kind,
        "fold": job.fold,
        "seed": job.seed,
        "share": job.share,
        "alone": False,
    }


def _latency(answer: Any, test: Materials) -> float:
    """Median seconds of the answer to one sequence by itself, over some of the test split."""
    rows = np.linspace(0, len(test) - 1, min(_TIMED, len(test))).astype(np.int64)
    taken = []
    for row in [*rows[:2], *rows]:  # the first two warm up
        one = test.select(np.array([row]))
        begin = time.perf_counter()
        answer(one)
        taken.append(time.perf_counter() - begin)
    return float(np.median(taken[2:])) if len(taken) > 2 else float("nan")
