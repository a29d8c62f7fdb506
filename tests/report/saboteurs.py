"""Breaks one promise of the report room each; its test must then fail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import matplotlib

from recurra.report import figure, html, svg


@contextmanager
def markup_from_data() -> Iterator[None]:
    """Let texts of the data into the page as they are."""
    with patch.object(html._templates(), "autoescape", False):
        html._templates().cache.clear()
        yield
    html._templates().cache.clear()


@contextmanager
def shared_identifiers() -> Iterator[None]:
    """Give every drawing of a page the same identifiers."""
    with patch.object(figure, "themed", lambda source, prefix: svg.themed(source, "")):
        yield


@contextmanager
def fixed_colours() -> Iterator[None]:
    """Draw in the light theme, whatever the reader prefers."""
    with patch.object(figure, "themed", lambda source, prefix: source):
        yield


@contextmanager
def formulas_in_tables() -> Iterator[None]:
    """Write texts into CSV files as they are."""
    with patch.object(figure, "_FORMULA", ()):
        yield


@contextmanager
def readers_style() -> Iterator[None]:
    """Draw on top of the user's matplotlib settings instead of its defaults."""
    with patch.object(matplotlib, "rcdefaults", lambda: None):
        yield


@contextmanager
def drawings_without_words() -> Iterator[None]:
    """Leave out what screen readers announce of a drawing."""

    def silent(item: figure.Figure, identifier: str) -> str:
        return item.inline(f"{identifier}-")

    with patch.object(html, "_drawing", silent):
        yield
