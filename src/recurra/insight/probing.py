"""Simple probing: does the state tell a property of the sequence, and which units do?

A linear read-out (ridge regression) is fitted on four fifths of the sequences and scored on the fifth, in turns. The
same is done with the property handed out at random: what a read-out of this size finds where there is nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import DataError, SpecError
from recurra.insight.states import States
from recurra.ragged import Array

FOLDS = 5
LEAST = 20
"""Fewest sequences that are probed."""

MOST_CLASSES = 20
"""Most different texts of a property; ids and free texts have more, and are no property to read out."""


@dataclass(frozen=True, kw_only=True)
class UnitTrack:
    """A unit that tracks the property: its correlation on the held-out fifths, of the unit chosen on the others."""

    unit: int
    measured: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Probe:
    """How well the states of S sequences tell one property.

    name: of the property. measure: "R2" of a number, "accuracy" of classes. score: held out. control: (R,) the score
    with the property handed out at random. guess: the score of the best constant answer: 0 for R2, the share of the
    most frequent class. p: chance of a score at least as high where there is nothing to find.
    unit: for numbers and two classes the single unit that tells most, else None. sequences: S.
    """

    name: str
    measure: str
    score: float
    control: Array
    guess: float
    p: float
    unit: UnitTrack | None
    sequences: int

    @property
    def found(self) -> bool:
        """Whether the property is there: better than all that chance gave, and than the best constant answer."""
        return self.p <= 0.05 and self.score > self.guess

    @property
    def sentence(self) -> str | None:
        """What was found in words, or None where nothing was."""
        if not self.found:
            return None
        name, chance = self.name, float(np.mean(self.control))
        unit = ""
        if self.unit is not None and abs(self.unit.measured) >= 0.5:
            unit = f" Unit {self.unit.unit} alone correlates with it by {self.unit.measured:+.2f}."
        return (
            f"The state tells {name}: {self.measure} {self.score:.2f} on held-out sequences, "
            f"{chance:.2f} where {name} is handed out at random.{unit}"
        )


def probe(
    states: States, name: str = "length", values: Any = None, *, permutations: int = 39, seed: int = 0
) -> Probe:
    """Probe the pooled states, which enter the head, for a property.

    name: of the property. values: one per sequence: numbers, or texts (classes); None with name="length": the number
    of steps. permutations: how often it is handed out at random; the smallest p is 1 / (permutations + 1).
    Raises DataError for fewer than 20 sequences, a property that is the same for all, or more than 20 classes.
    """
    if permutations < 1:
        raise SpecError(f"permutations must be at least 1, got {permutations!r}; usual: 39-999")
    given = _property(states, name, values)
    table = _standardised(states.per_sequence("final" if states.pooled is None else "pooled"))
    generator = np.random.default_rng(seed)
    folds = generator.permutation(len(table)) % FOLDS
    wanted, measure, guess = _targets(given)
    reader = _Reader(table, folds)
    score = reader.score(wanted, measure)
    control = np.array(
        [reader.score(wanted[generator.permutation(len(wanted))], measure) for _ in range(permutations)]
    )
    return Probe(
        name=name,
        measure=measure,
        score=score,
        control=control,
        guess=guess,
        p=float((1 + np.sum(control >= score)) / (permutations + 1)),
        unit=reader.best_unit(wanted[:, -1]) if wanted.shape[1] <= 2 else None,
        sequences=len(table),
    )


def _property(states: States, name: str, values: Any) -> Array:
    if values is None and name != "length":
        raise DataError(f"values of {name!r} must be given, one per sequence; only 'length' is known without")
    given = np.diff(states.offsets) if values is None else np.asarray(values)
    if len(given) != len(states):
        raise DataError(f"values must be one per sequence ({len(states)}), got {len(given)}")
    if len(given) < LEAST:
        raise DataError(f"states must be of at least {LEAST} sequences to be probed, got {len(given)}")
    return given if given.dtype.kind in "iuf" else given.astype(str)


def _targets(given: Array) -> tuple[Array, str, float]:
    """(S, 1) numbers or (S, C) ones and zeros, the measure, and the score of the best constant answer."""
    if given.dtype.kind in "iuf":
        numbers = given.astype(np.float64)
        if not np.all(np.isfinite(numbers)) or np.ptp(numbers) == 0:
            raise DataError("values must be finite and not all the same to be probed")
        return numbers[:, None], "R2", 0.0
    classes, ids = np.unique(given, return_inverse=True)
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise DataError(f"values must have 2 to {MOST_CLASSES} different texts, got {len(classes)}")
    return np.eye(len(classes))[ids], "accuracy", float(np.max(np.bincount(ids)) / len(ids))


def _standardised(table: Array) -> Array:
    spread = np.std(table, axis=0)
    made: Array = (table - np.mean(table, axis=0)) / np.where(spread > 0, spread, 1.0)
    return made


class _Reader:
    """Ridge regression in folds; what depends on the states alone is computed once."""

    def __init__(self, table: Array, folds: Array) -> None:
        self.table, self.folds = table, folds
        penalty = float(table.shape[1])
        self._parts = []
        for fold in range(FOLDS):
            train = table[folds != fold]
            gram = train.T @ train + penalty * np.eye(table.shape[1])
            self._parts.append((folds == fold, np.linalg.solve(gram, train.T)))

    def score(self, wanted: Array, measure: str) -> float:
        """The held-out score of all folds together."""
        answers = np.empty(wanted.shape)
        for held, solver in self._parts:
            mean = np.mean(wanted[~held], axis=0)
            answers[held] = self.table[held] @ (solver @ (wanted[~held] - mean)) + mean
        if measure == "accuracy":
            return float(np.mean(np.argmax(answers, axis=1) == np.argmax(wanted, axis=1)))
        errors = np.sum((wanted - answers) ** 2)
        return float(1 - errors / np.sum((wanted - np.mean(wanted)) ** 2))

    def best_unit(self, wanted: Array) -> UnitTrack:
        """The unit that correlates most in all but one fold, most often chosen, and its correlation held out."""
        chosen, measured = [], []
        for held, _ in self._parts:
            unit = int(np.argmax(np.abs(_correlation(self.table[~held], wanted[~held]))))
            chosen.append(unit)
            measured.append(float(_correlation(self.table[held][:, [unit]], wanted[held])[0]))
        unit = _most_common(chosen)
        return UnitTrack(
            unit=unit,
            measured=float(np.mean([m for u, m in zip(chosen, measured, strict=True) if u == unit])),
        )


def _correlation(table: Array, wanted: Array) -> Array:
    """(F,) of every column with a number per row; 0 where either does not move."""
    left, right = table - np.mean(table, axis=0), wanted - np.mean(wanted)
    scale = np.sqrt(np.sum(left**2, axis=0) * np.sum(right**2))
    made: Array = np.divide(right @ left, scale, out=np.zeros(table.shape[1]), where=scale > 0)
    return made


def _most_common(numbers: Sequence[int]) -> int:
    return int(np.argmax(np.bincount(numbers)))
