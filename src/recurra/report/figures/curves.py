"""How training went, epoch by epoch, for one model or several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.ragged import Array
from recurra.report.figure import HEIGHT, Figure, chart, label
from recurra.report.figures.common import legend_below, legend_height, plain_logarithm
from recurra.report.figures.scores import telling
from recurra.report.theme import line_of
from recurra.report.wording import finite, show_number, title_of

History = Sequence[Mapping[str, Any]]

_PARTS = ("train_", "validation_")
_LAST = ("gradient_norm", "learning_rate")
_LARGEST = "gradient_norm_max"
# What histories carry beside the curves of learning.
_NO_CURVE = {
    "epoch",
    "step",
    "steps",
    "seconds",
    "tokens",
    "sequences",
    "batches",
    "seed",
    "skipped",
    _LARGEST,
}
_DASHED = (0, (3, 1.5))
_MARKED_UP_TO = 40


@dataclass(frozen=True, kw_only=True)
class _Line:
    """One curve: whose it is, the model's place among all, the column it comes from, and its points."""

    model: str
    place: int
    key: str
    epochs: Array
    values: Array
    best: int | None

    @property
    def held_out(self) -> bool:
        return self.key.startswith("validation_")

    @property
    def secondary(self) -> bool:
        """Whether it stands behind another curve of the same model."""
        return not self.held_out and self.key != "gradient_norm"


def training_curves(histories: Mapping[str, History], scores: int | None = None) -> tuple[Figure, ...]:
    """Draw one figure per measure: loss, each score, gradient norm, learning rate; every model in each.

    histories: model name to its epochs, each a mapping with `epoch` (counted from 1 where missing),
    `train_loss` (or `loss`), `validation_loss`, scores by name with or without these prefixes,
    `gradient_norm`, `gradient_norm_max`, `learning_rate`, and `best`, true where the epoch became the best.
    Training is dashed and validation solid; the best epoch has a ring (without `best`: that of the lowest
    validation loss). What no model recorded has no figure; values that are missing or not finite leave a gap.
    scores: how many scores are drawn, the most telling first (see `figures.scores.telling`); all by default.
    """
    return tuple(_measure(name, histories) for name in measures(histories, scores))


def measures(histories: Mapping[str, History], scores: int | None = None) -> list[str]:
    """Return what was recorded: `loss`, scores (at most `scores`), then gradient norm and learning rate."""
    found = dict.fromkeys(
        base
        for history in histories.values()
        for epoch in history
        for key, value in epoch.items()
        if (base := _base(key)) not in _NO_CURVE and finite(value) is not None
    )
    first = [name for name in ("loss",) if name in found]
    last = [name for name in _LAST if name in found]
    return first + telling([name for name in found if name not in (*first, *last)])[:scores] + last


def best_epoch(history: History) -> int | None:
    """Return the place of the epoch whose weights are kept: the last marked `best`, else the lowest loss."""
    marked = [place for place, epoch in enumerate(history) if epoch.get("best") is True]
    if marked:
        return marked[-1]
    losses = _values(history, "validation_loss")
    return int(np.nanargmin(losses)) if np.isfinite(losses).any() else None


def _base(key: str) -> str:
    for part in _PARTS:
        if key.startswith(part):
            return key.removeprefix(part)
    return key


def _measure(name: str, histories: Mapping[str, History]) -> Figure:
    lines = list(_lines(name, histories))
    alone = len(histories) == 1
    names = _entries(lines, alone)

    def paint(axes: Any) -> None:
        shown: dict[str, Any] = {}
        for line in lines:
            entry = names[line.key if alone else line.model]
            drawn = _draw(axes, line, len(lines) > len(histories))
            if entry not in shown or not line.secondary:
                shown[entry] = drawn
        _axes(axes, name, [line.values for line in lines])
        if len(shown) > 1:
            legend_below(axes, list(shown), list(shown.values()))

    svg = chart(paint, height=HEIGHT + legend_height(list(dict.fromkeys(names.values()))))
    title = title_of(name) + (" while training" if name in _LAST else " by epoch")
    return Figure(title=title, svg=svg, alt=_in_words(name, lines, alone), data=_columns(lines, alone))


