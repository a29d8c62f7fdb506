"""The recurrent state of a language model for texts in the making, and what may come next in each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra import kernels
from recurra.graph.head import Dropout
from recurra.graph.node import Node
from recurra.graph.recur import Recur
from recurra.graph.run import Flow, Run
from recurra.ragged import Array, Ragged

if TYPE_CHECKING:
    from recurra.runtime.language_model import LanguageModelPredictor
    from recurra.runtime.predictor import Predictor

STRETCH = 4096
"""Tokens of a prompt that are read at a time: bounds memory, never the result."""


class Reader:
    """One sequence read in stretches: what leaves the recurrent layers, and what the model says next."""

    def __init__(self, predictor: Predictor) -> None:
        self._parameters = predictor.parameters
        self._cache = predictor._cache
        self.recur: Recur = predictor.model.node(Recur)
        place = predictor.model.nodes.index(self.recur)
        self._enter, leave = predictor.model.nodes[:place], predictor.model.nodes[place + 1 :]
        # Dropout does nothing here, and every node costs a step some microseconds.
        self._leave = [node for node in leave if not isinstance(node, Dropout)]
        self._states: dict[str, Any] = {}

    @property
    def width(self) -> int:
        """Numbers per step that leave the recurrent layers."""
        return self.recur.width

    def read(self, steps: Array) -> Array:
        """(n, H) what leaves the last recurrent layer after each of n more encoded steps."""
        run = Run(cache=self._cache, states=self._states, keep_states=True)
        flow = Flow(values=np.ascontiguousarray(steps), offsets=np.array([0, len(steps)]))
        y = self._through((*self._enter, self.recur), flow, run)
        self._states = run.carried
        return y

    def enter(self, ids: Array) -> Array:
        """(n, I) what the recurrent layers read for an id of each of n texts."""
        return self._through(self._enter, Flow(values=ids, offsets=np.arange(len(ids) + 1)))

    def logits(self, y: Array) -> Array:
        """(n, V) what leaves the model for what leaves the recurrent layers."""
        return self._through(self._leave, Flow(values=y, offsets=np.arange(len(y) + 1)))

    @property
    def state(self) -> Array:
        """(layers, 2 or 1, 1, H) what the recurrent layers remember."""
        pairs = [self._states[self.recur.name][place.suffix] for place in self.recur.places()]
        return np.stack([np.stack([part for part in pair if part is not None]) for pair in pairs])

    def stepper(self, rows: int) -> kernels.Stepper:
        """The recurrent layers a step at a time, for some rows."""
        net, recur = self.recur.network, self.recur
        stack = [recur.weights(self._parameters, place, self._cache) for place in recur.places()]
        return kernels.Stepper(stack, rows, net.cell_clip, net.zoneout)

    def _through(self, nodes: Sequence[Node], flow: Flow, run: Run | None = None) -> Array:
        run = Run(cache=self._cache) if run is None else run
        for node in nodes:
            flow = node.forward(self._parameters, flow, run)
        values: Array = flow.values
        return values


class NextTokens:
    """The states of a language model for texts in the making; `recurra.decoding.writing.NextToken`."""

    def __init__(self, predictor: LanguageModelPredictor) -> None:
        self._predictor, self._reader = predictor, Reader(predictor)
        self._stepper = self._reader.stepper(1)

    def read(self, batch: Ragged) -> Array:
        """Read encoded prompts; returns (S, V) log-probabilities of what comes after each."""
        states, first = [], []
        for row in range(len(batch)):
            reader, ids = Reader(self._predictor), batch[row]
            for begin in range(0, len(ids), STRETCH):
                y = reader.read(ids[begin : begin + STRETCH])
            states.append(reader.state)
            first.append(self._log_probs(np.ascontiguousarray(y[-1:])))
        self._load(np.concatenate(states, axis=2))
        return np.concatenate(first)

    def advance(self, parents: Array | None, tokens: Array) -> Array:
        """As `NextToken.advance`."""
        if parents is not None:
            self._load(self._stepper.state[:, :, parents])
        return self._log_probs(self._stepper.step(self._entered[tokens]))

    @cached_property
    def _entered(self) -> Array:
        """(V, I) what the recurrent layers read of each id."""
        return self._reader.enter(np.arange(self._predictor.head.outputs))

    def _load(self, state: Array) -> None:
        """Go on with as many rows as the state (layers, 2 or 1, n, H) has."""
        if state.shape[2] != self._stepper.rows:
            self._stepper = self._reader.stepper(state.shape[2])
        self._stepper.load(np.ascontiguousarray(state))

    def _log_probs(self, y: Array) -> Array:
        made: Array = kernels.log_softmax(self._reader.logits(y))
        return made
