"""How training went, epoch by epoch, for one model or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recurra.report.figure import HEIGHT, Figure, chart, label
from recurra.report.figures.common import legend_below, legend_height
from recurra.report.theme import line_of
from recurra.report.wording import finite, show_number, title_of

History = Sequence[Mapping[str, Any]]

_AXIS = "epoch"
_HELD_OUT = "validation_"
_LAST = ("gradient_norm", "learning_rate")
# Bookkeeping that histories carry beside what is learnt.
_NO_CURVE = {
    "epoch", "step", "steps", "updates", "seconds", "time", "tokens", "sequences", "batches", "seed", "skipped",
    "skipped_steps", "train_seconds", "validation_seconds", "tokens_per_second", "sequences_per_second", "bad_steps",
}  # fmt: skip


def training_curves(histories: Mapping[str, History]) -> tuple[Figure, ...]:
    """Draw one figure per measure: loss, each score, gradient norm, learning rate; every model in each of them.

    histories: model name to its epochs, each a mapping with `epoch` (counted from 1 where missing), `loss`,
    `validation_loss`, scores by name with or without `validation_`, `gradient_norm`, `learning_rate`. Training
    is dashed and validation solid; a ring marks the epoch of the lowest validation loss. What no model recorded
    has no figure; values that are missing or not finite leave a gap.
    """
    return tuple(_measure(name, histories) for name in measures(histories))


def measures(histories: Mapping[str, History]) -> list[str]:
    """Return what was recorded: `loss`, scores in order of appearance, then gradient norm and learning rate."""
    found = dict.fromkeys(
        base
        for history in histories.values()
        for epoch in history
        for key, value in epoch.items()
        if (base := key.removeprefix(_HELD_OUT)) not in _NO_CURVE and finite(value) is not None
    )
    first = [name for name in ("loss",) if name in found]
    last = [name for name in _LAST if name in found]
    return first + [name for name in found if name not in (*first, *last)] + last


def _measure(name: str, histories: Mapping[str, History]) -> Figure:
    lines = [
        (model, index, key, epochs, values)
        for index, (model, history) in enumerate(histories.items())
        for key in (name, _HELD_OUT + name)
        if np.isfinite((values := _values(history, key))).any()
        for epochs in [_epochs(history)]
    ]
    both = {key.startswith(_HELD_OUT) for _, _, key, _, _ in lines} == {True, False}
    alone = len(histories) == 1
    entries: dict[str, Any] = {}

    def paint(axes: Any) -> None:
        for model, index, key, epochs, values in lines:
            held_out = key.startswith(_HELD_OUT)
            style = line_of(index)
            if both:
                style |= {
                    "linestyle": "-" if held_out else (0, (3, 1.5)),
                    "linewidth": 2.0 if held_out else 1.4,
                }
            if len(epochs) > 40:
                style["marker"] = None
            elif both and not held_out:
                style["marker"] = None if len(epochs) > 1 else style["marker"]
            (line,) = axes.plot(epochs, values, markersize=3.5, **style)
            shown = ("validation" if held_out else "training") if alone and both else label(model)
            if held_out or not both or alone:
                entries.setdefault(shown, line)
            if held_out and name == "loss":
                best = int(np.nanargmin(values))
                axes.plot(
                    epochs[best],
                    values[best],
                    "o",
                    markersize=10,
                    markerfacecolor="none",
                    color=style["color"],
                )
        _axes(axes, name, [values for *_, values in lines])
        if not (alone and not both):
            legend_below(axes, list(entries), list(entries.values()))

    names = ["training", "validation"] if alone else [label(model) for model in histories]
    svg = chart(paint, height=HEIGHT + legend_height(names))
    title = title_of(name) + (" while training" if name in _LAST else " by epoch")
    note = " Dashed: training; solid: validation." if both and not alone else ""
    return Figure(title=title, svg=svg, alt=_in_words(name, lines) + note, data=_columns(lines, alone))


def _axes(axes: Any, name: str, series: Sequence[np.ndarray]) -> None:
    from matplotlib.ticker import MaxNLocator

    together = np.concatenate(series)
    together = together[np.isfinite(together)]
    if together.size and together.min() > 0 and together.max() > 50 * together.min():
        axes.set_yscale("log")
    axes.set(xlabel=_AXIS, ylabel=title_of(name).lower() if name in ("loss", *_LAST) else title_of(name))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))


def _epochs(history: History) -> np.ndarray:
    given = [finite(epoch.get(_AXIS)) for epoch in history]
    return np.array(
        [number if given[i] is not None else i + 1 for i, number in enumerate(given)], dtype=np.float64
    )


def _values(history: History, key: str) -> np.ndarray:
    found = (finite(epoch.get(key)) for epoch in history)
    return np.array([np.nan if value is None else value for value in found], dtype=np.float64)


def _columns(
    lines: Sequence[tuple[str, int, str, np.ndarray, np.ndarray]], alone: bool
) -> dict[str, list[Any]]:
    every = sorted({float(epoch) for *_, epochs, _ in lines for epoch in epochs})
    columns: dict[str, list[Any]] = {_AXIS: [int(epoch) if epoch == int(epoch) else epoch for epoch in every]}
    for model, _, key, epochs, values in lines:
        known = dict(zip(epochs.tolist(), values.tolist(), strict=True))
        column = [known.get(epoch) for epoch in every]
        columns[key if alone else f"{model}: {key}"] = [
            None if finite(value) is None else value for value in column
        ]
    return columns


def _in_words(name: str, lines: Sequence[tuple[str, int, str, np.ndarray, np.ndarray]]) -> str:
    parts = []
    for model, _, key, epochs, values in lines:
        held_out = key.startswith(_HELD_OUT)
        if not held_out and any(other == model and k != key for other, _, k, _, _ in lines):
            continue
        known = np.flatnonzero(np.isfinite(values))
        text = f"{label(model)}: from {show_number(values[known[0]])} to {show_number(values[known[-1]])}"
        if held_out and name == "loss":
            best = int(np.nanargmin(values))
            text += f", lowest {show_number(values[best])} at epoch {epochs[best]:.0f}"
        parts.append(text)
    where = "Validation" if any(key.startswith(_HELD_OUT) for _, _, key, _, _ in lines) else "Training"
    if name in _LAST:
        where = title_of(name)
    return f"{where}, {'; '.join(parts)}." if where != title_of(name) else f"{where}: {'; '.join(parts)}."
