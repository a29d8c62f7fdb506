"""`Question`: which number of an answer is explained, and in which units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra import kernels
from recurra.errors import SpecError, nearest
from recurra.insight.subject import Subject
from recurra.ragged import Array
from recurra.runtime.predictor import ClassifierPredictor, RegressorPredictor

LOG_ODDS = "log-odds"
VALUE = "value"


@dataclass(frozen=True, kw_only=True, eq=False)
class Question:
    """One explained number per sequence.

    For one class out of several: its log-odds, log p / (1 - p) = z_c - log(sum of exp(z_j) over the others). For one
    label of several at once: its log-odds, z_c. For numbers: the number in the units of the targets. Log-odds are not
    squeezed by the softmax: twice as much evidence is twice as far.

    columns: (S,) which output is asked about, for each sequence. names: of these outputs, per sequence.
    measure: "log-odds" or "value". scale, shift: (O,) units of the outputs.
    """

    columns: Array
    names: tuple[str, ...]
    measure: str
    exclusive: bool
    scale: Array
    shift: Array

    def score(self, outputs: Array, rows: Any = None) -> Array:
        """(n,) float64 explained numbers for outputs (n, O) of the sequences `rows` (all of them by default)."""
        column = self._columns(rows)
        at = np.arange(len(outputs))
        chosen = outputs[at, column]
        if self.exclusive:
            chosen = kernels.add(
                chosen, kernels.scale(kernels.logsumexp(self._others(outputs, column)), -1.0)
            )
        made: Array = chosen.astype(np.float64) * self.scale[column] + self.shift[column]
        return made

    def slope(self, outputs: Array, rows: Any = None) -> Array:
        """(n, O) derivative of the explained number, in units of `scale`."""
        column = self._columns(rows)
        made = np.zeros(outputs.shape, np.float32)
        if self.exclusive:
            made[self._mask(outputs, column)] = -kernels.softmax(self._others(outputs, column)).reshape(-1)
        made[np.arange(len(outputs)), column] = 1.0
        return made

    def shown(self, outputs: Array, rows: Any = None) -> Array:
        """(n,) what a person reads: the probability of the class or label, or the number."""
        score = self.score(outputs, rows)
        if self.measure == VALUE:
            return score
        made: Array = kernels.sigmoid(score)
        return made

    def units(self, rows: Any = None) -> Array:
        """(n,) how much one unit of the model's own output is in the explained number."""
        made: Array = self.scale[self._columns(rows)]
        return made

    def select(self, rows: Any) -> Question:
        """The question about some of the sequences."""
        index = np.asarray(rows, dtype=np.int64)
        return Question(
            columns=self.columns[index],
            names=tuple(self.names[row] for row in index),
            measure=self.measure,
            exclusive=self.exclusive,
            scale=self.scale,
            shift=self.shift,
        )

    def _columns(self, rows: Any) -> Array:
        made: Array = self.columns if rows is None else self.columns[rows]
        return made

    @staticmethod
    def _mask(outputs: Array, column: Array) -> Array:
        mask = np.ones(outputs.shape, bool)
        mask[np.arange(len(outputs)), column] = False
        return mask

    def _others(self, outputs: Array, column: Array) -> Array:
        others: Array = outputs[self._mask(outputs, column)].reshape(len(outputs), outputs.shape[1] - 1)
        return others


def question_of(subject: Subject, outputs: Array, of: Any = None) -> Question:
    """The question about sequences with these outputs (S, O).

    of: a class or label; or the position of a number in a vector. None: of each sequence the predicted class, the
        most probable label, or the first number. Raises SpecError for a name that the model does not know.
    """
    predictor = subject.predictor
    if isinstance(predictor, ClassifierPredictor):
        names = [str(name) for name in predictor.classes]
        columns = _class_columns(predictor, outputs, names, of)
        return Question(
            columns=columns,
            names=tuple(names[column] for column in columns),
            measure=LOG_ODDS,
            exclusive=not predictor.multilabel,
            scale=np.ones(len(names)),
            shift=np.zeros(len(names)),
        )
    if isinstance(predictor, RegressorPredictor):
        width = subject.model.width
        column = _position(of, width)
        return Question(
            columns=np.full(len(outputs), column),
            names=("value" if width == 1 else f"value {column}",) * len(outputs),
            measure=VALUE,
            exclusive=False,
            scale=np.asarray(predictor.target.scale, dtype=np.float64),
            shift=np.asarray(predictor.target.mean, dtype=np.float64),
        )
    raise SpecError(
        f"model must answer once per sequence, with classes or numbers, to be explained; got a {predictor.task}"
    )


def _class_columns(predictor: ClassifierPredictor, outputs: Array, names: list[str], of: Any) -> Array:
    if of is not None:
        if str(of) not in names:
            raise SpecError(f"of must be a class that the model knows, got {of!r}{nearest(str(of), names)}")
        return np.full(len(outputs), names.index(str(of)))
    probabilities = predictor.probabilities(outputs)
    if predictor.multilabel:
        return np.asarray(np.argmax(probabilities, axis=1))
    return predictor.decide(probabilities)


def _position(of: Any, width: int) -> int:
    place = 0 if of is None else of
    if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < width:
        raise SpecError(f"of must be the position of a number, from 0 to {width - 1}, got {of!r}")
    return place
