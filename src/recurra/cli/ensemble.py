"""`recurra ensemble MODEL MODEL ... -o DIR`: several models that answer as one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recurra.cli import options as o
from recurra.cli.output import print_json


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="ensemble")(ensemble)


def ensemble(
    models: Annotated[list[str], typer.Argument(help="Folders of bundles: one task, the same labels.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    json_output: o.Json = False,
) -> None:
    """Join trained models into one that answers with the mean of their probabilities, or of their numbers."""
    from recurra.errors import SpecError
    from recurra.runtime.ensemble import Ensemble
    from recurra.storage import check_target

    own = {Path(model).resolve() for model in models}
    if len(own) < len(models):
        raise SpecError("the models of an ensemble must be different folders, got one twice")
    if output.resolve() in own:
        raise SpecError(f"--output must be another folder than those of the models, got {output}")
    check_target(output)
    made = Ensemble.of(*models)
    written = made.save(output)
    if json_output:
        record = {"model": str(written), "task": made.task, "members": models, "streams": made.shares_steps}
        print_json(record)
        return
    print(f"{written}  {len(models)} models as one {made.task}")
    if not made.shares_steps:
        print("it cannot be streamed: its members read sequences in different ways")
    print(f"measure it before you trust it: recurra evaluate {written} DATA")
