"""One explained sequence, as items of a page: the text in its colours, the answer as it forms, states and gates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.insight.attribution import Attribution
from recurra.insight.forming import Forming
from recurra.insight.passage import Passage
from recurra.insight.states import LayerStates, States
from recurra.ragged import Array
from recurra.report import figures
from recurra.report.figure import Figure
from recurra.report.items import Cell, Highlighted, Item, Table, Text
from recurra.report.wording import listing, shorten

TOP = 10
_UNITS = 48
_CHANNELS = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """A sequence with what was found about it.

    row: in the data, None of a text given by hand. label: the true one in words, if known. answer: the predicted one
    in words, with its probability. attribution; forming, states: None where they were not made.
    """

    row: int | None
    label: str | None
    answer: str
    attribution: Attribution
    forming: Forming | None
    states: States | None

    @property
    def passage(self) -> Passage:
        """The sequence as the model read it."""
        return self.attribution.passage

    @property
    def title(self) -> str:
        """The text, or which sequence it is."""
        if self.passage.text is not None:
            return f"“{shorten(self.passage.text, 60)}”" if self.passage.text.strip() else "An empty text"
        return f"Sequence {self.row}" if self.row is not None else "The sequence"


def example_items(example: Example, *, states: bool = True) -> list[Item]:
    """What a page shows of it; `states`: the heatmaps of states and gates as well."""
    told = f"Predicted: {example.answer}." + (
        f" Label: {example.label}." if example.label is not None else ""
    )
    items: list[Item] = [Text(body=told), *attribution_items(example.attribution)]
    if example.forming is not None and len(example.passage):
        # Beside the bars: the two figures of every example share a row.
        items.insert(-1 if isinstance(items[-1], Table) else len(items), forming_figure(example.forming))
    if example.states is not None and states and len(example.passage):
        items += state_figures(example.states)
    return items


def attribution_items(found: Attribution) -> list[Item]:
    """Shares of the steps and channels: coloured text or heatmap, bars and the table of the largest."""
    items: list[Item] = [Text(body=_sums(found), tone="note"), *_unknown(found.passage)]
    passage = found.passage
    for_it, against = f"for {found.of}", f"against {found.of}"
    if passage.text is not None:
        pieces, steps = passage.pieces()
        weights = [0.0 if step is None else float(found.per_step[step]) for step in steps]
        caption = f"What each token adds to “{found.of}” ({found.measure})"
        items.append(
            Highlighted(pieces=pieces, weights=weights, caption=caption, positive=for_it, negative=against)
        )
    elif len(passage):
        title = f"What each channel adds to {found.of}, step by step"
        items.append(
            figures.heatmap(
                found.values.T, title=title, rows=passage.channels, steps=passage.tokens, rows_are="channel"
            )
        )
        if passage.numbers is not None and passage.numbers.shape[1]:
            items.append(signal_figure(passage))
    if found.values.size or found.static.size:
        items += [*_channel_bars(found), shares_figure(found), _top_table(found)]
    return items


def _channel_bars(found: Attribution) -> list[Figure]:
    """The share of every channel, all steps together, where there are several."""
    channels = found.passage.channels
    if len(channels) < 2:
        return []
    order = np.argsort(-np.abs(found.per_channel), kind="stable")[:_CHANNELS]
    return [
        figures.signed_bars(
            [channels[place] for place in order],
            found.per_channel[order].tolist(),
            title=f"Shares of the channels for {found.of}",
            measure=found.measure,
        )
    ]


def shares_figure(found: Attribution) -> Figure:
    """The largest shares as bars."""
    top = found.top(TOP)
    return figures.signed_bars(
        [share.text.strip() or "(space)" for share in top],
        [share.value for share in top],
        title=f"Largest shares for {found.of}",
        measure=found.measure,
    )


def _unknown(passage: Passage) -> list[Item]:
    """The tokens that the model reads all alike: what it says of them is no evidence."""
    tokens = list(dict.fromkeys(passage.tokens[step].strip() for step in passage.unknown))
    if not tokens:
        return []
    return [
        Text(
            body=f"Unknown to the model, and therefore read alike: {listing(tokens, most=20)}.",
            tone="missing",
        )
    ]


def _sums(found: Attribution) -> str:
    parts = f"Method: {found.method}. The shares sum to {found.total:+.3f} {found.measure}"
    if found.gap is None:
        return parts + "; this method promises no completeness."
    assert found.baseline is not None
    judged = "" if found.complete is None else ", complete" if found.complete else ", NOT complete"
    return (
        f"{parts}; the answer differs by {found.score - found.baseline:+.3f} from nothing read "
        f"(gap {found.gap:+.1e}{judged})."
    )


def _top_table(found: Attribution) -> Table:
    rows = [
        [
            share.text.strip() or "(space)",
            None if share.step is None else share.step + 1,
            Cell(text=f"{share.value:+.4f}", sort=share.value),
            f"for {found.of}" if share.value >= 0 else f"against {found.of}",
        ]
        for share in found.top(TOP)
    ]
    return Table(
        columns=["Part", "Step", f"Share ({found.measure})", "Speaks"],
        rows=rows,
        caption=f"The {len(rows)} largest shares",
    )


def signal_figure(passage: Passage) -> Figure:
    """The numbers as the model reads them, channels by steps."""
    assert passage.numbers is not None
    names = passage.channels[: passage.numbers.shape[1]]
    return figures.heatmap(
        passage.numbers.T,
        title="The sequence as the model reads it (scaled; 0 is the training mean)",
        rows=names,
        steps=passage.tokens,
        rows_are="channel",
    )


def forming_figure(found: Forming) -> Figure:
    """The answer after each step."""
    measure = "probability" if found.measure == "log-odds" else "value"
    courses = {name: found.answers[:, place].tolist() for place, name in enumerate(found.names)}
    if measure == "probability" and len(found.names) == 2:
        courses = {found.of: courses[found.of]}
    steps = [token.strip() or "·" for token in found.passage.tokens]
    made = figures.forming(courses, steps, measure=measure, title="How the answer forms, step by step")
    how = (
        ""
        if found.kind == "stream"
        else " The model also reads from the end: each point is the answer to the text that stops there."
    )
    return Figure(title=made.title, svg=made.svg, alt=made.alt + how, data=made.data)


def state_figures(states: States) -> list[Figure]:
    """Heatmaps of the uppermost layer's hidden states and gates, and how full every layer is."""
    passage, top = states.passages[0], states.top
    steps = [token.strip() or "·" for token in passage.tokens]
    units = _liveliest(top)
    names = [str(unit) for unit in units]
    drawn = [
        figures.heatmap(
            top.hidden[:, units].T,
            title=f"Hidden state of layer {top.name}",
            rows=names,
            steps=steps,
            alt=_state_words(top, steps),
        )
    ]
    drawn += [
        figures.heatmap(
            gate[:, units].T,
            title=f"Gate “{name}” of layer {top.name}",
            rows=names,
            steps=steps,
            signed=bool(np.min(gate, initial=0.0) < 0),
            limit=1.0,
            alt=_gate_words(name, gate),
        )
        for name, gate in top.gates.items()
    ]
    return drawn


