"""An outcome as JSON, as a table for a terminal, and in sentences."""

from __future__ import annotations

from typing import Any

from recurra.evaluation.bench.outcome import Outcome
from recurra.runtime.bench.models.record import outcome_record


def winner(outcome: Outcome) -> dict[str, Any]:
    """Who trains quickest, and why."""
    ranked = sorted(outcome.rows, key=lambda row: row.ms_per_step)
    best, unit = ranked[0], outcome.unit
    reason = f"{outcome.per_second(best):,.0f} {unit} a second"
    if ranked[1:]:
        reason += f"; next {ranked[1].engine}, {outcome.per_second(ranked[1]):,.0f}"
    return {"case": "training", "engine": best.engine, "reason": reason}


def to_json(outcome: Outcome) -> dict[str, Any]:
    """The record that `--json` prints."""
    return outcome_record(
        outcome,
        winner(outcome),
        dict.fromkeys(outcome.differences, outcome.tolerance),
        unit=outcome.unit,
        steps=outcome.steps,
        sequences=outcome.sequences,
        tokens=outcome.tokens,
        made=outcome.made,
    )


def table(outcome: Outcome) -> Any:
    """For a terminal: the quickest first."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False)
    made.add_column("engine")
    rows = "streams a second" if outcome.unit == "tokens" else f"{outcome.unit} a second"
    for heading in ("ms a step", rows, "tokens a second", "off by"):
        made.add_column(heading, justify="right")
    for row in sorted(outcome.rows, key=lambda row: row.ms_per_step):
        made.add_row(
            row.engine,
            f"{row.ms_per_step:.2f}",
            f"{row.sequences_per_second:,.0f}",
            f"{row.tokens_per_second:,.0f}",
            f"{row.difference:.1e}",
        )
    return made


def sentences(outcome: Outcome) -> list[str]:
    """What a reader of the figures must know besides."""
    kind = "made data" if outcome.made else "your data"
    return [
        f"rounds of {outcome.steps} steps over {outcome.sequences} sequences, {outcome.tokens} tokens, of {kind}; "
        f"{outcome.threads} thread(s) each",
        "fresh weights, dropout left out, Adam at 0.001, gradients clipped at 5; the losses of the first round were "
        f"compared before timing, {outcome.tolerance:g} allowed",
        "Recurra: the loop of fit without scoring; torch: batches padded beforehand"
        + (
            "; Flair: sentences made beforehand" if any(row.engine == "flair" for row in outcome.rows) else ""
        ),
        *outcome.notes,
    ]
