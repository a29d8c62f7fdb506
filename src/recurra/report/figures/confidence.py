"""How sure the model is of its right and of its wrong answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recurra.ragged import Array
from recurra.report.figure import Figure, chart
from recurra.report.figures.common import numbers, plain_logarithm, same_size, thinned, thinning_note
from recurra.report.theme import INK, RIGHT, WRONG

_EDGES = np.linspace(0, 1, 21)


def confidence_histogram(confidence: Sequence[float], correct: Sequence[bool]) -> Figure:
    """Draw the confidence of right predictions upwards and of wrong ones downwards, each in percent.

    confidence: the probability of the *predicted* class, 0 to 1. correct: whether the prediction is right.
    Dashed lines are the means.
    """
    sure, right = _checked(confidence, correct)
    groups = {"right": sure[right], "wrong": sure[~right]}
    counts = {name: np.histogram(values, _EDGES)[0] for name, values in groups.items()}

    def paint(axes: Any) -> None:
        tallest = 1.0
        for name, sign, colour in (("right", 1, RIGHT), ("wrong", -1, WRONG)):
            share = 100 * counts[name] / max(counts[name].sum(), 1)
            tallest = max(tallest, share.max())
            axes.stairs(
                sign * share, _EDGES, fill=True, color=colour, label=f"{name} ({counts[name].sum():,})"
            )
            if len(groups[name]):
                axes.plot(
                    [groups[name].mean()] * 2,
                    [0, sign * tallest * 1.1],
                    color=INK,
                    linestyle="--",
                    linewidth=1.2,
                )
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set(
            xlabel="confidence in the predicted class", ylabel="share of its group (%)", xlim=_span(sure)
        )
        axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
        axes.grid(visible=False, axis="x")
        axes.figure.legend(loc="outside lower center", ncols=2, handlelength=1.2)

    columns = {"from": _EDGES[:-1].round(2).tolist(), "to": _EDGES[1:].round(2).tolist()}
    columns |= {name: count.tolist() for name, count in counts.items()}
    title = "Confidence of right and wrong predictions"
    return Figure(title=title, svg=chart(paint), alt=_in_words(groups), data=columns)


def confidence_scatter(
    confidence: Sequence[float], correct: Sequence[bool], lengths: Sequence[int] | None = None
) -> Figure:
    """Draw every prediction as a point: confidence across, right and wrong apart, by length if given.

    lengths: steps of each sequence; without them points are spread evenly inside two bands. At most 1,500
    points are drawn; the alternative text says how many of how many.
    """
    sure, right = _checked(confidence, correct)
    height = None if lengths is None else numbers(lengths, "lengths")
    if height is not None:
        same_size(sure, height, ("confidence", "lengths"))
    kept = thinned(len(sure))

    def paint(axes: Any) -> None:
        for name, group, colour, mark in (("right", right, RIGHT, "o"), ("wrong", ~right, WRONG, "X")):
            chosen = kept[group[kept]]
            across = (
                height[chosen] if height is not None else _band(len(chosen), 1.0 if name == "right" else 0.0)
            )
            axes.scatter(
                sure[chosen], across, s=16, c=colour, marker=mark, alpha=0.55, linewidths=0, label=name
            )
        if height is None:
            axes.set_yticks([0, 1], ["wrong", "right"])
            axes.set_ylim(-0.5, 1.5)
        else:
            axes.set_ylabel("length in steps")
            if len(height) and height.min() > 0 and height.max() > 50 * np.median(height):
                axes.set_yscale("log")
                plain_logarithm(axes.yaxis)
        axes.set(xlabel="confidence in the predicted class", xlim=_span(sure))
        axes.figure.legend(loc="outside lower center", ncols=2, handlelength=1.0)

    columns: dict[str, Sequence[Any]] = {
        "confidence": sure[kept].tolist(),
        "right": right[kept].astype(int).tolist(),
    }
    if height is not None:
        columns["length"] = height[kept].astype(int).tolist()
    text = _in_words({"right": sure[right], "wrong": sure[~right]}) + _sure_but_wrong(sure, right)
    title = "Confidence of each prediction" + (" by length" if height is not None else "")
    return Figure(title=title, svg=chart(paint), alt=text + thinning_note(len(sure), len(kept)), data=columns)


def _checked(confidence: Any, correct: Any) -> tuple[Array, Array]:
    sure = numbers(confidence, "confidence")
    right = numbers(correct, "correct").astype(bool)
    same_size(sure, right, ("confidence", "correct"))
    known = np.isfinite(sure)
    return sure[known], right[known]


def _span(sure: Array) -> tuple[float, float]:
    """Return the part of 0..1 that is used: two classes never fall below 0.5."""
    low = float(sure.min()) if len(sure) else 0.0
    return (np.floor(low * 10) / 10 if low < 0.95 else 0.9), 1.0


def _band(count: int, middle: float) -> Array:
    """Return heights around `middle` by the golden ratio: even like noise, the same on every run."""
    return middle + 0.7 * (np.arange(1, count + 1) * 0.6180339887498949 % 1 - 0.5)


def _in_words(groups: dict[str, Array]) -> str:
    parts = [
        f"{len(values):,} {name}, mean confidence {values.mean():.3f}" if len(values) else f"none {name}"
        for name, values in groups.items()
    ]
    return "; ".join(parts).capitalize() + "."


def _sure_but_wrong(sure: Array, right: Array) -> str:
    count = int(((sure >= 0.9) & ~right).sum())
    return f" {count:,} wrong ones have a confidence of 0.9 or more." if count else ""
