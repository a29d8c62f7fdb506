"""A comparison of language models as a page and as a bundle with the winner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recurra.evaluation.compare import Comparison
from recurra.evaluation.record import save_row, seeds_by_measure
from recurra.report.html import render
from recurra.report.pages import compare_report


def page_record(outcome: Comparison) -> dict[str, Any]:
    """What the page of a comparison of language models shows."""
    made = outcome.to_dict()
    return {
        "title": "Comparison: language models",
        "task": outcome.task,
        "verdict": outcome.verdict,
        "winner": outcome.winner,
        "main_score": outcome.judge.score,
        "differences": made["differences"],
        "data": {"notes": list(outcome.notes)},
        "rows": [seeds_by_measure(row) for row in made["rows"]],
        "models": [
            {
                "name": row.name,
                "kind": row.kind,
                "scores": {"validation": row.validation, "test": row.scores},
                "parameters": dict(row.parts),
                "megabytes": row.megabytes,
                "seconds": row.seconds,
                "history": [dict(epoch) for epoch in row.histories[row.best_seed].epochs]
                if row.histories
                else [],
            }
            for row in outcome.rows
        ],
        **({} if outcome.curve is None else {"learning_curve": dict(outcome.curve)}),
        "settings": {f"{name} tokens": f"{size:,}" for name, size in outcome.sizes.items()},
    }


def save_language_comparison(
    outcome: Comparison, folder: str | Path, *, reading: Mapping[str, Any]
) -> dict[str, Any]:
    """Save the winner as a bundle in `folder`, with the page, the table and its history beside it."""
    extras = {"report.html": render(compare_report(page_record(outcome))).encode("utf-8", "replace")}
    return save_row(outcome, outcome.winner, folder, outcome.to_dict(), reading=reading, extras=extras)
