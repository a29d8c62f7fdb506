"""`recurra tune TASK DATA -o DIR`: search for options inside of the training data, prove them on held-out data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from recurra.cli import options as o
from recurra.cli.output import print_json, say


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="tune")(tune)


@o.chosen_by(*o.DATA, *o.SPLITS, *o.CELL, *o.MODEL)
def tune(
    task: Annotated[str, typer.Argument(help="classifier, regressor or tagger.")],
    data: o.Data,
    output: o.Output,
    chosen: o.Choices,
    trials: Annotated[int, typer.Option(help="Draws in all, those of earlier sittings counted.", min=1)] = 30,
    folds: Annotated[
        int, typer.Option(help="Inner folds that score a draw; 1: the validation split.", min=1)
    ] = 3,
    minutes: Annotated[
        float | None, typer.Option(help="Begin no draw after so long; none if left out.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Seeds of the proof on held-out data.", min=1)] = 3,
    baselines: Annotated[str, typer.Option(help="Of the proof: auto, all, none, or names.")] = "auto",
    jobs: Annotated[int, typer.Option(help="Trainings at once in the proof.", min=1)] = 1,
    test: o.TestData = None,
    json_output: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Search cell, sizes, dropout, learning rate and clipping; options that are given are not searched.

    The search is kept in OUTPUT.tuning; the same command goes on where it was stopped. OUTPUT gets the tuned model,
    recurra.toml for `fit --config`, trials.json and the report.
    """
    from recurra.cli.building import check_task, estimator, read_data
    from recurra.cli.compare import listed
    from recurra.cli.parting import parted
    from recurra.evaluation.tuning import default_space, held_out
    from recurra.evaluation.tuning import tune as search_of
    from recurra.storage import check_target

    task = check_task(task)
    check_target(output)
    dataset = read_data(data, chosen.data, task)
    held = None if test is None else read_data([test], chosen.data, task)
    asked = estimator(task, chosen, dataset)
    divided = parted(dataset, chosen.data, held, 1)
    for note in divided.notes:
        say(note)
    working = output.with_name(output.name + ".tuning")
    fixed = [f"{part}.{name}" for part in ("network", "training") for name in getattr(chosen, part)]
    search = search_of(
        asked,
        divided.folds[0],
        working,
        trials=trials,
        folds=folds,
        groups=divided.inner_groups,
        space=default_space(fixed),
        minutes=minutes,
        on_trial=None if quiet else say,
    )
    tuned = held_out(
        search,
        asked,
        divided.folds[0],
        units=divided.units,
        seeds=seeds,
        baselines=baselines if baselines in ("auto", "all", "none") else listed(baselines),
        jobs=jobs,
        cache=working / "runs",
        notes=(divided.how,),
        on_row=None if quiet else say,
    )
    _finish(tuned, output, chosen, json_output)


def _finish(tuned: Any, output: Path, chosen: o.Choices, json_output: bool) -> None:
    from recurra.evaluation.config_text import config_text
    from recurra.evaluation.record import save_tuned

    config = config_text(
        _sections(tuned.search.estimator, chosen),
        comments=(
            f"found by recurra tune: {tuned.verdict}",
            "use it: recurra fit TASK DATA -o DIR --config THIS",
        ),
    )
    record = save_tuned(tuned, output, reading=chosen.data, config=config)
    if json_output:
        print_json(record)
        return
    print(tuned.comparison)
    print(
        f"{tuned.verdict}\n\nmodel:  {record['model']}\nconfig: {record['config']}\nreport: {record['report']}"
    )


def _sections(found: Any, chosen: o.Choices) -> dict[str, dict[str, Any]]:
    """Every option that is not what the task would take by itself, section by section."""
    made: dict[str, dict[str, Any]] = {"data": dict(chosen.data)}
    for section in ("network", "training"):
        usual = found.default(section)
        spec = getattr(found, section) or usual
        made[section] = {n: v for n, v in spec.to_dict().items() if getattr(spec, n) != getattr(usual, n)}
    return {**made, "input": dict(chosen.input), "task": dict(chosen.task)}
