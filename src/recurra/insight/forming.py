"""How an answer forms: what the model would have said after each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.insight.passage import Passage
from recurra.insight.question import Question, question_of
from recurra.insight.subject import Reading, Subject, subject_of
from recurra.ragged import Array, Ragged
from recurra.runtime.predictor import ClassifierPredictor

PREFIX_STEPS = 1_000_000
"""Steps of prefixes that are in memory at a time: bounds memory, never the result."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Forming:
    """The answers of one sequence after 0, 1, ..., T steps.

    passage: the sequence. names: of the K columns: classes, labels, or numbers. outputs: (T + 1, O) float32 as they
    leave the model. answers: (T + 1, K) probabilities, or numbers in the units of the targets. decided: T + 1
    answers in words: the predicted label, several labels joined by ", ", or the number.
    of: the explained class, label or number. score: (T + 1,) float64 of it, in log-odds or in the targets' units.
    measure: "log-odds" or "value". kind: "stream" of a model that reads in one direction: row t is bit for bit what a
    stream answers after t steps; "prefixes" of a bidirectional one, which reads from the end: row t is the answer for
    the sequence that ends after step t.
    """

    passage: Passage
    names: tuple[str, ...]
    outputs: Array
    answers: Array
    decided: tuple[str, ...]
    of: str
    score: Array
    measure: str
    kind: str

    @property
    def change(self) -> Array:
        """(T,) what each step added to the explained number; sums to the whole minus the empty sequence."""
        made: Array = np.diff(self.score)
        return made

    @property
    def turns(self) -> tuple[int, ...]:
        """The steps (from 0) at which the decided answer became another one; the answer to nothing does not count."""
        return tuple(t - 1 for t in range(2, len(self.decided)) if self.decided[t] != self.decided[t - 1])


def forming(model: Any, inputs: Any, static: Any = None, *, of: Any = None) -> list[Forming]:
    """The answers after each step, for each of the sequences.

    of: the class, label or number whose course is given as `score`; None: the predicted one of the whole sequence.
    Cost: as a stream; for a bidirectional model T (T + 1) / 2 steps of a sequence of T.
    """
    subject = subject_of(model)
    reading = subject.read(inputs, static)
    question = question_of(subject, subject.outputs(reading.batch, reading.static), of)
    return forming_of(subject, reading, question)


def forming_of(subject: Subject, reading: Reading, question: Question) -> list[Forming]:
    """As `forming`, of sequences that are read already."""
    return [_one(subject, reading.select([row]), question.select([row])) for row in range(len(reading))]


def _one(subject: Subject, reading: Reading, question: Question) -> Forming:
    bidirectional = subject.predictor.bidirectional
    outputs = (prefix_outputs if bidirectional else stream_outputs)(subject, reading)
    return Forming(
        passage=reading.passages[0],
        names=_names(subject),
        outputs=outputs,
        answers=_answers(subject, outputs),
        decided=_decided(subject, outputs),
        of=question.names[0],
        score=question.score(outputs, np.zeros(len(outputs), np.int64)),
        measure=question.measure,
        kind="prefixes" if bidirectional else "stream",
    )


def stream_outputs(subject: Subject, reading: Reading) -> Array:
    """(T + 1, O) outputs of one sequence after each step, by the stepwise form of the model."""
    stepping = subject.predictor.stepping()
    vectors, row = stepping.enter(reading.batch), np.array([0])
    found = [stepping.outputs(row, np.array([0]), reading.static)]
    for step in range(len(vectors)):
        stepping.advance(vectors[step : step + 1], row)
        found.append(stepping.outputs(row, np.array([step + 1]), reading.static))
    return np.concatenate(found)


def prefix_outputs(subject: Subject, reading: Reading) -> Array:
    """(T + 1, O) outputs of the first 0, 1, ..., T steps of one sequence, each read as a sequence of its own."""
    steps, parts = len(reading.batch.values), []
    size = max(1, PREFIX_STEPS // (steps + 1))
    for begin in range(0, steps + 1, size):
        lengths = range(begin, min(begin + size, steps + 1))
        static = None if reading.static is None else np.repeat(reading.static, len(lengths), axis=0)
        parts.append(subject.outputs(prefixes(reading.batch, lengths), static))
    return np.concatenate(parts)


def prefixes(batch: Ragged, lengths: Sequence[int]) -> Ragged:
    """The first `lengths` steps of a batch of one sequence, each a sequence of its own."""
    rows = np.concatenate([np.arange(length, dtype=np.int64) for length in lengths])
    return Ragged(
        values=np.asarray(batch.values)[rows],
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        columns={name: column[rows] for name, column in batch.columns.items()},
    )


def _names(subject: Subject) -> tuple[str, ...]:
    predictor = subject.predictor
    if isinstance(predictor, ClassifierPredictor):
        return tuple(str(name) for name in predictor.classes)
    width = subject.model.width
    return ("value",) if width == 1 else tuple(f"value {place}" for place in range(width))


def _answers(subject: Subject, outputs: Array) -> Array:
    predictor = subject.predictor
    if isinstance(predictor, ClassifierPredictor):
        return predictor.probabilities(outputs)
    made = np.asarray(predictor.answers(outputs))
    return made.reshape(len(outputs), -1)


def _decided(subject: Subject, outputs: Array) -> tuple[str, ...]:
    answers = subject.predictor.answers(outputs)
    return tuple(
        ", ".join(map(str, answer)) if isinstance(answer, tuple) else str(answer) for answer in answers
    )
