"""Language models without torch: the probability of each token of a text after what stands before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra import kernels
from recurra.errors import InputError, SpecError
from recurra.graph.recur import Recur
from recurra.ragged import Array, Ragged
from recurra.runtime.continuation import behind
from recurra.runtime.generating import Generating
from recurra.runtime.predictor import Predictor
from recurra.runtime.walking import Walking

if TYPE_CHECKING:
    from recurra.runtime.neural_cache import NeuralCache


class LanguageModelPredictor(Generating, Walking):
    """log p(token | all tokens before it in its document), by a softmax over the vocabulary and the boundary.

    The model reads the boundary, then the tokens; after each it says what comes next. `config["ends"]` tells
    whether the boundary after the last token, the end, is predicted as well.
    """

    task = "language_model"

    @property
    def boundary(self) -> int:
        """The id that stands before each document."""
        return self.head.outputs - 1

    @property
    def ends(self) -> bool:
        """Whether the ends of documents are predicted."""
        return bool(self.config["ends"])

    @property
    def unit(self) -> str:
        """What a token is: "characters", "words", "bpe" or "bytes"."""
        return str(self.encoder.spec.name)

    def beginning(self) -> Ragged:
        """The boundary."""
        return Ragged(values=np.array([self.boundary]), offsets=np.array([0, 1]))

    def probabilities(self, outputs: Array) -> Array:
        """(n, outputs) of each id of the vocabulary, and of the boundary."""
        made: Array = kernels.softmax(outputs)
        return made

    def encode(self, inputs: Any) -> Ragged:
        """What the model reads of texts: the boundary and the ids of each."""
        return self.with_boundaries(self.encoder.encode(inputs))

    def with_boundaries(self, batch: Ragged) -> Ragged:
        """Encoded texts, each after a boundary."""
        return behind(batch, self.boundary)

    def given(self, condition: Any) -> LanguageModelPredictor:
        """The model under one condition (a label or a vector, as in training): a language model as any other.

        It begins with the initial states that the condition makes, so it is scored, streamed, verified and exported
        without one. Raises SpecError for a model without conditions, DataError for an unknown one.
        """
        if self.head.condition is None:
            raise SpecError("condition has no effect on this model, which was trained without; leave it out")
        recur: Recur = self.model.node(Recur)
        held = {field.name: getattr(self, field.name) for field in fields(Predictor)}
        held |= {"head": replace(self.head, condition=None), "path": None, "model_id": None}
        held["parameters"] = recur.begun_with(self.parameters, self.head.condition.one(condition))
        made = type(self)(**held)
        made._cache = self._cache
        return made

    def conditions(self, given: Any, rows: int) -> Array | None:
        """(rows, K) what the model reads of one condition per text; None where it was trained without.

        Raises SpecError where conditions are missing or have no effect, DataError for unknown ones.
        """
        condition = self.head.condition
        if condition is None and given is not None:
            raise SpecError(
                "conditions have no effect on this model, which was trained without; leave them out"
            )
        if condition is None:
            return None
        if given is None:
            raise SpecError(f"this model was trained under conditions; give each text {condition.described}")
        return condition.rows(given, rows)

    def log_probabilities(
        self, texts: Sequence[str], *, conditions: Any = None, cache: NeuralCache | None = None
    ) -> Ragged:
        """The natural logarithm of the probability of each token of each text, in order, float32.

        Where ends are predicted the last number of a text is that of its end. A token that the vocabulary does not
        know counts as the unknown token. The texts do not see each other. conditions: of each text, where the model
        was trained under conditions. cache: what a text said lately makes it likelier, see `NeuralCache`; None: the
        model alone.
        """
        batch = self.encode(texts)
        return self.log_probabilities_of(batch, self.conditions(conditions, len(batch)), cache=cache)

    def log_probabilities_of(
        self, batch: Ragged, condition: Array | None = None, *, cache: NeuralCache | None = None
    ) -> Ragged:
        """As `log_probabilities`, for what `encode` and `conditions` give."""
        if cache is not None and condition is not None:
            raise SpecError("cache needs one condition for all texts; use model.given(condition)")
        parts = self._losses(batch, condition) if cache is None else self._cached_losses(batch, cache)
        return self.foretold(batch, -np.concatenate([np.zeros(0, np.float32), *parts]))

    def foretold(self, batch: Ragged, values: Array) -> Ragged:
        """Of a number for what follows each step, those that count: not the ends, where ends are not predicted."""
        if self.ends:
            return Ragged(values=values, offsets=batch.offsets)
        kept = np.ones(len(values), dtype=bool)
        kept[batch.offsets[1:] - 1] = False
        return Ragged(values=values[kept], offsets=batch.offsets - np.arange(len(batch.offsets)))

    def following(self, batch: Ragged) -> Array:
        """(N,) the id after each step of encoded texts: the boundary after the last of each."""
        following = np.append(np.asarray(batch.values)[1:], self.boundary)
        following[batch.offsets[1:] - 1] = self.boundary
        return following

    def _losses(self, batch: Ragged, condition: Array | None) -> Iterator[Array]:
        return self.losses(batch, self.following(batch), condition=condition)

    def _cached_losses(self, batch: Ragged, cache: NeuralCache) -> Iterator[Array]:
        from recurra.runtime.neural_cache import cached_losses

        return cached_losses(self, batch, self.following(batch), cache)

    def predict(self, inputs: Any, static: Any = None, *, conditions: Any = None) -> Array:
        """(S,) nats per token of each text: how surprising it is; 0 for a text of which nothing is predicted."""
        found = self.log_probabilities(inputs, conditions=conditions)
        return np.array([_mean(found[row]) for row in range(len(found))])

    def answers(self, outputs: Any) -> Any:
        """Not used: a text is scored by the tokens that it has, not by the scores of all tokens."""
        raise InputError("a language model scores texts; use predict, log_probabilities or generate")

    def records_of(self, outputs: Any) -> Iterator[dict[str, Any]]:
        """As `answers`."""
        raise InputError("a language model scores texts; use records")

    def records(
        self, inputs: Any, static: Any = None, *, coverage: float | None = None, conditions: Any = None
    ) -> Iterator[dict[str, Any]]:
        """Per text its log probability, tokens, nats per token and perplexity: for ranking, and to find odd ones."""
        if coverage is not None:
            raise InputError("coverage has no effect on a language model; leave it out")
        found = self.log_probabilities(inputs, conditions=conditions)
        for row in range(len(found)):
            values = np.asarray(found[row], dtype=np.float64)
            mean = _mean(values)
            yield {
                "log_probability": float(values.sum()),
                "tokens": len(values),
                "nats_per_token": mean,
                "perplexity": float(np.exp(mean)),
            }

    def score(self, inputs: Any, targets: Any = None, static: Any = None) -> float:
        """Minus the nats per token, so that higher is better; targets: the conditions, if there are any."""
        return -float(self.scores(inputs, targets)["nats_per_token"])

    def scores(self, inputs: Any, targets: Any = None, static: Any = None) -> dict[str, Any]:
        """Perplexity, nats per token and bits per character of texts, each read whole from its beginning.

        Perplexity and nats are per token, so they compare only models of one vocabulary; bits per character compare
        all. Ends of documents count as tokens where the model predicts them. `unknown_rate`: share of the tokens that
        the vocabulary does not know, which one symbol stands for and which makes all figures look better.

        targets: the conditions of the texts, where the model was trained under conditions.
        """
        batch = self.encode(inputs)
        found = self.log_probabilities_of(batch, self.conditions(targets, len(batch)))
        unknown = int(np.sum(np.asarray(batch.values) == 0))
        return self.scores_of(found, characters=sum(map(len, inputs)), unknown=unknown)

    def scores_of(self, found: Ragged, *, characters: int, unknown: int) -> dict[str, Any]:
        """As `scores`, for log probabilities that are there already."""
        from recurra.metrics import language_model_scores

        values = np.asarray(found.values, dtype=np.float64)
        tokens = len(values) - (len(found) if self.ends else 0)
        return {
            **language_model_scores(values, characters=characters),
            "unit": self.unit,
            "tokens": tokens,
            "characters": characters,
            "documents": len(found),
            "unknown_rate": unknown / tokens if tokens else 0.0,
        }

    def calibrated(self, outputs: Any, encoded: Any, **options: Any) -> Any:
        """A language model promises no sets."""
        raise InputError("a language model has no conformal sets; use a Classifier or a Tagger")

    def sets_of(self, outputs: Any, coverage: float | None = None) -> Any:
        """As `calibrated`."""
        return self.calibrated(outputs, None)


def _mean(values: Any) -> float:
    return -float(np.mean(values, dtype=np.float64)) if len(values) else 0.0
