"""Integrated gradients with as many points as completeness needs.

Along the straight line from nothing (all vectors zero) to the sequence, share = x * mean of dF/dx (Sundararajan et
al. 2017). The shares of any stretch of the line must sum to what F gains on it, and both ends are known exactly: so
the error of every stretch is measured, not estimated, and the stretches that are off are halved until the whole adds
up, and nearly so in every part. Kinks (max pooling, relu, a clipped cell) are thereby found and narrowed down, at a
cost that fits the model.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from recurra.errors import SpecError
from recurra.insight.attribution.record import Attribution, attribution_for
from recurra.insight.question import Question
from recurra.insight.subject import Reading, Subject, Vectors
from recurra.ragged import Array
from recurra.runtime.predictor import chunks

_T = TypeVar("_T")

TOLERANCE = 1e-3
"""In the units of the model's own output: log-odds, or standard deviations of the targets."""

EVERYWHERE = 10
"""How many tolerances the errors of all stretches may be apart, where they cancel out in the sum."""

MOST_POINTS = 2048

LINE_TOKENS = 16_384
"""Tokens of the sequences, and of their points, that are walked side by side: bounds memory, never the result."""

_FIRST = 4
_NODES = np.array([-0.8611363115940526, -0.3399810435848563, 0.3399810435848563, 0.8611363115940526])
_WEIGHTS = np.array([0.3478548451374538, 0.6521451548625461, 0.6521451548625461, 0.3478548451374538])
"""Gauss and Legendre's four points on [-1, 1]: exact for polynomials up to degree 7."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Stretch:
    """A stretch of the line from `begin` to `end`, its shares, and how far off what F gains on it they are.

    values: (T, C), summed over what belongs to each channel: a line of many stretches stays small.
    """

    begin: float
    end: float
    values: Array
    static: Array | None
    error: float


class _Line:
    """The line of one sequence and the stretches it is cut into so far."""

    def __init__(self, row: int, given: Vectors, by_channel: Callable[[Array], Array]) -> None:
        self.row, self.given, self._by_channel = row, given, by_channel
        self.scores: dict[float, float] = {}
        self.stretches: list[_Stretch] = []
        self.points = 0
        edges = np.linspace(0.0, 1.0, _FIRST + 1).tolist()
        self.wanted = list(itertools.pairwise(edges))

    def at(self, where: float) -> Vectors:
        """The sequence, scaled."""
        share = np.float32(where)
        static = self.given.static
        return Vectors(
            values=self.given.values * share,
            offsets=self.given.offsets,
            static=None if static is None else static * share,
        )

    def new_ends(self) -> list[float]:
        """Places whose F is wanted and not known yet."""
        ends = {end for pair in self.wanted for end in pair}
        return sorted(ends - self.scores.keys())

    def take(self, begin: float, end: float, values: list[Array], statics: list[Array | None]) -> None:
        """The gradients at the places of a stretch."""
        self.points += len(values)
        self.stretches.append(self._stretch(begin, end, values, statics))

    def _stretch(
        self, begin: float, end: float, values: list[Array], statics: list[Array | None]
    ) -> _Stretch:
        half = (end - begin) / 2
        whole = self.given.values.astype(np.float64) * _weighted(half, values)
        kept = None
        if self.given.static is not None:
            kept = self.given.static.astype(np.float64) * _weighted(
                half, [s for s in statics if s is not None]
            )
        total = float(np.sum(whole)) + (0.0 if kept is None else float(np.sum(kept)))
        gain = self.scores[end] - self.scores[begin]
        return _Stretch(begin=begin, end=end, values=self._by_channel(whole), static=kept, error=total - gain)

    def refine(self, tolerance: float, most: int) -> None:
        """Want the halves of the stretches that are off, unless the whole adds up or the points are used up."""
        self.wanted = []
        errors = [stretch.error for stretch in self.stretches]
        everywhere = sum(map(abs, errors)) <= EVERYWHERE * tolerance
        if (everywhere and abs(sum(errors)) <= tolerance) or self.points >= most:
            return
        allowed = (tolerance if everywhere else EVERYWHERE * tolerance) / (2 * len(errors))
        halved = [stretch for stretch in self.stretches if abs(stretch.error) > allowed]
        self.stretches = [stretch for stretch in self.stretches if abs(stretch.error) <= allowed]
        for stretch in halved:
            middle = (stretch.begin + stretch.end) / 2
            self.wanted += [(stretch.begin, middle), (middle, stretch.end)]

    def totals(self) -> tuple[Array, Array | None]:
        """Shares of the whole line, summed from its beginning."""
        ordered = sorted(self.stretches, key=lambda stretch: stretch.begin)
        values = np.add.reduce([stretch.values for stretch in ordered])
        statics = [stretch.static for stretch in ordered if stretch.static is not None]
        return values, (None if not statics else np.add.reduce(statics))


def _places(begin: float, end: float) -> Array:
    made: Array = (begin + end) / 2 + (end - begin) / 2 * _NODES
    return made


def _weighted(half: float, gradients: list[Array]) -> Array:
    total = np.zeros(gradients[0].shape)
    for weight, gradient in zip(half * _WEIGHTS, gradients, strict=True):
        total += weight * gradient.astype(np.float64)
    return total


def integrated_gradients(
    subject: Subject,
    reading: Reading,
    question: Question,
    *,
    tolerance: float = TOLERANCE,
    most_points: int = MOST_POINTS,
) -> list[Attribution]:
    """Integrated gradients from the zero baseline, of every sequence until its own shares add up.

    tolerance: how far the shares may be from adding up, in log-odds or in standard deviations of the targets.
    most_points: gradients per sequence from which on it is given up; the record's `complete` then says False.
    Raises SpecError for options out of range and for a model in fewer bits.
    """
    if not tolerance > 0:
        raise SpecError(f"tolerance must be above 0, got {tolerance!r}; usual: 0.001")
    if most_points < 1:
        raise SpecError(f"most_points must be at least 1, got {most_points!r}; usual: 2048")
    made: list[Attribution] = []
    for rows in chunks(reading.batch.lengths, LINE_TOKENS):
        asked = question.select(rows)
        made += _of_some(subject, reading.select(rows), asked, tolerance, most_points)
    return made


def _of_some(
    subject: Subject, reading: Reading, question: Question, tolerance: float, most_points: int
) -> list[Attribution]:
    given = subject.vectors(reading)
    lines = [_Line(row, given.one(row), subject.by_channel) for row in range(len(reading))]
    while waiting := [line for line in lines if line.wanted]:
        _score_ends(subject, question, waiting)
        _walk(subject, question, waiting)
        for line in waiting:
            line.refine(tolerance, most_points)
    return [_record(subject, reading, question, line, tolerance) for line in lines]


def _score_ends(subject: Subject, question: Question, lines: list[_Line]) -> None:
    asked = [(line, end) for line in lines for end in line.new_ends()]
    for part in _some(asked, 1):
        outputs = subject.onward(Vectors.join([line.at(end) for line, end in part]))
        rows = np.array([line.row for line, _ in part])
        scores = question.score(outputs, rows) / question.units(rows)
        for (line, end), score in zip(part, scores.tolist(), strict=True):
            line.scores[end] = score


def _walk(subject: Subject, question: Question, lines: list[_Line]) -> None:
    asked = [(line, pair) for line in lines for pair in line.wanted]
    for part in _some(asked, len(_NODES)):
        nodes = [(line, float(place)) for line, pair in part for place in _places(*pair)]
        rows = np.array([line.row for line, _ in nodes])
        points = Vectors.join([line.at(place) for line, place in nodes])
        found = subject.gradients(points, partial(_slope, question, rows))
        cut = points.offsets.tolist()
        values = [found.values[a:b] for a, b in itertools.pairwise(cut)]
        statics = [None if found.static is None else found.static[i : i + 1] for i in range(len(nodes))]
        for number, (line, pair) in enumerate(part):
            mine = slice(number * len(_NODES), (number + 1) * len(_NODES))
            line.take(*pair, values[mine], statics[mine])


def _slope(question: Question, rows: Array, outputs: Array, at: Array) -> Array:
    return question.slope(outputs, rows[at])


def _some(asked: list[tuple[_Line, _T]], points: int) -> Iterator[list[tuple[_Line, _T]]]:
    """What is asked of lines, a bounded number of tokens at a time; each asks for `points` copies of its sequence."""
    lengths = np.array([points * len(line.given.values) for line, _ in asked], dtype=np.int64)
    for rows in chunks(lengths, LINE_TOKENS):
        yield [asked[row] for row in rows]


def _record(
    subject: Subject, reading: Reading, question: Question, line: _Line, tolerance: float
) -> Attribution:
    asked = question.select([line.row])
    scale = float(asked.units()[0])
    values, static = line.totals()
    return attribution_for(
        subject,
        asked,
        reading.passages[line.row],
        method="integrated",
        values=scale * values,
        static=None if static is None else scale * static[0],
        score=scale * line.scores[1.0],
        baseline=scale * line.scores[0.0],
        evaluations=line.points + len(line.scores),
        tolerance=scale * tolerance,
    )
