"""What a report consists of: sections with figures, tables, texts and named values. Plain data, no markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recurra.errors import DataError, SpecError
from recurra.report.figure import Figure, csv_text
from recurra.report.wording import is_number, show_number

_TONES = ("plain", "note", "verdict", "missing")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A table cell that is shown as `text`, sorted by `sort`; `share` (0 to 1) draws a bar behind it."""

    text: str
    sort: float | str | None = None
    share: float | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table. The first column names the row.

    columns: headings. rows: cells as numbers, texts, None (shown as –) or `Cell`. caption: what the table
    shows; screen readers announce it. sortable: whether headings sort and a field filters. highlight: rows to
    set off. digits: decimals of numbers. Raises DataError where a row does not fit the columns.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str
    sortable: bool = True
    highlight: frozenset[int] = frozenset()
    digits: int = 3

    kind = "table"

    def __post_init__(self) -> None:
        for index, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise DataError(
                    f"row {index} of table {self.caption!r} must have {len(self.columns)} cells, "
                    f"got {len(row)}; give one cell per column"
                )

    def shown(self, value: Any) -> Cell:
        """Return how a cell's value is shown and sorted."""
        if isinstance(value, Cell):
            return value
        if value is None or is_number(value):
            text = show_number(value, self.digits)
            return Cell(text=text, sort=None if value is None else float(value))
        if isinstance(value, bool):
            return Cell(text=_yes_or_no(value))
        return Cell(text=str(value))

    def numeric(self, column: int) -> bool:
        """Return whether a column holds numbers, which are set to the right."""
        cells = [self.shown(row[column]) for row in self.rows]
        return any(is_number(cell.sort) for cell in cells) and not any(
            isinstance(cell.sort, str) for cell in cells
        )

    def to_csv(self) -> str:
        """Return the table as CSV with a header line; numbers in full."""
        return csv_text(self.columns, [[_full(cell) for cell in row] for row in self.rows])

    def _repr_html_(self) -> str:
        from recurra.report.html import render_item

        return render_item(self)


@dataclass(frozen=True, kw_only=True)
class Text:
    """A paragraph. tone: `plain`, `note` (small), `verdict` (set off) or `missing` (what is not here)."""

    body: str
    tone: str = "plain"

    kind = "text"

    def __post_init__(self) -> None:
        if self.tone not in _TONES:
            raise SpecError(
                f"tone must be one of {', '.join(_TONES)}, got {self.tone!r}; use for example tone='note'"
            )


@dataclass(frozen=True, kw_only=True)
class KeyValues:
    """Named values. tiles: large, for the few numbers that matter most."""

    items: Mapping[str, Any]
    tiles: bool = False
    digits: int = 3

    kind = "values"

    def shown(self, value: Any) -> str:
        """Return how a value is shown."""
        if value is None or is_number(value):
            return show_number(value, self.digits)
        return _yes_or_no(value) if isinstance(value, bool) else str(value)


@dataclass(frozen=True, kw_only=True)
class Highlighted:
    """A text whose pieces are shaded by a signed weight, as attributions are.

    pieces: the text in order, white space included. weights: one number per piece; the strongest is shaded
    fully. positive, negative: what the two signs mean. Raises DataError where their numbers differ.
    """

    pieces: Sequence[str]
    weights: Sequence[float]
    caption: str
    positive: str = "for"
    negative: str = "against"

    kind = "highlighted"

    def __post_init__(self) -> None:
        if len(self.pieces) != len(self.weights):
            raise DataError(
                f"weights must be one per piece, got {len(self.weights)} for {len(self.pieces)} pieces; "
                "give 0.0 where there is none"
            )

    def strengths(self) -> list[tuple[str, float, float]]:
        """Return (piece, weight, weight relative to the strongest) in order."""
        values = [float(weight) if weight == weight else 0.0 for weight in self.weights]
        strongest = max((abs(value) for value in values), default=0.0) or 1.0
        return [(piece, value, value / strongest) for piece, value in zip(self.pieces, values, strict=True)]

    def _repr_html_(self) -> str:
        from recurra.report.html import render_item

        return render_item(self)


Item = Figure | Table | Text | KeyValues | Highlighted


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a report. collapsed: shown folded, for details that most readers skip (never on paper)."""

    title: str
    intro: str = ""
    items: Sequence[Item] = ()
    collapsed: bool = False


@dataclass(frozen=True, kw_only=True)
class Report:
    """A page: title, subtitle and sections; `footer` says how it was made."""

    title: str
    subtitle: str = ""
    sections: Sequence[Section] = field(default_factory=tuple)
    footer: str = ""

    def _repr_html_(self) -> str:
        from recurra.report.html import notebook_frame

        return notebook_frame(self)


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"


def _full(value: Any) -> Any:
    if isinstance(value, Cell):
        return value.text if value.sort is None else value.sort
    return value
