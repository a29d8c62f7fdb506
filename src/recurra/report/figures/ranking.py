"""How well the scores put the positives first: ROC and precision-recall curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recurra.errors import DataError
from recurra.ragged import Array
from recurra.report.figure import HEIGHT, Figure, chart, label
from recurra.report.figures.common import legend_below, legend_height, numbers, same_size, thinned
from recurra.report.theme import MUTED, line_of
from recurra.report.wording import finite, show_number

Curve = Sequence[Any]  # x values, y values, area

_NAMED = 8
_POINTS = 300


def roc(curves: Mapping[str, Curve]) -> Figure:
    """Draw ROC curves: true positive rate against false positive rate, the diagonal being chance.

    curves: name to (false positive rates, true positive rates, area). More than eight curves share one colour
    and the legend gives the range of their areas. Raises DataError where a curve is not such a triple.
    """
    return _figure(curves, "ROC", ("false positive rate", "true positive rate"), diagonal=True)


def precision_recall(curves: Mapping[str, Curve]) -> Figure:
    """Draw precision against recall. curves: name to (recall, precision, average precision), see `roc`."""
    return _figure(curves, "Precision and recall", ("recall", "precision"), diagonal=False)


def _figure(
    curves: Mapping[str, Curve], title: str, axes_names: tuple[str, str], *, diagonal: bool
) -> Figure:
    checked = {str(name): _checked(name, curve) for name, curve in curves.items()}
    few = len(checked) <= _NAMED
    entries = [f"{label(name)} ({show_number(area)})" for name, (_, _, area) in checked.items()]
    if not few:
        entries = [f"{len(checked)} curves, area {_span([area for *_, area in checked.values()])}"]

    def paint(axes: Any) -> None:
        if diagonal:
            axes.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1.2)
        handles = []
        for index, (across, up, _) in enumerate(checked.values()):
            style = line_of(index if few else 0) | {"marker": None}
            (line,) = axes.plot(across, up, **style, **({} if few else {"linewidth": 0.8, "alpha": 0.6}))
            handles.append(line)
        axes.set(xlabel=axes_names[0], ylabel=axes_names[1], xlim=(-0.01, 1.01), ylim=(-0.01, 1.03))
        legend_below(axes, entries, handles[: len(entries)])

    columns: dict[str, Sequence[Any]] = {}
    for name, (across, up, _) in checked.items():
        before = f"{name}: " if len(checked) > 1 else ""
        columns |= {before + axes_names[0]: across.tolist(), before + axes_names[1]: up.tolist()}
    text = "Areas under the curve: " + "; ".join(entries) + "." if entries else "No curve."
    return Figure(
        title=title, svg=chart(paint, height=HEIGHT + 30 + legend_height(entries)), alt=text, data=columns
    )


def _checked(name: object, curve: Curve) -> tuple[Array, Array, float | None]:
    if len(curve) != 3:
        raise DataError(
            f"curve {name!r} must be (x, y, area), got {len(curve)} parts; give two columns and a number"
        )
    across, up = numbers(curve[0], f"x of curve {name!r}"), numbers(curve[1], f"y of curve {name!r}")
    same_size(across, up, (f"x of curve {name!r}", "y"))
    kept = thinned(len(across), _POINTS)
    return across[kept], up[kept], finite(curve[2])


def _span(areas: Sequence[float | None]) -> str:
    known = [area for area in areas if area is not None]
    return f"{show_number(min(known))} to {show_number(max(known))}" if known else "not known"
