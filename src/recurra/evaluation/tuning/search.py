"""The search: Optuna's draws, each scored on folds inside of the training data, kept in SQLite."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from recurra.data.folds import grouped_folds, stratified_folds
from recurra.errors import DivergedError, InputError, Interrupted, MemoryBudgetError, missing_extra
from recurra.evaluation.runs import Job, Parts, blank, question_of
from recurra.evaluation.store import data_fingerprint, run_fingerprint
from recurra.evaluation.tuning.space import Space, applied, as_asked, default_space, suggested
from recurra.metrics.regression import finite_or_none
from recurra.ragged import Ragged
from recurra.spec import FEWEST_EPOCHS, Training
from recurra.storage import FolderLock
from recurra.tasks.estimator import SequenceEstimator
from recurra.tasks.materials import Materials
from recurra.training.callbacks import Callback, EpochEvent

STUDY = "study.db"
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One draw: its options, its state ("complete", "pruned" or "failed"), its score and loss over the folds.

    seconds: it took; asked: whether these are the options that the search was started with.
    """

    number: int
    options: Mapping[str, Any]
    state: str
    score: float | None
    loss: float | None
    seconds: float
    asked: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "number": self.number,
            "options": dict(self.options),
            "state": self.state,
            "score": self.score,
            "loss": self.loss,
            "seconds": round(self.seconds, 3),
            "asked": self.asked,
        }


@dataclass(frozen=True, kw_only=True)
class Search:
    """What a search found. best: the trial with the best score, of equal ones that with the lowest loss.

    score: which one is searched by; estimator: with the best options, not fitted; resumed: trials that were there
    already.
    """

    score: str
    trials: tuple[TrialRecord, ...]
    best: TrialRecord
    estimator: SequenceEstimator
    resumed: int

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "score": self.score,
            "best": self.best.to_dict(),
            "trials": [trial.to_dict() for trial in self.trials],
            "resumed": self.resumed,
        }


def tune(
    estimator: SequenceEstimator,
    parts: Parts,
    folder: str | Path,
    *,
    trials: int = 30,
    folds: int = 3,
    groups: Any = None,
    space: Space | None = None,
    minutes: float | None = None,
    seed: int = 0,
    on_trial: Say | None = None,
) -> Search:
    """Search for better options of an estimator, never looking at the test split.

    parts: "train" and "validation", which are joined and divided again: every draw is trained on each of `folds`
    inner folds and scored on what that fold leaves out (its best epoch, as early stopping has it); with folds=1 on
    "train" and "validation" as they are. groups: of the joined sequences; never in two parts of a fold.
    folder: where the search is kept (SQLite); started again with the same data, options and space it goes on, and a
        draw that was cut short is made again.
    trials: in all, those of earlier sittings counted, and the options as asked, which are scored first. space: see
        `default_space`. minutes: no draw is begun after so long.
    A draw is pruned where, after a quarter of its epochs of the first fold, its score is below the median of the
    earlier ones at the same epoch.
    """
    if trials < 1 or folds < 1:
        raise InputError(f"trials and folds must be at least 1, got {trials} and {folds}; usual: 30 and 3")
    chosen = default_space() if space is None else dict(space)
    inner = _inner(parts, folds, groups, seed)
    empty = blank(estimator, inner[0])
    judge = question_of(empty).judge
    say = on_trial or (lambda _: None)
    Path(folder).mkdir(parents=True, exist_ok=True)
    with FolderLock(folder):
        study = _study(Path(folder), _name(estimator, inner, chosen), judge.rises, estimator, seed)
        before = _prepared(study)
        if before:
            say(f"{before} of {trials} trials are there already")
        begin = time.monotonic()
        try:
            if "asked" not in study.user_attrs:
                _as_asked(study, estimator, chosen, inner, judge.score, say)
            while len(_records(study)) < trials:
                if minutes is not None and time.monotonic() - begin > 60 * minutes:
                    say(f"stopped after {minutes:g} minutes with {len(_records(study))} of {trials} trials")
                    break
                _one(study, estimator, chosen, inner, judge.score, say)
        except Interrupted as stop:
            kept = f"{len(_records(study))} of {trials} trials are kept in {folder}"
            raise Interrupted(
                f"stopped; {kept}, the same command goes on from there", stop.exit_code
            ) from None
        records = _records(study)
    return _found(records, estimator, judge.score, judge.sign, before)


