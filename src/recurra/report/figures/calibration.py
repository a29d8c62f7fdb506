"""Whether 80% sure means right in 80 of 100 cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recurra.ragged import Array
from recurra.report.figure import Figure, chart
from recurra.report.figures.common import numbers, same_size
from recurra.report.theme import MUTED, RIGHT
from recurra.report.wording import finite

Bins = Mapping[str, Sequence[float]] | Sequence[Mapping[str, Any]]


def calibration(bins: Bins) -> Figure:
    """Draw a reliability diagram: the share that is right against the mean confidence, per bin.

    bins: columns or a list of rows with `confidence` or `probability` (mean in the bin), `accuracy` or
    `frequency` (share right) and `count`.
    Empty bins are left out; the size of a mark grows with its count. Raises DataError for columns of
    different length.
    """
    sure, right, count = _columns(bins)

    def paint(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1.2, label="perfectly calibrated")
        axes.plot(sure, right, color=RIGHT, linewidth=1.6, label="measured")
        sizes = 14 + 120 * count / max(count.max(initial=1.0), 1.0)
        axes.scatter(sure, right, s=sizes, c=RIGHT, alpha=0.75, linewidths=0)
        axes.set(xlabel="mean confidence", ylabel="share that is right", xlim=(0, 1.02), ylim=(0, 1.05))
        axes.figure.legend(loc="outside lower center", ncols=2)

    columns = {"confidence": sure.tolist(), "accuracy": right.tolist(), "count": count.astype(int).tolist()}
    return Figure(title="Calibration", svg=chart(paint), alt=_in_words(sure, right, count), data=columns)


def _columns(bins: Bins) -> tuple[Array, Array, Array]:
    names = ("confidence", "accuracy", "count")
    others = {"confidence": "probability", "accuracy": "frequency", "count": "rows"}
    given: list[Sequence[Any]]
    if isinstance(bins, Mapping):
        given = [bins.get(name, bins.get(others[name], ())) for name in names]
    else:
        given = [[row.get(name, row.get(others[name])) for row in bins] for name in names]
    sure, right, count = (
        numbers([np.nan if finite(value) is None else value for value in column], f"bins[{name!r}]")
        for name, column in zip(names, given, strict=True)
    )
    same_size(sure, right, ("bins['confidence']", "bins['accuracy']"))
    same_size(sure, count, ("bins['confidence']", "bins['count']"))
    known = (np.nan_to_num(count) > 0) & np.isfinite(sure) & np.isfinite(right)
    return sure[known], right[known], count[known]


def _in_words(sure: Array, right: Array, count: Array) -> str:
    if not len(sure):
        return "No predictions."
    gap = sure - right
    error = float((np.abs(gap) * count).sum() / count.sum())
    lean = float((gap * count).sum() / count.sum())
    manner = (
        "too sure"
        if lean > 0.01
        else "not sure enough"
        if lean < -0.01
        else "neither too sure nor too unsure"
    )
    return (
        f"On average confidence is {error:.3f} from the share that is right; over all, the model is {manner}."
    )
