"""What a model has learnt, over many sequences: how its states lie and what they know, what to trust."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from recurra.insight.behaviour import BehaviourProbe, behaviour_of
from recurra.insight.distribution import StateDistribution, distribution
from recurra.insight.errors.analysis import columns_of
from recurra.insight.faithfulness import Faithfulness, faithfulness
from recurra.insight.neighbours import Neighbours, neighbours
from recurra.insight.probing import LEAST as PROBED
from recurra.insight.probing import MOST_CLASSES, Probe, probe
from recurra.insight.projection import Projection, project
from recurra.insight.states import States, states_of
from recurra.insight.subject import Reading, Subject
from recurra.insight.units import UnitResponse, unit_responses
from recurra.ragged import Array
from recurra.report import figures
from recurra.report.items import Cell, Item, Section, Table, Text
from recurra.report.wording import shorten, show_number, show_share, title_of

JUDGED_TOKENS = 4000
"""Steps in all of the sequences that the methods of attribution are judged on: bounds the time."""
MOST_JUDGED = 40
LOOKED_TOKENS = 40_000
"""Steps in all of the sequences whose states are looked at: bounds time and memory."""
MOST_LOOKED = 500
_LEAST_JUDGED = 5
_TOKENS = 12
_TEXT = 120


def inside_sections(
    subject: Subject, data: Any, reading: Reading, seed: int
) -> tuple[list[Section], list[str]]:
    """The sections, and what they say in sentences."""
    lengths = np.asarray(reading.batch.lengths)
    judged = some_rows(lengths, MOST_JUDGED, JUDGED_TOKENS, seed)
    looked = some_rows(lengths, MOST_LOOKED, LOOKED_TOKENS, seed)
    sections, sentences = [], []
    for made in (
        _trusted(subject, data.select(judged), seed) if len(judged) >= _LEAST_JUDGED else None,
        _looked(subject, data.select(looked), reading.select(looked), seed),
        _behaving(subject, reading.select(looked), seed) if subject.is_text else None,
        _alike(subject, reading.select(looked)) if subject.is_text else None,
    ):
        if made is not None:
            sections.append(made[0])
            sentences += made[1]
    return sections, sentences


_Part = tuple[Section, list[str]]


def some_rows(lengths: Array, most: int, tokens: int, seed: int) -> list[int]:
    """Sequences that are not empty, drawn until there are `most` of them or `tokens` steps in all."""
    rows: list[int] = []
    steps = 0
    for row in np.random.default_rng(seed).permutation(len(lengths)).tolist():
        if 0 < lengths[row] <= tokens - steps and len(rows) < most:
            rows.append(row)
            steps += int(lengths[row])
    return sorted(rows)


_TRUST = (
    "A method ranks the parts of a sequence. Taken away in that order, the answer should fall sooner than in random "
    "order; put back in that order, it should rise sooner."
)


def _trusted(subject: Subject, data: Any, seed: int) -> _Part:
    exact = subject.predictor.precision == "float32"
    methods = ("integrated", "gradient", "occlusion", "change") if exact else ("occlusion", "change")
    found = faithfulness(subject, data, methods=methods, seed=seed)
    return Section(title="Which attribution to trust", intro=_TRUST, items=trust_items(found)), [
        found.sentence
    ]


def trust_items(found: Faithfulness) -> list[Item]:
    """The sentence, both curves, and the table of areas."""
    shares = found.curves[0].shares.tolist()
    items: list[Item] = [Text(body=found.sentence)]
    for kind, done in (("deletion", "taken away"), ("insertion", "put back")):
        items.append(
            figures.erasing_curves(
                shares,
                {curve.method: getattr(curve, kind).tolist() for curve in found.curves},
                {curve.method: getattr(curve, f"{kind}_area") for curve in found.curves},
                title=f"{kind.capitalize()} curve",
                done=done,
                measure=f"mean {found.measure}",
            )
        )
    rows = [
        [
            curve.method,
            curve.deletion_area,
            _gain(found, "deletion", curve.method),
            curve.insertion_area,
            _gain(found, "insertion", curve.method),
        ]
        for curve in found.curves
    ]
    columns = ["Order", "Deletion area (low is good)", "Deletion: better than random by"]
    columns += ["Insertion area", "Insertion: better than random by"]
    caption = f"Areas under the curves, {found.sequences} sequences, with 95% intervals over them"
    return [*items, Table(columns=columns, rows=rows, caption=caption)]


def _gain(found: Faithfulness, kind: str, method: str) -> Cell:
    judged = getattr(found, kind).get(method)
    if judged is None:
        return Cell(text="–")
    return Cell(text=_with_interval(judged.effect, judged.interval), sort=float(judged.effect))


def _with_interval(value: float, interval: tuple[float, float]) -> str:
    return f"{show_number(value)} ({show_number(interval[0])} to {show_number(interval[1])})"


def _looked(subject: Subject, data: Any, reading: Reading, seed: int) -> _Part | None:
    if len(reading) < 3 or subject.predictor.precision != "float32":
        return None
    states = states_of(subject, reading)
    labels = None if data.targets is None or np.ndim(data.targets[0]) else _labels(data.targets)
    items: list[Item] = [
        *distribution_items(distribution(states, labels)),
        projection_figure(project(states, labels)),
    ]
    probes = list(_probes(states, data, seed))
    if probes:
        items.append(probe_table(probes))
    if subject.is_text:
        responses = unit_responses(states, count=10, seed=seed)
        items += [unit_table(responses)] if responses else []
    sentences = [found.sentence for found in probes if found.sentence is not None]
    return Section(
        title="What the states know", intro=_STATES.format(count=len(reading)), items=items
    ), sentences


_STATES = (
    "Over {count:,} sequences. A probe reads a property out of the state that enters the head with a linear "
    "model, on sequences that it was not fitted on, beside the same with the property handed out at random."
)


def _labels(targets: Any) -> list[str] | None:
    """The classes; numbers have too many values to colour by."""
    return None if np.asarray(targets).dtype.kind == "f" else [str(label) for label in targets]


def distribution_items(found: StateDistribution) -> list[Item]:
    """What values the final states take, all together and unit by unit."""
    sentence = found.sentence
    return [
        Text(body=sentence),
        figures.value_histogram(
            found.edges.tolist(),
            found.counts.tolist(),
            {name: counts.tolist() for name, counts in found.by_label.items()},
            title="Distribution of the final state",
            across="value of a unit after the last step",
            alt=sentence,
        ),
        figures.unit_quantiles(
            found.quantiles,
            title="Final state, unit by unit",
            up="value after the last step",
            alt=_spread(found),
        ),
    ]


def _spread(found: StateDistribution) -> str:
    wide = found.quantiles[:, 4] - found.quantiles[:, 0]
    unit = int(np.argmax(wide))
    low, high = found.quantiles[unit, [0, -1]]
    return (
        f"{len(wide):,} units. Between 5 and 95% of the sequences unit {unit} moves most, from {low:+.2f} to "
        f"{high:+.2f}; the typical unit by {np.median(wide):.2f}."
    )


def projection_figure(found: Projection) -> Any:
    """The final states seen along their two widest directions."""
    shares = found.explained or (0.0, 0.0)
    first, second = (
        f"{name} direction ({100 * share:.0f}%)"
        for name, share in zip(("first", "second"), shares, strict=True)
    )
    kinds = sorted(set(found.labels or ()))
    alt = (
        f"{len(found.points):,} final states along their two principal directions, which hold "
        f"{100 * sum(shares):.0f}% of the variance."
    )
    centres = [
        f"{kind} around ({centre[0]:+.2f}, {centre[1]:+.2f})"
        for kind in kinds[:8]
        for centre in [found.points[np.array(found.labels) == kind].mean(axis=0)]
    ]
    told = f"{alt} Centres: {'; '.join(centres)}." if centres else alt
    return figures.projection(
        found.points, found.labels, title="Final states of the sequences", axes_are=(first, second), alt=told
    )


def _probes(states: States, data: Any, seed: int) -> Iterator[Probe]:
    if len(states) < PROBED:
        return
    properties: dict[str, Any] = {"length": np.diff(states.offsets), **columns_of(data)}
    if data.targets is not None and not np.ndim(data.targets[0]):
        properties["the target"] = data.targets
    for name, values in properties.items():
        given = np.asarray(values)
        if given.dtype.kind in "iuf":
            fits = bool(np.all(np.isfinite(given)) and np.ptp(given) > 0)
        else:
            fits = 2 <= len(set(given.astype(str).tolist())) <= MOST_CLASSES
        if fits:
            yield probe(states, name, values, seed=seed)


def probe_table(probes: Sequence[Probe]) -> Table:
    """Score, random control and chance of every property."""
    rows = [
        [
            title_of(found.name),
            found.measure,
            found.score,
            float(np.mean(found.control)),
            found.guess,
            f"≤ {found.p:.3f}",
            None if found.unit is None else str(found.unit.unit),
        ]
        for found in probes
    ]
    columns = ["Property", "Measure", "Held out", "At random", "Best constant", "p", "Best single unit"]
    return Table(columns=columns, rows=rows, caption="Properties that the states tell")


def unit_table(responses: Sequence[UnitResponse]) -> Table:
    """Units with the token that they respond to most."""
    rows = [
        [
            f"{found.layer}, unit {found.unit}",
            found.token,
            found.measured,
            found.mean,
            found.other,
            found.times,
        ]
        for found in responses
    ]
    columns = ["Unit", "Token", "Correlation (held out)", "State there", "State elsewhere", "Times"]
    return Table(columns=columns, rows=rows, caption="What single units respond to", digits=2)


def _behaving(subject: Subject, reading: Reading, seed: int) -> _Part | None:
    texts = [passage.text or "" for passage in reading.passages]
    found = behaviour_of(subject, reading, texts, seed=seed)
    if not found:
        return None
    told = [each.sentence for each in found if each.sentence is not None]
    return Section(title="What changes its mind", intro=_REWRITTEN, items=behaviour_items(found)), told


_REWRITTEN = (
    "Your texts, rewritten in ways whose effect on the meaning is known, and how the answers change. "
    "The rewritings are English."
)


def behaviour_items(found: Sequence[BehaviourProbe]) -> list[Item]:
    """The change under every rewriting, and the texts with the largest."""
    rows = [
        [
            each.name,
            each.does,
            each.texts,
            Cell(text=_with_interval(each.change, each.interval), sort=each.change),
            None
            if each.flips is None
            else Cell(text=show_share(each.flips, 1), sort=each.flips, share=each.flips),
            Cell(text=show_share(each.unknown, 1), sort=each.unknown),
        ]
        for each in found
    ]
    measure = found[0].measure
    columns = [
        "Rewriting",
        "What it does",
        "Texts",
        f"Mean change of the {measure}",
        "Other answer",
        "Unknown words added",
    ]
    table = Table(columns=columns, rows=rows, caption="Answers before and after")
    examples = [
        [each.name, shorten(text.before, _TEXT), shorten(text.after, _TEXT), text.answer_before, text.answer_after,
         Cell(text=f"{text.shown_after - text.shown_before:+.3f}", sort=text.shown_after - text.shown_before)]
        for each in found
        for text in each.examples[:2]
    ]  # fmt: skip
    columns = ["Rewriting", "Before", "After", "Answer before", "Answer after", f"Change of the {measure}"]
    return (
        [table, Table(columns=columns, rows=examples, caption="The largest changes")] if examples else [table]
    )


def _alike(subject: Subject, reading: Reading) -> _Part | None:
    encoder: Any = subject.encoder
    ids, counts = np.unique(np.asarray(reading.batch.values), return_counts=True)
    known = [
        (int(times), encoder.vocabulary[i]) for i, times in zip(ids, counts, strict=True) if i and times >= 3
    ]
    if len(known) < 4:
        return None
    found = [each for each in neighbours(subject, [token for _, token in known], count=4) if each.found]
    found.sort(key=lambda each: each.typical - each.found[0][1])
    if not found:
        return None
    return Section(
        title="Nearest neighbours", intro=_NEIGHBOURS, items=[neighbour_table(found[:_TOKENS])]
    ), []


_NEIGHBOURS = "Tokens whose vectors in the embedding are closest, of those that occur at least three times."


def neighbour_table(found: Sequence[Neighbours]) -> Table:
    """The closest tokens of each."""
    rows = [
        [
            each.token,
            ", ".join(f"{token} ({alike:.2f})" for token, alike in each.found),
            each.found[0][1],
            each.typical,
        ]
        for each in found
    ]
    columns = ["Token", "Closest (cosine)", "Closest", "A typical token"]
    return Table(columns=columns, rows=rows, caption="Tokens with the closest neighbours", digits=2)
