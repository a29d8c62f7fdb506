"""Several networks and the cheap baselines on the same splits, with several seeds, a test and a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recurra.data.splits import by_column, stratified
from recurra.data.text import Characters
from recurra.errors import InputError
from recurra.evaluation import judging
from recurra.evaluation.baselines import Baseline, choose
from recurra.evaluation.judging import Difference, Judge
from recurra.ragged import Array
from recurra.tasks.estimator import SequenceEstimator
from recurra.tasks.materials import Materials, materials

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of a comparison.

    kind: "recurrent" or "baseline". seeds: per seed the test scores; scores, spread: their mean and standard
    deviation. validation, train: mean scores there, in evaluation mode at the restored weights. gap: main score on
    train minus on validation (sign turned where less is better), so that overfitting is positive.
    parts: parameters by part. seconds: mean training time. answers: (seeds, S, ...) on test.
    """

    name: str
    kind: str
    seeds: tuple[Mapping[str, float], ...]
    scores: Mapping[str, float]
    spread: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    validation: Mapping[str, float]
    train: Mapping[str, float]
    gap: float
    parameters: int
    parts: Mapping[str, int]
    megabytes: float
    seconds: float
    ingredients: Array
    answers: Array
    estimator: SequenceEstimator | None = None
    best_seed: int = 0
    histories: tuple[Any, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints of the row."""
        return {
            "name": self.name,
            "kind": self.kind,
            "scores": dict(self.scores),
            "spread": dict(self.spread),
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "seeds": [dict(scores) for scores in self.seeds],
            "validation": dict(self.validation),
            "train": dict(self.train),
            "overfitting_gap": self.gap,
            "parameters": self.parameters,
            "parts": dict(self.parts),
            "megabytes": round(self.megabytes, 3),
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The outcome of `compare`.

    winner: name of the recurrent row that is best on validation; baseline: likewise of the baselines.
    difference: by how much the winner is better than that baseline on test. verdict: all of it in a sentence.
    parts: the data of each split; coded: the encoded targets of the test split.
    """

    task: str
    judge: Judge
    rows: tuple[Entry, ...]
    winner: str
    baseline: str | None
    difference: Difference | None
    verdict: str
    sizes: Mapping[str, int]
    notes: tuple[str, ...]
    parts: Mapping[str, Materials]
    coded: Array

    def row(self, name: str) -> Entry:
        """The row of that name."""
        return next(row for row in self.rows if row.name == name)

    @property
    def best(self) -> SequenceEstimator:
        """The winner's estimator, of the seed that is best on validation."""
        found = self.row(self.winner).estimator
        assert found is not None
        return found

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints: rows, verdict, and what they rest on."""
        found = self.difference
        return {
            "rows": [row.to_dict() for row in self.rows],
            "verdict": self.verdict,
            "winner": self.winner,
            "baseline": self.baseline,
            "main_score": self.judge.score,
            "difference": None
            if found is None
            else {"value": found.value, "interval": [found.low, found.high], "p_value": found.p_value},
            "sizes": dict(self.sizes),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        from recurra.report.terminal import comparison_table

        return comparison_table([row.to_dict() for row in self.rows]) + f"\n{self.verdict}"


def compare(
    networks: Mapping[str, SequenceEstimator],
    inputs: Any,
    targets: Any = None,
    *,
    static: Any = None,
    seeds: int = 3,
    baselines: Any = "auto",
    split: Mapping[str, Array] | None = None,
    shares: tuple[float, float, float] = (0.6, 0.2, 0.2),
    split_seed: int = 0,
    on_row: Callable[[str], None] | None = None,
    progress: str | None = None,
) -> Comparison:
    """Train every network with every seed and the baselines, all on one split, and judge them.

    networks: name -> estimator, all of one task. inputs, targets, static: as `fit`; a `Dataset` brings its split.
    seeds: how often each network is trained; the k-th time with its own seed + k.
    baselines: "auto", "none", or names. split: name of part -> row numbers; None: the data's own, else stratified
        by `shares`. on_row: told in words what is being done.

    The best network is chosen on validation; the test split is scored once per seed, and every seed is reported.
    """
    _task(networks)
    given = materials(inputs, targets, static)
    if given.targets is None:
        raise InputError("targets must be given: one per sequence")
    parts, notes = _parts(given, split, shares, split_seed)
    return compare_parts(
        networks, parts, seeds=seeds, baselines=baselines, notes=notes, on_row=on_row, progress=progress
    )


def compare_parts(
    networks: Mapping[str, SequenceEstimator],
    parts: Mapping[str, Materials],
    *,
    seeds: int = 3,
    baselines: Any = "auto",
    notes: tuple[str, ...] = (),
    on_row: Callable[[str], None] | None = None,
    progress: str | None = None,
) -> Comparison:
    """As `compare`, on parts "train", "validation" and "test" that are divided already."""
    task = _task(networks)
    if seeds < 1:
        raise InputError(f"seeds must be at least 1, got {seeds}; usual: 3-5")
    kinds = choose(baselines, task=task, kind=parts["train"].kind)
    say = on_row or (lambda _: None)
    say("split: " + ", ".join(f"{len(parts[name])} {name}" for name in PARTS))
    rows = [_network_row(name, made, parts, seeds, say, progress) for name, made in networks.items()]
    coded = _coded(rows[0].estimator, parts)
    some = next(iter(networks.values()))
    for kind in kinds:
        say(f"baseline {kind.name}")
        rows.append(_baseline_row(kind, rows[0].estimator, some, parts, coded))
    return _concluded(task, rows, parts, coded, notes)


def _task(networks: Mapping[str, SequenceEstimator]) -> str:
    if not networks:
        raise InputError("networks must name at least one estimator, got none")
    tasks = {estimator.task for estimator in networks.values()}
    if len(tasks) > 1:
        raise InputError(f"networks must all be of one task, got {', '.join(sorted(tasks))}")
    return tasks.pop()


def _parts(
    given: Materials,
    split: Mapping[str, Array] | None,
    shares: tuple[float, float, float],
    seed: int,
) -> tuple[dict[str, Materials], tuple[str, ...]]:
    if split is not None:
        return {name: given.select(np.asarray(split[name])) for name in PARTS}, ("split as given",)
    targets = given.targets
    found = (
        stratified(targets, shares, seed) if given.split is None else by_column(given.split, targets=targets)
    )
    made = {name: given.select(rows) for name, rows in zip(PARTS, found.parts(), strict=True)}
    return made, (found.sizes,)


def _judge(estimator: SequenceEstimator) -> Judge:
    if estimator.task == "regressor":
        return judging.RMSE
    return judging.F1_MICRO if getattr(estimator, "multilabel_", False) else judging.ACCURACY


def _network_row(
    name: str,
    estimator: SequenceEstimator,
    parts: Mapping[str, Materials],
    seeds: int,
    say: Callable[[str], None],
    progress: str | None,
) -> Entry:
    fitted, taken = [], []
    first = estimator.training.seed if estimator.training is not None else 0
    for seed in range(first, first + seeds):
        say(f"{name}, seed {seed}")
        again = type(estimator)(**estimator.get_params(deep=False)).set_params(training__seed=seed)
        begin = time.perf_counter()
        train, held = parts["train"], parts["validation"]
        again.fit(
            train.inputs,
            train.targets,
            static=train.static,
            validation_data=(held.inputs, held.targets, held.static),
            progress=progress,
        )
        taken.append(time.perf_counter() - begin)
        fitted.append(again)
    judge = _judge(fitted[0])
    coded = _coded(fitted[0], parts)
    answers = {part: [model.answers(parts[part]) for model in fitted] for part in PARTS}
    score = {part: [_scores(fitted[0], a, coded[part]) for a in answers[part]] for part in PARTS}
    sign = 1.0 if judge.rises else -1.0
    on_held = [scores[judge.score] for scores in score["validation"]]
    best = int(np.argmax(sign * np.asarray(on_held)))
    summary = fitted[0].summary()
    ingredients = np.stack(
        [
            judge.ingredients(model.decided(a), coded["test"])
            for model, a in zip(fitted, answers["test"], strict=True)
        ]
    )
    return Entry(
        name=name,
        kind="recurrent",
        seeds=tuple(score["test"]),
        scores=_mean(score["test"]),
        spread=_deviation(score["test"]),
        intervals={judge.score: judging.interval(ingredients, judge)},
        validation=_mean(score["validation"]),
        train=_mean(score["train"]),
        gap=sign * (_mean(score["train"])[judge.score] - _mean(score["validation"])[judge.score]),
        parameters=summary.parameters,
        parts=summary.parts,
        megabytes=summary.megabytes,
        seconds=float(np.mean(taken)),
        ingredients=ingredients,
        answers=np.stack(answers["test"]),
        estimator=fitted[best],
        best_seed=best,
        histories=tuple(model.history_ for model in fitted),
    )


def _baseline_row(
    kind: type[Baseline],
    fitted: SequenceEstimator | None,
    asked: SequenceEstimator,
    parts: Mapping[str, Materials],
    coded: Mapping[str, Array],
) -> Entry:
    assert fitted is not None
    judge = _judge(fitted)
    baseline = kind(
        outputs=fitted.head_.outputs,
        multilabel=bool(getattr(fitted, "multilabel_", False)),
        characters=isinstance(asked.inputs, Characters),
    )
    begin = time.perf_counter()
    baseline.fit(parts["train"], coded["train"])
    seconds = time.perf_counter() - begin
    answers = {part: baseline.answer(parts[part]) for part in PARTS}
    score = {part: _scores(None, answers[part], coded[part], like=fitted) for part in PARTS}
    ingredients = judge.ingredients(_baseline_decisions(fitted, answers["test"]), coded["test"])[None]
    sign = 1.0 if judge.rises else -1.0
    return Entry(
        name=kind.name,
        kind="baseline",
        seeds=(score["test"],),
        scores=score["test"],
        spread=dict.fromkeys(score["test"], 0.0),
        intervals={judge.score: judging.interval(ingredients, judge)},
        validation=score["validation"],
        train=score["train"],
        gap=sign * (score["train"][judge.score] - score["validation"][judge.score]),
        parameters=baseline.parameters(),
        parts={kind.name: baseline.parameters()},
        megabytes=baseline.parameters() * 8 / 2**20,
        seconds=seconds,
        ingredients=ingredients,
        answers=answers["test"][None],
    )


def _concluded(
    task: str,
    rows: Sequence[Entry],
    parts: Mapping[str, Materials],
    coded: Mapping[str, Array],
    notes: tuple[str, ...],
) -> Comparison:
    model = rows[0].estimator
    assert model is not None
    judge = _judge(model)
    winner = _best([row for row in rows if row.kind == "recurrent"], judge)
    others = [row for row in rows if row.kind == "baseline"]
    baseline = _best(others, judge) if others else None
    found = None if baseline is None else judging.difference(winner.ingredients, baseline.ingredients, judge)
    return Comparison(
        task=task,
        judge=judge,
        rows=tuple(replace(row) for row in rows),
        winner=winner.name,
        baseline=None if baseline is None else baseline.name,
        difference=found,
        verdict=judging.verdict(winner.name, baseline.name if baseline else None, found, judge),
        sizes={name: len(parts[name]) for name in PARTS},
        notes=(*notes, *model.notes_),
        parts=dict(parts),
        coded=coded["test"],
    )


def _best(rows: Sequence[Entry], judge: Judge) -> Entry:
    sign = 1.0 if judge.rises else -1.0
    return max(rows, key=lambda row: sign * row.validation[judge.score])


def _coded(model: SequenceEstimator | None, parts: Mapping[str, Materials]) -> dict[str, Array]:
    assert model is not None
    return {name: model.coded(part) for name, part in parts.items()}


def _baseline_decisions(model: SequenceEstimator, answers: Array) -> Array:
    """A baseline decides by the most probable class; a network by its own threshold."""
    if model.task == "regressor":
        return answers
    return answers >= 0.5 if getattr(model, "multilabel_", False) else answers.argmax(axis=1)


def _scores(
    model: SequenceEstimator | None, answers: Array, targets: Array, *, like: SequenceEstimator | None = None
) -> dict[str, float]:
    from recurra.metrics import classification_scores, multilabel_scores, regression_scores

    described = model or like
    assert described is not None
    if described.task == "regressor":
        return regression_scores(targets, answers)
    if getattr(described, "multilabel_", False):
        return multilabel_scores(targets, answers)
    predictor: Any = described.predictor_
    if model is not None:
        return dict(predictor.scores_of(answers, targets))
    return classification_scores(targets, answers)


def _mean(every: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([scores[name] for scores in every])) for name in every[0]}


def _deviation(every: Sequence[Mapping[str, float]]) -> dict[str, float]:
    ddof = 1 if len(every) > 1 else 0
    return {name: float(np.std([scores[name] for scores in every], ddof=ddof)) for name in every[0]}
