"""An outcome as JSON, as a table for a terminal, and in sentences."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping
from typing import Any

from recurra.runtime.bench.models.outcome import Outcome, Winner


def outcome_record(
    outcome: Any, winner: dict[str, Any] | None, tolerances: Mapping[str, float], **told: Any
) -> dict[str, Any]:
    """What `--json` prints of every measurement of a model: rows, winner, checks and notes. told: what is its own."""
    return {
        "rows": [dataclasses.asdict(row) for row in outcome.rows],
        "winner": winner,
        "checks": [
            {"name": name, "difference": found, "tolerance": tolerances[name]}
            for name, found in outcome.differences.items()
        ],
        "threads": outcome.threads,
        **told,
        "notes": list(outcome.notes),
        "unequal": list(outcome.unequal),
        "seconds": round(outcome.seconds, 1),
    }


def to_json(outcome: Outcome, winner: Winner) -> dict[str, Any]:
    """The record that `--json` prints; `batch` is a number of sequences, or "stream" for single steps."""
    return outcome_record(
        outcome,
        dataclasses.asdict(winner),
        outcome.tolerances,
        lengths=dict(zip(("shortest", "mean", "longest"), outcome.lengths, strict=True)),
        made=outcome.made,
        starts=outcome.starts,
    )


def table(outcome: Outcome) -> Any:
    """For a terminal: a block of lines per size of batch."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False)
    made.add_column("batch")
    made.add_column("engine")
    for heading in ("p50 ms", "p99 ms", "per second", "MB", "start ms", "RSS MB", "off by"):
        made.add_column(heading, justify="right")
    before = None
    for row in outcome.rows:
        if before is not None and row.batch != before:
            made.add_row()
        made.add_row(
            str(row.batch) if row.batch != before else "",
            row.name,
            f"{row.p50_ms:.3f}",
            f"{row.p99_ms:.3f}",
            f"{row.per_second:,.0f}",
            f"{row.megabytes:.3f}",
            "" if row.cold_start_ms is None else f"{row.cold_start_ms:.0f}",
            "" if row.rss_mb is None else f"{row.rss_mb:.0f}",
            f"{row.difference:.1e}",
        )
        before = row.batch
    return made


def sentences(outcome: Outcome) -> list[str]:
    """What a reader of the figures must know besides."""
    shortest, mean, longest = outcome.lengths
    kind = "made sequences" if outcome.made else "your sequences"
    allowed = {f"{name.split()[-1]} {bound:g}": None for name, bound in outcome.tolerances.items()}
    few = min((row.calls for row in outcome.rows), default=0)
    return [
        f"{kind} of {shortest} to {longest} steps, {mean:.0f} on average; {outcome.threads} thread(s) each",
        "handed over encoded (Recurra: end to end; others: padded, with lengths); stream: one step and its answer",
        f"answers compared before timing, in probability or standard deviations; allowed: {', '.join(allowed)}",
        f"p50 and p99 over at least {few} calls in turns; start: a fresh Python to its first answer, median of "
        f"{outcome.starts}; for Recurra with reading the text, where there is one",
        *outcome.notes,
    ]


def card_lines(outcome: Outcome) -> list[str]:
    """The section of the model card: what Recurra took for this model, on the machine that measured it."""
    shortest, mean, longest = outcome.lengths
    kind = "made sequences" if outcome.made else "sequences"
    lines = [
        f"Measured on {kind} of {shortest} to {longest} steps ({mean:.0f} on average), {outcome.threads} thread(s), "
        f"{platform.machine()}; stream: one step and its answer.",
        "",
        "| weights | batch | p50 ms | p99 ms | per second | MB | start ms | RSS MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in outcome.rows:
        if row.engine != "recurra":
            continue
        start = "" if row.cold_start_ms is None else f"{row.cold_start_ms:.0f}"
        memory = "" if row.rss_mb is None else f"{row.rss_mb:.0f}"
        lines.append(
            f"| {row.precision} | {row.batch} | {row.p50_ms:.3f} | {row.p99_ms:.3f} | {row.per_second:,.0f} "
            f"| {row.megabytes:.2f} | {start} | {memory} |"
        )
    return lines
