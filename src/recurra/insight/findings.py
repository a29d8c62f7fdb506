"""What a model has learnt, in sentences made of measurements. Where the evidence is weak, nothing is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import DataError
from recurra.insight.behaviour import LEAST, behaviour_of
from recurra.insight.faithfulness import faithfulness
from recurra.insight.forming import Forming, forming_of
from recurra.insight.neighbours import neighbours
from recurra.insight.passage import Passage
from recurra.insight.probing import LEAST as PROBED
from recurra.insight.probing import MOST_CLASSES, probe
from recurra.insight.question import VALUE, question_of
from recurra.insight.states import States, states_of
from recurra.insight.subject import Reading, Subject, subject_of
from recurra.insight.units import unit_responses
from recurra.metrics.shares import share_interval
from recurra.ragged import Array

STRONG = 0.3
"""Correlation of a unit with a token, on sequences it was not chosen on, from which on it is told."""

CLOSE = 0.5
"""How much closer than typical a neighbour must be to be told."""


MOST_STEPS, RANKED_STEPS = 50_000, 10_000
"""Steps of all sequences together that are measured on, and that attributions are compared on: bound time and memory.
What is more is left out at random."""

MOST_TOKENS = 200
"""Frequent tokens whose neighbours are looked at."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was measured.

    kind: "faithfulness", "forming", "behaviour", "property", "unit" or "neighbours". sentence: in words.
    evidence: the numbers behind it, by name.
    """

    kind: str
    sentence: str
    evidence: Mapping[str, Any]


def findings(
    model: Any,
    inputs: Any,
    static: Any = None,
    *,
    properties: Mapping[str, Sequence[Any]] | None = None,
    ranked: int = 100,
    seed: int = 0,
) -> list[Finding]:
    """Measure a model on sequences and say what was found.

    inputs: held-out sequences, some hundreds; a `Dataset` brings its targets and columns as properties.
    properties: name -> one value per sequence, to be looked for in the states besides the length.
    ranked: most sequences on which attributions are compared. seed: of everything that is drawn, and of the order.
    Raises DataError where there is no sequence, or where a property has not one value per sequence.
    """
    subject = subject_of(model)
    reading = subject.read(inputs, static)
    if not len(reading):
        raise DataError("inputs must hold at least one sequence, got none")
    asked = _properties(inputs) if properties is None else dict(properties)
    drawn = np.random.default_rng(seed).permutation(len(reading))
    rows = drawn[: _within(reading.batch.lengths[drawn], MOST_STEPS)]
    asked = {name: _chosen(name, values, rows, len(reading)) for name, values in asked.items()}
    reading = reading.select(rows)
    states = states_of(subject, reading)
    found = [*_faithful(subject, reading, ranked, seed), *_forming(subject, reading, ranked)]
    if subject.is_text:
        found += _behaving(subject, reading, seed)
    found += [*_tracking(states, asked, seed), *_responding(states, seed), *_alike(subject, reading)]
    return found


def _within(lengths: Array, steps: int) -> int:
    """How many sequences, from the first, have at most so many steps together; at least one."""
    return max(1, int(np.searchsorted(np.cumsum(lengths), steps, side="right")))


def _chosen(name: str, values: Any, rows: Array, count: int) -> Array:
    if len(values) != count:
        raise DataError(f"property {name!r} must have one value per sequence ({count}), got {len(values)}")
    given = values if isinstance(values, np.ndarray) else np.asarray(list(values), dtype=object)
    chosen: Array = given[rows]
    numbers = chosen.dtype == object and all(isinstance(value, (int, float)) for value in chosen)
    return chosen.astype(np.float64) if numbers else chosen


def _properties(inputs: Any) -> dict[str, Any]:
    columns = dict(getattr(inputs, "columns", {}) or {}) if hasattr(inputs, "targets") else {}
    targets = getattr(inputs, "targets", None)
    plain = (
        targets is not None and len(targets) and not isinstance(targets[0], tuple) and np.ndim(targets) == 1
    )
    return {**columns, **({"the target": targets} if plain else {})}


def _faithful(subject: Subject, reading: Reading, ranked: int, seed: int) -> Iterator[Finding]:
    filled = np.flatnonzero(reading.batch.lengths)[:ranked]
    filled = filled[: _within(reading.batch.lengths[filled], RANKED_STEPS)]
    if len(filled) < LEAST:
        return
    methods = ("integrated", "occlusion") if subject.predictor.precision == "float32" else ("occlusion",)
    found = faithfulness(subject, reading.select(filled), methods=methods, seed=seed)
    evidence = {
        curve.method: {"deletion": curve.deletion_area, "insertion": curve.insertion_area}
        for curve in found.curves
    }
    yield Finding(kind="faithfulness", sentence=found.sentence, evidence=evidence)


def _forming(subject: Subject, reading: Reading, ranked: int) -> Iterator[Finding]:
    few = reading.select(np.flatnonzero(reading.batch.lengths >= 2)[:ranked])
    if len(few) < LEAST:
        return
    question = question_of(subject, subject.outputs(few.batch, few.static))
    if question.measure == VALUE:
        return
    settled = np.array([_settled(course) for course in forming_of(subject, few, question)])
    share = float(np.mean(settled <= 0.5))
    low, high = share_interval(share, len(settled))
    if low <= 0.5 <= high:
        return
    yield Finding(
        kind="forming",
        sentence=(
            f"After half of the steps {share:.0%} of {len(settled)} answers are what they stay "
            f"({low:.0%} to {high:.0%}); half of all answers settle within {np.median(settled):.0%} of the sequence."
        ),
        evidence={"share": share, "interval": (low, high), "median": float(np.median(settled))},
    )


def _settled(course: Forming) -> float:
    """The share of the steps after which the answer is the last one for good."""
    turns = course.turns
    return (turns[-1] + 1 if turns else 1) / len(course.passage)


def _behaving(subject: Subject, reading: Reading, seed: int) -> Iterator[Finding]:
    texts = [passage.text or "" for passage in reading.passages]
    for found in behaviour_of(subject, reading, texts, seed=seed):
        if found.sentence is not None:
            evidence = {
                "change": found.change,
                "interval": found.interval,
                "flips": found.flips,
                "texts": found.texts,
            }
            yield Finding(kind="behaviour", sentence=found.sentence, evidence=evidence)


def _tracking(states: States, properties: Mapping[str, Any], seed: int) -> Iterator[Finding]:
    if len(states) < PROBED:
        return
    lengths = np.diff(states.offsets)
    asked: dict[str, Any] = {"length": lengths} if np.ptp(lengths) else {}
    for name, values in {**asked, **properties}.items():
        if not _is_property(values):
            continue
        found = probe(states, name, values, seed=seed)
        if found.sentence is not None:
            evidence = {"score": found.score, "control": float(np.mean(found.control)), "p": found.p}
            yield Finding(kind="property", sentence=found.sentence, evidence=evidence)


def _is_property(values: Any) -> bool:
    given = np.asarray(values)
    if given.dtype.kind in "iuf":
        return bool(np.all(np.isfinite(given)) and np.ptp(given) > 0)
    return 2 <= len(set(given.astype(str).tolist())) <= MOST_CLASSES


def _responding(states: States, seed: int) -> Iterator[Finding]:
    for found in unit_responses(states, count=3, seed=seed) if _has_words(states.passages) else ():
        if found.measured * np.sign(found.found) < STRONG:
            continue
        yield Finding(
            kind="unit",
            sentence=(
                f"Unit {found.unit} of {found.layer} responds to {found.token!r}: it stands at {found.mean:+.2f} "
                f"there and at {found.other:+.2f} elsewhere (correlation {found.measured:+.2f}, held out)."
            ),
            evidence={
                "unit": found.unit,
                "token": found.token,
                "correlation": found.measured,
                "times": found.times,
            },
        )


def _has_words(passages: Sequence[Passage]) -> bool:
    return bool(passages) and passages[0].text is not None


def _alike(subject: Subject, reading: Reading) -> Iterator[Finding]:
    """The neighbours of the tokens that matter: the three frequent ones whose closest neighbour is closest."""
    if not subject.is_text:
        return
    encoder: Any = subject.encoder
    counts = np.bincount(np.asarray(reading.batch.values), minlength=len(encoder.vocabulary))
    order = np.argsort(-counts[1:], kind="stable")[:MOST_TOKENS] + 1
    frequent = [encoder.vocabulary[place] for place in order if counts[place] >= LEAST]
    close = [each for each in neighbours(subject, frequent, count=3) if each.found]
    close = [each for each in close if each.found[0][1] - each.typical >= CLOSE]
    for each in sorted(close, key=lambda each: -each.found[0][1])[:3]:
        listed = ", ".join(f"{token} ({alike:.2f})" for token, alike in each.found)
        yield Finding(
            kind="neighbours",
            sentence=f"Closest to {each.token!r} in the embedding: {listed}; a typical token: {each.typical:.2f}.",
            evidence={"token": each.token, "found": each.found, "typical": each.typical},
        )
