"""Several networks and the baselines on the same splits, with several seeds, a test and a verdict."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.evaluation.baselines import BASELINES, Sizes, choose
from recurra.evaluation.curve import learning_curve as curve_of
from recurra.evaluation.entries import Entry, ensemble, entry
from recurra.evaluation.folding import InTime, k_splits, one_split, parts_of, units_of
from recurra.evaluation.grid import Grid
from recurra.evaluation.judging import Judge, Question
from recurra.evaluation.runs import PARTS, Job, Parts, Run, blank, execute, question_of, setting_of
from recurra.evaluation.store import RunStore
from recurra.evaluation.verdict import Difference, adjusted, difference, verdict
from recurra.metrics.checks import MetricWarning
from recurra.metrics.significance import corrected_resampled_t
from recurra.ragged import Array
from recurra.tasks.estimator import SequenceEstimator
from recurra.tasks.materials import Materials, materials


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The outcome of `compare`.

    winner: name of the recurrent row that is best on validation; differences: by how much it is better than each
    baseline on test, with Holm-adjusted p-values; baseline: the one that it is least ahead of, and difference:
    that to it. verdict: all of it in a sentence.
    parts: the data of each split of the first fold; coded: the encoded targets of its test split. folds: how many.
    curve: the learning curve, where it was asked for. trained: runs that were trained, not taken from the cache.
    """

    task: str
    judge: Judge
    rows: tuple[Entry, ...]
    winner: str
    differences: tuple[Difference, ...]
    verdict: str
    sizes: Mapping[str, int]
    notes: tuple[str, ...]
    parts: Mapping[str, Materials]
    coded: Array
    folds: int = 1
    curve: Mapping[str, Any] | None = None
    trained: int = 0

    @property
    def difference(self) -> Difference | None:
        """The smallest lead over a baseline, or the largest lag; None without baselines."""
        return min(self.differences, key=lambda one: one.value, default=None)

    @property
    def baseline(self) -> str | None:
        """The baseline that `difference` is to."""
        return None if self.difference is None else self.difference.baseline

    def row(self, name: str) -> Entry:
        """The row of that name."""
        return next(row for row in self.rows if row.name == name)

    @property
    def best(self) -> SequenceEstimator:
        """The winner's estimator, of the seed that is best on validation (of the first fold)."""
        found = self.row(self.winner).estimator
        assert found is not None
        return found

    def _repr_html_(self) -> str:
        from recurra.evaluation.record import comparison_record
        from recurra.report.html import notebook_frame
        from recurra.report.pages import compare_report

        return notebook_frame(compare_report(comparison_record(self)))

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints: rows, verdict, and what they rest on."""
        found = self.difference
        behind = {one.baseline: one.to_dict() for one in self.differences}
        return {
            "rows": [{**row.to_dict(), **_lead(behind.get(row.name))} for row in self.rows],
            "verdict": self.verdict,
            "winner": self.winner,
            "baseline": self.baseline,
            "main_score": self.judge.score,
            "difference": None if found is None else found.to_dict(),
            "differences": [one.to_dict() for one in self.differences],
            "sizes": dict(self.sizes),
            "folds": self.folds,
            "notes": list(self.notes),
            **({} if self.curve is None else {"learning_curve": dict(self.curve)}),
        }

    def __str__(self) -> str:
        from recurra.report.terminal import comparison_table

        made = self.to_dict()
        table = comparison_table(made["rows"], winner=self.winner, main=self.judge.score)
        return table + f"\n{self.verdict}"


def _lead(found: Mapping[str, Any] | None) -> dict[str, Any]:
    return {} if found is None else {"winner_ahead": dict(found)}


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
    folds: int = 1,
    groups: Any = None,
    in_time: InTime | None = None,
    learning_curve: bool = False,
    jobs: int = 1,
    cache: str | Path | None = None,
    on_row: Callable[[str], None] | None = None,
    progress: str | None = None,
) -> Comparison:
    """Train every network with every seed and the baselines, all on the same splits, and judge them.

    networks: name -> estimator, all of one task. inputs, targets, static: as `fit`; a `Dataset` brings its split.
    seeds: how often each network is trained; the k-th time with its own seed + k.
    baselines: "auto" (what takes a moment, and of the rest no more than the networks take), "all", "none", names.
    split: name of part -> row numbers; None: the data's own, else stratified by `shares`.
    folds: above 1, that many folds in which every sequence is tested once; the data's own split is not used.
    groups: (S,) equal values (a speaker, a device) never stand in two parts, and are the unit of the tests.
    in_time: with folds above 1, `recurra.evaluation.folding.InTime`: folds in time order, "expanding", "rolling" or
        "blocked"; blocks of neighbours in time are the unit of the tests.
    learning_curve: whether the winner and the baselines are also trained on parts of the training split.
    jobs: processes that train at once. cache: folder that keeps every run, from which a comparison that was
        stopped goes on; None: none. on_row: told in words what is being done.

    The best network is chosen on validation; the test split is scored once per seed, and every seed is reported.
    """
    _task(networks)
    given = materials(inputs, targets, static)
    if given.targets is None:
        raise InputError("targets must be given: one per sequence")
    if folds > 1 and split is not None:
        raise InputError("split has no effect with folds above 1; leave one of them out")
    if folds > 1:
        splits, note = k_splits(
            given, folds, validation=shares[1], seed=split_seed, groups=groups, in_time=in_time
        )
    elif in_time is not None:
        raise InputError("in_time has no effect without folds above 1; give folds, or a split by time")
    else:
        splits, note = one_split(given, split=split, shares=shares, seed=split_seed, groups=groups)
    return compare_parts(
        networks,
        [parts_of(given, one) for one in splits],
        units=units_of(groups, splits, in_time),
        seeds=seeds,
        baselines=baselines,
        notes=(note,),
        learning_curve=learning_curve,
        jobs=jobs,
        cache=cache,
        on_row=on_row,
        progress=progress,
    )


def compare_parts(
    networks: Mapping[str, SequenceEstimator],
    parts: Parts | Sequence[Parts],
    *,
    units: Array | None = None,
    seeds: int = 3,
    baselines: Any = "auto",
    notes: tuple[str, ...] = (),
    learning_curve: bool = False,
    jobs: int = 1,
    cache: str | Path | None = None,
    on_row: Callable[[str], None] | None = None,
    progress: str | None = None,
) -> Comparison:
    """As `compare`, on parts "train", "validation" and "test" that are divided already, or such parts per fold.

    units: (S,) number of the group of each test sequence, of all folds in order; None: each is its own unit.
    """
    _task(networks)
    if seeds < 1:
        raise InputError(f"seeds must be at least 1, got {seeds}; usual: 3-5")
    folds = [parts] if isinstance(parts, Mapping) else list(parts)
    say = on_row or (lambda _: None)
    say("split: " + ", ".join(f"{len(folds[0][name])} {name}" for name in PARTS))
    asked = next(iter(networks.values()))
    blanks = [blank(asked, fold) for fold in folds]
    setting = setting_of(asked, blanks[0])
    chosen = choose(
        baselines,
        setting,
        folds[0]["train"].kind,
        sizes=_sizes(folds[0], blanks[0]),
        networks=len(networks),
        seeds=seeds,
        folds=len(folds),
    )
    for note in chosen.notes:
        say(note)
    planned = _planned(networks, chosen.seeds, len(folds), seeds)
    store = None if cache is None else RunStore(cache)
    grid = Grid(folds=folds, execute=execute, store=store, jobs=jobs, say=on_row, progress=progress)
    runs = grid.alone(grid.run(planned), planned)
    question = question_of(blanks[0])
    coded = [
        {part: empty.coded(fold[part]) for part in PARTS} for empty, fold in zip(blanks, folds, strict=True)
    ]
    rows = _rows(networks, runs, question, units, coded)
    made = _concluded(question, rows, folds, coded, units, (*notes, *chosen.notes), runs)
    if learning_curve:
        wanted = [job for job in planned if job.kind == "baseline" or job.row == made.winner]
        made = replace(made, curve=curve_of(grid, wanted, question.judge, units))
    return replace(made, trained=grid.trained)


def _task(networks: Mapping[str, SequenceEstimator]) -> str:
    if not networks:
        raise InputError("networks must name at least one estimator, got none")
    for name in networks:
        if name in BASELINES:
            raise InputError(
                f"a network must not be named as a baseline is, got {name!r}; choose another name"
            )
    tasks = {estimator.task for estimator in networks.values()}
    if len(tasks) > 1:
        raise InputError(f"networks must all be of one task, got {', '.join(sorted(tasks))}")
    return tasks.pop()


def _sizes(parts: Parts, empty: SequenceEstimator) -> Sizes:
    limit = empty.training_.sequence_length
    lengths = empty.encode_materials(parts["train"]).lengths
    lengths = lengths if limit is None else np.minimum(lengths, limit)
    return Sizes(
        train=len(parts["train"]),
        others=len(parts["validation"]) + len(parts["test"]),
        mean=float(lengths.mean()) if len(lengths) else 0.0,
        longest=int(lengths.max(initial=1)),
    )


def _planned(
    networks: Mapping[str, SequenceEstimator], baselines: Mapping[str, int], folds: int, seeds: int
) -> list[Job]:
    """Every run: the networks first, which take longest, then the baselines with their numbers of seeds."""
    asked = next(iter(networks.values()))
    first = {name: 0 if made.training is None else made.training.seed for name, made in networks.items()}
    begin = next(iter(first.values()))
    jobs = [
        Job(row=name, kind="recurrent", fold=fold, seed=first[name] + k, estimator=made)
        for name, made in networks.items()
        for fold in range(folds)
        for k in range(seeds)
    ]
    return jobs + [
        Job(row=name, kind="baseline", fold=fold, seed=begin + k, estimator=asked)
        for name, often in baselines.items()
        for fold in range(folds)
        for k in range(often)
    ]


def _rows(
    networks: Mapping[str, SequenceEstimator],
    runs: Sequence[Run],
    question: Question,
    units: Array | None,
    coded: Sequence[Mapping[str, Array]],
) -> list[Entry]:
    by: dict[str, list[Run]] = {}
    for run in runs:
        by.setdefault(run.row, []).append(run)
    asked = next(iter(networks.values()))
    rows = [entry(of, question.judge, units, networks.get(name, asked)) for name, of in by.items()]
    winner = _best(rows, question.judge)
    together = ensemble(by[winner.name], winner, question, coded)
    if together is not None:
        rows.insert(len(networks), together)
    return rows


def _best(rows: Sequence[Entry], judge: Judge) -> Entry:
    """The recurrent row that is best on validation; an ensemble is no candidate."""
    candidates = [row for row in rows if row.kind == "recurrent" and row.members == 1]
    return max(candidates, key=lambda row: judge.sign * row.validation[judge.score])


def _concluded(
    question: Question,
    rows: Sequence[Entry],
    folds: Sequence[Parts],
    coded: Sequence[Mapping[str, Array]],
    units: Array | None,
    notes: tuple[str, ...],
    runs: Sequence[Run],
) -> Comparison:
    judge = question.judge
    winner = _best(rows, judge)
    others = [row for row in rows if row.kind == "baseline"]
    found = adjusted([_second_opinion(winner, row, folds) for row in others])
    said = runs[0].notes
    return Comparison(
        task=question.task,
        judge=judge,
        rows=tuple(rows),
        winner=winner.name,
        differences=found,
        verdict=verdict(winner.name, found, judge, {row.name: BASELINES[row.name].neural for row in others}),
        sizes={name: len(folds[0][name]) for name in PARTS},
        notes=(*notes, *said),
        parts=dict(folds[0]),
        coded=coded[0]["test"],
        folds=len(folds),
    )


def _second_opinion(winner: Entry, row: Entry, folds: Sequence[Parts]) -> Difference:
    """The paired test over sequences, and beside it the corrected t-test over folds where there are several."""
    found = difference(winner.evidence, row.evidence, row.name)
    if len(folds) < 2:
        return found
    sign = winner.evidence.judge.sign
    sizes = [float(np.mean([len(parts[name]) for parts in folds])) for name in ("train", "test")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MetricWarning)
        over = corrected_resampled_t(
            sign * np.asarray(winner.fold_scores),
            sign * np.asarray(row.fold_scores),
            train_size=sizes[0],
            test_size=sizes[1],
        )
    return replace(found, fold_p=over.p)
