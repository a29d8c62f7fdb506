"""`recurra inspect DATA`: what is in the data, and what to fit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recurra.cli import options as o
from recurra.cli.output import print_json, say


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="inspect")(inspect)


@o.chosen_by(*o.DATA, *o.SPLITS)
def inspect(
    data: o.Data,
    chosen: o.Choices,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write the recommended configuration here, such as recurra.toml."
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the report as an HTML page here.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out what needs training: order, memory, seconds per epoch.")
    ] = False,
    json_output: o.Json = False,
) -> None:
    """Lengths, classes, duplicates, leakage, gaps, seasons; does order matter; what to fit, with reasons."""
    from recurra.cli.building import read_data
    from recurra.errors import InputError
    from recurra.evaluation.advice import inspect as look

    report = look(
        read_data(data, chosen.data, None), quick=quick, group=chosen.data.get("group"), reading=chosen.data
    )
    if output is not None:
        if report.recommended is None:
            raise InputError("--output: nothing can be recommended without targets of two classes or numbers")
        _write(output, report.recommended.to_toml())
    if html is not None:
        from recurra.evaluation.advice_page import inspection_page

        _write(html, inspection_page(report))
    if json_output:
        print_json(report.to_dict())
    else:
        print(report)


def _write(path: Path, text: str) -> None:
    from recurra.storage import atomic_write_text

    atomic_write_text(path, text)
    say(f"written: {path}")
