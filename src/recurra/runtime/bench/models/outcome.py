"""What was measured of a model, and who wins for a case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from recurra.errors import SpecError, nearest

STREAM = "stream"

CASES = ("latency", "throughput", "stream", "size")
"""What a user may care for most: one sequence at a time, many at once, step by step, room on disk."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One engine in one precision on one size of batch, or on steps of a stream.

    p50_ms, p99_ms: of a call (a batch; a step with its answer), over `calls` calls; per_second: sequences, or
    steps; megabytes: on disk; cold_start_ms, rss_mb: None where no fresh process could be started; difference: of
    the answers from Recurra's in float32, in probability or in standard deviations of the targets.
    """

    engine: str
    precision: str
    batch: int | str
    p50_ms: float
    p99_ms: float
    per_second: float
    megabytes: float
    cold_start_ms: float | None
    rss_mb: float | None
    calls: int
    difference: float

    @property
    def name(self) -> str:
        """Engine and precision."""
        return f"{self.engine} {self.precision}"


@dataclass(frozen=True, kw_only=True)
class Winner:
    """The best for a case, why, and the best whose answers are those of float32."""

    case: str
    engine: str
    precision: str
    batch: int | str
    reason: str
    exact: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """All rows; differences and what is allowed, by engine and precision; who is missing and why."""

    rows: Sequence[Row]
    tolerances: Mapping[str, float]
    differences: Mapping[str, float]
    threads: int
    lengths: tuple[int, float, int]
    made: bool
    notes: Sequence[str] = field(default_factory=list)
    unequal: Sequence[str] = field(default_factory=list)
    starts: int = 0
    seconds: float = 0.0


def checked_case(case: str) -> str:
    """The name of a case; raises SpecError."""
    if case not in CASES:
        raise SpecError(f"--for must be one of {', '.join(CASES)}, got {case!r}{nearest(case, CASES)}")
    return case


def winner(outcome: Outcome, case: str) -> Winner:
    """Who wins for a case; raises SpecError where no row belongs to it."""
    rows = _of_case(outcome, checked_case(case))
    if not rows:
        raise SpecError(
            "nobody steps through a bidirectional model, which reads from the end; choose another --for"
        )
    ranked = sorted(rows, key=lambda row: _cost(row, case))
    best = ranked[0]
    others = [row for row in ranked if row.name != best.name]
    reason = _said(best, case)
    if others:
        reason += f"; next {others[0].name}, {_said(others[0], case)}"
    if best.precision != "float32":
        reason += f"; its answers are off by up to {best.difference:.1e}: score it with recurra quantize"
    exact = next((row.name for row in ranked if row.precision == "float32"), best.name)
    return Winner(
        case=case, engine=best.engine, precision=best.precision, batch=best.batch, reason=reason, exact=exact
    )


def _of_case(outcome: Outcome, case: str) -> list[Row]:
    if case == "stream":
        return [row for row in outcome.rows if row.batch == STREAM]
    whole = [row for row in outcome.rows if row.batch != STREAM]
    smallest = min((row.batch for row in whole), key=int, default=None)
    return whole if case == "throughput" else [row for row in whole if row.batch == smallest]


def _cost(row: Row, case: str) -> tuple[float, float]:
    if case == "size":
        return row.megabytes, row.p50_ms
    return (-row.per_second if case == "throughput" else row.p50_ms), row.megabytes


def _said(row: Row, case: str) -> str:
    if case == "size":
        return f"{row.megabytes:.3f} MB"
    if case == "throughput":
        return f"{row.per_second:,.0f} sequences a second in batches of {row.batch}"
    return f"{row.p50_ms:.3g} ms a {'step' if case == 'stream' else 'sequence'}"
