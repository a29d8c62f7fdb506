"""Answers with a promised coverage: what a predictor does with the calibration that its bundle holds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra.errors import NotFittedError
from recurra.ragged import Array

if TYPE_CHECKING:
    from recurra.metrics.calibrated import Conformal


class Promised(ABC):
    """Base of predictors: sets of classes and intervals for numbers, once calibrated on held-out rows."""

    config: Mapping[str, Any]

    @cached_property
    def conformal(self) -> Conformal | None:
        """The calibration, None where there is none."""
        from recurra.metrics.calibrated import Conformal

        found = self.config.get("conformal")
        return None if found is None else Conformal.from_dict(found)

    def calibration(self) -> Conformal:
        """The calibration; raises NotFittedError where there is none."""
        if self.conformal is None:
            raise NotFittedError(
                "this model promises no coverage yet: calibrate it on held-out rows with "
                "model.conformal(inputs, targets, coverage=0.9), or recurra fit --conformal 0.9"
            )
        return self.conformal

    def predict_set(self, inputs: Any, static: Any = None, *, coverage: float | None = None) -> Any:
        """Per sequence what holds the truth with the promised chance, whatever the task.

        Classes: a tuple of labels, most probable first; empty where the sequence is unlike those of calibration.
        Numbers: (S, 2) or (S, K, 2) lower and upper limits. coverage: any whole per cent; None: that of calibration.
        """
        return self.sets_of(self.outputs(inputs, static), coverage)

    def records_with_sets(
        self, records: Iterator[dict[str, Any]], outputs: Array, coverage: float
    ) -> Iterator[dict[str, Any]]:
        """The records of predictions with `set` (or `interval`) and, where calibrated, `abstains` added."""
        found = self.sets_of(outputs, coverage)
        silent = self.silent(outputs)
        for row, (record, one) in enumerate(zip(records, found, strict=True)):
            added = (
                {"interval": one.tolist()} if isinstance(one, np.ndarray) else {"set": [str(x) for x in one]}
            )
            yield {**record, **added, **({} if silent is None else {"abstains": bool(silent[row])})}

    @abstractmethod
    def outputs(self, inputs: Any, static: Any = None) -> Array:
        """What leaves the model."""

    @property
    def conformal_options(self) -> tuple[str, ...]:
        """What `calibrated` knows besides the coverage."""
        return ()

    @abstractmethod
    def calibrated(self, outputs: Array, encoded: Any, **options: Any) -> Conformal:
        """Calibrate on what leaves the model and the encoded targets of held-out rows."""

    @abstractmethod
    def sets_of(self, outputs: Array, coverage: float | None = None) -> Any:
        """As `predict_set`, for what leaves the model."""

    def silent(self, outputs: Array) -> Array | None:
        """(S,) where the model should keep silent; None where no error rate was asked for."""
        return None


def class_sets(chosen: Array, probabilities: Array, names: list[Any]) -> list[tuple[Any, ...]]:
    """The labels of each row's set, most probable first."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    return [
        tuple(names[column] for column in columns if chosen[row, column])
        for row, columns in enumerate(order.tolist())
    ]


def set_scores(truth: Array, chosen: Array) -> dict[str, float]:
    """Share of the rows whose set holds all that is true, and the mean size of the sets; both (S, C) tables."""
    held = (chosen | ~truth.astype(bool)).all(axis=1)
    return _defined(set_coverage=held, set_size=chosen.sum(axis=1))


def silence_scores(right: Array, silent: Array) -> dict[str, float]:
    """Share of the rows that are answered, and how many of those answers are right."""
    return _defined(answered=~silent, answered_accuracy=right[~silent])


def interval_scores(truth: Array, limits: Array) -> dict[str, float]:
    """Share of the numbers inside their interval, and the mean width."""
    inside = (limits[..., 0] <= truth) & (truth <= limits[..., 1])
    return _defined(interval_coverage=inside, interval_width=limits[..., 1] - limits[..., 0])


def _defined(**values: Array) -> dict[str, float]:
    """The means that are numbers: there is none of no rows, and intervals that few rows made infinite have none."""
    return {name: float(np.mean(v)) for name, v in values.items() if np.size(v) and np.isfinite(v).all()}
