"""`recurra fit TASK DATA -o DIR`: train, score the test split once, and leave a bundle with its report."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from recurra.cli import options as o
from recurra.cli.diagnosing import diagnosis_lines, diagnosis_of, explaining_divergence
from recurra.cli.output import print_json, progress_kind, say


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="fit")(fit)


@o.chosen_by(*o.DATA, *o.SPLITS, *o.CELL, *o.MODEL, *o.LANGUAGE, *o.DIAGNOSE)
def fit(
    task: Annotated[
        str, typer.Argument(help="classifier, regressor, tagger, language-model or frame-model.")
    ],
    data: o.Data,
    output: o.Output,
    chosen: o.Choices,
    test: o.TestData = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint of this output folder.")
    ] = False,
    conformal: Annotated[
        float | None,
        typer.Option(
            help="Promise this coverage, such as 0.9: half of validation is set aside to calibrate it."
        ),
    ] = None,
    max_error: Annotated[
        float | None,
        typer.Option(
            help="With --conformal: keep silent where more than this share of answers would be wrong."
        ),
    ] = None,
    json_output: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Train a model, choose its weights on validation, score the test split once, save a bundle."""
    from recurra.cli.building import FRAMES, LANGUAGE, TASKS, check_task, divide, estimator, read_data
    from recurra.cli.promising import calibrate, check_promise, set_aside
    from recurra.storage import check_target

    task = check_task(task, (*TASKS, LANGUAGE, FRAMES))
    check_promise(conformal, max_error, task)
    check_target(output)
    progress = None if quiet else progress_kind(json_output=json_output)
    if task in (LANGUAGE, FRAMES):
        _fit_foretelling(task, data, chosen, output, test, resume, conformal, progress, json_output)
        return
    dataset = read_data(data, chosen.data, task)
    held = None if test is None else read_data([test], chosen.data, task)
    model = estimator(task, chosen, dataset)
    divided = divide(dataset, chosen.data, held)
    parts = dict(divided.parts)
    for note in opening(dataset, divided):
        say(note)
    calibration = None
    if conformal is not None:
        parts, calibration = set_aside(parts, chosen.data)
    begin = time.perf_counter()
    with explaining_divergence(model):
        result = _train(model, parts, output, resume, progress)
    seconds = time.perf_counter() - begin
    if calibration is not None and conformal is not None:
        calibrate(model, calibration, conformal, max_error)
    record = _finish(model, parts, output, task, chosen.data, result, seconds)
    if json_output:
        print_json(record)
    else:
        _tell(record, model)


def _fit_foretelling(
    task: str,
    data: list[str],
    chosen: Any,
    output: Path,
    test: str | None,
    resume: bool,
    conformal: float | None,
    progress: str | None,
    json_output: bool,
) -> None:
    from recurra.cli.building import FRAMES
    from recurra.cli.corpora import fit_language_model
    from recurra.cli.foretelling import tell
    from recurra.cli.frames import fit_frame_model
    from recurra.errors import InputError

    if conformal is not None:
        raise InputError(f"--conformal has no effect on a {task.replace('_', ' ')}; leave it out")
    record = (fit_frame_model if task == FRAMES else fit_language_model)(
        data,
        chosen,
        output,
        test=test,
        resume=resume,
        progress=progress,
        checkpoints=checkpoints(output),
    )
    if json_output:
        print_json(record)
    else:
        tell(record)


def opening(dataset: Any, divided: Any) -> list[str]:
    """What is said before training: what was read, how it was divided, and what is odd about it."""
    notes = [*dataset.notes, f"{len(dataset):,} sequences ({dataset.kind}); {divided.sizes}"]
    return [*notes, f"warning: {divided.warning}"] if divided.warning else notes


def _train(model: Any, parts: dict[str, Any], output: Path, resume: bool, progress: str | None) -> Any:
    train, validation = parts["train"], parts["validation"]
    model.fit(
        train,
        validation_data=(validation, None),
        folder=checkpoints(output),
        resume=resume,
        progress=progress,
    )
    return model.fitted_


def checkpoints(output: Path) -> Path:
    """Where the checkpoints of an unfinished run stand: beside the bundle, which appears only when done."""
    return output.with_name(output.name + ".training")


def _finish(
    model: Any,
    parts: dict[str, Any],
    output: Path,
    task: str,
    data: dict[str, Any],
    fitted: Any,
    seconds: float,
) -> dict[str, Any]:
    from recurra.evaluation.record import fit_pages

    scores = {name: model.scores(part) for name, part in parts.items()}
    diagnosis = diagnosis_of(model)
    extras = fit_pages(
        model,
        parts,
        scores,
        seconds=seconds,
        name=output.name,
        diagnosis=None if diagnosis is None else diagnosis.record(),
    )
    history = checkpoints(output) / "history.jsonl"
    if history.is_file():
        extras["history.jsonl"] = history.read_bytes()
    sizes = {name: len(part) for name, part in parts.items()}
    path = model.save(output, scores=scores, data={"reading": data, "sizes": sizes}, extras=extras)
    shutil.rmtree(checkpoints(output), ignore_errors=True)
    return {
        "model": str(path),
        "task": task,
        "scores": scores["test"],
        "validation": scores["validation"],
        "train": scores["train"],
        "seconds": round(seconds, 3),
        "epochs": len(model.history_.epochs),
        "best_epoch": fitted.best_epoch,
        "stopped_by": fitted.stopped_by,
        "report": str(path / "report.html"),
        **({} if diagnosis is None else {"diagnosis": diagnosis.to_dict()}),
        **_confidence(model, parts["test"]),
    }


def _confidence(model: Any, test: Any) -> dict[str, Any]:
    """Mean and median confidence of right and of wrong test predictions, for one label per sequence."""
    from recurra.evaluation.record import confidence_facts
    from recurra.tasks.materials import materials

    if model.task != "classifier" or model.multilabel_:
        return {}
    given = materials(test)
    answers = model.answers(given)
    return {"confidence": confidence_facts(answers, model.coded(given), model.decided(answers))}


def _tell(record: dict[str, Any], model: Any) -> None:
    shown = {name: value for name, value in record["scores"].items() if isinstance(value, float)}
    first = list(shown.items())[:6]
    print("test: " + ", ".join(f"{name} {value:.4f}" for name, value in first))
    print(f"{record['epochs']} epochs in {record['seconds']:.1f} s, best epoch {record['best_epoch']}")
    for line in diagnosis_lines(record):
        print(line)
    print(f"model:  {record['model']}")
    print(f"report: {record['report']}")
