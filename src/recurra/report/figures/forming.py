"""How an answer forms: its number after each step, with the steps on the axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recurra.report.figure import Figure, chart, label
from recurra.report.figures.common import legend_below, numbers, same_size, thinned
from recurra.report.theme import MUTED, line_of
from recurra.report.wording import columns_of, listing, shorten

_NAMED_STEPS = 60
_LINES = 4


def forming(
    courses: Mapping[str, Sequence[float]],
    steps: Sequence[object],
    *,
    measure: str = "probability",
    title: str,
) -> Figure:
    """Draw numbers before any step and after each of T steps.

    courses: name -> T + 1 numbers; at most four are drawn, those that end highest. steps: T names. measure: what the
    numbers are; "probability" fixes the axis to 0 and 1. Raises DataError for other lengths.
    """
    curves = {label(name): numbers(course, str(name)) for name, course in courses.items()}
    for name, curve in curves.items():
        same_size(curve[1:], np.zeros(len(steps)), (name, "steps"))
    kept = sorted(curves, key=lambda name: -curves[name][-1])[:_LINES]
    words = ["(start)", *(label(shorten(step, 12)) or "·" for step in steps)]
    named = len(words) <= _NAMED_STEPS + 1

    def paint(axes: Any) -> None:
        drawn = thinned(len(words), 600)
        for place, name in enumerate(kept):
            style = line_of(place) | ({} if named else {"marker": ""})
            axes.plot(drawn, curves[name][drawn], label=name, **style)
        axes.set(ylabel=measure, xlim=(-0.4, len(words) - 0.6))
        if measure == "probability":
            axes.set(ylim=(-0.03, 1.03))
            axes.axhline(0.5, color=MUTED, linewidth=0.8, linestyle=":")
        if named:
            axes.set_xticks(range(len(words)), words, rotation=90, fontsize=10)
        else:
            axes.set_xlabel("steps read")
        if len(kept) > 1:
            legend_below(axes, kept)

    longest = max(map(columns_of, words)) if named else 4
    width = min(max(420.0, 15.0 * len(words) + 60), 980.0)
    columns: dict[str, Sequence[Any]] = {"step": list(range(len(words))), "read": words}
    columns |= {name: [float(f"{value:.6g}") for value in curves[name]] for name in kept}
    return Figure(
        title=title,
        svg=chart(paint, width=width, height=210 + 6.2 * longest),
        alt=_in_words(curves, kept, words, measure),
        data=columns,
    )


def _in_words(curves: Mapping[str, Any], kept: Sequence[str], words: Sequence[str], measure: str) -> str:
    if not kept:
        return "No steps."
    first = curves[kept[0]]
    told = [f"The {measure} of {kept[0]} goes from {first[0]:.2f} to {first[-1]:.2f}."]
    jumps = np.diff(first)
    if len(jumps):
        order = np.argsort(-np.abs(jumps), kind="stable")[:3]
        parts = [f"{words[at + 1]} (step {at + 1}, {jumps[at]:+.2f})" for at in sorted(order.tolist())]
        told.append(f"It moves most at {listing(parts)}.")
    return " ".join(told)
