"""`recurra inspect DATA`: what is in the data."""

from __future__ import annotations

import typer

from recurra.cli import options as o
from recurra.cli.output import print_json


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="inspect")(inspect)


@o.chosen_by(*o.DATA)
def inspect(data: o.Data, chosen: o.Choices, json_output: o.Json = False) -> None:
    """Lengths, classes, vocabulary, duplicates, missing values and sample rows."""
    from recurra.cli.building import read_data
    from recurra.data.inspection import inspect as report_on

    report = report_on(read_data(data, chosen.data, None))
    if json_output:
        print_json(report.to_dict())
    else:
        print(report)
