"""What a model has learnt, over many sequences: how its final states lie, and which attribution to trust."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.insight.faithfulness import Faithfulness, faithfulness
from recurra.insight.subject import Reading, Subject
from recurra.report import figures
from recurra.report.items import Cell, Item, Section, Table, Text

JUDGED_TOKENS = 4000
"""Steps in all of the sequences that the methods of attribution are judged on: bounds the time."""
MOST_JUDGED = 40


def inside_sections(
    subject: Subject, data: Any, reading: Reading, seed: int
) -> tuple[list[Section], list[str]]:
    """The sections, and what they say in sentences."""
    judged = judged_rows(np.asarray(reading.batch.lengths), seed)
    sections, sentences = [], []
    if len(judged) >= 5:
        found = faithfulness(subject, data.select(judged), methods=_methods(subject), seed=seed)
        sections.append(Section(title="Which attribution to trust", intro=_TRUST, items=trust_items(found)))
        sentences.append(found.sentence)
    return sections, sentences


_TRUST = (
    "A method ranks the parts of a sequence. Taken away in that order, the answer should fall sooner than in random "
    "order; put back in that order, it should rise sooner."
)


def _methods(subject: Subject) -> tuple[str, ...]:
    exact = subject.predictor.precision == "float32"
    return ("integrated", "gradient", "occlusion", "change") if exact else ("occlusion", "change")


def judged_rows(lengths: Any, seed: int) -> list[int]:
    """Sequences to judge by, drawn until there are enough of them or of their steps."""
    rows: list[int] = []
    steps = 0
    for row in np.random.default_rng(seed).permutation(len(lengths)).tolist():
        if 0 < lengths[row] <= JUDGED_TOKENS - steps and len(rows) < MOST_JUDGED:
            rows.append(row)
            steps += int(lengths[row])
    return sorted(rows)


def trust_items(found: Faithfulness) -> list[Item]:
    """The sentence, both curves, and the table of areas."""
    shares = found.curves[0].shares.tolist()
    items: list[Item] = [Text(body=found.sentence)]
    for kind, done in (("deletion", "taken away"), ("insertion", "put back")):
        items.append(
            figures.erasing_curves(
                shares,
                {curve.method: getattr(curve, kind).tolist() for curve in found.curves},
                {curve.method: getattr(curve, f"{kind}_area") for curve in found.curves},
                title=f"{kind.capitalize()} curve",
                done=done,
                measure=f"mean {found.measure}",
            )
        )
    rows = [
        [
            curve.method,
            curve.deletion_area,
            _gain(found, "deletion", curve.method),
            curve.insertion_area,
            _gain(found, "insertion", curve.method),
        ]
        for curve in found.curves
    ]
    columns = ["Order", "Deletion area (low is good)", "Better than random by"]
    columns += ["Insertion area", "Better than random by "]
    caption = f"Areas under the curves, {found.sequences} sequences, with 95% intervals over them"
    return [*items, Table(columns=columns, rows=rows, caption=caption)]


def _gain(found: Faithfulness, kind: str, method: str) -> Cell:
    judged = getattr(found, kind).get(method)
    if judged is None:
        return Cell(text="–")
    low, high = judged.interval
    return Cell(text=f"{judged.effect:.3f} ({low:.3f} to {high:.3f})", sort=float(judged.effect))
