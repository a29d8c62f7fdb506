"""How numbers are distributed: one histogram with an outline per label, and the quantiles of many units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recurra.errors import DataError
from recurra.ragged import Array
from recurra.report.figure import Figure, chart, label
from recurra.report.figures.common import legend_below, legend_height, numbers, thinned, thinning_note
from recurra.report.theme import INK, LINES, MUTED, SERIES
from recurra.report.wording import shorten

_OUTLINES = 6


def value_histogram(
    edges: Sequence[float],
    counts: Sequence[int],
    by_label: Mapping[str, Sequence[int]],
    *,
    title: str,
    across: str,
    alt: str,
) -> Figure:
    """Draw the share of all values per bin, and in outlines that of every label (of many the most frequent six).

    edges: (B + 1,) borders of the bins. counts: (B,) of all values; by_label: the same of each label.
    """
    borders, whole = numbers(edges, "edges"), numbers(counts, "counts")
    if len(borders) != len(whole) + 1:
        raise DataError(f"edges must be one more than counts ({len(whole)}), got {len(borders)}")
    told = {str(name): numbers(of, f"counts of {name!r}") for name, of in by_label.items()}
    frequent = sorted(told, key=lambda name: -float(told[name].sum()))[:_OUTLINES]
    entries = ["all", *(label(shorten(name, 24)) for name in frequent)]

    def paint(axes: Any) -> None:
        axes.stairs(_share(whole), borders, fill=True, color=MUTED, alpha=0.3)
        for place, name in enumerate(frequent):
            style = {"color": SERIES[place % len(SERIES)], "linestyle": LINES[place % len(LINES)]}
            axes.stairs(_share(told[name]), borders, linewidth=1.6, fill=False, **style)
        axes.set(xlabel=across, ylabel="share of its values (%)", ylim=(0, None))
        axes.grid(visible=False, axis="x")
        if frequent:
            legend_below(axes, entries, axes.patches)

    columns: dict[str, Sequence[Any]] = {"from": borders[:-1].tolist(), "to": borders[1:].tolist()}
    columns |= {"all": whole.astype(int).tolist()}
    columns |= {f"label {name}": of.astype(int).tolist() for name, of in told.items()}
    height = 250 + (legend_height(entries) if frequent else 0.0)
    return Figure(title=title, svg=chart(paint, height=height), alt=alt, data=columns)


def unit_quantiles(quantiles: Any, *, title: str, up: str, alt: str) -> Figure:
    """Draw the 5, 25, 50, 75 and 95% quantiles of units, ordered by their median, as two bands around a line.

    quantiles: (U, 5), the units in their own order; the CSV keeps each unit's number.
    """
    table = np.asarray(quantiles, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != 5:
        raise DataError(f"quantiles must have shape (units, 5), got {table.shape}")
    order = np.argsort(table[:, 2], kind="stable")
    kept = order[thinned(len(order), 400)]
    drawn = table[kept]

    def paint(axes: Any) -> None:
        place = np.arange(len(drawn))
        if len(drawn):
            for low, high, strength in ((0, 4, 0.18), (1, 3, 0.4)):
                axes.fill_between(
                    place,
                    drawn[:, low],
                    drawn[:, high],
                    step="mid",
                    color=SERIES[0],
                    alpha=strength,
                    linewidth=0,
                )
            axes.step(place, drawn[:, 2], where="mid", color=INK, linewidth=1.4)
            legend_below(axes, ["5 to 95%", "25 to 75%", "median"], [*axes.collections, axes.lines[0]])
        axes.set(xlabel="unit, by its median", ylabel=up)
        axes.grid(visible=False, axis="x")

    names = ("5%", "25%", "median", "75%", "95%")
    columns: dict[str, Sequence[Any]] = {"unit": kept.tolist()}
    columns |= {name: drawn[:, place].tolist() for place, name in enumerate(names)}
    note = thinning_note(len(order), len(kept)).replace("points", "units")
    return Figure(title=title, svg=chart(paint), alt=alt + note, data=columns)


def _share(counts: Array) -> Array:
    made: Array = 100 * counts / max(float(counts.sum()), 1.0)
    return made
