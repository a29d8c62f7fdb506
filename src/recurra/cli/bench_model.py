"""`recurra bench MODEL [DATA]`: a stored model measured beside the other engines that could answer in its place."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra.cli.output import print_json, say
from recurra.errors import SpecError, nearest

GENERATION = "generation"
"""The case of a model that writes."""


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
    predictor = under(load(target), condition)
    with thread_count(threads or kernels.get_num_threads()):
        if case == GENERATION:
            _generation(predictor, data, only=only, seconds=seconds, plot=plot, json_output=json_output)
        else:
            _answers(target, predictor, data, reading, case=case, only=only, seconds=seconds, plot=plot,
                     store=store, json_output=json_output)  # fmt: skip


def checked_case(case: str) -> str:
    """The name of what a bundle is measured for; raises SpecError."""
    from recurra.runtime.bench.models import CASES

    known = (*CASES, GENERATION)
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
    predictor: Any,
    data: Sequence[str] | None,
    *,
    only: Sequence[str],
    seconds: float,
    plot: Path | None,
    json_output: bool,
) -> None:
    """How quickly it writes."""
    from recurra.runtime.bench import generation

    if data:
        raise SpecError(f"--for generation reads no data, got {data[0]!r}; leave it out")
    if plot is not None:
        raise SpecError("--plot has no effect on --for generation; leave it out")
    outcome = generation.bench_generation(predictor, seconds=seconds, only=only, say=say)

    def show() -> None:
        print_table(generation.table(outcome))
        for sentence in generation.sentences(outcome):
            print(f"note: {sentence}")
        best = generation.winner(outcome)
        if best is not None:
            print(f"for generation: {best['engine']} {best['precision']}, {best['reason']}")

    _tell(generation.to_json(outcome), json_output, outcome, show)


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


def print_table(table: Any) -> None:
    """On standard output; 150 columns wide where that is no terminal."""
    from rich.console import Console

    Console(width=None if os.isatty(1) else 150).print(table)


def _show(models: Any, outcome: Any, best: Any) -> None:
    print_table(models.table(outcome))
    for sentence in models.sentences(outcome):
        print(f"note: {sentence}")
    print(f"for {best.case}: {best.engine} {best.precision}, {best.reason}")
    if best.precision != "float32":
        print(f"of those that answer as in float32: {best.exact}")
