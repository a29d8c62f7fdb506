"""Which attribution to trust on this model: the deletion and insertion curves, beside random order.

A method ranks the parts of a sequence. Deletion takes them away, the strongest for the answer first: the sooner the
answer falls, the better the ranking. Insertion begins with nothing and puts them back: the sooner it rises, the
better (Petsiuk et al. 2018). Random orders say what any ranking would get.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import DataError, SpecError
from recurra.insight.attribution import METHODS, attributions_of
from recurra.insight.erasing import outputs_without
from recurra.insight.question import VALUE, Question, question_of
from recurra.insight.subject import Reading, Subject, subject_of
from recurra.metrics.significance import Significance, paired_bootstrap
from recurra.ragged import Array

RANDOM = "random"
SHARES = 10
"""Into how many steps the way from the whole sequence to nothing is cut."""

Ranking = Array
"""(T, C) or (T, 1): the parts of a sequence, the largest number first."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FaithCurve:
    """One order of taking parts away and of putting them back, over S sequences.

    method: a method of attribution, or "random" (the mean over several orders). shares: (K + 1,) from 0 to 1, which
    part of the sequence is taken away, or put back. deletion, insertion: (K + 1,) mean over the sequences of the
    probability of the explained class, or of the number. deletion_areas, insertion_areas: (S,) areas under the curve
    of each sequence, as a mean over the shares.
    """

    method: str
    shares: Array
    deletion: Array
    insertion: Array
    deletion_areas: Array
    insertion_areas: Array

    @property
    def deletion_area(self) -> float:
        """Mean area under the deletion curves; lower is better."""
        return float(np.mean(self.deletion_areas))

    @property
    def insertion_area(self) -> float:
        """Mean area under the insertion curves; higher is better."""
        return float(np.mean(self.insertion_areas))


@dataclass(frozen=True, kw_only=True, eq=False)
class Faithfulness:
    """The curves of several methods and of random order on the same S sequences.

    curves: in the order asked for, "random" last. measure: "probability" or "value". sequences: S.
    deletion, insertion: method -> how far it is better than random (area of random minus its own; for insertion its
    own minus random's), with interval and test over the sequences.
    """

    curves: tuple[FaithCurve, ...]
    measure: str
    sequences: int
    deletion: Mapping[str, Significance]
    insertion: Mapping[str, Significance]

    def curve(self, method: str) -> FaithCurve:
        """The curve of a method; raises KeyError."""
        return {curve.method: curve for curve in self.curves}[method]

    @property
    def best(self) -> str | None:
        """The method with the largest gain over random, deletion and insertion together, of those whose deletion is
        better than random beyond chance; None where none is."""
        sure = [name for name, found in self.deletion.items() if found.interval[0] > 0]
        return max(
            sure, key=lambda name: self.deletion[name].effect + self.insertion[name].effect, default=None
        )

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        if self.best is None:
            return (
                f"On {self.sequences} sequences no method ranks the parts better than random order beyond chance: "
                "trust none of them here."
            )
        found, curve = self.deletion[self.best], self.curve(self.best)
        low, high = found.interval
        return (
            f"On {self.sequences} sequences {self.best!r} is the method to trust: the area under its deletion curve "
            f"is {curve.deletion_area:.3f}, of random order {self.curve(RANDOM).deletion_area:.3f} "
            f"(difference {found.effect:.3f}, {found.level:.0%} interval {low:.3f} to {high:.3f})."
        )


def faithfulness(
    model: Any,
    inputs: Any,
    static: Any = None,
    *,
    methods: Sequence[str] = tuple(METHODS),
    of: Any = None,
    steps: int = SHARES,
    orders: int = 5,
    seed: int = 0,
) -> Faithfulness:
    """Measure how well each method ranks the parts of these sequences.

    methods: names of `METHODS`. of: as for `attribute`. steps: points of a curve. orders: random orders per sequence.
    Sequences of length 0 are left out. The curves of a sequence do not depend on the others. Raises DataError where
    no sequence is left, SpecError for unknown methods and counts below 1.
    """
    for name, value in (("steps", steps), ("orders", orders)):
        if value < 1:
            raise SpecError(f"{name} must be at least 1, got {value!r}")
    subject = subject_of(model)
    reading = subject.read(inputs, static)
    reading = reading.select(np.flatnonzero(reading.batch.lengths))
    if not len(reading):
        raise DataError("inputs must hold at least one sequence with a step, got none")
    question = question_of(subject, subject.outputs(reading.batch, reading.static), of)
    rankings = {
        name: [[found.values] for found in attributions_of(subject, reading, question, method=name)]
        for name in methods
    }
    rankings[RANDOM] = [_random_rankings(len(passage), orders, seed) for passage in reading.passages]
    tracer = _Tracer(subject, reading, question, steps)
    curves = tuple(tracer.curve(name, ranked) for name, ranked in rankings.items())
    return _judged(curves, question, len(reading))


def _random_rankings(length: int, orders: int, seed: int) -> list[Ranking]:
    """Orders that depend on the seed and the length alone, not on the place in the batch."""
    generator = np.random.default_rng([seed, length])
    return [generator.random((length, 1)) for _ in range(orders)]


class _Tracer:
    def __init__(self, subject: Subject, reading: Reading, question: Question, steps: int) -> None:
        self.subject, self.question = subject, question
        self.singles = [reading.select([row]) for row in range(len(reading))]
        self.shares = np.linspace(0.0, 1.0, steps + 1)

    def curve(self, method: str, rankings: Sequence[Sequence[Ranking]]) -> FaithCurve:
        gone = self._mean(rankings, lambda place, cut: place >= cut)
        back = self._mean(rankings, lambda place, cut: place < cut)
        return FaithCurve(
            method=method,
            shares=self.shares,
            deletion=np.mean(gone, axis=0),
            insertion=np.mean(back, axis=0),
            deletion_areas=_areas(gone),
            insertion_areas=_areas(back),
        )

    def _mean(self, rankings: Sequence[Sequence[Ranking]], stays: Callable[[Array, Array], Array]) -> Array:
        """(S, K + 1) what is left of the answer, of each sequence over its rankings."""
        return np.stack(
            [
                np.mean([self._traced(row, ranking, stays) for ranking in several], axis=0)
                for row, several in enumerate(rankings)
            ]
        )

    def _traced(self, row: int, ranking: Ranking, stays: Callable[[Array, Array], Array]) -> Array:
        place = np.empty(ranking.size, np.int64)
        place[np.argsort(-ranking.reshape(-1), kind="stable")] = np.arange(ranking.size)
        cuts = np.round(self.shares * ranking.size).astype(np.int64)
        keep = stays(place[None, :], cuts[:, None]).reshape(len(cuts), *ranking.shape)
        outputs = outputs_without(self.subject, self.singles[row], keep)
        return self.question.shown(outputs, np.full(len(outputs), row))


def _areas(curves: Array) -> Array:
    made: Array = np.mean((curves[:, 1:] + curves[:, :-1]) / 2, axis=1)
    return made


def _judged(curves: tuple[FaithCurve, ...], question: Question, sequences: int) -> Faithfulness:
    chance = curves[-1]
    methods = curves[:-1]
    return Faithfulness(
        curves=curves,
        measure="value" if question.measure == VALUE else "probability",
        sequences=sequences,
        deletion={c.method: paired_bootstrap(chance.deletion_areas, c.deletion_areas) for c in methods},
        insertion={c.method: paired_bootstrap(c.insertion_areas, chance.insertion_areas) for c in methods},
    )
