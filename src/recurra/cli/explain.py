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
    from recurra.insight.pages import Asked, explain_report
    from recurra.report.figure import keeping_pictures
    from recurra.report.folder import save_parts
    from recurra.report.html import write_report
    from recurra.runtime import load

    if output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--output must end in .html, got {str(output)!r}; use for example -o report.html")
    begin = time.perf_counter()
    predictor = load(model)
    dataset: Any = None
    if data:
        dataset = read_like_training(predictor, data, chosen.data)
        dataset = dataset if part is None else dataset.part(part)
    elif part is not None:
        raise InputError("--part chooses among data; give data, or leave it out")
    asked = Asked(examples=examples, method=method, of=of, seed=seed)
    with keeping_pictures() as pictures:
        report = explain_report(predictor, dataset, text or (), asked, title=f"{Path(model).name}: explained")
    record: dict[str, Any] = {"model": model, "task": predictor.task, "report": str(output)}
    if files:
        folder = output.with_name(f"{output.stem}-files")
        save_parts(folder, report, pictures)
        record["files"] = str(folder)
    write_report(output, report)
    record |= {
        "rows": 0 if dataset is None else len(dataset),
        "texts": len(text or ()),
        "insights": _sentences(report),
        "bytes": output.stat().st_size,
        "seconds": round(time.perf_counter() - begin, 2),
    }
    if json_output:
        print_json(record)
        return
    for sentence in record["insights"]:
        print(sentence)
    say(f"{record['bytes'] / 1e6:.2f} MB in {record['seconds']:.1f} s")
    print(f"report: {record['report']}")


def _sentences(report: Any) -> list[str]:
    """What the overview says in plain sentences."""
    from recurra.report.items import Text

    overview = report.sections[0].items if report.sections and report.sections[0].title == "Overview" else ()
    return [item.body for item in overview if isinstance(item, Text) and item.tone == "plain"]
