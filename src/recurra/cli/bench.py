"""`recurra bench [kernels|MODEL]`: the kernels, or a stored model, measured against what is installed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from recurra.cli import options as o
from recurra.cli.output import print_json, print_table, say
from recurra.cli.under import Condition
from recurra.errors import SpecError


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="bench")(bench)


@o.chosen_by(*o.DATA)
def bench(
    chosen: o.Choices,
    what: Annotated[
        str, typer.Argument(help="What to measure: kernels, or the folder of a bundle.")
    ] = "kernels",
    data: Annotated[
        list[str] | None,
        typer.Argument(help="For a bundle: files as in training; without them, made sequences are used."),
    ] = None,
    case: Annotated[
        str,
        typer.Option(
            "--for",
            help="For a bundle, what matters: latency, throughput, stream or size of its answers; generation: "
            "how quickly a language model writes; training: how quickly its architecture learns.",
        ),
    ] = "latency",
    condition: Condition = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few shapes, within five minutes; a bundle within half a minute.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Keep some cases or engines: words such as lstm, train, int8, reviews, torch-packed, or "
            "field=value such as hidden_size=128; commas between alternatives; repeatable."
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Most threads to measure with; all allowed if left out.", min=1)
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Timing per case, about; 5 if left out, with --quick 2.", min=0.0)
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Begin no case after so long; 60 if left out, with --quick 5.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="SVG file: each engine's share of the machine's FMA peak.")
    ] = None,
    store: Annotated[bool, typer.Option(help="For a bundle: put our figures on its model card.")] = True,
    json_output: o.Json = False,
) -> None:
    """Compare answers, then time Recurra and its peers on the same work; notes say who is missing and why."""
    if plot is not None and plot.suffix.lower() != ".svg":
        raise SpecError(f"--plot must be a file that ends in .svg, got {plot.name!r}")
    if what != "kernels":
        from recurra.cli.bench_model import bench_bundle

        if not Path(what).is_dir():
            raise SpecError(
                f"bench measures kernels or the folder of a bundle, got {what!r}, which is neither; "
                "use recurra bench kernels, or recurra bench MODEL"
            )
        budget = seconds if seconds is not None else (20.0 if quick else 60.0)
        bench_bundle(
            what,
            data,
            chosen.data,
            case=case,
            condition=condition,
            only=only or [],
            seconds=budget,
            threads=threads,
            plot=plot,
            store=store,
            json_output=json_output,
        )
        return
    if data:
        raise SpecError(f"bench kernels reads no data, got {data[0]!r}; leave it out, or name a bundle first")
    if condition is not None:
        raise SpecError("--condition has no effect on bench kernels; leave it out")
    # XLA and TensorFlow write their greetings to standard error.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from recurra import kernels
    from recurra.runtime import bench as measuring

    count = threads or kernels.get_num_threads()
    cases = measuring.quick(count) if quick else measuring.full(count)
    cases, engines = measuring.chosen(cases, only or [])
    usual_seconds, usual_minutes = (2.0, 5.0) if quick else (5.0, 60.0)
    outcome = measuring.bench(
        cases,
        engines,
        seconds=usual_seconds if seconds is None else seconds,
        minutes=usual_minutes if minutes is None else minutes,
        say=say,
    )
    if plot is not None:
        from recurra.cli.bench_figure import figure

        figure(outcome).save(plot)
    if json_output:
        print_json(measuring.to_json(outcome))
    else:
        _show(outcome, measuring)
    if outcome.unequal:
        raise measuring.UnequalError("; ".join(outcome.unequal))


def _show(outcome: Any, measuring: Any) -> None:
    print_table(measuring.table(outcome))
    peaks = ", ".join(f"{outcome.peaks.of(n):.0f} GF/s with {n} thread{'s' if n > 1 else ''}"
                      for n in outcome.peaks.threads if outcome.peaks.of(n))  # fmt: skip
    if peaks:
        print(f"float32 FMA peak, the highest measured before, between and after: {peaks}")
    print(f"difference: max|a-b| / max|b| against our float32 answer, and what is allowed; "
          f"load average {outcome.load[0]:.1f} before, {outcome.load[1]:.1f} after")  # fmt: skip
    for note in measuring.sentences(outcome):
        print(f"note: {note}")
