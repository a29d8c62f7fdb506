"""A language model that goes on learning from the text that it is scored on (Krause et al. 2018).

Each stretch of the text is scored first, with what was learnt until then, and only then learnt from, so that no
token is foretold by a model that has seen it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch

from recurra import kernels
from recurra.errors import DataError
from recurra.graph.run import Flow, Run
from recurra.ragged import Array, Ragged
from recurra.runtime.language_model import LanguageModelPredictor
from recurra.spec import Spec, option
from recurra.training.device import one_torch_thread


@dataclass(frozen=True, kw_only=True)
class DynamicEvaluation(Spec):
    """Gradient steps during scoring, scaled by the size of the gradients in training, and drawn back to the start.

    With g the gradient of the mean loss of a stretch, s the root of the mean of the squared gradients over stretches
    of training text, and p0 the trained parameters:

        p <- p - learning_rate g / (s + epsilon) + min(decay s / mean(s), 1) (p0 - p)

    learning_rate: 0: no change. Usual: 1e-5 to 1e-3.
    decay: how fast what was learnt fades. Usual: 0.001-0.05.
    stretch: tokens that are scored before the next step. Usual: 5 for words, 20-50 for characters.
    epsilon: keeps parameters with tiny gradients from large steps. Usual: 1e-5 to 1e-2.
    statistics: stretches of training text that s is taken from. Usual: 100-2000.
    """

    section: ClassVar[str] = "dynamic"

    learning_rate: float = option(1e-4, float, low=0.0, high=1.0, open_low=True, usual="1e-5 to 1e-3")
    decay: float = option(0.01, float, low=0.0, high=1.0, usual="0.001-0.05")
    stretch: int = option(20, int, low=1, high=100_000, usual="5-50")
    epsilon: float = option(1e-3, float, low=0.0, open_low=True, usual="1e-5 to 1e-2")
    statistics: int = option(500, int, low=1, usual="100-2000")


def dynamic_log_probabilities(
    predictor: LanguageModelPredictor,
    texts: Sequence[str],
    training_texts: Sequence[str],
    how: DynamicEvaluation | None = None,
) -> Ragged:
    """As `predictor.log_probabilities(texts)`, with parameters that go on learning from text to text.

    training_texts: text that the model was trained on, for the size of its gradients; the first
    `how.statistics` stretches are enough. The order of the texts matters here, and the predictor is left as it
    was. Raises DataError where there is no training text.
    """
    batch, training = predictor.encode(list(texts)), predictor.encode(list(training_texts))
    scored, learnt = ((each, predictor.following(each)) for each in (batch, training))
    losses = dynamic_losses(predictor, scored, learnt, how)
    return predictor.foretold(batch, -np.concatenate([np.zeros(0, np.float32), *losses]))


Steps: TypeAlias = tuple[Ragged, Array]
"""Encoded documents, and what follows each of their steps."""


def dynamic_losses(
    predictor: LanguageModelPredictor, scored: Steps, training: Steps, how: DynamicEvaluation | None = None
) -> Iterator[Array]:
    """As `dynamic_log_probabilities`, of what is encoded already: what each step loses, some at a time, in order."""
    with one_torch_thread():
        learner = _Learner(predictor, DynamicEvaluation() if how is None else how)
        learner.measure(*training)
        yield from learner.score(*scored)


class _Learner:
    """A copy of the parameters that steps from stretch to stretch."""

    def __init__(self, predictor: LanguageModelPredictor, how: DynamicEvaluation) -> None:
        self._predictor, self._how = predictor, how
        self._parameters = {
            name: torch.tensor(array, requires_grad=True) for name, array in predictor.parameters.items()
        }
        self._start = {name: part.detach().clone() for name, part in self._parameters.items()}

    def measure(self, batch: Ragged, following: Array) -> None:
        """Learn the size of the gradients from training text."""
        squares = {name: torch.zeros_like(part) for name, part in self._start.items()}
        stretches = 0
        for losses in self._stretches(batch, following):
            for name, gradient in self._gradients(losses).items():
                squares[name] += gradient * gradient
            stretches += 1
            if stretches == self._how.statistics:
                break
        if not stretches:
            raise DataError(
                "training_texts must hold at least one token; give text that the model was trained on"
            )
        roots = {name: torch.sqrt(total / stretches) for name, total in squares.items()}
        mean = sum(float(root.sum()) for root in roots.values()) / sum(
            root.numel() for root in roots.values()
        )
        how = self._how
        self._rates = {name: how.learning_rate / (root + how.epsilon) for name, root in roots.items()}
        self._decays = {name: (how.decay / mean * root).clamp(max=1) for name, root in roots.items()}

    def score(self, batch: Ragged, following: Array) -> Iterator[Array]:
        """Yield what each step loses on what follows it, stretch by stretch, and learn from each."""
        for losses in self._stretches(batch, following):
            yield losses.detach().numpy()
            gradients = self._gradients(losses)
            with torch.no_grad():
                for name, part in self._parameters.items():
                    if name in gradients:
                        part -= self._rates[name] * gradients[name]
                    part += self._decays[name] * (self._start[name] - part)

    def _stretches(self, batch: Ragged, following: Array) -> Iterator[torch.Tensor]:
        """Yield the losses (n,) of each stretch of each document, with the state carried on."""
        ids = np.asarray(batch.values)
        for begin, end in zip(batch.offsets[:-1], batch.offsets[1:], strict=True):
            states: Mapping[str, Any] = {}
            for place in range(int(begin), int(end), self._how.stretch):
                stop = min(place + self._how.stretch, int(end))
                run = Run(states=states, keep_states=True)
                flow = Flow(values=_whole(ids[place:stop]), offsets=np.array([0, stop - place]))
                wanted = _whole(following[place:stop])
                yield self._predictor.model.losses(self._parameters, flow, run, wanted, kernels.cross_entropy)
                states = _cut(run.carried)

    def _gradients(self, losses: torch.Tensor) -> dict[str, torch.Tensor]:
        """Of the mean loss of a stretch, for the parameters that it reaches."""
        names = list(self._parameters)
        found = torch.autograd.grad(
            losses,
            list(self._parameters.values()),
            torch.full_like(losses, 1 / len(losses)),
            allow_unused=True,
        )
        return {name: part for name, part in zip(names, found, strict=True) if part is not None}


def _whole(ids: Array) -> torch.Tensor:
    """A copy of ids as int64, however narrow they were stored."""
    return torch.from_numpy(ids.astype(np.int64))


def _cut(carried: Mapping[str, Any]) -> dict[str, Any]:
    """States without the graph that they came from."""
    return {
        node: {
            place: tuple(None if part is None else part.detach() for part in pair)
            for place, pair in states.items()
        }
        for node, states in carried.items()
    }
