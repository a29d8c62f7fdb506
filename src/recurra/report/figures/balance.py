"""How many sequences each class has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from recurra.report.figure import Figure, chart, label
from recurra.report.figures.common import legend_below
from recurra.report.theme import MARKS, SERIES
from recurra.report.wording import finite, shorten, show_share

_MOST, _LEAST = 24, 6

Counts = Mapping[Any, Any] | Mapping[str, Mapping[Any, Any]]


def class_balance(counts: Counts) -> Figure:
    """Draw the share of each class: bars for the first split, marks for the others.

    counts: label to count, or split name to such a mapping. Of more than 30 classes the 24 most frequent and
    the 6 rarest are drawn; the numbers (CSV) have all.
    """
    by_split = _by_split(counts)
    labels = list(dict.fromkeys(name for split in by_split.values() for name in split))
    first = next(iter(by_split.values()), {})
    labels.sort(key=lambda name: -first.get(name, 0.0))
    drawn, gap = (labels, 0) if len(labels) <= _MOST + _LEAST else (labels[:_MOST] + labels[-_LEAST:], _MOST)
    at = np.array(
        [index + (1 if gap and index >= gap else 0) for index in range(len(drawn))], dtype=np.float64
    )

    def paint(axes: Any) -> None:
        for index, split in enumerate(by_split.values()):
            share = [100 * split.get(name, 0.0) / max(sum(split.values()), 1.0) for name in drawn]
            if index == 0:
                axes.barh(at, share, height=0.62, color=SERIES[0], alpha=0.85)
            else:
                axes.scatter(
                    share, at, s=26, c=SERIES[index % len(SERIES)], marker=MARKS[index % len(MARKS)], zorder=3
                )
        ticks, names = at.tolist(), [shorten(name, 24) for name in drawn]
        if gap:
            ticks, names = [*ticks, float(gap)], [*names, f"… {len(labels) - len(drawn)} more …"]
        axes.set_yticks(ticks, names)
        axes.set(xlabel="share of the split (%)", ylim=(at.max(initial=0.0) + 0.7, -0.7), xlim=(0, None))
        axes.grid(visible=False, axis="y")
        if len(by_split) > 1:
            legend_below(axes, [label(name) for name in by_split], [*axes.containers, *axes.collections])

    columns: dict[str, list[Any]] = {"class": [str(name) for name in labels]}
    columns |= {name: [split.get(label_, 0.0) for label_ in labels] for name, split in by_split.items()}
    svg = chart(paint, height=max(120.0, 90 + 21.0 * (len(at) + bool(gap))))
    return Figure(title="Classes", svg=svg, alt=_in_words(labels, by_split), data=columns)


def _by_split(counts: Counts) -> dict[str, dict[Any, float]]:
    nested = all(isinstance(value, Mapping) for value in counts.values())
    named = cast(Mapping[str, Mapping[Any, Any]], counts if nested and counts else {"sequences": counts})
    return {
        str(split): {name: finite(count) or 0.0 for name, count in classes.items()}
        for split, classes in named.items()
    }


def _in_words(labels: list[Any], by_split: Mapping[str, Mapping[Any, float]]) -> str:
    if not labels:
        return "No classes."
    name, first = next(iter(by_split.items()))
    total = sum(first.values())
    most, least = labels[0], labels[-1]
    return (
        f"{len(labels)} classes; in {label(name)}, {label(most)} is the most frequent "
        f"({show_share(first.get(most, 0.0), total)}) and {label(least)} the rarest "
        f"({show_share(first.get(least, 0.0), total)})."
    )
