"""Numbers over steps as a heatmap: hidden states, gates, channels of a signal and their attributions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import DataError
from recurra.ragged import Array
from recurra.report.figure import Figure, draw, label
from recurra.report.figures.common import thinned
from recurra.report.theme import MUTED, RIGHT, WRONG
from recurra.report.wording import columns_of, shorten

MOST_STEPS = 240
MOST_ROWS = 64
_NAMES = 22
_NAMED_STEPS = 60


def heatmap(
    values: Any,
    *,
    title: str,
    rows: Sequence[object],
    steps: Sequence[object],
    rows_are: str = "unit",
    signed: bool = True,
    alt: str = "",
    limit: float | None = None,
) -> Figure:
    """Draw numbers of (rows, steps): blue above zero, orange below, as strong as they are large.

    rows, steps: their names. rows_are: what a row is, for the axis. signed: whether there may be numbers below zero
    (else the shade goes from 0). limit: the number of the strongest shade; the largest there is by default. At most
    64 rows and 240 steps are drawn, evenly spread, and the description says so. Raises DataError for other shapes.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.shape != (len(rows), len(steps)):
        raise DataError(
            f"values must have shape ({len(rows)}, {len(steps)}) for the names given, got {table.shape}"
        )
    down, across = thinned(len(rows), MOST_ROWS), thinned(len(steps), MOST_STEPS)
    shown = np.nan_to_num(table[np.ix_(down, across)])
    names = [label(shorten(rows[place], _NAMES)) for place in down]
    words = [label(shorten(steps[place], 12)) or "·" for place in across]
    most = limit or float(np.abs(shown).max(initial=0.0)) or 1.0
    sizes = _Sizes.of(names, words)
    svg = draw(
        lambda canvas: _paint(canvas, shown / most, names, words, sizes, _Scale(most, signed, rows_are)),
        width=sizes.width,
        height=sizes.height,
        layout=None,
    )
    columns: dict[str, Sequence[Any]] = {"step": words}
    columns |= {f"{names[place]}": _short(shown[place]) for place in range(len(names))}
    note = _thinned_note(table.shape, shown.shape, rows_are)
    return Figure(title=title, svg=svg, alt=(alt or _in_words(shown, names, words)) + note, data=columns)


def _short(numbers: Array) -> list[float]:
    return [float(f"{number:.4g}") for number in numbers]


@dataclass(frozen=True)
class _Scale:
    most: float
    signed: bool
    rows_are: str


@dataclass(frozen=True)
class _Sizes:
    """Measures of the drawing, fixed beforehand."""

    left: float
    below: float
    step: float
    row: float
    grid_width: float
    grid_height: float

    @classmethod
    def of(cls, names: Sequence[str], words: Sequence[str]) -> _Sizes:
        named = len(words) <= _NAMED_STEPS
        step = max(15.0, 360.0 / max(len(words), 1)) if named else 760.0 / len(words)
        row = min(18.0, max(4.0, 260.0 / max(len(names), 1)))
        longest = max(map(columns_of, names), default=1)
        below = 10 + 6.2 * max(map(columns_of, words), default=1) if named else 30.0
        width = min(step, 60.0) * max(len(words), 1)
        return cls(
            left=20 + 6.2 * longest if row >= 8 else 34.0,
            below=below,
            step=min(step, 60.0),
            row=row,
            grid_width=max(width, 120.0),
            grid_height=row * max(len(names), 1),
        )

    @property
    def width(self) -> float:
        return self.left + self.grid_width + 84

    @property
    def height(self) -> float:
        return max(self.grid_height + self.below + 10, 90.0)


def _paint(
    canvas: Any, shares: Array, names: Sequence[str], words: Sequence[str], sizes: _Sizes, scale: _Scale
) -> None:
    whole = (sizes.width, sizes.height) * 2
    place = (sizes.left, sizes.height - sizes.grid_height - 8, sizes.grid_width, sizes.grid_height)
    axes = canvas.add_axes([part / of for part, of in zip(place, whole, strict=True)])
    if shares.size:
        axes.imshow(_colours(shares), aspect="auto", interpolation="none")
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if sizes.row >= 8:
        axes.set_yticks(range(len(names)), names, fontsize=min(10.0, sizes.row))
    else:
        axes.set_yticks([])
        axes.set_ylabel(f"{len(names)} {scale.rows_are}s")
    if len(words) <= _NAMED_STEPS:
        axes.set_xticks(range(len(words)), words, rotation=90, fontsize=10)
    else:
        marks = thinned(len(words), 9)
        axes.set_xticks(marks, [words[mark] for mark in marks], fontsize=9)
    _paint_scale(canvas, sizes, scale)


def _colours(shares: Array) -> Array:
    """RGBA: the colour says the sign, how much it covers says the size; nothing covers nothing, in any theme."""
    from matplotlib.colors import to_rgb

    colours = np.empty((*shares.shape, 4))
    colours[..., :3] = np.where((shares >= 0)[..., None], to_rgb(RIGHT), to_rgb(WRONG))
    colours[..., 3] = np.clip(np.abs(shares), 0.0, 1.0)
    return np.round(colours * 255).astype(np.uint8)


def _paint_scale(canvas: Any, sizes: _Sizes, scale: _Scale) -> None:
    height = min(90.0, sizes.grid_height - 4)
    place = (sizes.left + sizes.grid_width + 14, sizes.height - height - 10, 10.0, height)
    whole = (sizes.width, sizes.height) * 2
    axes = canvas.add_axes([part / of for part, of in zip(place, whole, strict=True)])
    shades = np.linspace(1, -1 if scale.signed else 0, 33)[:, None]
    axes.imshow(_colours(shades), aspect="auto", interpolation="none")
    axes.grid(visible=False)
    ends = [f"{scale.most:.3g}", f"−{scale.most:.3g}" if scale.signed else "0"]
    axes.set_yticks([0, 32], ends, fontsize=10)
    axes.yaxis.tick_right()
    axes.set_xticks([])
    for spine in axes.spines.values():
        spine.set(visible=True, color=MUTED)


def _in_words(shown: Array, names: Sequence[str], words: Sequence[str]) -> str:
    if not shown.size:
        return "No steps."
    row, step = divmod(int(np.argmax(np.abs(shown))), shown.shape[1])
    strongest = np.abs(shown).mean(axis=0)
    return (
        f"{shown.shape[0]} rows over {shown.shape[1]} steps. The largest number is {shown[row, step]:.3g}, of "
        f"{names[row]} at step {step + 1} ({words[step]}); on average the strongest step is "
        f"{int(np.argmax(strongest)) + 1} ({words[int(np.argmax(strongest))]})."
    )


def _thinned_note(whole: tuple[int, ...], drawn: tuple[int, ...], rows_are: str) -> str:
    notes = [
        f" {shown} of {there:,} {name}s are drawn, evenly spread."
        for there, shown, name in zip(whole, drawn, (rows_are, "step"), strict=True)
        if shown < there
    ]
    return "".join(notes)
