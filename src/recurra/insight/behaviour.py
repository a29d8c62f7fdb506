"""What a model does when a text is rewritten: behavioural probes made from the user's own texts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.data.encoder import UNKNOWN
from recurra.errors import DataError
from recurra.insight.question import VALUE, Question, question_of
from recurra.insight.rewriting import REWRITINGS, Rewriting
from recurra.insight.subject import Reading, Subject, subject_of
from recurra.metrics.checks import MetricWarning
from recurra.metrics.shares import share_interval
from recurra.metrics.significance import paired_bootstrap
from recurra.ragged import Array

LEAST = 10
"""Fewest texts that a sentence is said about."""

SMALL = 0.02
"""Change of a probability up to which "hardly changes" is said."""

EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class Rewritten:
    """One text before and after. answers: what is predicted for each; shown: the explained probability or number."""

    before: str
    after: str
    answer_before: str
    answer_after: str
    shown_before: float
    shown_after: float


@dataclass(frozen=True, kw_only=True, eq=False)
class BehaviourProbe:
    """How the answers change under one rewriting, over the S texts that it applies to.

    name, does: of the rewriting. texts: S; of: texts given. measure: "probability" (of the class predicted before) or
    "value". changes: (S,) after minus before. change: their mean; interval: 95% of it, by bootstrap over the texts.
    flips: share of the texts with another answer after; flips_interval: 95% of it; None for numbers.
    unknown: share of the added words that the model does not know; where it is high the model cannot answer for them.
    examples: the texts with the largest changes.
    """

    name: str
    does: str
    texts: int
    of: int
    measure: str
    changes: Array
    change: float
    interval: tuple[float, float]
    flips: float | None
    flips_interval: tuple[float, float] | None
    unknown: float
    examples: tuple[Rewritten, ...]

    @property
    def sentence(self) -> str | None:
        """What was found, in words; None where the texts are too few or the interval leaves the direction open."""
        low, high = self.interval
        if self.texts < LEAST:
            return None
        span = f"({low:+.3f} to {high:+.3f}, {self.texts} of {self.of} texts)"
        flips = "" if self.flips is None else f" and another answer for {self.flips:.0%} of them"
        if self.measure == "probability" and low >= -SMALL and high <= SMALL:
            return f"A rewriting that {self.does} hardly changes the probability: {self.change:+.3f} {span}."
        if low <= 0 <= high:
            return None
        noun = "the probability" if self.measure == "probability" else "the number"
        unknown = (
            f" {self.unknown:.0%} of the added words are unknown to the model." if self.unknown > 0 else ""
        )
        return f"A rewriting that {self.does} changes {noun} by {self.change:+.3f} on average {span}{flips}.{unknown}"


def behaviour(
    model: Any,
    texts: Sequence[str],
    static: Any = None,
    *,
    rewritings: Sequence[Rewriting] | None = None,
    of: Any = None,
    seed: int = 0,
) -> list[BehaviourProbe]:
    """Rewrite texts and compare the answers; one probe for each rewriting that applies to any text.

    texts: of the kind that the model answers. rewritings: None: `REWRITINGS`, which are English. of: the class or
    number whose change is told; None: what is predicted before. Raises DataError for what is no text.
    """
    subject = subject_of(model)
    if not subject.is_text or not all(isinstance(text, str) for text in texts):
        raise DataError("texts must be texts for a model of texts, to be rewritten")
    reading = subject.read(texts, static)
    return behaviour_of(subject, reading, texts, rewritings=rewritings, of=of, seed=seed)


def behaviour_of(
    subject: Subject,
    reading: Reading,
    texts: Sequence[str],
    *,
    rewritings: Sequence[Rewriting] | None = None,
    of: Any = None,
    seed: int = 0,
) -> list[BehaviourProbe]:
    """As `behaviour`, of texts that are read already."""
    outputs = subject.outputs(reading.batch, reading.static)
    question = question_of(subject, outputs, of)
    chosen = REWRITINGS.values() if rewritings is None else rewritings
    probes = [_probe(subject, texts, reading.static, outputs, question, each, seed) for each in chosen]
    return [each for each in probes if each is not None]


def _probe(
    subject: Subject,
    texts: Sequence[str],
    static: Array | None,
    outputs: Array,
    question: Question,
    rewriting: Rewriting,
    seed: int,
) -> BehaviourProbe | None:
    made = [rewriting.rewrite(text, seed) for text in texts]
    rows = np.array([row for row, text in enumerate(made) if text is not None], np.int64)
    if not len(rows):
        return None
    after = [text for text in made if text is not None]
    batch = subject.predictor.encode(after)
    later = subject.outputs(batch, None if static is None else static[rows])
    shown = (question.shown(outputs[rows], rows), question.shown(later, rows))
    answers = (_answers(subject, outputs[rows]), _answers(subject, later))
    changes = shown[1] - shown[0]
    flips = None
    if question.measure != VALUE:
        flips = float(np.mean([a != b for a, b in zip(*answers, strict=True)]))
    order = np.argsort(-np.abs(changes), kind="stable")[:EXAMPLES]
    return BehaviourProbe(
        name=rewriting.name,
        does=rewriting.does,
        texts=len(rows),
        of=len(texts),
        measure="value" if question.measure == VALUE else "probability",
        changes=changes,
        change=float(np.mean(changes)),
        interval=_interval(changes),
        flips=flips,
        flips_interval=None if flips is None else share_interval(flips, len(rows)),
        unknown=_unknown_rate(subject, [texts[row] for row in rows], after),
        examples=tuple(
            Rewritten(
                before=texts[rows[i]],
                after=after[i],
                answer_before=answers[0][i],
                answer_after=answers[1][i],
                shown_before=float(shown[0][i]),
                shown_after=float(shown[1][i]),
            )
            for i in order
        ),
    )


def _interval(changes: Array) -> tuple[float, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MetricWarning)
        low, high = paired_bootstrap(changes, np.zeros(len(changes))).interval
    return low, high


def _answers(subject: Subject, outputs: Array) -> list[str]:
    return [str(answer) for answer in subject.predictor.answers(outputs)]


def _unknown_rate(subject: Subject, before: Sequence[str], after: Sequence[str]) -> float:
    """Share of the unknown among the tokens that the rewriting added; 0 where it added none."""
    counts = [
        (len(ids), int(np.sum(np.asarray(ids) == UNKNOWN)))
        for texts in (before, after)
        for ids in [subject.predictor.encode(list(texts)).values]
    ]
    added, unknown = counts[1][0] - counts[0][0], counts[1][1] - counts[0][1]
    return max(0, unknown) / added if added > 0 else 0.0
