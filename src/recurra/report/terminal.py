"""The comparison table on a terminal and in a log."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from recurra.report.rows import comparison
from recurra.report.wording import columns_of, one_line

_GAP = "  "
_MAIN = 2  # the column of the main score


def comparison_table(
    rows: Sequence[Mapping[str, Any]],
    *,
    winner: object = None,
    main: str | None = None,
    plain: bool | None = None,
    width: int | None = None,
) -> str:
    """Return the comparison as text: the best first, scores with their intervals, parameters, seconds.

    rows: as in `recurra.report.pages`. winner: name of the row to set off. main: the score that
    rows are compared by; three scores are shown, this one first. plain: aligned columns without
    colours or lines; by default where standard output is not a terminal. width: columns of the terminal.
    """
    if plain is None:
        plain = not sys.stdout.isatty()
    table = comparison(rows, winner=winner, main=main)
    cells = [[one_line(table.shown(value).text) for value in row] for row in table.rows]
    numeric = [table.numeric(column) for column in range(len(table.columns))]
    if plain:
        return _aligned([list(table.columns), *cells], numeric)
    return _drawn(list(table.columns), cells, numeric, table.highlight, width)


def _aligned(lines: Sequence[Sequence[str]], numeric: Sequence[bool]) -> str:
    widths = [max(columns_of(line[at]) for line in lines) for at in range(len(numeric))]

    def padded(text: str, at: int) -> str:
        space = " " * (widths[at] - columns_of(text))
        return space + text if numeric[at] else text + space

    return (
        "\n".join(_GAP.join(padded(text, at) for at, text in enumerate(line)).rstrip() for line in lines)
        + "\n"
    )


def _drawn(
    columns: Sequence[str],
    cells: Sequence[Sequence[str]],
    numeric: Sequence[bool],
    marked: frozenset[int],
    width: int | None,
) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    size = width or shutil.get_terminal_size((100, 24)).columns
    kept = _fitting([list(columns), *cells], size)
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for at in kept:
        table.add_column(Text(columns[at]), justify="right" if numeric[at] else "left", overflow="fold")
    for index, row in enumerate(cells):
        # Names are a user's: as `Text` they are never read as rich's markup.
        table.add_row(*(Text(row[at]) for at in kept), style="bold green" if index in marked else None)
    out = io.StringIO()
    Console(file=out, force_terminal=True, width=size, legacy_windows=False).print(table)
    left_out = len(columns) - len(kept)
    return out.getvalue() + (f" {left_out} columns do not fit {size} columns of text.\n" if left_out else "")


def _fitting(lines: Sequence[Sequence[str]], size: int) -> list[int]:
    """Return the columns that fit: the model and its main score always, then as many as possible from the left."""
    widths = [max(columns_of(line[at]) for line in lines) + 2 for at in range(len(lines[0]))]
    kept = list(range(len(widths)))
    for at in [*range(len(widths) - 1, _MAIN, -1), 1]:
        if at not in kept or sum(widths[column] for column in kept) <= size:
            break
        kept.remove(at)
    return kept
