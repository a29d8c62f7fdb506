"""`recurra bench MODEL [DATA]`: a stored model measured beside the other engines that could answer in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra.cli.output import print_json, print_table, say
from recurra.errors import SpecError, nearest

GENERATION, TRAINING = "generation", "training"
"""The cases of a model that writes, and of training its architecture."""


def bench_bundle(
    target: str,
    data: Sequence[str] | None,
    reading: Mapping[str, Any],
    *,
    case: str,
    condition: str | None,
    only: Sequence[str],
    seconds: float,
    threads: int | None,
    plot: Path | None,
    store: bool,
    json_output: bool,
) -> None:
    """Measure, show or print, and fail where an engine in float32 answers otherwise."""
    from recurra import kernels
    from recurra.cli.under import under
    from recurra.kernels.engines import thread_count
    from recurra.runtime import load

    checked_case(case)
    if plot is not None and case in (GENERATION, TRAINING):
        raise SpecError(f"--plot has no effect on --for {case}; leave it out")
    predictor = under(load(target), condition)
    with thread_count(threads or kernels.get_num_threads()):
        if case == GENERATION:
            _generation(predictor, data, only=only, seconds=seconds, json_output=json_output)
        elif case == TRAINING:
            _training(predictor, data, reading, only=only, seconds=seconds, json_output=json_output)
        else:
            _answers(target, predictor, data, reading, case=case, only=only, seconds=seconds, plot=plot,
                     store=store, json_output=json_output)  # fmt: skip


def checked_case(case: str) -> str:
    """The name of what a bundle is measured for; raises SpecError."""
    from recurra.runtime.bench.models import CASES

    known = (*CASES, GENERATION, TRAINING)
    if case not in known:
        raise SpecError(f"--for must be one of {', '.join(known)}, got {case!r}{nearest(case, known)}")
    return case


def _answers(
    target: str,
    predictor: Any,
    data: Sequence[str] | None,
    reading: Mapping[str, Any],
    *,
    case: str,
    only: Sequence[str],
    seconds: float,
    plot: Path | None,
    store: bool,
    json_output: bool,
) -> None:
    """How quickly it answers."""
    from recurra.cli.reading import sequences_like_training
    from recurra.runtime.bench import models

    inputs, static = sequences_like_training(predictor, data, reading) if data else (None, None)
    outcome = models.bench_model(predictor, inputs, static, seconds=seconds, only=only, say=say)
    best = models.winner(outcome, case)
    if plot is not None:
        from recurra.cli.bench_figure import model_figure

        model_figure(outcome).save(plot)
    if store:
        _keep(target, outcome)
    _tell(models.to_json(outcome, best), json_output, outcome, lambda: _show(models, outcome, best))


def _generation(
    predictor: Any, data: Sequence[str] | None, *, only: Sequence[str], seconds: float, json_output: bool
) -> None:
    """How quickly it writes."""
    from recurra.runtime.bench import generation

    if data:
        raise SpecError(f"--for generation reads no data, got {data[0]!r}; leave it out")
    outcome = generation.bench_generation(predictor, seconds=seconds, only=only, say=say)
    best = generation.winner(outcome)
    told = "" if best is None else f"{best['engine']} {best['precision']}, {best['reason']}"
    _tell(
        generation.to_json(outcome),
        json_output,
        outcome,
        lambda: _show_case(generation, outcome, GENERATION, told),
    )


def _training(
    predictor: Any,
    data: Sequence[str] | None,
    reading: Mapping[str, Any],
    *,
    only: Sequence[str],
    seconds: float,
    json_output: bool,
) -> None:
    """How quickly its architecture is trained."""
    from recurra.cli.corpora import texts_like_training
    from recurra.cli.reading import read_like_training
    from recurra.evaluation import bench as training

    given: tuple[Any, ...] = ()
    if data and predictor.task == "language_model":
        given = (texts_like_training(predictor, data, reading),)
    elif data:
        dataset = read_like_training(predictor, data, reading)
        given = (dataset.inputs, dataset.targets, dataset.static)
    outcome = training.bench_training(predictor, *given, seconds=seconds, only=only, say=say)
    best = training.winner(outcome)
    told = f"{best['engine']}, {best['reason']}"
    _tell(
        training.to_json(outcome), json_output, outcome, lambda: _show_case(training, outcome, TRAINING, told)
    )


def _show_case(bench: Any, outcome: Any, case: str, winner: str) -> None:
    print_table(bench.table(outcome))
    for sentence in bench.sentences(outcome):
        print(f"note: {sentence}")
    if winner:
        print(f"for {case}: {winner}")


def _tell(record: Mapping[str, Any], json_output: bool, outcome: Any, show: Callable[[], None]) -> None:
    """Print the record or show it; raises UnequalError where an engine was wrong."""
    from recurra.runtime.bench import UnequalError

    if json_output:
        print_json(record)
    else:
        show()
    if outcome.unequal:
        raise UnequalError("; ".join(outcome.unequal))


def _keep(target: str, outcome: Any) -> None:
    from recurra.errors import StorageError
    from recurra.runtime.bench.models.record import card_lines
    from recurra.runtime.bundle import add_to_card

    try:
        add_to_card(target, "Speed", card_lines(outcome))
    except (OSError, StorageError) as error:
        say(f"the figures could not be put on the model card: {error}")


def _show(models: Any, outcome: Any, best: Any) -> None:
    _show_case(models, outcome, best.case, f"{best.engine} {best.precision}, {best.reason}")
    if best.precision != "float32":
        print(f"of those that answer as in float32: {best.exact}")
