"""How far predicted numbers are from the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recurra.ragged import Array
from recurra.report.figure import Figure, chart
from recurra.report.figures.common import numbers, same_size, thinned, thinning_note
from recurra.report.theme import INK, RIGHT
from recurra.report.wording import show_number


def predicted_and_true(truth: Sequence[float], predicted: Sequence[float]) -> Figure:
    """Draw every prediction against the true value; on the dashed line they are equal."""
    true, guess = _checked(truth, predicted)
    kept = thinned(len(true))

    def paint(axes: Any) -> None:
        both = np.concatenate([true, guess])
        if both.size:
            ends = [float(both.min()), float(both.max())]
            axes.plot(ends, ends, color=INK, linestyle="--", linewidth=1.0)
        axes.scatter(true[kept], guess[kept], s=16, c=RIGHT, alpha=0.55, linewidths=0)
        axes.set(xlabel="true value", ylabel="predicted value")

    text = "No predictions."
    if len(true):
        r = _correlation(true, guess)
        text = f"{len(true):,} predictions from {show_number(guess.min())} to {show_number(guess.max())}; "
        text += f"true values from {show_number(true.min())} to {show_number(true.max())}; "
        text += f"correlation {show_number(r)}."
    columns = {"true": true[kept].tolist(), "predicted": guess[kept].tolist()}
    svg = chart(paint, height=290)
    return Figure(
        title="Predicted and true values",
        svg=svg,
        alt=text + thinning_note(len(true), len(kept)),
        data=columns,
    )


def residuals(truth: Sequence[float], predicted: Sequence[float]) -> Figure:
    """Draw the residuals (predicted − true) against the prediction; a good model leaves no pattern."""
    true, guess = _checked(truth, predicted)
    left = guess - true
    kept = thinned(len(true))

    def paint(axes: Any) -> None:
        axes.axhline(0, color=INK, linestyle="--", linewidth=1.0)
        axes.scatter(guess[kept], left[kept], s=16, c=RIGHT, alpha=0.55, linewidths=0)
        axes.set(xlabel="predicted value", ylabel="predicted − true")

    text = "No predictions."
    if len(true):
        low, high = np.percentile(left, [5, 95])
        text = f"Mean residual {show_number(left.mean())}; "
        text += f"nine in ten lie between {show_number(low)} and {show_number(high)}."
    columns = {"predicted": guess[kept].tolist(), "residual": left[kept].tolist()}
    svg = chart(paint, height=290)
    return Figure(title="Residuals", svg=svg, alt=text + thinning_note(len(true), len(kept)), data=columns)


def _checked(truth: Any, predicted: Any) -> tuple[Array, Array]:
    true, guess = numbers(truth, "truth"), numbers(predicted, "predicted")
    same_size(true, guess, ("truth", "predicted"))
    known = np.isfinite(true) & np.isfinite(guess)
    return true[known], guess[known]


def _correlation(first: Array, second: Array) -> float:
    if len(first) < 2 or first.std() == 0 or second.std() == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])
