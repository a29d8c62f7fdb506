"""What a comparison rests on: the lead over every baseline, mean ranks over folds, scores against data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recurra.report.figure import Figure, chart, label
from recurra.report.figures.common import legend_below, legend_height
from recurra.report.figures.scores import lower_is_better
from recurra.report.theme import INK, MUTED, SERIES
from recurra.report.wording import finite, listing, shorten, show_number, title_of


def leads(differences: Sequence[Mapping[str, Any]], winner: str, metric: str) -> Figure:
    """Draw by how much the winner is ahead of each baseline, with the 95% interval and the adjusted p-value.

    differences: mappings with `baseline`, `value` (positive: the winner is better), `interval` (low, high) and
    `p_adjusted`; those without a value are left out.
    """
    known = [one for one in differences if finite(one.get("value")) is not None]
    ordered = sorted(known, key=lambda one: float(one["value"]))
    shown = [_is_shown(one) for one in ordered]
    spans = [_span(one) for one in ordered]

    def paint(axes: Any) -> None:
        for at, (one, sure) in enumerate(zip(ordered, shown, strict=True)):
            colour = SERIES[0] if sure else MUTED
            span = _span(one)
            if span:
                axes.plot(span, [at, at], color=colour, linewidth=2.4, solid_capstyle="round", alpha=0.7)
            axes.plot(float(one["value"]), at, "o" if sure else "s", color=colour, markersize=7)
        axes.axvline(0.0, color=INK, linestyle="--", linewidth=1.0)
        names = [f"{shorten(one['baseline'], 26)}  {_p(one)}" for one in ordered]
        axes.set_yticks(range(len(ordered)), names)
        axes.set(xlabel=f"{title_of(metric)}: {shorten(winner, 30)} ahead", ylim=(len(ordered) - 0.4, -0.6))
        axes.grid(visible=False, axis="y")

    parts = [
        f"{label(one['baseline'])} {show_number(one['value'])}"
        + (f" ({show_number(span[0])} to {show_number(span[1])})" if (span := _span(one)) else "")
        + f", {_p(one)}"
        for one in ordered
    ]
    columns: dict[str, Sequence[Any]] = {
        "baseline": [str(one["baseline"]) for one in ordered],
        "ahead": [one["value"] for one in ordered],
        "low": [span[0] if span else None for span in spans],
        "high": [span[1] if span else None for span in spans],
        "adjusted p": [one.get("p_adjusted") for one in ordered],
    }
    return Figure(
        title="Difference to every baseline",
        svg=chart(paint, height=max(110.0, 70 + 30.0 * len(ordered)), width=480),
        alt=f"By how much {label(winner)} is better, with 95% intervals and Holm's adjusted p: {'; '.join(parts)}.",
        data=columns,
    )


def critical_difference(ranks: Mapping[str, Any]) -> Figure:
    """Draw mean ranks over folds; a bar joins models that Nemenyi's test does not tell apart (Demšar 2006).

    ranks: `names` (best first), `mean_ranks`, `critical_difference`, `cliques` and, in words, the `units`.
    """
    names, means = [str(name) for name in ranks["names"]], [float(rank) for rank in ranks["mean_ranks"]]
    gap = finite(ranks.get("critical_difference"))
    cliques = [list(clique) for clique in ranks.get("cliques", ())]
    place = dict(zip(names, means, strict=True))

    def paint(axes: Any) -> None:
        for at, (name, mean) in enumerate(zip(names, means, strict=True)):
            axes.plot([1, mean], [at, at], color=MUTED, linewidth=0.8)
            axes.plot(mean, at, "o", color=SERIES[0], markersize=7)
            axes.annotate(f"{mean:.2f}", (mean, at), xytext=(7, -3), textcoords="offset points", color=INK)
            del name
        for at, clique in enumerate(cliques):
            level = len(names) - 0.35 + 0.35 * at
            axes.plot([place[n] for n in (clique[0], clique[-1])], [level] * 2, color=SERIES[1], linewidth=4)
        axes.set_yticks(range(len(names)), [shorten(name, 34) for name in names])
        bottom = len(names) - 0.1 + 0.35 * len(cliques)
        axes.set(xlabel="Mean rank (1 is best)", ylim=(bottom, -0.6), xlim=(0.8, len(names) + 0.4))
        axes.grid(visible=False, axis="y")

    joined = "; ".join(listing(clique, most=10) for clique in cliques)
    units = str(ranks.get("units", "folds"))
    alt = f"Mean ranks over {units}: " + "; ".join(
        f"{label(n)} {m:.2f}" for n, m in zip(names, means, strict=True)
    )
    alt += f". Critical difference {gap:.2f}." if gap is not None else "."
    alt += f" Not told apart: {joined}." if joined else " All are told apart."
    return Figure(
        title="Mean ranks over folds",
        svg=chart(paint, height=90 + 24.0 * len(names) + 12.0 * len(cliques), width=480),
        alt=alt,
        data={"model": names, "mean rank": means},
    )


def learning_curves(curve: Mapping[str, Any]) -> Figure:
    """Draw the test score against the amount of training data, with 95% bands.

    curve: `score` (its name), `sizes`, what these count (`unit`, "sequences" if left out), and `rows`: name ->
    {`scores`, `low`, `high`}, one per size.
    """
    counted = f"training {curve.get('unit', 'sequences')}"
    sizes = [float(size) for size in curve["sizes"]]
    rows: Mapping[str, Any] = curve["rows"]
    names = [shorten(name, 30) for name in rows]

    def paint(axes: Any) -> None:
        for at, row in enumerate(rows.values()):
            colour = SERIES[at % len(SERIES)]
            scores, low, high = (np.array(row[key], dtype=float) for key in ("scores", "low", "high"))
            axes.plot(sizes, scores, "o-", color=colour, markersize=4, linewidth=1.8)
            axes.fill_between(sizes, low, high, color=colour, alpha=0.13, linewidth=0)
        if sizes:
            axes.set_xscale("log")
            axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
            axes.minorticks_off()
        axes.set(xlabel=counted.capitalize(), ylabel=title_of(curve["score"]))
        legend_below(axes, names, handles=axes.get_lines())

    order = "lower is better" if lower_is_better(str(curve["score"])) else "higher is better"
    ends = [
        f"{label(n)} from {show_number(r['scores'][0])} to {show_number(r['scores'][-1])}"
        for n, r in rows.items()
    ]
    between = f" with {sizes[0]:,.0f} to {sizes[-1]:,.0f} {counted}" if sizes else ""
    columns: dict[str, Sequence[Any]] = {counted: sizes}
    for name, row in rows.items():
        columns |= {str(name): row["scores"], f"{name} low": row["low"], f"{name} high": row["high"]}
    return Figure(
        title="Learning curve",
        svg=chart(paint, height=260 + legend_height(names)),
        alt=f"{title_of(curve['score'])} ({order}){between}: {'; '.join(ends) or 'no model'}.",
        data=columns,
    )


def _is_shown(one: Mapping[str, Any]) -> bool:
    p = finite(one.get("p_adjusted"))
    return p is not None and p <= 0.05


def _span(one: Mapping[str, Any]) -> tuple[float, float] | None:
    low, high = (finite(end) for end in one.get("interval") or (None, None))
    return None if low is None or high is None else (low, high)


def _p(one: Mapping[str, Any]) -> str:
    p = finite(one.get("p_adjusted"))
    return "no test" if p is None else "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
