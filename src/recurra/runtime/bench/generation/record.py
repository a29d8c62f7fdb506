"""An outcome as JSON, as a table for a terminal, and in sentences."""

from __future__ import annotations

from typing import Any

from recurra.runtime.bench.generation.authors import BEAM, TEMPERATURE
from recurra.runtime.bench.generation.outcome import Outcome
from recurra.runtime.bench.models.record import outcome_record

SAID = {"greedy": "greedy", "drawn": f"drawn at {TEMPERATURE}", "beam": f"a beam of {BEAM}"}
"""Each way of writing in words."""


def winner(outcome: Outcome) -> dict[str, Any] | None:
    """Who writes most in the first way that was measured, and why; None where nobody was."""
    if not outcome.rows:
        return None
    first = outcome.rows[0].decoding
    ranked = sorted((r for r in outcome.rows if r.decoding == first), key=lambda r: -r.per_second)
    best = ranked[0]
    reason = f"{best.per_second:,.0f} {outcome.unit} a second, {SAID[first]}"
    if ranked[1:]:
        reason += f"; next {ranked[1].name}, {ranked[1].per_second:,.0f}"
    exact = next((row.name for row in ranked if row.precision == "float32"), best.name)
    return {
        "case": "generation",
        "engine": best.engine,
        "precision": best.precision,
        "reason": reason,
        "exact": exact,
    }


def to_json(outcome: Outcome) -> dict[str, Any]:
    """The record that `--json` prints."""
    return outcome_record(
        outcome, winner(outcome), outcome.tolerances, unit=outcome.unit, length=outcome.length
    )


def table(outcome: Outcome) -> Any:
    """For a terminal: a block of lines per way of writing."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False)
    made.add_column("writing")
    made.add_column("engine")
    for heading in (f"{outcome.unit} a second", "ms each", "off by"):
        made.add_column(heading, justify="right")
    before = None
    for row in outcome.rows:
        if before is not None and row.decoding != before:
            made.add_row()
        shown = SAID[row.decoding] if row.decoding != before else ""
        figures = f"{row.per_second:,.0f}", f"{row.ms_per_token:.4f}", f"{row.difference:.1e}"
        made.add_row(shown, row.name, *figures)
        before = row.decoding
    return made


def sentences(outcome: Outcome) -> list[str]:
    """What a reader of the figures must know besides."""
    return [
        f"one text of {outcome.length} {outcome.unit} at a time from its beginning, whose end is not written; "
        f"{outcome.kinds} different ones in the greedy text",
        "compared before timing: the probability of every next token along that text, the greedy texts, and what a "
        "beam finds; each draws by its own generator",
        f"Recurra: generations(), {outcome.threads} thread(s) allowed; the others: a loop around single steps, one "
        "thread, which is the quickest for them",
        *outcome.notes,
    ]
