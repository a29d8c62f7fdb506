"""`Figure`: a drawing, its description in words and its numbers, kept together; and how one is drawn."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from recurra.errors import SpecError
from recurra.report.svg import clean, themed
from recurra.report.theme import drawing_style
from recurra.report.wording import is_number, one_line, plain, slug
from recurra.storage import atomic_write_text

WIDTH, HEIGHT = 420.0, 250.0
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_IN_URL = " !$&'()*+,-./:;=?@_~"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A drawing with everything a reader needs who cannot see it.

    title: what is shown. svg: a standalone SVG file, light on white. alt: the same in words, with the main
    numbers. data: named columns, the numbers that are drawn (columns may differ in length).
    """

    title: str
    svg: str
    alt: str
    data: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    kind = "figure"

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in the drawing's own units, of which a report shows about one per CSS pixel."""
        found = re.match(r'<svg [^>]*viewBox="0 0 ([\d.]+) ([\d.]+)"', self.svg)
        return (float(found[1]), float(found[2])) if found else (WIDTH, HEIGHT)

    @property
    def file_name(self) -> str:
        """A file name without suffix, made from the title."""
        return slug(self.title, "figure")

    def inline(self, prefix: str) -> str:
        """Return the drawing for a page: in the page's colours, with identifiers of its own."""
        return themed(self.svg, prefix)

    def to_csv(self) -> str:
        """Return the numbers as CSV with a header line; see `csv_text`."""
        return csv_text(list(self.data), list(zip_longest(*self.data.values(), fillvalue="")))

    def save(self, path: str | Path) -> Path:
        """Write the drawing (`.svg`) or its numbers (`.csv`), atomically; return the path.

        Raises SpecError for another suffix and StorageError where the file cannot be written.
        """
        path = Path(path)
        forms: dict[str, Callable[[], str]] = {".svg": lambda: self.svg, ".csv": self.to_csv}
        if path.suffix.lower() not in forms:
            raise SpecError(f"path must end in .svg or .csv, got {path.name!r}; use for example 'figure.svg'")
        atomic_write_text(path, forms[path.suffix.lower()]())
        return path

    def _repr_html_(self) -> str:
        return f'<div style="background:#fff;max-width:{self.size[0] * 1.4:.0f}px">{self.inline("n-")}</div>'


def csv_text(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return CSV (RFC 4180). A text that a spreadsheet would run as a formula gets an apostrophe in front."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([_csv_cell(column) for column in columns])
    writer.writerows([_csv_cell(cell) for cell in row] for row in rows)
    return out.getvalue()


def _csv_cell(value: Any) -> Any:
    if value is None:
        return ""
    if is_number(value):
        number = value.item() if hasattr(value, "item") else value
        return f"{number:.9g}" if isinstance(number, float) else number
    text = plain(value)
    return "'" + text if text.startswith(_FORMULA) else text


def data_link(media_type: str, text: str) -> str:
    """Return `text` as a data URI: percent-encoded, which for SVG and CSV is shorter than base 64."""
    return f"data:{media_type};charset=utf-8,{quote(text, safe=_IN_URL)}"


def draw(
    paint: Callable[[Any], None],
    *,
    width: float = WIDTH,
    height: float = HEIGHT,
    layout: Literal["constrained"] | None = "constrained",
) -> str:
    """Return the SVG of what `paint` puts on a new matplotlib figure of `width` by `height` units.

    matplotlib's object interface is used: no pyplot, no global figure, no display. Raises MissingExtraError
    where matplotlib is not installed.
    """
    with drawing_style(), warnings.catch_warnings():
        # The reader's browser has the glyphs that the font used for measuring lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message=".*constrained_layout not applied")
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure as Canvas

        canvas = Canvas(figsize=(width / 72, height / 72), dpi=72, layout=layout)
        writer: Any = FigureCanvasSVG(canvas)
        paint(canvas)
        out = io.StringIO()
        # `savefig` would lay out and draw everything twice.
        writer.print_svg(out, metadata={"Date": None})
        made = clean(out.getvalue())
        kept = _PICTURES.get()
        if kept is not None:
            kept[made] = _png(canvas)
    return made


_PICTURES: ContextVar[dict[str, bytes] | None] = ContextVar("pictures", default=None)


@contextmanager
def keeping_pictures() -> Iterator[dict[str, bytes]]:
    """Draw everything as PNG too, at twice the size: SVG text -> PNG, of all that is drawn inside."""
    kept: dict[str, bytes] = {}
    token = _PICTURES.set(kept)
    try:
        yield kept
    finally:
        _PICTURES.reset(token)


def _png(canvas: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    writer: Any = FigureCanvasAgg(canvas)
    canvas.set_dpi(144)
    out = io.BytesIO()
    writer.print_png(out)
    return out.getvalue()


def chart(paint: Callable[[Any], None], *, width: float = WIDTH, height: float = HEIGHT) -> str:
    """Return the SVG of what `paint` puts on one pair of axes."""
    return draw(lambda canvas: paint(canvas.subplots()), width=width, height=height)


def label(value: object) -> str:
    """Return a user's text for use in a drawing."""
    return one_line(value)
