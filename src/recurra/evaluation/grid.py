"""All runs of a comparison: those that are kept are taken as they are, the others are trained, some at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from recurra.errors import InputError, Interrupted, RecurraError
from recurra.evaluation.board import Board
from recurra.evaluation.runs import Job, Run
from recurra.evaluation.store import RunStore, data_fingerprint, run_fingerprint
from recurra.training.progress import duration

Say = Callable[[str], None]
Execute = Callable[..., Run]
"""Of a `Job` and the parts of its fold; told whether it runs `alone`, and of a listener to its `progress`."""


@dataclass(kw_only=True)
class Grid:
    """Executes jobs.

    folds: the parts of each fold. store: where runs are kept; None: nowhere. jobs: processes; 1: this one.
    execute: what trains and scores one run.
    say: told of every run in a line; progress: "bar" draws a `Board` on standard error, with these lines above it.
    """

    folds: Sequence[Mapping[str, Any]]
    execute: Execute
    store: RunStore | None = None
    jobs: int = 1
    say: Say | None = None
    progress: str | None = None

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise InputError(
                f"jobs must be at least 1, got {self.jobs}; use as many as the machine has cores"
            )
        self._data = [data_fingerprint(parts) for parts in self.folds] if self.store else []
        self.trained = 0
        self._board: Board | None = None

    def run(self, jobs: Sequence[Job]) -> list[Run]:
        """Every job's run, in order; what is in the store already is not done again."""
        found: dict[int, Run] = {}
        for place, job in enumerate(jobs):
            kept = self._kept(job)
            if kept is not None:
                found[place] = kept
        if found:
            self._say(f"{len(found)} of {len(jobs)} runs are there already")
        left = [place for place in range(len(jobs)) if place not in found]
        begin = time.monotonic()
        try:
            with self._shown(len(jobs), len(found)):
                for count, (place, run) in enumerate(self._executed(left, jobs), 1):
                    found[place] = run
                    self.trained += 1
                    remaining = (time.monotonic() - begin) / count * (len(left) - count)
                    done = f"[{len(found)}/{len(jobs)}]"
                    self._say(f"{done} {jobs[place].words}: {_result(run)}; left about {duration(remaining)}")
                    if self._board is not None:
                        self._board.end()
        except Interrupted as stop:
            raise Interrupted(self._stopped(len(found), len(jobs)), stop.exit_code) from None
        return [found[place] for place in range(len(jobs))]

    def _shown(self, runs: int, done: int) -> ExitStack:
        """While entered, a board is drawn, if one was asked for and something is left to do."""
        stack = ExitStack()
        if self.progress == "bar" and done < runs:
            self._board = stack.enter_context(Board(runs, done))
            stack.callback(setattr, self, "_board", None)
        return stack

    def alone(self, runs: Sequence[Run], jobs: Sequence[Job]) -> list[Run]:
        """The same runs, each row's first one timed again by itself where it was timed beside others.

        The second training must give what the first gave; a recurrent network that answers otherwise breaks the
        promise of equal bits, and that is an error.
        """
        made, seen = list(runs), set()
        for place, (run, job) in enumerate(zip(runs, jobs, strict=True)):
            if (job.row, job.share) in seen or job.share != 1.0:
                continue
            seen.add((job.row, job.share))
            if run.alone:
                continue
            self._say(f"{job.words}: timed again, by itself")
            again = self._done(job, self.execute(job, self.folds[job.fold], alone=True))
            if job.kind == "recurrent" and not (again.test == run.test).all():
                raise RecurraError(
                    f"{job.words} gave other answers when it was trained again; that is a fault"
                )
            made[place] = again
        return made

    def _stopped(self, done: int, jobs: int) -> str:
        if self.store is None:
            return f"stopped after {done} of {jobs} runs; none is kept, as no cache was given"
        return f"stopped; {done} of {jobs} runs are kept in {self.store.folder}, the same command goes on from there"

    def _executed(self, places: Sequence[int], jobs: Sequence[Job]) -> Iterator[tuple[int, Run]]:
        if self.jobs == 1 or len(places) < 2:
            for place in places:
                job = jobs[place]
                listener = None if self._board is None else self._board.begin(job.words)
                run = self.execute(job, self.folds[job.fold], alone=True, progress=listener)
                yield place, self._done(job, run)
            return
        yield from self._beside_each_other(places, jobs)

    def _beside_each_other(self, places: Sequence[int], jobs: Sequence[Job]) -> Iterable[tuple[int, Run]]:
        from joblib import Parallel, delayed

        tasks = (
            delayed(_worked)(
                self.execute,
                place,
                jobs[place],
                self.folds[jobs[place].fold],
                self.store,
                self._key(jobs[place]),
            )
            for place in places
        )
        # The longest first would be better still; the order given has the networks, which are, before baselines.
        found: Iterable[tuple[int, Run]] = Parallel(
            n_jobs=min(self.jobs, len(places)), return_as="generator_unordered", max_nbytes=None
        )(tasks)
        return found

    def _kept(self, job: Job) -> Run | None:
        return None if self.store is None else self.store.load(job, self._key(job))

    def _done(self, job: Job, run: Run) -> Run:
        return run if self.store is None else self.store.save(job, self._key(job), run)

    def _key(self, job: Job) -> str:
        return run_fingerprint(job, self._data[job.fold]) if self._data else ""

    def _say(self, line: str) -> None:
        if self._board is not None:
            self._board.say(line)
        elif self.say is not None:
            self.say(line)


def _worked(
    execute: Execute, place: int, job: Job, parts: Mapping[str, Any], store: RunStore | None, key: str
) -> tuple[int, Run]:
    """In another process: train, keep, and hand back."""
    run = execute(job, parts, alone=False)
    # A model that is on disk need not come back through the pipe.
    return place, run if store is None else replace(store.save(job, key, run), model=None)


def _result(run: Run) -> str:
    name, value = next(iter(_main(run.scores["test"]).items()))
    return f"{name} {value:.4f} in {run.seconds:.1f} s"


def _main(scores: Mapping[str, Any]) -> dict[str, float]:
    names = [name for name in ("accuracy", "f1_micro", "rmse") if name in scores] or list(scores)[:1]
    return {names[0]: float(scores[names[0]])}
