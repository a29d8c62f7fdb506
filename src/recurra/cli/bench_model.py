"""`recurra bench MODEL [DATA]`: a stored model measured beside the other engines that could answer in its place."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra.cli.output import print_json, say


def bench_bundle(
    target: str,
    data: Sequence[str] | None,
    reading: Mapping[str, Any],
    *,
    case: str,
    only: Sequence[str],
    seconds: float,
    threads: int | None,
    plot: Path | None,
    store: bool,
    json_output: bool,
) -> None:
    """Measure, show or print, and fail where an engine in float32 answers otherwise."""
    from recurra import kernels
    from recurra.cli.reading import sequences_like_training
    from recurra.kernels.engines import thread_count
    from recurra.runtime import load
    from recurra.runtime.bench import UnequalError, models
    from recurra.runtime.bench.models.outcome import checked_case

    checked_case(case)
    predictor = load(target)
    inputs, static = sequences_like_training(predictor, data, reading) if data else (None, None)
    with thread_count(threads or kernels.get_num_threads()):
        outcome = models.bench_model(predictor, inputs, static, seconds=seconds, only=only, say=say)
    best = models.winner(outcome, case)
    if plot is not None:
        from recurra.cli.bench_figure import model_figure

        model_figure(outcome).save(plot)
    if store:
        _keep(target, outcome)
    if json_output:
        print_json(models.to_json(outcome, best))
    else:
        _show(models, outcome, best)
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
    from rich.console import Console

    Console(width=None if os.isatty(1) else 150).print(models.table(outcome))
    for sentence in models.sentences(outcome):
        print(f"note: {sentence}")
    print(f"for {best.case}: {best.engine} {best.precision}, {best.reason}")
    if best.precision != "float32":
        print(f"of those that answer as in float32: {best.exact}")
