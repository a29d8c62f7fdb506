"""The page of `recurra explain` as a file, with its figures and numbers in a folder beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recurra.errors import InputError
from recurra.insight.pages.page import Asked, explain_report
from recurra.report.figure import keeping_pictures
from recurra.report.folder import save_parts
from recurra.report.html import write_report
from recurra.report.items import Report, Text


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written. folder: of the figures, or None. insights: the sentences of the overview. size: in bytes."""

    path: Path
    folder: Path | None
    insights: tuple[str, ...]
    size: int


def write_explained(
    path: str | Path,
    model: Any,
    data: Any = None,
    texts: Sequence[str] = (),
    asked: Asked | None = None,
    *,
    title: str = "",
    files: bool = True,
) -> Written:
    """Make the page and write it.

    path: ends in .html. model, data, texts, asked, title: as of `explain_report`. files: whether every figure is also
    written as SVG, PNG and CSV and every table as CSV, to a folder that is named after the page.
    Raises InputError for another suffix, StorageError where writing fails, and what `explain_report` raises; then
    nothing has been written.
    """
    target = Path(path)
    if target.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"the page must end in .html, got {str(path)!r}; use for example report.html")
    folder = None
    if files:
        with keeping_pictures() as pictures:
            report = explain_report(model, data, texts, asked, title=title)
        folder = target.with_name(f"{target.stem}-files")
        save_parts(folder, report, pictures)
    else:
        report = explain_report(model, data, texts, asked, title=title)
    write_report(target, report)
    return Written(path=target, folder=folder, insights=_sentences(report), size=target.stat().st_size)


def _sentences(report: Report) -> tuple[str, ...]:
    overview = report.sections[0].items if report.sections and report.sections[0].title == "Overview" else ()
    return tuple(item.body for item in overview if isinstance(item, Text) and item.tone == "plain")
