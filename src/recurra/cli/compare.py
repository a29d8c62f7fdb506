"""`recurra compare TASK DATA -o DIR`: several networks and the baselines, seeds, a test, a verdict, a report."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from recurra.cli import options as o
from recurra.cli.output import print_json, progress_kind, say
from recurra.errors import SpecError, nearest
from recurra.spec import without_effect

NETWORKS: dict[str, dict[str, Any]] = {
    "rnn": {"cell": "rnn"},
    "lstm": {"cell": "lstm"},
    "gru": {"cell": "gru"},
    "bilstm": {"cell": "lstm", "bidirectional": True},
    "bigru": {"cell": "gru", "bidirectional": True},
}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="compare")(compare)


@o.chosen_by(*o.DATA, *o.SPLITS, *o.MODEL, *o.LANGUAGE)
def compare(
    task: Annotated[str, typer.Argument(help="classifier, regressor, tagger or language-model.")],
    data: o.Data,
    output: o.Output,
    chosen: o.Choices,
    networks: Annotated[
        str | None,
        typer.Option(
            help=f"Comma-separated: {', '.join(NETWORKS)}; lstm,gru,bilstm if left out (without bilstm for a "
            "language model)."
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(help="How often each network is trained; 3 if left out, 1 for language models."),
    ] = None,
    baselines: Annotated[
        str,
        typer.Option(
            help="auto (those that take no longer than the networks), all, none, or names with commas."
        ),
    ] = "auto",
    folds: Annotated[
        int,
        typer.Option(
            help="Folds in which every sequence is tested once, by --group or --order if given; 1: one split."
        ),
    ] = 1,
    fold_kind: Annotated[
        str | None,
        typer.Option(
            help="Of folds by --order: expanding (the default: all of the past), rolling (as much of the past "
            "each time) or blocked (what comes later, too)."
        ),
    ] = None,
    learning_curve: Annotated[
        bool,
        typer.Option("--learning-curve", help="Also train on an eighth, a quarter and a half of the data."),
    ] = False,
    jobs: Annotated[int, typer.Option(help="Trainings at once, each in a process.", min=1)] = 1,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Train everything anew, also what is there.")
    ] = False,
    test: o.TestData = None,
    json_output: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Train several networks with several seeds beside the baselines; save the winner and a report.

    Every run is kept in OUTPUT.runs; the same command goes on where it was stopped.
    """
    from recurra.cli.building import LANGUAGE, TASKS, check_task, estimator, read_data
    from recurra.cli.comparing_text import compare_language_models, refuse
    from recurra.cli.corpora import language_model
    from recurra.cli.parting import parted
    from recurra.evaluation.compare import compare_parts
    from recurra.evaluation.record import save_comparison
    from recurra.storage import check_target

    task = check_task(task, (*TASKS, LANGUAGE))
    check_target(output)
    names = _names(networks or ("lstm,gru" if task == LANGUAGE else "lstm,gru,bilstm"))
    wanted = baselines if baselines in ("auto", "all", "none") else listed(baselines)
    told = None if quiet else say
    bar = "bar" if not quiet and progress_kind(json_output=json_output) == "bar" else None
    if task == LANGUAGE:
        refuse({"--folds": folds > 1, "--fold-kind": fold_kind, "--jobs": jobs > 1})
        outcome, record = compare_language_models(
            {name: language_model(_with(chosen, name)) for name in names},
            data,
            chosen.data,
            output,
            test=test,
            seeds=seeds or 1,
            baselines=wanted,
            learning_curve=learning_curve,
            cache=_cache(output, fresh),
            on_row=told,
            progress=bar,
        )
        _tell(outcome, record, output, json_output=json_output)
        return
    dataset = read_data(data, chosen.data, task)
    held = None if test is None else read_data([test], chosen.data, task)
    made = {name: estimator(task, _with(chosen, name), dataset) for name in names}
    divided = parted(dataset, chosen.data, held, folds, fold_kind)
    for note in divided.notes:
        say(note)
    outcome = compare_parts(
        made,
        divided.folds,
        units=divided.units,
        notes=(divided.how,),
        seeds=seeds or 3,
        baselines=wanted,
        learning_curve=learning_curve,
        jobs=jobs,
        cache=_cache(output, fresh),
        on_row=told,
        progress=bar,
    )
    record = save_comparison(outcome, output, reading=chosen.data)
    _tell(outcome, record, output, json_output=json_output)


def _tell(outcome: Any, record: dict[str, Any], output: Path, *, json_output: bool) -> None:
    if json_output:
        print_json(record)
        return
    print(outcome)
    print(f"\nwinner saved in {output}\nreport: {record['report']}")


def _cache(output: Path, fresh: bool) -> Path:
    """Where the runs of this output are kept: beside it."""
    folder = output.with_name(output.name + ".runs")
    if fresh and folder.is_dir():
        shutil.rmtree(folder)
    return folder


def listed(names: str) -> list[str]:
    """The names in a text with commas."""
    return [name.strip() for name in names.split(",") if name.strip()]


def _names(networks: str) -> list[str]:
    names = listed(networks)
    for name in names:
        if name not in NETWORKS:
            raise SpecError(
                f"--networks must be of {', '.join(NETWORKS)}, got {name!r}{nearest(name, NETWORKS)}"
            )
    if not names:
        raise SpecError(f"--networks must name at least one of {', '.join(NETWORKS)}")
    return names


def _with(chosen: o.Choices, name: str) -> o.Choices:
    network: dict[str, Any] = {"bidirectional": False, **chosen.network, **NETWORKS[name]}
    # What some cells alone have, a comparison keeps for the rows that can use it.
    network = {k: v for k, v in network.items() if k not in without_effect(network["cell"])}
    return o.Choices(
        data=chosen.data, network=network, training=chosen.training, input=chosen.input, task=chosen.task
    )