def _liveliest(layer: LayerStates) -> Array:
    """The units that move most over the sequence, in the order of the step at which they move most."""
    change = np.abs(np.diff(layer.hidden, axis=0, prepend=0.0))
    kept = np.sort(np.argsort(-change.sum(axis=0), kind="stable")[:_UNITS])
    return np.asarray(kept[np.argsort(np.argmax(change[:, kept], axis=0), kind="stable")])


def _state_words(layer: LayerStates, steps: Any) -> str:
    full = layer.magnitude()
    step = int(np.argmax(np.abs(np.diff(full, prepend=0.0))))
    return (
        f"{min(_UNITS, layer.hidden.shape[1])} of {layer.hidden.shape[1]} units, those that move most, ordered by "
        f"the step at which they do. The magnitude is {full[-1]:.2f} at the end and changes most at step {step + 1} "
        f"({steps[step]})."
    )


def _gate_words(name: str, gate: Array) -> str:
    told = f"On average {np.mean(gate):.2f}"
    if np.min(gate, initial=0.0) < 0:
        return f"{told}, between {np.min(gate):.2f} and {np.max(gate):.2f}."
    shut, wide = np.mean(gate < 0.1), np.mean(gate > 0.9)
    return f"{told}; nearly shut (below 0.1) {100 * shut:.0f}%, wide open (above 0.9) {100 * wide:.0f}% of the time."