def _lines(name: str, histories: Mapping[str, History]) -> Iterator[_Line]:
    for place, (model, history) in enumerate(histories.items()):
        keys = [f"train_{name}", name, f"validation_{name}"]
        if name == "gradient_norm":
            keys = [_LARGEST, name] if len(histories) == 1 else [name]
        best = best_epoch(history)
        found = [(key, values) for key in keys if np.isfinite(values := _values(history, key)).any()]
        if len(found) == 3:  # the plain column says nothing that the two named ones do not
            del found[1]
        for key, values in found:
            yield _Line(model=model, place=place, key=key, epochs=_epochs(history), values=values, best=best)


def _entries(lines: Sequence[_Line], alone: bool) -> dict[str, str]:
    """Return the names in the legend: kinds of curve for one model, models where there are several."""
    if not alone:
        return {line.model: label(line.model) for line in lines}
    named = {_LARGEST: "largest", "gradient_norm": "mean"}
    return {line.key: named.get(line.key, "validation" if line.held_out else "training") for line in lines}


def _draw(axes: Any, line: _Line, paired: bool) -> Any:
    """Draw one curve; return its handle for the legend."""
    style = line_of(line.place)
    behind = paired and line.secondary
    if paired:
        style |= {"linestyle": _DASHED if behind else "-", "linewidth": 1.4 if behind else 2.0}
    if len(line.epochs) > _MARKED_UP_TO or (behind and len(line.epochs) > 1):
        style["marker"] = None
    (drawn,) = axes.plot(line.epochs, line.values, markersize=3.5, **style)
    if line.held_out and line.best is not None:
        at = line.best
        axes.plot(
            line.epochs[at], line.values[at], "o", markersize=10, markerfacecolor="none", color=style["color"]
        )
    return drawn


def _axes(axes: Any, name: str, series: Sequence[Array]) -> None:
    from matplotlib.ticker import MaxNLocator

    together = np.concatenate(series)
    together = together[np.isfinite(together)]
    if together.size and together.min() > 0 and together.max() > 50 * together.min():
        axes.set_yscale("log")
        plain_logarithm(axes.yaxis)
    axes.set(xlabel="epoch", ylabel=title_of(name).lower() if name in ("loss", *_LAST) else title_of(name))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))


def _epochs(history: History) -> Array:
    given = (finite(epoch.get("epoch")) for epoch in history)
    return np.array(
        [place if epoch is None else epoch for place, epoch in enumerate(given, 1)], dtype=np.float64
    )


def _values(history: History, key: str) -> Array:
    found = (finite(epoch.get(key)) for epoch in history)
    return np.array([np.nan if value is None else value for value in found], dtype=np.float64)


def _columns(lines: Sequence[_Line], alone: bool) -> dict[str, list[Any]]:
    every = sorted({float(epoch) for line in lines for epoch in line.epochs})
    columns: dict[str, list[Any]] = {
        "epoch": [int(epoch) if epoch == int(epoch) else epoch for epoch in every]
    }
    for line in lines:
        known = dict(zip(line.epochs.tolist(), line.values.tolist(), strict=True))
        columns[line.key if alone else f"{line.model}: {line.key}"] = [
            finite(known.get(epoch)) for epoch in every
        ]
    return columns


def _in_words(name: str, lines: Sequence[_Line], alone: bool) -> str:
    parts = []
    for line in _told(lines):
        known = np.flatnonzero(np.isfinite(line.values))
        text = f"{show_number(line.values[known[0]])} to {show_number(line.values[known[-1]])}"
        if line.held_out and line.best is not None:
            text += f", {show_number(line.values[line.best])} at the best epoch, {line.epochs[line.best]:.0f}"
        parts.append(f"from {text}" if alone else f"{label(line.model)}, from {text}")
    held_out = any(line.held_out for line in lines)
    what = title_of(name) + (" on validation" if held_out else "")
    told = f"{what} {parts[0]}." if alone and parts else f"{what}: {'; '.join(parts)}."
    if held_out and len({line.held_out for line in lines}) == 2 and not alone:
        told += " Solid: validation; dashed: training."
    return told + (" The ring marks the best epoch." if held_out else "")


def _told(lines: Sequence[_Line]) -> list[_Line]:
    """Return the curve of each model that counts: that on validation, else the mean, else the only one."""
    chosen: dict[str, _Line] = {}
    for line in lines:
        if line.model not in chosen or not line.secondary:
            chosen[line.model] = line
    return list(chosen.values())
