"""`recurra export MODEL --format onnx [-o DIR]`: graphs that answer as the model does, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recurra.cli import options as o
from recurra.cli.output import print_json


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="export")(export)


def export(
    model: Annotated[str, typer.Argument(help="Folder of a bundle.")],
    kind: Annotated[str | None, typer.Option("--format", help="What to write: onnx.")] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="Write a bundle with its weights in float32, bfloat16 or int8, instead of a graph."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to write; MODEL-onnx, or MODEL-int8, where not given."),
    ] = None,
    json_output: o.Json = False,
) -> None:
    """Write a model as ONNX, a graph over padded batches and one of a single step, checked before it is kept;
    or, with --precision, as a smaller bundle."""
    if precision is not None:
        _smaller(model, precision, kind, output, json_output=json_output)
        return
    kind = "onnx" if kind is None else kind
    from recurra.runtime import load
    from recurra.runtime.export import TOLERANCE, checked_format, export_onnx

    checked_format(kind)
    predictor = load(model)
    folder = Path(f"{Path(model).resolve()}-onnx") if output is None else output
    done = export_onnx(predictor, folder)
    if json_output:
        files = {"batch": done.batch, "step": done.step, "record": done.record}
        shown = {name: None if path is None else str(path) for name, path in files.items()}
        print_json(
            {
                "model": model,
                "format": kind,
                "folder": str(done.folder),
                "files": shown,
                "difference": done.difference,
                "tolerance": TOLERANCE,
                "refused": {} if done.refused is None else {"step": done.refused},
            }
        )
        return
    print(f"{done.batch}  padded batches with their lengths")
    print(f"{done.step}  one step, states in and out" if done.step else f"no step graph: {done.refused}")
    print(f"{done.record}  names, shapes, what was checked")
    print(f"checked with ONNX Runtime: off by {done.difference:.1e} at most ({TOLERANCE:g} is allowed)")


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
