"""`recurra doctor`: what is built, what runs, what is missing and how to get it."""

from __future__ import annotations

from typing import Annotated

import typer

from recurra.cli import options as o
from recurra.cli.output import print_json


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="doctor")(doctor)


def doctor(
    torch: Annotated[bool, typer.Option("--torch", help="Also load torch and say what it has.")] = False,
    json_output: o.Json = False,
) -> None:
    """What is built, which instruction set runs, threads, libraries, what is missing and the command for it."""
    from recurra.runtime.doctor import examine

    found = examine(torch=torch)
    if json_output:
        print_json(found.to_dict())
    else:
        print(found)
