"""`recurra export MODEL --format onnx|torch-export [-o DIR]`: graphs that answer as the model does, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recurra.cli import options as o
from recurra.cli.output import print_json
from recurra.cli.under import Condition, under

if TYPE_CHECKING:
    from recurra.runtime.export import Exported


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="export")(export)


def export(
    model: Annotated[str, typer.Argument(help="Folder of a bundle.")],
    kind: Annotated[str | None, typer.Option("--format", help="What to write: onnx or torch-export.")] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="Write a bundle with its weights in float32, bfloat16 or int8, instead of a graph."
        ),
    ] = None,
    condition: Condition = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder to write; MODEL-onnx, or MODEL-int8, ... where not given."
        ),
    ] = None,
    json_output: o.Json = False,
) -> None:
    """Write a model as a graph over whole sequences and one of a single step, checked before they are kept; or,
    with --precision, as a smaller bundle."""
    if precision is not None:
        _smaller(model, precision, kind, output, json_output=json_output)
        return
    kind = "onnx" if kind is None else kind
    from recurra.runtime import load
    from recurra.runtime.export import checked_format, export_onnx, export_torch

    checked_format(kind)
    predictor = under(load(model), condition)
    folder = Path(f"{Path(model).resolve()}-{kind}") if output is None else output
    done = (export_onnx if kind == "onnx" else export_torch)(predictor, folder)
    if json_output:
        _print_json(model, kind, done)
    else:
        _show(kind, done)


def _print_json(model: str, kind: str, done: Exported) -> None:
    from recurra.runtime.export import TOLERANCE

    files = {"batch": done.batch, "step": done.step, "record": done.record}
    print_json(
        {
            "model": model,
            "format": kind,
            "folder": str(done.folder),
            "files": {name: None if path is None else str(path) for name, path in files.items()},
            "difference": done.difference,
            "tolerance": TOLERANCE,
            "refused": dict(done.refused),
            "outside": done.outside,
        }
    )


def _show(kind: str, done: Exported) -> None:
    from recurra.runtime.export import TOLERANCE

    whole, alone, by = _SAID[kind]
    print(f"{done.batch}  {whole}" if done.batch else f"no batch graph: {done.refused['batch']}")
    print(f"{done.step}  {alone}" if done.step else f"no step graph: {done.refused['step']}")
    print(f"{done.record}  names, shapes, what was checked")
    if done.outside:
        print(done.outside)
    print(f"checked with {by}: off by {done.difference:.1e} at most ({TOLERANCE:g} is allowed)")


_SAID = {
    "onnx": ("padded batches with their lengths", "one step, states in and out", "ONNX Runtime"),
    "torch-export": (
        "whole sequences, on Recurra's operators",
        "one step, states in and out, in torch's own operators",
        "PyTorch in another process",
    ),
}


def _smaller(model: str, precision: str, kind: str | None, output: Path | None, *, json_output: bool) -> None:
    """Write a bundle in a precision."""
    from recurra.errors import SpecError
    from recurra.runtime import load
    from recurra.runtime.precision import checked_precision
    from recurra.runtime.quantize import loaded_bytes, quantized, save_quantized
    from recurra.storage import check_target

    if kind is not None:
        raise SpecError(
            f"--precision {precision} writes a bundle, it has no effect on --format {kind}; leave one of them out"
        )
    checked_precision(precision)
    source = Path(model).resolve()
    folder = Path(f"{source}-{precision}") if output is None else output
    if folder.resolve() == source:
        raise SpecError(f"--output must be another folder than the model's own, got {folder}")
    check_target(folder)
    written = save_quantized(quantized(load(model), precision), folder)
    sizes = {"from": loaded_bytes(source) / 1e6, "to": loaded_bytes(written) / 1e6}
    if json_output:
        print_json({"model": model, "precision": precision, "folder": str(written), "megabytes": sizes})
        return
    print(f"{written}  {precision}, {sizes['to']:.3f} MB of {sizes['from']:.3f}")
    print(f"measure it on your data before you ship it: recurra quantize {model} DATA")
