"""A language model asked for one answer per text: what comes next. So it is streamed, verified and exported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from recurra import kernels
from recurra.errors import InputError
from recurra.graph.stepping import Stepping
from recurra.ragged import Array, Ragged
from recurra.runtime.predictor import Head, Predictor

if TYPE_CHECKING:
    from recurra.runtime.language_model import LanguageModelPredictor

SHOWN = 5
"""Likeliest next tokens that a record names."""


def behind(batch: Ragged, first: int) -> Ragged:
    """Sequences of ids, each behind the id `first`."""
    values = np.insert(np.asarray(batch.values, dtype=np.int64), batch.offsets[:-1], first)
    return Ragged(values=values, offsets=batch.offsets + np.arange(len(batch.offsets)))


def continuation(predictor: LanguageModelPredictor) -> Continuation:
    """The same model and parameters, answering with what comes after a whole text."""
    held = {field.name: getattr(predictor, field.name) for field in fields(Predictor)}
    held["head"] = replace(predictor.head, pooling="last")
    return Continuation(**held)


class Continuation(Predictor):
    """What comes after each text: a number per token of the vocabulary, and for the end of a document the last one.

    It is the model with `last` pooling, which has no parameters: what leaves the recurrent layers after the last
    token of a text meets the head, as it does after every token when a text is scored.
    """

    task = "language_model"
    lead: ClassVar[int] = 1

    @property
    def boundary(self) -> int:
        """The id that stands before each document."""
        return self.head.outputs - 1

    @property
    def stored_head(self) -> Head:
        """That of the language model, which is what a bundle holds."""
        return replace(self.head, pooling=None)

    def encode(self, inputs: Any) -> Ragged:
        """The boundary and the ids of each text."""
        return behind(self.encoder.encode(inputs), self.boundary)

    def begun(self, **options: Any) -> Stepping:
        """As `stepping`, behind the boundary that begins a document."""
        made = self.stepping(**options)
        first = Ragged(values=np.array([self.boundary]), offsets=np.array([0, 1]))
        made.begin_behind(first)
        return made

    multilabel: ClassVar[bool] = False
    threshold: ClassVar[None] = None

    @property
    def classes(self) -> list[Any]:
        """The tokens in the order of the columns of `probabilities`; None, the last, is the end of the document."""
        return [*self.encoder.vocabulary, None]  # type: ignore[attr-defined]

    def probabilities(self, outputs: Array) -> Array:
        """(S, V) probabilities of what comes next."""
        made: Array = kernels.softmax(outputs)
        return made

    def answers(self, outputs: Array) -> Any:
        """(S,) the likeliest next token of each, None for the end of the document."""
        return np.array(self.classes, dtype=object)[np.argmax(outputs, axis=1)]

    def records_of(self, outputs: Array) -> Iterator[dict[str, Any]]:
        """`{"next": [{"token", "probability"}, ...]}`: the likeliest first; the end of the document is null."""
        tokens = self.classes
        for row in self.probabilities(outputs):
            likeliest = np.argsort(-row, kind="stable")[:SHOWN]
            yield {"next": [{"token": tokens[at], "probability": float(row[at])} for at in likeliest]}

    def score(self, inputs: Any, targets: Any, static: Any = None) -> float:
        """Texts are scored by the language model itself."""
        raise InputError("a continuation is not scored; use the language model's scores")

    def scores(self, inputs: Any, targets: Any, static: Any = None) -> dict[str, Any]:
        """As `score`."""
        raise InputError("a continuation is not scored; use the language model's scores")

    def calibrated(self, outputs: Any, encoded: Any, **options: Any) -> Any:
        """No sets are promised."""
        raise InputError("a language model has no conformal sets; use a Classifier or a Tagger")

    def sets_of(self, outputs: Any, coverage: float | None = None) -> Any:
        """As `calibrated`."""
        return self.calibrated(outputs, None)