def _inner(parts: Parts, folds: int, groups: Any, seed: int) -> list[Parts]:
    train, held = parts["train"], parts["validation"]
    if folds == 1:
        return [{"train": train, "validation": held, "test": held}]
    whole = joined(train, held)
    made = (
        stratified_folds(whole.targets, folds, seed)
        if groups is None
        else grouped_folds(list(groups), folds, seed)
    )
    return [
        {
            "train": whole.select(fold.train),
            "validation": whole.select(fold.test),
            "test": whole.select(fold.test),
        }
        for fold in made
    ]


def joined(first: Materials, second: Materials) -> Materials:
    """Two parts of the same data as one."""
    inputs: Any = [*first.inputs, *second.inputs] if isinstance(first.inputs, list) else None
    if inputs is None:
        a, b = first.inputs, second.inputs
        inputs = Ragged(
            values=np.concatenate([a.values, b.values]),
            offsets=np.concatenate([a.offsets, b.offsets[1:] + a.offsets[-1]]),
            columns={name: np.concatenate([column, b.columns[name]]) for name, column in a.columns.items()},
        )

    def both(one: Any, other: Any) -> Any:
        if one is None or other is None:
            return None
        return np.concatenate([one, other]) if isinstance(one, np.ndarray) else [*one, *other]

    return replace(
        first,
        inputs=inputs,
        targets=both(first.targets, second.targets),
        static=both(first.static, second.static),
        weights=both(first.weights, second.weights),
        split=None,
    )


def _name(estimator: SequenceEstimator, inner: list[Parts], space: Space) -> str:
    """The fingerprint of what is searched: other data, options, space or code are another search."""
    seed = 0 if estimator.training is None else estimator.training.seed
    job = Job(row="search", kind="recurrent", fold=0, seed=seed, estimator=estimator)
    return run_fingerprint(
        job, "".join(data_fingerprint(parts) for parts in inner) + repr(sorted(space.items()))
    )


def _study(folder: Path, name: str, rises: bool, estimator: SequenceEstimator, seed: int) -> Any:
    try:
        import optuna
    except ImportError:
        raise missing_extra("Optuna", "tune", "a search for options") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    training = estimator.training or estimator.default("training")
    assert isinstance(training, Training)
    epochs = FEWEST_EPOCHS if training.epochs == "auto" else training.passes
    return optuna.create_study(
        storage=f"sqlite:///{(folder / STUDY).resolve()}",
        study_name=name[:32],
        direction="maximize" if rises else "minimize",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=max(1, epochs // 4)),
    )


def _prepared(study: Any) -> int:
    """Queue again what was cut short; return how many draws are there, the options as asked among them."""
    from optuna.samplers import TPESampler
    from optuna.trial import TrialState

    cut = [trial for trial in study.trials if trial.state == TrialState.RUNNING]
    for trial in cut:
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)
    before = len(_records(study))
    # A sampler that began with the same seed again would repeat its first draws.
    study.sampler = TPESampler(seed=before + len(cut))
    return before


def _records(study: Any) -> tuple[TrialRecord, ...]:
    """What has an outcome: the options as asked, and every draw that was not cut short."""
    kept = [study.user_attrs["asked"]] if "asked" in study.user_attrs else []
    kept += [
        t.user_attrs["record"] for t in study.trials if t.state.is_finished() and "record" in t.user_attrs
    ]
    return tuple(TrialRecord(**record) for record in kept)


def _as_asked(
    study: Any, estimator: SequenceEstimator, space: Space, inner: list[Parts], score: str, say: Say
) -> None:
    """Score the options that were asked for; they may lie outside of the space, so they are no draw from it."""
    record = _scored(estimator, inner, score, None, number=0, options=as_asked(estimator, space), asked=True)
    study.set_user_attr("asked", asdict(record))
    _tell(record, score, say)


