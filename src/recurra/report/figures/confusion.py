"""Which classes are taken for which."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from recurra.errors import DataError
from recurra.ragged import Array
from recurra.report.figure import Figure, draw, label
from recurra.report.theme import GRID, HEAT, MUTED, ON_HIGH, ON_LOW
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
    sizes = _Sizes(names)
    svg = draw(
        lambda canvas: _paint(canvas, counts, shares, names, sizes),
        width=sizes.width,
        height=sizes.height,
        layout=None,
    )
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


class _Sizes:
    """Measures of the drawing: fixed beforehand, as laying out 160 labels by trial takes matplotlib seconds."""

    def __init__(self, names: Sequence[str]) -> None:
        count = max(len(names), 1)
        self.cell = max(20.0 if count <= _COUNTS_UP_TO else 13.0, min(52.0, 300.0 / count))
        self.font = min(11.0, self.cell * 0.75)
        self.upright = max(map(columns_of, names), default=0) * self.font * 0.62 > self.cell * 0.95
        longest = max(map(columns_of, names), default=1) * self.font * 0.6
        self.left = longest + 30
        self.below = (longest if self.upright else self.font) + 34
        self.grid = self.cell * count
        self.width = max(self.left + self.grid + 12, 240.0)
        self.height = self.grid + self.below + 8


def _paint(canvas: Any, counts: Array, shares: Array, names: Sequence[str], sizes: _Sizes) -> None:
    place = (sizes.left, sizes.below, sizes.grid, sizes.grid)
    whole = (sizes.width, sizes.height) * 2
    axes = canvas.add_axes([part / of for part, of in zip(place, whole, strict=True)])
    axes.set_axis_off()
    end = max(len(names), 1) - 0.5
    axes.set(xlim=(-0.5, end), ylim=(end, -0.5))
    _tiles(axes, counts, shares, sizes)
    _names(axes, names, sizes)


def _tiles(axes: Any, counts: Array, shares: Array, sizes: _Sizes) -> None:
    from matplotlib.collections import LineCollection, PatchCollection
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Rectangle

    size = len(counts)
    inner = 1 if size > _COUNTS_UP_TO else size
    borders = [at - 0.5 for at in range(0, size + 1, max(inner, 1))]
    lines = [((-0.5, at), (size - 0.5, at)) for at in borders] + [
        ((at, -0.5), (at, size - 0.5)) for at in borders
    ]
    axes.add_collection(
        LineCollection(lines, colors=GRID if inner == 1 else MUTED, linewidths=0.6, clip_on=False)
    )
    filled = np.argwhere(counts > 0)
    tiles = [Rectangle((column - 0.5, row - 0.5), 1, 1) for row, column in filled]
    colours = [(*to_rgb(HEAT), _opacity(shares[row, column])) for row, column in filled]
    axes.add_collection(PatchCollection(tiles, facecolors=colours, edgecolors="none"))
    if size > _COUNTS_UP_TO:
        return
    for row, column in filled:
        colour = ON_HIGH if _opacity(shares[row, column]) > _SWITCH else ON_LOW
        text = _short_count(counts[row, column], sizes.cell)
        axes.text(
            column, row, text, ha="center", va="center", color=colour, fontsize=min(12.0, sizes.cell * 0.42)
        )


def _names(axes: Any, names: Sequence[str], sizes: _Sizes) -> None:
    gap = 5 / sizes.cell
    style = {"fontsize": sizes.font, "color": MUTED}
    end, middle = len(names) - 0.5, (len(names) - 1) / 2
    for at, name in enumerate(names):
        axes.text(-0.5 - gap, at, name, ha="right", va="center", **style)
        turn = {"rotation": 90, "rotation_mode": "anchor", "ha": "right", "va": "center"}
        flat = {"ha": "center", "va": "top"}
        axes.text(at, end + gap, name, **(turn if sizes.upright else flat), **style)
    title = {"fontsize": 11.0, "color": MUTED, "ha": "center"}
    axes.text(-0.5 - (sizes.left - 12) / sizes.cell, middle, "true", rotation=90, va="center", **title)
    axes.text(middle, end + (sizes.below - 6) / sizes.cell, "predicted", va="bottom", **title)


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
