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
    cache: Annotated[
        list[str] | None,
        typer.Option(
            help="Language model: tokens that the text said lately become likelier; window=500, weight=0.1 or "
            "flatness=0.3; repeatable."
        ),
    ] = None,
    dynamic: Annotated[
        list[str] | None,
        typer.Option(
            help="Language model: go on learning from what was scored; learning_rate=1e-4, decay=0.01, "
            "stretch=20, ...; repeatable; with --training-text."
        ),
    ] = None,
    training_text: Annotated[
        str | None, typer.Option(help="With --dynamic: text that the model was trained on.")
    ] = None,
    json_output: o.Json = False,
) -> None:
    """Score a stored model on labelled data; read as in its training unless told otherwise.

    A language model scores running text, a frame model its sequences. With --cache or --dynamic the scores are those
    of attending to what the text said lately, and "plain" is the nats per token without.
    """
    from recurra.cli.attending import Attending
    from recurra.cli.reading import read_like_training
    from recurra.runtime import load

    predictor = load(model)
    attending = Attending(cache=cache, dynamic=dynamic, training_text=training_text)
    if predictor.task == "language_model":
        from recurra.cli.corpora import evaluate_language_model

        if part is not None:
            raise InputError("--part has no effect on a language model; leave it out")
        evaluate_language_model(predictor, model, data, chosen.data, attending=attending, as_json=json_output)
        return
    if attending:
        raise InputError("--cache and --dynamic are for language models; leave them out")
    if predictor.task == "frame_model":
        from recurra.cli.frames import evaluate_frame_model

        evaluate_frame_model(predictor, model, data, chosen.data, part=part, as_json=json_output)
        return
    dataset = read_like_training(predictor, data, chosen.data)
    if part is not None:
        dataset = dataset.part(part)
    if dataset.targets is None:
        raise DataError(f"{dataset.source}: no target column to score against; name it with --target")
    more = {"by_type": True} if predictor.task == "tagger" else {}
    scores = predictor.scores(dataset.inputs, dataset.targets, dataset.static, **more)
    record = {"model": model, "task": predictor.task, "rows": len(dataset), "scores": scores}
    if json_output:
        print_json(record)
        return
    print(f"{len(dataset)} sequences")
    by_type = scores.pop("spans", {})
    for name, value in scores.items():
        print(f"{name:<28}{value:.4f}" if isinstance(value, float) else f"{name:<28}{value}")
    for label, row in by_type.items():
        numbers = "  ".join(f"{name} {row[name]:.4f}" for name in ("precision", "recall", "f1"))
        print(f"{label:<28}{numbers}  of {row['support']}")