def _one(
    study: Any, estimator: SequenceEstimator, space: Space, inner: list[Parts], score: str, say: Say
) -> None:
    """Draw, train on every fold, tell."""
    from optuna.trial import TrialState

    trial = study.ask()
    options = suggested(trial, space)
    made = applied(estimator, options)
    record = _scored(made, inner, score, trial, number=trial.number + 1, options=options)
    trial.set_user_attr("record", asdict(record))
    if record.score is not None and np.isfinite(record.score):
        study.tell(trial, record.score)
    else:
        study.tell(trial, state=TrialState.PRUNED if record.state == "pruned" else TrialState.FAIL)
    _tell(record, score, say)


def _scored(
    made: SequenceEstimator, inner: list[Parts], score: str, trial: Any, **described: Any
) -> TrialRecord:
    """Train on each fold; the first one may be pruned where `trial` is there to ask."""
    begin = time.monotonic()
    scores, losses, state = [], [], "complete"
    try:
        for place, parts in enumerate(inner):
            watch = [_Pruning(trial, score)] if place == 0 and trial is not None else []
            value, loss = _trained(made, parts, watch, score)
            if watch and watch[0].pruned:
                state = "pruned"
                break
            scores.append(value)
            losses.append(loss)
    except (DivergedError, MemoryBudgetError):
        state = "failed"
    whole = state == "complete" and bool(np.isfinite(scores).all())
    return TrialRecord(
        **described,
        state=state if whole or state != "complete" else "failed",
        score=float(np.mean(scores)) if whole else None,
        loss=finite_or_none(float(np.mean(losses))) if whole else None,
        seconds=time.monotonic() - begin,
    )


def _tell(record: TrialRecord, score: str, say: Say) -> None:
    shown = "" if record.score is None else f", {score} {record.score:.4f}"
    name = "as asked" if record.asked else f"draw {record.number}"
    say(f"{name}: {record.state}{shown} in {record.seconds:.1f} s; {_words(record.options)}")


class _Pruning(Callback):
    """Tells Optuna the score of every epoch, and stops where it says so."""

    def __init__(self, trial: Any, score: str) -> None:
        self._trial, self._score = trial, score
        self.pruned = False

    def on_epoch(self, event: EpochEvent) -> bool | None:
        value = event.scores.get(self._score)
        if value is None or not np.isfinite(value):
            return None
        self._trial.report(float(value), event.epoch)
        self.pruned = bool(self._trial.should_prune())
        return self.pruned


def _trained(
    estimator: SequenceEstimator, parts: Parts, callbacks: list[_Pruning], score: str
) -> tuple[float, float]:
    """The score and the loss of one fold, of the weights that are best there."""
    model = type(estimator)(**estimator.get_params(deep=False))
    train, held = parts["train"], parts["validation"]
    model.fit(
        train.inputs,
        train.targets,
        static=train.static,
        validation_data=(held.inputs, held.targets, held.static),
        callbacks=callbacks,
    )
    records = [record for record in model.history_.epochs if record.get("best")]
    last = records[-1] if records else {}
    value, loss = last.get(f"validation_{score}"), last.get("validation_loss")
    return float("nan") if value is None else float(value), float("nan") if loss is None else float(loss)


def _found(
    records: tuple[TrialRecord, ...], estimator: SequenceEstimator, score: str, sign: float, before: int
) -> Search:
    complete = [r for r in records if r.score is not None and np.isfinite(r.score)]
    if not complete:
        raise InputError("no trial of the search came to an end; give it more trials, or smaller options")
    best = max(complete, key=lambda r: (sign * float(r.score or 0.0), -_loss(r), -r.number))
    made = estimator if best.asked else applied(estimator, best.options)
    return Search(score=score, trials=records, best=best, estimator=made, resumed=before)


def _loss(record: TrialRecord) -> float:
    return float("inf") if record.loss is None or not np.isfinite(record.loss) else record.loss


def _words(options: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name.partition('.')[2]} {value:.3g}"
        if isinstance(value, float)
        else f"{name.partition('.')[2]} {value}"
        for name, value in options.items()
    )
