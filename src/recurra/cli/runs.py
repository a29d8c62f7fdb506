"""`recurra runs DIR`: past runs in a folder, and what two of them differ in."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from recurra.cli import options as o
from recurra.cli.output import print_json


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="runs")(runs)


def runs(
    folder: Annotated[Path, typer.Argument(help="Folder that holds models, or one model's folder.")],
    diff: Annotated[
        tuple[str, str] | None, typer.Option(help="Two runs by name: what they differ in, and their scores.")
    ] = None,
    kept: Annotated[
        bool, typer.Option("--kept", help="Also the single runs that compare and tune keep.")
    ] = False,
    json_output: o.Json = False,
) -> None:
    """List past runs, the newest first, with their score and what they were; or compare two."""
    from recurra.evaluation.ledger import chosen_run, differences, past_runs

    found = past_runs(folder)
    if diff is not None:
        record = differences(chosen_run(found, diff[0]), chosen_run(found, diff[1]))
        print_json(record) if json_output else print(_differing(record))
        return
    shown = [run for run in found if kept or run.kind != "kept"]
    if json_output:
        print_json({"runs": [run.to_dict() for run in shown]})
        return
    hidden = len(found) - len(shown)
    print(_listed(shown) if shown else f"no runs in {folder}")
    if hidden:
        print(f"and {hidden} single runs that compare and tune keep: --kept")


_ROW = "{:<17}{:<10}{:<12}{:<20}{:<34}{}"


def _listed(found: list[Any]) -> str:
    lines = [_ROW.format("when", "verb", "task", "score", "network", "name")]
    for run in found:
        score = "-" if run.score is None else f"{run.score[0]} {run.score[1]:.4f}"
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.when))
        lines.append(_ROW.format(when, run.kind, run.task, score, _network(run.options), run.name))
    return "\n".join(lines)


def _short(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _network(options: Any) -> str:
    cell = options.get("network.cell")
    if cell is None:
        return str(options.get("row", "-"))
    size = f"{options.get('network.num_layers')} x {options.get('network.hidden_size')}"
    both = " both ways" if options.get("network.bidirectional") else ""
    return f"{cell} {size}{both}, seed {options.get('training.seed', options.get('seed'))}"


def _differing(record: Any) -> str:
    lines = [f"{record['first']} and {record['second']}"]
    same = {True: "the same training data", False: "DIFFERENT training data", None: ""}[record["same_data"]]
    lines += [same] if same else []
    for name, (first, second) in record["options"].items():
        lines.append(f"  {name:<32}{_short(first):<20}{_short(second)}")
    for name, (first, second, change) in record["scores"].items():
        lines.append(f"  {name:<32}{first:<20.4f}{second:.4f}  ({change:+.4f})")
    return "\n".join(lines)
