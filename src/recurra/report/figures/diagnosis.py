"""The evidence of a diagnosis of training: gradients by lag, gates, Jacobians, updates and gradient norms by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recurra.report.figure import HEIGHT, Figure, chart, label
from recurra.report.figures.common import legend_below, legend_height, thinned
from recurra.report.figures.curves import training_curves
from recurra.report.theme import MUTED, line_of
from recurra.report.wording import finite, show_number

_MOST = 8
_POINTS = 400


def diagnosis_figures(drawn: Mapping[str, Any]) -> tuple[Figure, ...]:
    """Draw what was measured; what there is nothing of has no figure.

    drawn: "reach" {layer: {lags, norms}}; "steps" of the probes and, for them, "saturated", "radius" and "updates"
    {name: values}; "norms" of all steps and their bound "clip"; "epochs" of the history.
    """
    return tuple(figure for figure in evidence_figures(drawn).values() if figure is not None)


def evidence_figures(drawn: Mapping[str, Any]) -> dict[str, Figure | None]:
    """Return the drawings by the name under which findings point to them."""
    steps = drawn.get("steps") or []
    losses = training_curves({"model": drawn["epochs"]}, 0) if drawn.get("epochs") else ()
    return {
        "reach": _reach(drawn.get("reach") or {}),
        "gates": _by_step("Saturated gates", "share near an end", steps, drawn.get("saturated") or {}),
        "radius": _by_step(
            "Spectral radius of a step", "spectral radius", steps, drawn.get("radius") or {}, at=1.0
        ),
        "updates": _by_step(
            "Update beside weights", "ratio", steps, drawn.get("updates") or {}, logarithmic=True
        ),
        "norms": _norms(drawn.get("norms") or [], drawn.get("clip")),
        "loss": losses[0] if losses else None,
    }


def _reach(layers: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure | None:
    if not layers:
        return None
    lines = {name: (curve["lags"], _relative(curve["norms"])) for name, curve in layers.items()}
    told = "; ".join(
        f"{label(name)}: {_small(norms[-1])} of the largest at lag {lags[-1]}"
        for name, (lags, norms) in lines.items()
    )
    return _lines(
        "How far back learning reaches",
        ("steps before the end", "gradient, share of the largest"),
        lines,
        alt=f"Norm of the gradient at the state so many steps before the end. {told}. The dashed line is 1%.",
        logarithmic=True,
        at=0.01,
    )


def _relative(norms: Sequence[float]) -> list[float]:
    largest = max(norms, default=0.0) or 1.0
    return [max(norm / largest, 1e-12) for norm in norms]


def _by_step(
    title: str,
    measure: str,
    steps: Sequence[int],
    columns: Mapping[str, Sequence[float | None]],
    *,
    at: float | None = None,
    logarithmic: bool = False,
) -> Figure | None:
    known = {name: values for name, values in columns.items() if any(finite(v) is not None for v in values)}
    if not known:
        return None
    last = {name: [v for v in values if finite(v) is not None][-1] for name, values in known.items()}
    chosen = sorted(known, key=lambda name: -abs(last[name] or 0.0))[:_MOST]
    more = f" The {_MOST} largest of {len(known)} are drawn." if len(known) > _MOST else ""
    told = "; ".join(f"{label(name)} {_small(last[name])}" for name in chosen)
    return _lines(
        title,
        ("step", measure),
        {name: (steps, known[name]) for name in chosen},
        alt=f"{title} while training, at the end: {told}.{more}",
        logarithmic=logarithmic,
        at=at,
    )


def _norms(norms: Sequence[float], clip: float | None) -> Figure | None:
    values = np.array(norms, np.float64)
    if not np.isfinite(values).any():
        return None
    places = thinned(len(values), _POINTS)
    finite_norms = values[np.isfinite(values)]
    bound = "" if clip is None else f" The dashed line is the bound {clip:g}."
    return _lines(
        "Gradient norm by step",
        ("step", "norm before clipping"),
        {"gradient norm": ((places + 1).tolist(), values[places].tolist())},
        alt=f"Median {_small(np.median(finite_norms))}, largest {_small(finite_norms.max())}.{bound}",
        logarithmic=True,
        at=clip,
    )


def _lines(
    title: str,
    axes_names: tuple[str, str],
    lines: Mapping[str, tuple[Sequence[float], Sequence[float | None]]],
    *,
    alt: str,
    logarithmic: bool,
    at: float | None,
) -> Figure:
    columns = {name: (list(across), [finite(value) for value in up]) for name, (across, up) in lines.items()}
    positive = any(value is not None and value > 0 for _, up in columns.values() for value in up)

    def paint(axes: Any) -> None:
        handles = []
        for place, (across, up) in enumerate(columns.values()):
            shown = [np.nan if value is None or (logarithmic and value <= 0) else value for value in up]
            style = line_of(place) | ({"marker": None} if len(up) > 40 else {"markersize": 3})
            handles += axes.plot(across, shown, **style)
        if at is not None:
            axes.axhline(at, color=MUTED, linestyle="--", linewidth=1.2)
        if logarithmic and positive:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set(xlabel=axes_names[0], ylabel=axes_names[1])
        if len(handles) > 1:
            legend_below(axes, [label(name) for name in columns], handles)

    data: dict[str, Sequence[Any]] = {}
    for name, (across, up) in columns.items():
        before = f"{name}: " if len(columns) > 1 else ""
        data |= {before + axes_names[0]: across, before + axes_names[1]: up}
    names = [label(name) for name in columns] if len(columns) > 1 else []
    svg = chart(paint, height=HEIGHT + legend_height(names))
    return Figure(title=title, svg=svg, alt=alt, data=data)


def _small(value: Any) -> str:
    """A number that may be very small."""
    number = finite(value)
    return show_number(None) if number is None else f"{number:.2g}"
