"""Deletion and insertion curves: how soon the answer falls, or rises, in the order that a method gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recurra.report.figure import Figure, chart, label
from recurra.report.figures.common import legend_below, legend_height, numbers, same_size
from recurra.report.theme import MUTED, line_of
from recurra.report.wording import show_number


def erasing_curves(
    shares: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    areas: Mapping[str, float],
    *,
    title: str,
    done: str,
    measure: str,
) -> Figure:
    """Draw the explained number against the share of a sequence that is `done` ("taken away", "put back").

    curves, areas: by method; "random" is dashed and grey.
    """
    across = numbers(shares, "shares")
    drawn = {label(name): numbers(curve, name) for name, curve in curves.items()}
    for name, curve in drawn.items():
        same_size(curve, across, (name, "shares"))

    def paint(axes: Any) -> None:
        for place, (name, curve) in enumerate(drawn.items()):
            style = line_of(place)
            if name == "random":
                style |= {"color": MUTED, "linestyle": "--", "marker": ""}
            axes.plot(across, curve, label=name, **style)
        axes.set(xlabel=f"share of the sequence {done}", ylabel=measure, xlim=(-0.02, 1.02))
        legend_below(axes, list(drawn))

    told = ", ".join(f"{name} {show_number(area)}" for name, area in areas.items())
    return Figure(
        title=title,
        svg=chart(paint, height=250 + legend_height(list(drawn))),
        alt=f"Area under the curve: {told}.",
        data={f"share {done}": across.tolist(), **{name: curve.tolist() for name, curve in drawn.items()}},
    )
