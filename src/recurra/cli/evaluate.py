"""`recurra evaluate MODEL DATA`: score a bundle, without torch."""

from __future__ import annotations

from typing import Annotated

import typer

from recurra.cli import options as o
from recurra.cli.output import print_json
from recurra.errors import DataError, InputError


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="evaluate")(evaluate)


@o.chosen_by(*o.DATA)
def evaluate(
    model: Annotated[str, typer.Argument(help="Folder of a bundle.")],
    data: o.Data,
    chosen: o.Choices,
    part: o.Part = None,
    json_output: o.Json = False,
) -> None:
    """Score a stored model on labelled data; read as in its training unless told otherwise."""
    from recurra.cli.reading import read_like_training
    from recurra.runtime import load

    predictor = load(model)
    if predictor.task == "language_model":
        from recurra.cli.corpora import evaluate_language_model

        if part is not None:
            raise InputError("--part has no effect on a language model; leave it out")
        evaluate_language_model(predictor, model, data, chosen.data, as_json=json_output)
        return
    dataset = read_like_training(predictor, data, chosen.data)
    if part is not None:
        dataset = dataset.part(part)
    if dataset.targets is None:
        raise DataError(f"{dataset.source}: no target column to score against; name it with --target")
    scores = predictor.scores(dataset.inputs, dataset.targets, dataset.static)
    record = {"model": model, "task": predictor.task, "rows": len(dataset), "scores": scores}
    if json_output:
        print_json(record)
        return
    print(f"{len(dataset)} sequences")
    for name, value in scores.items():
        print(f"{name:<28}{value:.4f}" if isinstance(value, float) else f"{name:<28}{value}")
