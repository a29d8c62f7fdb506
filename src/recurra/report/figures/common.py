"""What several drawings need: legends below the axes, thinning of long data, checks of what is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recurra.errors import DataError
from recurra.ragged import Array
from recurra.report.figure import WIDTH
from recurra.report.wording import columns_of

POINTS = 1500


def numbers(values: Any, name: str) -> Array:
    """Return `values` as a float64 vector. Raises DataError where they are not numbers in one dimension."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{name} must be numbers, got {values!r:.80}; give one number per item") from None
    if array.ndim != 1:
        raise DataError(f"{name} must have one dimension, got shape {array.shape}; give one number per item")
    return array


def same_size(first: Array, second: Array, names: tuple[str, str]) -> None:
    """Raise DataError where two columns differ in length."""
    if len(first) != len(second):
        raise DataError(
            f"{names[0]} and {names[1]} must be equally long, got {len(first)} and {len(second)}; "
            "give one of each per item"
        )


def thinned(count: int, most: int = POINTS) -> Array:
    """Return at most `most` positions, evenly spread over `range(count)`, first and last among them."""
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(np.int64))


def thinning_note(count: int, drawn: int) -> str:
    """Return the sentence that tells a reader of left-out points, or nothing where none is left out."""
    return "" if drawn >= count else f" {drawn:,} of {count:,} points are drawn, evenly spread."


def plain_logarithm(axis: Any) -> None:
    """Label a logarithmic axis with plain numbers: matplotlib's own labels are formulas."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(numticks=7))
    axis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
    axis.set_minor_formatter(NullFormatter())


def legend_below(axes: Any, entries: Sequence[str], handles: Any = None) -> None:
    """Put the legend under the axes, in as many columns as the names leave room for."""
    if not entries:
        return
    chosen = {"handles": handles} if handles is not None else {}
    axes.figure.legend(
        labels=list(entries),
        loc="outside lower center",
        ncols=_legend_columns(entries),
        handlelength=1.8,
        columnspacing=1.4,
        **chosen,
    )


def legend_height(entries: Sequence[str]) -> float:
    """Return by how much a drawing must grow so that its legend leaves the axes their height."""
    return 18.0 * (-(-len(entries) // _legend_columns(entries)) - 1) if entries else 0.0


def _legend_columns(entries: Sequence[str]) -> int:
    """Return how many columns of the widest name, its line and a gap fit into a drawing's width."""
    widest = max(columns_of(entry) for entry in entries)
    return max(1, min(len(entries), int(WIDTH / (6.4 * widest + 44)), 4))
