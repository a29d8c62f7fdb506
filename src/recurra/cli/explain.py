"""`recurra explain MODEL [DATA|--text T] -o report.html`: what a model answers, why, and what it gets wrong."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from recurra.cli import options as o
from recurra.cli.output import print_json, say
from recurra.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="explain")(explain)


@o.chosen_by(*o.DATA)
def explain(
    model: Annotated[str, typer.Argument(help="Folder of a bundle.")],
    chosen: o.Choices,
    data: Annotated[list[str] | None, typer.Argument(help="Files as in training.")] = None,
    text: Annotated[
        list[str] | None, typer.Option("--text", help="A text to explain, beside data or alone; repeatable.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="HTML file; figures and numbers go to a folder beside it.")
    ] = Path("report.html"),
    part: o.Part = None,
    examples: Annotated[int, typer.Option(help="Sequences of the data explained one by one.")] = 12,
    method: Annotated[
        str | None, typer.Option(help="integrated (the default), gradient, occlusion or change.")
    ] = None,
    of: Annotated[
        str | None, typer.Option("--class", help="Class or label to explain; by default the predicted one.")
    ] = None,
    files: Annotated[
        bool, typer.Option("--files/--no-files", help="Also every figure as SVG and PNG, every table as CSV.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Of what is drawn.")] = 0,
    json_output: o.Json = False,
) -> None:
    """Write a page: errors, attribution, the forming answer, hidden states and gates, with every figure."""
    from recurra.cli.reading import read_like_training
    from recurra.insight.pages import Asked, write_explained
    from recurra.runtime import load

    begin = time.perf_counter()
    predictor = load(model)
    dataset: Any = None
    if data:
        dataset = read_like_training(predictor, data, chosen.data)
        dataset = dataset if part is None else dataset.part(part)
    elif part is not None:
        raise InputError("--part chooses among data; give data, or leave it out")
    asked = Asked(examples=examples, method=method, of=of, seed=seed)
    title = f"{Path(model).name}: explained"
    written = write_explained(output, predictor, dataset, text or (), asked, title=title, files=files)
    record: dict[str, Any] = {
        "model": model,
        "task": predictor.task,
        "report": str(written.path),
        "rows": 0 if dataset is None else len(dataset),
        "texts": len(text or ()),
        "insights": list(written.insights),
        "bytes": written.size,
        "seconds": round(time.perf_counter() - begin, 2),
    }
    if written.folder is not None:
        record["files"] = str(written.folder)
    if json_output:
        print_json(record)
        return
    for sentence in written.insights:
        print(sentence)
    say(f"{written.size / 1e6:.2f} MB in {record['seconds']:.1f} s")
    print(f"report: {record['report']}")
