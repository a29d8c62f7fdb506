"""`recurra verify MODEL [DATA]`: what is promised of every model, checked on this one; torch is not needed."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from recurra.cli import options as o
from recurra.cli.output import print_json, say
from recurra.cli.under import Condition, under
from recurra.errors import StorageError


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="verify")(verify)


@o.chosen_by(*o.DATA)
def verify(
    model: Annotated[str, typer.Argument(help="Folder of a bundle.")],
    chosen: o.Choices,
    data: Annotated[
        list[str] | None, typer.Argument(help="Files as in training; without them, made sequences are used.")
    ] = None,
    condition: Condition = None,
    json_output: o.Json = False,
    store: Annotated[
        bool, typer.Option(help="Keep the result in the bundle (verification.json) and on its model card.")
    ] = True,
) -> None:
    """Check what is promised: alone = batch = permuted = streamed, bit for bit; = torch and ONNX Runtime."""
    from recurra.cli.reading import sequences_like_training
    from recurra.runtime import load
    from recurra.runtime.verify import verify as verified

    predictor = under(load(model), condition)
    inputs, static = sequences_like_training(predictor, data, chosen.data) if data else (None, None)
    result = verified(predictor, inputs, static)
    if store and condition is None:
        _keep(model, result)
    if json_output:
        print_json(result.to_record())
    else:
        _show(result)
    if not result.passed:
        raise typer.Exit(1)


def _keep(model: str, result: Any) -> None:
    from recurra.runtime.bundle import add_to_card, attach
    from recurra.runtime.verify import card_lines

    try:
        attach(model, "verification.json", result.to_json())
        add_to_card(model, "Verification", card_lines(json.loads(result.to_json())))
    except StorageError as error:
        say(f"the result could not be kept in the bundle: {error}")


def _show(result: Any) -> None:
    for check in result.checks:
        allowed = "every bit" if check.tolerance == 0 else f"{check.tolerance:g} allowed"
        found = "same" if check.difference == 0 else f"off by {check.difference:.2g}"
        print(f"{'ok  ' if check.passed else 'FAIL'}  {check.name:<40}{found} ({allowed})")
    for note in result.notes:
        print(f"      {note}")
    kind = "made sequences" if result.made else "sequences"
    print(f"{'verified' if result.passed else 'NOT VERIFIED'} on {result.rows} {kind}")
