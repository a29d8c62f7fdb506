"""The report of `inspect` as an HTML page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from recurra.evaluation.advice import Inspection
from recurra.report.figures import class_balance
from recurra.report.html import render
from recurra.report.items import Item, KeyValues, Report, Section, Table, Text


def inspection_page(report: Inspection) -> str:
    """Return the page, complete and without links to anything outside. Raises MissingExtraError without Jinja2."""
    sections = [
        Section(title="Advice", items=list(_advice(report))),
        Section(title="Sequences", items=list(_sequences(report))),
        Section(title="Order and memory", items=list(_trained(report))),
        Section(title="Recommended configuration", items=list(_recommended(report))),
        Section(
            title="Everything",
            items=[Text(body=line) for line in report.to_text().split("\n")],
            collapsed=True,
        ),
    ]
    return render(
        Report(
            title=f"Inspection of {report.source}",
            subtitle=f"{report.sequences:,} sequences",
            sections=sections,
        )
    )


def _advice(report: Inspection) -> Iterator[Item]:
    yield from (Text(body=text, tone="verdict") for text in report.wrong_tool)
    yield from (Text(body=text) for text in report.advice)
    if not report.wrong_tool and not report.advice:
        yield Text(body="Nothing was found that speaks against these data.")


def _sequences(report: Inspection) -> Iterator[Item]:
    lengths = report.lengths
    facts: dict[str, Any] = {"Sequences": report.sequences, **{f"In {k}": v for k, v in report.parts.items()}}
    facts |= {f"Mean length ({lengths.unit})": lengths.mean, "Longest": lengths.maximum}
    facts |= {"Duplicates": report.duplicates, "Near-duplicates": report.near.sequences}
    yield KeyValues(items=facts, tiles=True)
    if report.labels is not None and report.labels.counts:
        yield class_balance({"all": report.labels.counts})
    yield Table(
        columns=["Cut at", "Sequences cut", "Lost"],
        rows=[[f"{cut.limit:,}", f"{cut.sequences:.1%}", f"{cut.lost:.1%}"] for cut in report.cuts],
        caption="What truncation costs",
    )


def _trained(report: Inspection) -> Iterator[Item]:
    found = [str(one) for one in (report.order, report.memory) if one is not None]
    yield from (Text(body=text) for text in found)
    yield from (Text(body=why, tone="note") for why in report.left_out)
    if not found and not report.left_out:
        yield Text(body="Not asked: nothing was trained.", tone="missing")


def _recommended(report: Inspection) -> Iterator[Item]:
    made = report.recommended
    if made is None:
        yield Text(body="Nothing can be recommended without targets.", tone="missing")
        return
    yield Text(body=made.cost())
    rows = [
        [f"{section}.{name}", str(value), made.reasons.get(f"{section}.{name}", "")]
        for section, options in made.sections().items()
        for name, value in options.items()
    ]
    yield Table(columns=["Option", "Value", "Reason"], rows=rows, caption="recurra.toml")
