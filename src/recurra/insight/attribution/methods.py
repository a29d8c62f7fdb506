"""The ways of attribution by name, and the one function that runs any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from recurra.errors import SpecError, nearest
from recurra.insight.attribution.gradients import gradient_times_input
from recurra.insight.attribution.integrated import integrated_gradients
from recurra.insight.attribution.perturbing import occlusion, stepwise_change
from recurra.insight.attribution.record import Attribution
from recurra.insight.question import Question, question_of
from recurra.insight.subject import Reading, Subject, subject_of

METHODS: Mapping[str, Callable[..., list[Attribution]]] = {
    "integrated": integrated_gradients,
    "gradient": gradient_times_input,
    "occlusion": occlusion,
    "change": stepwise_change,
}
"""Name -> function of a subject, a reading and a question; further options are its own."""


def attribute(
    model: Any, inputs: Any, static: Any = None, *, method: str = "integrated", of: Any = None, **options: Any
) -> list[Attribution]:
    """What each part of each sequence adds to the answer.

    model: an estimator that has learnt, or a loaded model. inputs, static: as for `predict`.
    method: a name of `METHODS`. of: the class, label or position of a number that is explained; None: what is
    predicted. options: of the method. Raises SpecError for what is not known.
    """
    subject = subject_of(model)
    reading = subject.read(inputs, static)
    question = question_of(subject, subject.outputs(reading.batch, reading.static), of)
    return attributions_of(subject, reading, question, method=method, **options)


def attributions_of(
    subject: Subject, reading: Reading, question: Question, *, method: str = "integrated", **options: Any
) -> list[Attribution]:
    """As `attribute`, of sequences that are read already."""
    if method not in METHODS:
        raise SpecError(
            f"method must be one of {', '.join(METHODS)}, got {method!r}{nearest(method, METHODS)}"
        )
    return METHODS[method](subject, reading, question, **options)
