"""The drawing of a measurement: every engine's share of the machine's FMA peak, case by case."""

from __future__ import annotations

from typing import Any

from recurra.report.figure import WIDTH, Figure, draw
from recurra.report.figures.common import legend_below, legend_height
from recurra.report.theme import line_of
from recurra.runtime.bench import ENGINES, Case, Outcome

ROW = 15.0


def figure(outcome: Outcome) -> Figure:
    """One line per case, one mark per engine; GF/s where the peak is unknown."""
    cases: list[Case] = list(dict.fromkeys(row.case for row in outcome.rows))
    engines = [name for name in ENGINES if any(row.engine == name for row in outcome.rows)]
    share = outcome.peaks.highest is not None

    def value(row: Any) -> float:
        return 100.0 * (outcome.fraction(row) or 0.0) if share else row.gflops

    def paint(canvas: Any) -> None:
        axes = canvas.subplots()
        for name in engines:
            rows = [row for row in outcome.rows if row.engine == name]
            style = line_of(list(ENGINES).index(name)) | {"linestyle": "none", "markersize": 5}
            axes.plot([value(r) for r in rows], [cases.index(r.case) for r in rows], label=name, **style)
        axes.set_yticks(range(len(cases)), [case.label for case in cases], fontsize=8)
        axes.set(xlabel="% of the float32 FMA peak" if share else "GF/s", ylim=(len(cases) - 0.5, -0.5))
        axes.set_xlim(left=0)
        legend_below(axes, engines)

    height = 80.0 + ROW * len(cases) + legend_height(engines)
    columns: dict[str, list[Any]] = {
        "case": [row.case.label for row in outcome.rows],
        "engine": [row.engine for row in outcome.rows],
        "ms": [row.ms for row in outcome.rows],
        "gflops": [row.gflops for row in outcome.rows],
        "fraction_of_peak": [outcome.fraction(row) for row in outcome.rows],
    }
    return Figure(
        title="Kernels measured",
        svg=draw(paint, width=WIDTH * 1.5, height=height),
        alt=f"{len(engines)} engines on {len(cases)} cases; the numbers are in the table.",
        data=columns,
    )


def model_figure(outcome: Any) -> Figure:
    """Sequences (or steps) a second of every engine, by size of batch."""
    names = list(dict.fromkeys(row.name for row in outcome.rows))
    batches = list(dict.fromkeys(str(row.batch) for row in outcome.rows))

    def paint(canvas: Any) -> None:
        axes = canvas.subplots()
        for index, name in enumerate(names):
            rows = [row for row in outcome.rows if row.name == name]
            places = [batches.index(str(row.batch)) for row in rows]
            axes.plot(places, [row.per_second for row in rows], label=name, **line_of(index))
        axes.set_xticks(range(len(batches)), batches)
        axes.set(xlabel="batch", ylabel="sequences, or steps, a second", yscale="log")
        legend_below(axes, names)

    columns = {
        field: [getattr(row, field) for row in outcome.rows]
        for field in ("engine", "precision", "batch", "p50_ms", "p99_ms", "per_second", "megabytes")
    }
    return Figure(
        title="A model measured",
        svg=draw(paint, width=WIDTH, height=300.0 + legend_height(names)),
        alt=f"{len(names)} engines on batches of several sizes; the numbers are in the table.",
        data=columns,
    )
