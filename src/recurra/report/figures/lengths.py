"""How long the sequences of each split are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recurra.ragged import Array
from recurra.report.figure import Figure, chart, label
from recurra.report.figures.common import legend_below, numbers, plain_logarithm
from recurra.report.theme import INK, LINES, MUTED, SERIES, SURFACE

_BINS = 30


def length_histogram(lengths_by_split: Mapping[str, Sequence[int]]) -> Figure:
    """Draw the share of sequences per length, one outline per split (splits differ in size).

    lengths_by_split: split name to the lengths in steps. Where the longest has more than 50 times the
    median, the axis is logarithmic.
    """
    lengths = _lengths(lengths_by_split)
    edges, logarithmic = _edges(np.concatenate([*lengths.values(), np.zeros(0)]))
    # A logarithmic axis has no zero: empty sequences stand in a bin of their own, left of one step.
    counts = {name: np.histogram(np.maximum(values, edges[0]), edges)[0] for name, values in lengths.items()}

    def paint(axes: Any) -> None:
        for index, (name, count) in enumerate(counts.items()):
            share = 100 * count / max(count.sum(), 1)
            style = {"color": SERIES[index % len(SERIES)], "linestyle": LINES[index % len(LINES)]}
            axes.stairs(share, edges, label=label(name), linewidth=1.8, fill=False, **style)
            if index == 0:
                axes.stairs(share, edges, color=style["color"], fill=True, alpha=0.15)
        if logarithmic:
            axes.set_xscale("log")
            plain_logarithm(axes.xaxis)
        axes.set(xlabel="length in steps", ylabel="share of the split (%)", ylim=(0, None))
        axes.grid(visible=False, axis="x")
        handles = list(axes.get_legend_handles_labels()[0])
        legend_below(axes, [label(name) for name in counts], handles)

    columns: dict[str, Sequence[Any]] = {"from": np.floor(edges[:-1]).tolist(), "below": edges[1:].tolist()}
    columns |= {f"{name} sequences": count.tolist() for name, count in counts.items()}
    return Figure(
        title="How long the sequences are", svg=chart(paint), alt=_middle_half(lengths), data=columns
    )


def length_box(lengths_by_split: Mapping[str, Sequence[int]]) -> Figure:
    """Draw a box per split: quartiles, median, mean, whiskers at the 5th and 95th percentile, extremes."""
    lengths = {name: values for name, values in _lengths(lengths_by_split).items() if len(values)}
    boxes = [_box(values) | {"label": label(name)} for name, values in lengths.items()]

    def paint(axes: Any) -> None:
        if boxes:
            line = {"color": INK, "linewidth": 1.2}
            drawn = axes.bxp(
                boxes,
                orientation="horizontal",
                showmeans=True,
                showfliers=True,
                widths=0.5,
                patch_artist=True,
                boxprops={"facecolor": SURFACE, "edgecolor": INK, "linewidth": 1.2},
                whiskerprops=line,
                capprops=line,
                medianprops={"color": SERIES[1], "linewidth": 2.2},
                meanprops={
                    "marker": "D",
                    "markerfacecolor": SERIES[0],
                    "markeredgecolor": SERIES[0],
                    "markersize": 5,
                },
                flierprops={
                    "marker": "o",
                    "markersize": 3.5,
                    "markeredgecolor": MUTED,
                    "markerfacecolor": MUTED,
                },
            )
            axes.figure.legend(
                [drawn["medians"][0], drawn["means"][0], drawn["fliers"][0]],
                ["median", "mean", "shortest, longest"],
                loc="outside lower center",
                ncols=3,
                handlelength=1.4,
            )
            axes.invert_yaxis()
        axes.set(xlabel="length in steps", xlim=(0, None))
        axes.grid(visible=False, axis="y")

    columns: dict[str, Sequence[Any]] = {"split": list(lengths)}
    measured = [_summary(values) for values in lengths.values()]
    columns |= {name: [summary[name] for summary in measured] for name in (measured[0] if measured else {})}
    svg = chart(paint, height=130 + 38.0 * len(boxes))
    return Figure(title="Lengths in each split", svg=svg, alt=_in_words(lengths), data=columns)


def _lengths(by_split: Mapping[str, Sequence[int]]) -> dict[str, Array]:
    return {str(name): numbers(values, f"lengths of {name!r}") for name, values in by_split.items()}


def _edges(lengths: Array) -> tuple[Array, bool]:
    """Return bin borders and whether they grow geometrically; whole numbers, so that bins are fair."""
    if not len(lengths):
        return np.array([0.0, 1.0]), False
    low, high = float(lengths.min()), float(lengths.max())
    if high > 50 * max(float(np.median(lengths)), 1.0):
        borders = np.unique(np.geomspace(max(low, 1.0), high + 1, _BINS + 1).round())
        return (np.concatenate([[0.5], borders]) if low < 1 else borders), True
    width = max(1.0, np.ceil((high - low + 1) / _BINS))
    return np.arange(low, high + width + 1, width), False


def _summary(values: Array) -> dict[str, float]:
    q05, q1, median, q3, q95 = np.percentile(values, [5, 25, 50, 75, 95]).tolist()
    return {
        "sequences": len(values),
        "shortest": float(values.min()),
        "5th percentile": q05,
        "lower quartile": q1,
        "median": median,
        "mean": float(values.mean()),
        "upper quartile": q3,
        "95th percentile": q95,
        "longest": float(values.max()),
    }


def _box(values: Array) -> dict[str, Any]:
    found = _summary(values)
    return {
        "med": found["median"],
        "mean": found["mean"],
        "q1": found["lower quartile"],
        "q3": found["upper quartile"],
        "whislo": found["5th percentile"],
        "whishi": found["95th percentile"],
        "fliers": sorted({found["shortest"], found["longest"]}),
    }


def _middle_half(lengths: Mapping[str, Array]) -> str:
    parts = []
    for name, values in lengths.items():
        if len(values):
            q1, q3 = np.percentile(values, [25, 75])
            parts.append(f"{label(name)} {q1:,.0f} to {q3:,.0f}")
    return (
        f"The middle half of the sequences has this many steps: {'; '.join(parts)}."
        if parts
        else "No sequences."
    )


def _in_words(lengths: Mapping[str, Array]) -> str:
    parts = []
    for name, values in lengths.items():
        if not len(values):
            parts.append(f"{label(name)}: no sequences")
            continue
        found = _summary(values)
        parts.append(
            f"{label(name)}: {len(values):,} sequences, median {found['median']:,.0f}, "
            f"mean {found['mean']:,.1f}, "
            f"95% at most {found['95th percentile']:,.0f}, longest {found['longest']:,.0f}"
        )
    return "; ".join(parts) + "." if parts else "No sequences."
