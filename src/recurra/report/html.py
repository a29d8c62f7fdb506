"""A report as one HTML file that needs nothing beside itself.

Everything that comes from data is escaped (Jinja2's autoescape); the content security policy of the page
allows one script, ours, by its hash, and no network at all.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any

from recurra.errors import missing_extra
from recurra.report.figure import Figure, data_link
from recurra.report.items import Item, Report, Section, Table
from recurra.report.theme import style_sheet
from recurra.report.wording import one_line, plain, slug
from recurra.storage import atomic_write_text


def render(report: Report) -> str:
    """Return the report as a complete HTML page. Raises MissingExtraError where Jinja2 is not installed."""
    script = _resource("script.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; base-uri 'none'; "
        f"form-action 'none'; script-src 'sha256-{digest}'"
    )
    sections = [_section(section, f"s{number}") for number, section in enumerate(report.sections, 1)]
    markup = _markup()
    return str(
        _templates()
        .get_template("page.html")
        .render(
            report=report,
            sections=sections,
            policy=policy,
            style=markup(style_sheet() + _resource("style.css")),
            script=markup(script),
        )
    )


def write_report(path: str | Path, report: Report) -> Path:
    """Write the page atomically to `path`; return the path. Raises StorageError where that fails."""
    atomic_write_text(path, render(report))
    return Path(path)


def render_item(item: Item, identifier: str = "item") -> str:
    """Return one part of a report as HTML with the little style it needs, for notebooks."""
    scoped = _resource("notebook.css")
    return f'<div class="recurra-item"><style>{scoped}</style>{_item(item, identifier)}</div>'


def notebook_frame(report: Report) -> str:
    """Return the page inside a frame of its own, apart from the notebook's style and scripts."""
    page = str(_markup().escape(render(report)))
    name = _markup().escape(one_line(report.title))
    return (
        f'<iframe title="{name}" srcdoc="{page}" sandbox="allow-scripts allow-downloads allow-popups" '
        'style="width:100%;height:720px;border:1px solid #8884;border-radius:8px"></iframe>'
    )


def _section(section: Section, identifier: str) -> dict[str, Any]:
    return {
        "id": identifier,
        "title": section.title,
        "intro": section.intro,
        "collapsed": section.collapsed,
        "groups": list(_groups(section, identifier)),
    }


def _groups(section: Section, identifier: str) -> Iterator[Any]:
    """Yield the items in order; figures that follow each other share a grid."""
    numbered = [(item, f"{identifier}-{number}") for number, item in enumerate(section.items, 1)]
    for are_figures, members in groupby(numbered, key=lambda pair: isinstance(pair[0], Figure)):
        parts = _markup()("").join(_item(item, name) for item, name in members)
        yield _markup()('<div class="grid">\n{}</div>\n').format(parts) if are_figures else parts


def _item(item: Item, identifier: str) -> Any:
    """Return the markup of one item (a `markupsafe.Markup`)."""
    known: dict[str, Any] = {}
    if isinstance(item, Figure):
        known = {
            "drawing": _markup()(_drawing(item, identifier)),
            "svg_link": data_link("image/svg+xml", item.svg),
            "csv_link": data_link("text/csv", item.to_csv()),
        }
    elif isinstance(item, Table):
        known = {
            "numeric": [item.numeric(column) for column in range(len(item.columns))],
            "csv_link": data_link("text/csv", item.to_csv()),
            "file_name": slug(item.caption, "table"),
        }
    macros = _templates().get_template("items.html").make_module(known)
    return getattr(macros, item.kind)(item, identifier)


def _drawing(item: Figure, identifier: str) -> str:
    """Return the drawing with its name for screen readers; a wide one keeps a readable width and scrolls."""
    name = _markup().escape(plain(f"{item.title}. {item.alt}".strip()))
    width = item.size[0]
    style = f' style="min-width:{width:.0f}px;max-width:{width * 1.5:.0f}px"' if width > 560 else ""
    if width <= 560:
        style = f' style="max-width:{width * 1.35:.0f}px"'
    return item.inline(f"{identifier}-").replace("<svg ", f'<svg role="img" aria-label="{name}"{style} ', 1)


@lru_cache(maxsize=1)
def _templates() -> Any:
    try:
        import jinja2
    except ImportError:
        raise missing_extra("Jinja2", "train", "writing an HTML report") from None

    def clean(value: Any) -> Any:
        return plain(value) if isinstance(value, str) and not hasattr(value, "__html__") else value

    return jinja2.Environment(
        loader=jinja2.FunctionLoader(_resource),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=clean,
        keep_trailing_newline=True,
    )


def _markup() -> Any:
    _templates()
    from markupsafe import Markup

    return Markup


@lru_cache(maxsize=8)
def _resource(name: str) -> str:
    return (files("recurra.report") / "page" / name).read_text(encoding="utf-8")
