"""An outcome as JSON, as a table for a terminal, and in sentences."""

from __future__ import annotations

from typing import Any

from recurra.runtime.bench.case import Case
from recurra.runtime.bench.engines import ENGINES, OURS
from recurra.runtime.bench.run import Outcome, Timed


def to_json(outcome: Outcome) -> dict[str, Any]:
    """The record that `--json` prints.

    peak_gflops is the float32 FMA peak with the most threads measured, the highest seen, peaks by number of
    threads; a row's fraction_of_peak is of the peak measured between the turns of its case, which checks tell.
    checks: besides, how far each answer was from ours in float32, and the fastest turn.
    """
    return {
        "peak_gflops": outcome.peaks.highest,
        "rows": [_row(outcome, row) for row in outcome.rows],
        "peaks": {str(count): outcome.peaks.of(count) for count in outcome.peaks.threads},
        "checks": [_check(row) for row in outcome.rows],
        "notes": sentences(outcome),
        "unequal": outcome.unequal,
        "seconds": round(outcome.seconds, 1),
        "load": list(outcome.load),
    }


def _row(outcome: Outcome, row: Timed) -> dict[str, Any]:
    fraction = outcome.fraction(row)
    return {
        **row.case.to_dict(),
        "engine": row.engine,
        "ms": row.ms,
        "gflops": row.gflops,
        "fraction_of_peak": fraction,
    }


def _check(row: Timed) -> dict[str, Any]:
    return {
        "case": row.case.label,
        "engine": row.engine,
        "difference": row.difference,
        "tolerance": row.tolerance,
        "fastest_ms": row.fastest_ms,
        "peak_gflops": row.peak,
    }


def sentences(outcome: Outcome) -> list[str]:
    """What a reader of the figures must know besides."""
    notes = [f"{reason} ({_where(cases)})" for reason, cases in outcome.left_out.items()]
    notes += _precision_notes(outcome)
    slowed = {engine: found for engine in ENGINES if (found := outcome.slowed(engine)) is not None}
    if slowed:
        told = ", ".join(f"{engine} {times:.2f} times ({where})" for engine, (times, where) in slowed.items())
        notes.append(f"subnormal numbers take, of what usual ones take, at most: {told}")
    alone = [row.case.label for row in outcome.rows if not row.compared]
    if alone:
        notes.append(f"no peer took part in {_where(alone)}: nothing to compare with")
    if outcome.peaks.highest is None:
        notes.append("the peak needs the native kernels, which were not built: no fraction of it is given")
    elif outcome.peaks.spread > 0.1:
        notes.append(
            f"the FMA peak varied by {outcome.peaks.spread:.0%} during the run: the machine was not quiet"
        )
    busiest, threads = max(outcome.load), max(outcome.peaks.threads, default=1)
    if busiest > threads + 0.7:
        notes.append(
            f"the load average was {busiest:.1f}: other work ran at the same time, so these times are no measure"
        )
    if outcome.not_reached:
        notes.append(f"{outcome.not_reached} cases were not reached in the time given")
    return notes


def _precision_notes(outcome: Outcome) -> list[str]:
    found: dict[str, list[str]] = {}
    for row in outcome.rows:
        if row.note and row.case.dtype != "float32":
            found.setdefault(f"{row.engine} in {row.case.dtype}: {row.note}", []).append(row.case.label)
    return [f"{note} ({_where(cases)})" for note, cases in found.items()]


def _where(cases: list[str]) -> str:
    return cases[0] if len(cases) == 1 else f"{len(cases)} cases, such as {cases[0]}"


def table(outcome: Outcome) -> Any:
    """A rich table: the engines of a case together, the fastest first."""
    from rich.table import Table

    made = Table(title=None, pad_edge=False)
    for name, justify in (("case", "left"), ("engine", "left"), ("ms", "right"), ("GF/s", "right"),
                          ("of peak", "right"), ("ours / best peer", "right"), ("difference", "right")):  # fmt: skip
        made.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    cases: list[Case] = list(dict.fromkeys(row.case for row in outcome.rows))
    for case in cases:
        rows = sorted(outcome.rows_of(case), key=lambda row: row.ms)
        for place, row in enumerate(rows):
            made.add_row(*_cells(outcome, row, case.label if place == 0 else ""),
                         style="bold" if row.engine == OURS else None)  # fmt: skip
        made.add_section()
    return made


def _cells(outcome: Outcome, row: Timed, label: str) -> tuple[str, ...]:
    fraction, ratio = outcome.fraction(row), outcome.ratio(row)
    ours = row.engine == OURS
    exact = ours and row.case.dtype == "float32"
    return (
        label,
        row.engine,
        f"{row.ms:.4g}",
        f"{row.gflops:.4g}",
        "" if fraction is None else f"{fraction:.0%}",
        "" if ratio is None else f"{ratio:.2f}x" if ours else f"({ratio:.2f}x)",
        "" if exact else f"{row.difference:.0e} <= {row.tolerance:.0e}",
    )
