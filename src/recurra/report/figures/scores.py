"""The models of a comparison side by side, with how far their scores may be off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from recurra.report.figure import Figure, chart, label
from recurra.report.theme import INK, MUTED, SERIES
from recurra.report.wording import finite, shorten, show_number, title_of

LOWER_IS_BETTER = (
    "loss",
    "error",
    "mse",
    "rmse",
    "mae",
    "mape",
    "smape",
    "mase",
    "brier",
    "ece",
    "perplexity",
    "nats",
    "bits",
    "wer",
    "cer",
    "gap",
)


# Where there is room for a few measures only: the usual ones, which say different things.
_TELLING = ("accuracy", "f1_macro", "macro_f1", "f1", "roc_auc", "log_loss", "rmse", "mae", "r2")


def telling(names: Iterable[str], main: str | None = None) -> list[str]:
    """Return measures by how much they tell beside the others: `main`, the usual ones, then the rest as given."""
    order = {name: place for place, name in enumerate(dict.fromkeys((main, *_TELLING)))}
    return sorted(dict.fromkeys(names), key=lambda name: order.get(name, len(order)))


def lower_is_better(metric: str) -> bool:
    """Return whether a small value of this measure is a good one."""
    words = metric.lower().replace("-", "_").split("_")
    return any(word in LOWER_IS_BETTER for word in words)


def main_metric(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the measure that rows are compared by: the first that most of them have."""
    names = [
        name for row in rows for name, value in row.get("scores", {}).items() if finite(value) is not None
    ]
    return max(dict.fromkeys(names), key=names.count, default=None)


def scores_with_intervals(rows: Sequence[Mapping[str, Any]], metric: str | None = None) -> Figure:
    """Draw one score per model with its interval, the best first; baselines have their own mark and colour.

    rows: mappings with `name`, `kind` ("recurrent" or "baseline"), `scores` (measure to value) and, where
    known, `intervals` (measure to (low, high)) and `seeds` (measure to the value of each seed, or a mapping of
    measures per seed; drawn as dots).
    metric: which score; by default the first that most rows have. The dashed line is the best baseline.
    """
    metric = metric or main_metric(rows) or "score"
    ranked = ranking(rows, metric)
    values = np.array([float(row["scores"][metric]) for row in ranked])
    spans = [_interval(row, metric) for row in ranked]
    baselines = [value for row, value in zip(ranked, values.tolist(), strict=True) if _is_baseline(row)]

    def paint(axes: Any) -> None:
        for at, (row, value, span) in enumerate(zip(ranked, values, spans, strict=True)):
            colour, mark = (SERIES[1], "D") if _is_baseline(row) else (SERIES[0], "o")
            if span:
                axes.plot(span, [at, at], color=colour, linewidth=2.4, solid_capstyle="round", alpha=0.6)
            seeds = _seeds(row, metric)
            axes.scatter(seeds, [at + 0.26] * len(seeds), s=7, c=MUTED, linewidths=0)
            axes.plot(value, at, mark, color=colour, markersize=7)
        if baselines:
            axes.axvline(baselines[0], color=INK, linestyle="--", linewidth=1.0)
        axes.set_yticks(range(len(ranked)), [shorten(row["name"], 34) for row in ranked])
        axes.set(xlabel=title_of(metric), ylim=(len(ranked) - 0.4, -0.6))
        axes.grid(visible=False, axis="y")
        _legend(axes, bool(baselines), len(baselines) < len(ranked))

    columns: dict[str, Sequence[Any]] = {
        "model": [str(row["name"]) for row in ranked],
        "kind": [str(row.get("kind", "")) for row in ranked],
        metric: values.tolist(),
        "low": [span[0] if span else None for span in spans],
        "high": [span[1] if span else None for span in spans],
    }
    svg = chart(paint, height=max(130.0, 96 + 30.0 * len(ranked)), width=480)
    return Figure(
        title=f"{title_of(metric)} of every model",
        svg=svg,
        alt=_in_words(ranked, metric, spans),
        data=columns,
    )


def ranking(rows: Sequence[Mapping[str, Any]], metric: str) -> list[Mapping[str, Any]]:
    """Return the rows that have this score, the best first."""
    known = [row for row in rows if finite(row.get("scores", {}).get(metric)) is not None]
    return sorted(known, key=lambda row: float(row["scores"][metric]), reverse=not lower_is_better(metric))


def _is_baseline(row: Mapping[str, Any]) -> bool:
    return str(row.get("kind", "")) == "baseline"


def _interval(row: Mapping[str, Any], metric: str) -> tuple[float, float] | None:
    given = (row.get("intervals") or {}).get(metric)
    if given is None or len(given) != 2:
        return None
    low, high = finite(given[0]), finite(given[1])
    return None if low is None or high is None else (low, high)


def _seeds(row: Mapping[str, Any], metric: str) -> list[float]:
    given = row.get("seeds")
    values: Sequence[Any] = ()
    if isinstance(given, Mapping):
        values = given.get(metric, ())
    elif isinstance(given, Sequence):
        values = [seed.get(metric) for seed in given if isinstance(seed, Mapping)]
    return [number for value in values if (number := finite(value)) is not None]


def _legend(axes: Any, with_baselines: bool, with_recurrent: bool) -> None:
    from matplotlib.lines import Line2D

    handles = []
    if with_recurrent:
        handles.append(
            Line2D([], [], marker="o", color=SERIES[0], linestyle="", markersize=7, label="recurrent")
        )
    if with_baselines:
        handles.append(
            Line2D([], [], marker="D", color=SERIES[1], linestyle="", markersize=6, label="baseline")
        )
        handles.append(Line2D([], [], color=INK, linestyle="--", linewidth=1.0, label="best baseline"))
    axes.figure.legend(handles=handles, loc="outside lower center", ncols=3, handlelength=1.4)


def _in_words(
    ranked: Sequence[Mapping[str, Any]], metric: str, spans: Sequence[tuple[float, float] | None]
) -> str:
    if not ranked:
        return "No model has this score."
    parts = []
    for row, span in zip(ranked, spans, strict=True):
        within = f" ({show_number(span[0])} to {show_number(span[1])})" if span else ""
        kind = ", baseline" if _is_baseline(row) else ""
        parts.append(f"{label(row['name'])}{kind} {show_number(row['scores'][metric])}{within}")
    order = "lower is better" if lower_is_better(metric) else "higher is better"
    return f"{title_of(metric)}, best first ({order}): " + "; ".join(parts) + "."
