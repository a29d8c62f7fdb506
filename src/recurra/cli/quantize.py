"""`recurra quantize MODEL DATA`: score, size and speed of a model in fewer bits, and which one to ship."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from recurra.cli import options as o
from recurra.cli.output import print_json
from recurra.errors import DataError, InputError


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="quantize")(quantize)


@o.chosen_by(*o.DATA)
def quantize(
    model: Annotated[str, typer.Argument(help="Folder of a float32 bundle.")],
    data: o.Data,
    chosen: o.Choices,
    part: o.Part = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for the recommended model; none is kept without."),
    ] = None,
    max_loss: Annotated[float, typer.Option(help="What may be lost of the main score.", min=0.0)] = 0.01,
    json_output: o.Json = False,
) -> None:
    """Store a model in float32, bfloat16 and int8, measure each on labelled data, and say which one to ship."""
    from recurra.cli.reading import read_like_training
    from recurra.runtime import load
    from recurra.runtime.quantize import compare_precisions, quantized, save_quantized
    from recurra.storage import check_target

    if output is not None:
        check_target(output)
    predictor = load(model)
    if predictor.task in ("language_model", "frame_model"):
        raise InputError(
            f"a {predictor.task.replace('_', ' ')} is not measured by quantize: write it in fewer bits by recurra "
            "export --precision int8, and score it by recurra evaluate"
        )
    dataset = read_like_training(predictor, data, chosen.data)
    if part is not None:
        dataset = dataset.part(part)
    if dataset.targets is None:
        raise DataError(f"{dataset.source}: no target column to score against; name it with --target")
    found = compare_precisions(predictor, dataset.inputs, dataset.targets, dataset.static, max_loss=max_loss)
    written = None
    if output is not None:
        made = quantized(predictor, found.recommended)
        scores = made.scores(dataset.inputs, dataset.targets, dataset.static)
        measured = {f"{dataset.source} ({found.recommended})": scores}
        written = str(save_quantized(made, output, measured=measured))
    if json_output:
        print_json({"model": model, **found.to_record(), "written": written})
        return
    show(found)
    if written is not None:
        print(f"{found.recommended} written to {written}")


def show(found: Any) -> None:
    """The table and the recommendation."""
    print(f"{found.sequences:,} sequences")
    print(f"{'precision':<11}{'score':>8}{'same':>8}{'MB':>9}{'ms/seq':>10}{'us/step':>10}  verdict")
    for row in found.rows:
        same = "" if row.agreement is None else f"{row.agreement:.1%}"
        step = "" if row.step_us is None else f"{row.step_us:.1f}"
        print(
            f"{row.precision:<11}{row.score:>8.4f}{same:>8}{row.megabytes:>9.3f}{row.ms_per_sequence:>10.4f}"
            f"{step:>10}  {row.verdict}"
        )
    print(f"ship {found.recommended}: {found.reason}")
