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
    kind: Annotated[str, typer.Option("--format", help="What to write: onnx.")] = "onnx",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write; MODEL-onnx where not given.")
    ] = None,
    json_output: o.Json = False,
) -> None:
    """Write a model as ONNX, a graph over padded batches and one of a single step; checked before it is kept."""
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
