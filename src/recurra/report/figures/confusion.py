"""Which classes are taken for which."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from recurra.errors import DataError
from recurra.ragged import Array
from recurra.report.figure import Figure, draw, label
from recurra.report.theme import HEAT, ON_HIGH, ON_LOW
from recurra.report.wording import columns_of, shorten, show_share

_COUNTS_UP_TO = 20
_SWITCH = 0.71  # the opacity at which black on the shade and white on it are equally readable, in both themes


def confusion(matrix: Any, labels: Sequence[object]) -> Figure:
    """Draw a confusion matrix: a row per true class, a column per predicted one, shaded by share of the row.

    matrix: (C, C) counts, rows true, columns predicted. labels: C names. Counts are written into the cells up
    to 20 classes; beyond, a cell keeps a readable size and the drawing grows. Raises DataError where the
    matrix is not square or does not fit the labels.
    """
    counts = _counts(matrix, len(labels))
    names = [shorten(name, 22) for name in labels]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = len(names)
    cell = max(13.0, min(52.0, 300.0 / max(size, 1)))
    margin = 34 + 5.6 * max((columns_of(name) for name in names), default=0)
    side = max(cell * size + margin, 260.0)
    svg = draw(lambda canvas: _paint(canvas.subplots(), counts, shares, names, cell), width=side, height=side)
    columns: dict[str, Sequence[Any]] = {"true class": [str(name) for name in labels]}
    columns |= {f"predicted {name}": counts[:, index].tolist() for index, name in enumerate(labels)}
    return Figure(
        title="Confusion matrix",
        svg=svg,
        alt=_in_words(counts, [label(name) for name in labels]),
        data=columns,
    )


def confused_pairs(matrix: Any, labels: Sequence[object]) -> list[tuple[str, str, int, float]]:
    """Return (true, predicted, count, share of the true class) of each mistaken pair, most frequent first."""
    counts = _counts(matrix, len(labels))
    totals = counts.sum(axis=1)
    wrong = counts - np.diag(np.diag(counts))
    pairs = [
        (
            str(labels[true]),
            str(labels[predicted]),
            int(wrong[true, predicted]),
            wrong[true, predicted] / totals[true],
        )
        for true, predicted in np.argwhere(wrong > 0)
    ]
    return sorted(pairs, key=lambda pair: -pair[2])


def _counts(matrix: Any, size: int) -> Array:
    counts = np.asarray(matrix)
    if counts.shape != (size, size) and not (size == 0 and counts.size == 0):
        raise DataError(
            f"matrix must be {size} by {size} for {size} labels, got shape {counts.shape}; "
            "give one label per class"
        )
    return counts.reshape(size, size)


def _paint(axes: Any, counts: Array, shares: Array, names: Sequence[str], cell: float) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Rectangle

    filled = np.argwhere(counts > 0)
    tiles = [Rectangle((column - 0.5, row - 0.5), 1, 1) for row, column in filled]
    colours = [(*to_rgb(HEAT), _opacity(shares[row, column])) for row, column in filled]
    axes.add_collection(PatchCollection(tiles, facecolors=colours, edgecolors="none"))
    size = len(names)
    if size <= _COUNTS_UP_TO:
        for row, column in filled:
            colour = ON_HIGH if _opacity(shares[row, column]) > _SWITCH else ON_LOW
            text = _short_count(counts[row, column], cell)
            axes.text(
                column, row, text, ha="center", va="center", color=colour, fontsize=min(11.0, cell * 0.36)
            )
    font = min(10.5, cell * 0.75)
    axes.set_xticks(
        range(size),
        names,
        rotation=90 if size > 3 or max(map(len, names), default=0) > 8 else 0,
        fontsize=font,
    )
    axes.set_yticks(range(size), names, fontsize=font)
    axes.set(
        xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), xlabel="predicted", ylabel="true", aspect="equal"
    )
    axes.grid(visible=False)
    if size > _COUNTS_UP_TO:
        axes.grid(visible=True, linewidth=0.4)
    for spine in axes.spines.values():
        spine.set_visible(True)


def _opacity(share: float) -> float:
    """Return how strongly a share is shaded: rare ones stay visible, the switch of text colour is jumped."""
    opacity = 0.07 + 0.93 * math.pow(share, 0.7)
    if abs(opacity - _SWITCH) < 0.02:
        return _SWITCH + (0.02 if opacity > _SWITCH else -0.02)
    return opacity


def _short_count(count: Any, cell: float) -> str:
    text = f"{count:g}"
    return f"{count / 1000:.0f}k" if len(text) > 4 and cell < 40 else text


def _in_words(counts: Array, labels: Sequence[str]) -> str:
    total, right = counts.sum(), np.trace(counts)
    text = f"{right:,.0f} of {total:,.0f} are right ({show_share(right, total)})."
    pairs = confused_pairs(counts, labels)
    if pairs:
        true, predicted, count, share = pairs[0]
        text += f" Most frequent mistake: {true} taken for {predicted}, {count:,} times "
        text += f"({100 * share:.1f}% of {true})."
    return text
