"""Points in two dimensions, coloured by label: final states seen from their two widest directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recurra.errors import DataError
from recurra.report.figure import Figure, chart, label
from recurra.report.figures.common import legend_below, legend_height, thinned, thinning_note
from recurra.report.theme import MUTED, line_of
from recurra.report.wording import shorten

_COLOURS = 8


def projection(
    points: Any,
    labels: Sequence[object] | None = None,
    *,
    title: str,
    axes_are: tuple[str, str],
    alt: str = "",
) -> Figure:
    """Draw (S, 2) points. labels: one per point; of more than eight the rarer ones share one colour.

    axes_are: what the two axes are. Raises DataError for another shape.
    """
    places = np.asarray(points, dtype=np.float64)
    if places.ndim != 2 or places.shape[1] != 2:
        raise DataError(f"points must have shape (sequences, 2), got {places.shape}")
    given = [""] * len(places) if labels is None else [label(shorten(name, 24)) for name in labels]
    kept = thinned(len(places))
    places, names = places[kept], np.array(given, dtype=object)[kept]
    found, counts = np.unique(names, return_counts=True)
    order = [str(name) for name in found[np.argsort(-counts, kind="stable")]]
    first = order if len(order) <= _COLOURS else order[: _COLOURS - 1]
    others = [] if len(order) <= _COLOURS else order[_COLOURS - 1 :]

    def paint(axes: Any) -> None:
        if others:
            mine = np.isin(names, others)
            axes.scatter(*places[mine].T, s=10, c=MUTED, alpha=0.5, linewidths=0, label="others")
        for place, name in enumerate(first):
            style = line_of(place)
            mine = names == name
            axes.scatter(
                *places[mine].T, s=16, c=style["color"], marker=style["marker"], alpha=0.7, linewidths=0,
                label=name or None,
            )  # fmt: skip
        axes.set(xlabel=axes_are[0], ylabel=axes_are[1])
        if any(first):
            legend_below(axes, [*(["others"] if others else []), *first])

    entries = [*first, *(["others"] if others else [])]
    return Figure(
        title=title,
        svg=chart(paint, height=300 + legend_height(entries)),
        alt=(alt or f"{len(given):,} points of {len(order)} labels.") + thinning_note(len(given), len(kept)),
        data={
            axes_are[0]: [float(f"{value:.5g}") for value in places[:, 0]],
            axes_are[1]: [float(f"{value:.5g}") for value in places[:, 1]],
            "label": names.tolist(),
        },
    )
