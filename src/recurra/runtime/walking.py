"""What leaves a model after each step of whole sequences, in chunks of bounded memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra import kernels
from recurra.errors import SpecError
from recurra.graph.run import CONDITION, Flow, Run
from recurra.ragged import Array, Ragged
from recurra.runtime.predictor import CHUNK_TOKENS, Predictor, chunks

if TYPE_CHECKING:
    from recurra.graph.stepping import Stepping
    from recurra.runtime.stream import Stream

CHUNK_NUMBERS = 1 << 23
"""Numbers (float32) that leave the model and are held at a time."""


class Walking(Predictor):
    """Base of the predictors that foretell their own input: they read in one direction and answer after each step."""

    @abstractmethod
    def beginning(self) -> Ragged:
        """What is read before every sequence, as one encoded step."""

    @abstractmethod
    def probabilities(self, outputs: Array) -> Array:
        """Of what may come next, for what leaves the model."""

    def stream(self, *, static: Any = None, look_ahead: int | None = None, watch: bool = False) -> Stream:
        """Begin a document that arrives piece by piece; see `recurra.runtime.foretelling.ForetellingStream`."""
        from recurra.runtime.foretelling import ForetellingStream

        if look_ahead is not None:
            raise SpecError("look_ahead has no effect on a model that reads in one direction; leave it out")
        return ForetellingStream(self, static=static, watch=watch)

    def begun(self, **options: Any) -> Stepping:
        """As `stepping`, behind what is read before every sequence."""
        made = self.stepping(**options)
        made.begin_behind(self.beginning())
        return made

    def walk(self, batch: Ragged) -> Iterator[Array]:
        """What leaves the model after each step of a batch, (n, outputs) at a time, in order."""
        for flow, run in self._stretches(batch):
            yield self.model.forward(self.parameters, flow, run)

    def losses(
        self,
        batch: Ragged,
        following: Array,
        loss: Callable[[Any, Any], Any] = kernels.cross_entropy,
        *,
        condition: Array | None = None,
    ) -> Iterator[Array]:
        """What each step of a batch loses on what follows it (N, ...), some at a time, in order.

        loss: of what leaves the model and what follows, where the head does not compute losses itself. condition:
        (S, K) what the sequences begin with, where the model needs that.
        """
        place = 0
        for flow, run in self._stretches(batch, condition):
            wanted = _whole(following[place : place + len(flow.values)])
            yield self.model.losses(self.parameters, flow, run, wanted, loss)
            place += len(flow.values)

    def _stretches(self, batch: Ragged, condition: Array | None = None) -> Iterator[tuple[Flow, Run]]:
        """Pieces of a batch of bounded size; each is to be run through the model before the next is asked for."""
        limit = max(1, min(CHUNK_TOKENS, CHUNK_NUMBERS // self.head.outputs))
        for rows in chunks(batch.lengths, limit):
            begin, end = int(batch.offsets[rows[0]]), int(batch.offsets[rows[-1] + 1])
            offsets = batch.offsets[rows[0] : rows[-1] + 2] - begin
            columns = {} if condition is None else {CONDITION: condition[rows]}
            if end - begin <= limit:
                yield self._cut(batch, begin, end, offsets, columns), Run(cache=self._cache)
                continue
            states: dict[str, Any] = {}
            for place in range(begin, end, limit):
                stop = min(place + limit, end)
                run = Run(cache=self._cache, states=states, keep_states=True)
                yield self._cut(batch, place, stop, np.array([0, stop - place]), columns), run
                states = run.carried

    def _cut(self, batch: Ragged, begin: int, end: int, offsets: Array, columns: Mapping[str, Any]) -> Flow:
        values = np.ascontiguousarray(_whole(np.asarray(batch.values)[begin:end]))
        return Flow(values=values, offsets=offsets.astype(np.int64), columns=columns)


def _whole(values: Array) -> Array:
    """Ids as int64, however narrow they were stored; numbers as they are."""
    return values.astype(np.int64, copy=False) if values.dtype.kind in "iu" else values
