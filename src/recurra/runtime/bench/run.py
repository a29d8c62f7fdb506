"""Runs cases: every engine's answer is compared first, then the equal ones are timed in turns."""

from __future__ import annotations

import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from recurra import kernels
from recurra.runtime.bench import timing
from recurra.runtime.bench.answer import TOLERANCES, Answer, UnequalError, assert_equal
from recurra.runtime.bench.case import Case
from recurra.runtime.bench.engines import ENGINES, OURS, LeftOutError, Prepared, prepare, takes_part
from recurra.runtime.bench.peak import Peaks
from recurra.runtime.bench.problem import Problem


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One engine on one case: milliseconds of one unit of work, and how far its answer is from ours in float32.

    ms: the median over the turns; fastest_ms: the fastest turn; peak: GF/s of the FMA loop, the median of
    measurements between the turns, since neighbours on the same processor may halve what it gives.
    """

    case: Case
    engine: str
    ms: float
    fastest_ms: float
    difference: float
    tolerance: float
    compared: bool
    note: str = ""
    peak: float | None = None

    @property
    def gflops(self) -> float:
        """Arithmetic of the case over the time."""
        return self.case.flops / self.ms / 1e6


@dataclass(kw_only=True)
class Outcome:
    """What a run found: rows, the peaks they are measured by, who was left out and who was wrong."""

    peaks: Peaks
    rows: list[Timed] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    unequal: list[str] = field(default_factory=list)
    not_reached: int = 0
    seconds: float = 0.0
    load: tuple[float, float] = (0.0, 0.0)

    def rows_of(self, case: Case) -> list[Timed]:
        """The engines that were timed on a case."""
        return [row for row in self.rows if row.case == case]

    def best_peer(self, case: Case) -> Timed | None:
        """The fastest engine that is not ours."""
        peers = [row for row in self.rows_of(case) if row.engine != OURS]
        return min(peers, key=lambda row: row.ms, default=None)

    def fraction(self, row: Timed) -> float | None:
        """GF/s as a share of the float32 FMA peak, with the same number of threads, measured between the turns."""
        return None if row.peak is None else row.gflops / row.peak

    def ratio(self, row: Timed) -> float | None:
        """How many times our time fits into this engine's; for ours: how many times it fits into the best peer's."""
        ours = next((each for each in self.rows_of(row.case) if each.engine == OURS), None)
        other = self.best_peer(row.case) if row.engine == OURS else row
        return None if ours is None or other is None else other.ms / ours.ms

    def slowed(self, engine: str) -> tuple[float, str] | None:
        """How many times as long subnormal numbers take an engine at most, and where; None where not measured."""
        usual = {row.case: row.ms for row in self.rows if row.engine == engine}
        found = [
            (row.ms / usual[twin], row.case.label)
            for row in self.rows
            if row.engine == engine and row.case.numbers != "normal"
            for twin in [replace(row.case, numbers="normal")]
            if twin in usual
        ]
        return max(found, default=None)

    def leave_out(self, sentence: str, case: Case) -> None:
        """Note who took no part, and where."""
        self.left_out.setdefault(sentence, []).append(case.label)


def bench(
    cases: Sequence[Case],
    engines: Sequence[str] = tuple(ENGINES),
    *,
    seconds: float = 6.0,
    minutes: float | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Measure engines on cases.

    seconds: about how long the timing of one case takes, after the preparing; minutes: no case is begun after
    so long. say: told a line per case.
    """
    begin = time.monotonic()
    outcome = Outcome(peaks=Peaks(case.threads for case in cases))
    before = load_average()
    with as_it_was():
        outcome.peaks.measure()
        for place, case in enumerate(cases):
            if minutes is not None and time.monotonic() - begin > 60 * minutes:
                outcome.not_reached = len(cases) - place
                break
            measure(case, engines, outcome, seconds)
            say(f"[{place + 1}/{len(cases)}] {case.label}: {_line(outcome, case)}")
        outcome.peaks.measure()
    outcome.seconds = time.monotonic() - begin
    outcome.load = (before, load_average())
    return outcome


def measure(case: Case, engines: Sequence[str], outcome: Outcome, seconds: float) -> None:
    """Compare, then time, the engines on one case."""
    problem, tolerance = Problem(case), TOLERANCES[case.dtype, case.mode]
    expected = _expected(problem)
    ready: dict[str, Prepared] = {}
    gaps: dict[str, float] = {}
    for engine in engines:
        if not takes_part(engine, case.mode):
            continue
        try:
            made = prepare(engine, problem)
            found = made.answer(made.run())
            gaps[engine] = assert_equal(engine, found, expected, tolerance)
            ready[engine] = made
        except LeftOutError as reason:
            outcome.leave_out(str(reason), case)
        except UnequalError as error:
            outcome.unequal.append(f"{case.label}: {error}")
        except Exception as error:
            if engine == OURS:
                raise
            outcome.leave_out(
                f"{engine} failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}", case
            )
    peaks: list[float] = []

    def each_round() -> None:
        found = outcome.peaks.between(case.threads)
        if found is not None:
            peaks.append(found)

    times = timing.interleaved({name: made.run for name, made in ready.items()}, seconds, each_round)
    peak = statistics.median(peaks) if peaks else None
    compared = case.dtype != "float32" or len(ready) > 1
    for name, made in ready.items():
        outcome.rows.append(
            Timed(case=case, engine=name, ms=1e3 * times[name].median / made.per_run,
                  fastest_ms=1e3 * times[name].fastest / made.per_run, difference=gaps[name],
                  tolerance=tolerance, compared=compared, note=made.note, peak=peak)
        )  # fmt: skip


def _expected(problem: Problem) -> Answer:
    """Our own answer in float32, from which every other may differ by the tolerance at most."""
    exact = problem if problem.case.dtype == "float32" else Problem(replace(problem.case, dtype="float32"))
    made = prepare(OURS, exact)
    return {name: array.copy() for name, array in made.answer(made.run()).items()}


def _line(outcome: Outcome, case: Case) -> str:
    rows = sorted(outcome.rows_of(case), key=lambda row: row.ms)
    return ", ".join(f"{row.engine} {row.ms:.4g} ms" for row in rows) or "nobody takes part"


def load_average() -> float:
    """Of the last minute; 0 where the system does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


@contextmanager
def as_it_was() -> Iterator[None]:
    """Threads of both sides as they were; warnings of peers are theirs."""
    held = kernels.get_num_threads()
    torch: Any = sys.modules.get("torch")
    theirs = torch.get_num_threads() if torch else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        kernels.set_num_threads(held)
        torch = sys.modules.get("torch")
        if torch is not None and theirs is not None:
            torch.set_num_threads(theirs)
