"""Signed bars with names: attributions, and scores of groups with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recurra.report.figure import WIDTH, Figure, chart, label
from recurra.report.figures.common import numbers, same_size
from recurra.report.theme import MUTED, RIGHT, WRONG
from recurra.report.wording import finite, shorten, show_number

_ROW = 20.0


def signed_bars(
    names: Sequence[object], values: Sequence[float], *, title: str, measure: str, alt: str = ""
) -> Figure:
    """Draw a bar per name, the first on top: blue to the right above zero, orange to the left below."""
    sizes = numbers(values, "values")
    same_size(sizes, np.zeros(len(names)), ("values", "names"))
    shown = [label(shorten(name, 26)) or "·" for name in names]

    def paint(axes: Any) -> None:
        at = np.arange(len(shown))
        axes.barh(at, sizes, color=[RIGHT if size >= 0 else WRONG for size in sizes], height=0.66)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.set_yticks(at, shown)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(measure)

    told = ", ".join(
        f"{name} {size:+.3g}" for name, size in list(zip(shown, sizes.tolist(), strict=True))[:10]
    )
    return Figure(
        title=title,
        svg=chart(paint, width=WIDTH, height=56 + _ROW * max(len(shown), 2)),
        alt=alt or (f"{measure.capitalize()}: {told}." if told else "Nothing to show."),
        data={"name": shown, measure: [float(f"{size:.6g}") for size in sizes]},
    )


def group_scores(
    groups: Sequence[tuple[str, int, float, tuple[float, float]]], *, title: str, measure: str, whole: float
) -> Figure:
    """Draw a score per group with its 95% interval; the dashed line is the score of all sequences.

    groups: (name, number of sequences, score, interval).
    """
    names = [f"{label(shorten(name, 22))} ({count:,})" for name, count, _, _ in groups]
    scores = [score for _, _, score, _ in groups]

    def paint(axes: Any) -> None:
        at = np.arange(len(names))
        for place, (_, _, score, (low, high)) in enumerate(groups):
            if finite(low) is not None and finite(high) is not None:
                axes.plot([low, high], [place, place], color=RIGHT, linewidth=2)
            axes.plot([score], [place], "o", color=RIGHT, markersize=6)
        axes.axvline(whole, color=MUTED, linewidth=1.2, linestyle="--")
        axes.set_yticks(at, names)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(measure)

    told = "; ".join(
        f"{name}: {show_number(score)} ({show_number(low)} to {show_number(high)})"
        for name, (_, _, score, (low, high)) in zip(names, groups, strict=True)
    )
    return Figure(
        title=title,
        svg=chart(paint, width=WIDTH, height=60 + _ROW * max(len(names), 2)),
        alt=f"{measure.capitalize()} of all: {show_number(whole)}. {told}.",
        data={
            "group": [name for name, _, _, _ in groups],
            "sequences": [count for _, count, _, _ in groups],
            measure: scores,
            "low": [low for _, _, _, (low, _) in groups],
            "high": [high for _, _, _, (_, high) in groups],
        },
    )
