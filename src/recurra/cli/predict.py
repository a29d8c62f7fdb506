"""`recurra predict MODEL [DATA|-]`: one JSON line per sequence, without torch."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from recurra.cli import options as o
from recurra.cli.output import print_json
from recurra.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="predict")(predict)


@o.chosen_by(*o.DATA)
def predict(
    model: Annotated[str, typer.Argument(help="Folder of a bundle.")],
    chosen: o.Choices,
    data: Annotated[
        list[str] | None,
        typer.Argument(help="Files as in training; '-' or nothing: one sequence per line on standard input."),
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option("--text", help="A text to answer, instead of data; repeatable.")
    ] = None,
    coverage: Annotated[
        float | None,
        typer.Option(
            help="Also the set of labels or the interval with this coverage, for a calibrated model."
        ),
    ] = None,
    n_best: Annotated[
        int | None,
        typer.Option(help="Tagger: also so many of the most probable sequences of tags.", min=1),
    ] = None,
) -> None:
    """Answer for new sequences: `{"label", "probability", "probabilities"}` or `{"value"}` per line.

    A language model scores texts: `{"log_probability", "tokens", "nats_per_token", "perplexity"}` per document; a
    frame model sequences: `{"log_probability", "frames", "nats_per_frame"}`; a tagger `{"steps": [...]}`, with
    --n-best also `"alternatives"`, the best first: `{"labels", "probability"}`.
    """
    from recurra.cli.reading import read_like_training, standard_input
    from recurra.runtime import load

    predictor = load(model)
    if coverage is not None and predictor.conformal is None:
        raise InputError(
            f"{model} promises no coverage: leave --coverage out, or fit it with --conformal 0.9"
        )
    if n_best is not None and predictor.task != "tagger":
        raise InputError(f"--n-best has no effect on a {predictor.task.replace('_', ' ')}; leave it out")
    inputs: Any
    static = None
    more: dict[str, Any] = {} if n_best is None else {"alternatives": n_best}
    if text:
        inputs = list(text)
    elif data in (None, [], ["-"]):
        inputs = standard_input(predictor.encoder.kind)
    elif predictor.task == "language_model":
        from recurra.cli.corpora import told_texts_like_training

        inputs, conditions = told_texts_like_training(predictor, data, chosen.data)
        more = {} if conditions is None else {"conditions": conditions}
    elif predictor.task == "frame_model":
        from recurra.cli.frames import frames_like_training

        inputs = list(frames_like_training(predictor, data, chosen.data).inputs)
    else:
        dataset = read_like_training(predictor, data, chosen.data)
        inputs, static = dataset.inputs, dataset.static
    for record in predictor.records(inputs, static, coverage=coverage, **more):
        print_json(record)
