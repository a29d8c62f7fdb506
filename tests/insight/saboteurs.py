"""Switches that each break one promise of an explanation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest import mock

import numpy as np

from recurra.graph.stepping import Stepping
from recurra.insight.errors import ClassErrors, labels
from recurra.insight.subject import Gradients, Subject
from recurra.kernels.stepper import _Composed


@contextmanager
def gradients_lean_on_the_batch() -> Iterator[None]:
    """Every gradient gets a millionth of the batch's mean, as a framework's batch-wide reductions would do."""
    honest = Subject.gradients

    def gradients(self: Subject, given: Any, slope: Any) -> Gradients:
        found = honest(self, given, slope)
        shifted = found.values + np.float32(1e-6) * found.values.mean(axis=0, keepdims=True)
        return Gradients(outputs=found.outputs, values=shifted, static=found.static)

    with mock.patch.object(Subject, "gradients", gradients):
        yield


@contextmanager
def gradients_of_another_number() -> Iterator[None]:
    """The slope is taken a tenth too large."""
    honest = Subject.gradients

    def gradients(self: Subject, given: Any, slope: Any) -> Gradients:
        found = honest(self, given, slope)
        return Gradients(outputs=found.outputs, values=found.values * np.float32(1.1), static=found.static)

    with mock.patch.object(Subject, "gradients", gradients):
        yield


@contextmanager
def steps_are_read_twice() -> Iterator[None]:
    """The stepwise form takes its first token twice."""
    honest = Stepping.advance

    def advance(self: Stepping, x: Any, rows: Any) -> None:
        honest(self, x, rows)
        if not getattr(self, "begun", False):
            self.begun = True
            honest(self, x, rows)

    with mock.patch.object(Stepping, "advance", advance):
        yield


@contextmanager
def streams_begin_anew() -> Iterator[None]:
    """The layers of a watched stream forget their states before every step."""
    honest = _Composed.step

    def step(self: _Composed, x: Any, rows: Any) -> Any:
        self.held[:] = 0
        return honest(self, x, rows)

    with mock.patch.object(_Composed, "step", step):
        yield


def confidence_of_the_label() -> AbstractContextManager[Any]:
    """Give the probability of the true class as the confidence of a prediction."""

    def made(**fields: Any) -> ClassErrors:
        of_label = fields["probabilities"][np.arange(len(fields["coded"])), fields["coded"]]
        return ClassErrors(**{**fields, "confidence": of_label})

    return mock.patch("recurra.insight.errors.analysis.ClassErrors", made)


def labels_of_the_neighbour() -> AbstractContextManager[Any]:
    """Judge every label by the probabilities of the next row."""
    own = labels._numbers
    return mock.patch.object(labels, "_numbers", lambda *given: np.roll(own(*given), 1))
