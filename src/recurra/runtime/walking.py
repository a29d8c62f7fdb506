"""What leaves a model after each step of whole sequences, in chunks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from recurra.graph.run import Flow, Run
from recurra.ragged import Array, Ragged
from recurra.runtime.predictor import CHUNK_TOKENS, Predictor, chunks

CHUNK_NUMBERS = 1 << 23
"""Numbers (float32) that leave the model and are held at a time."""


class Walking(Predictor):
    """Base of the predictors that read in one direction and answer after each step."""

    def walk(self, batch: Ragged) -> Iterator[Array]:
        """What leaves the model after each step of a batch, (n, outputs) at a time, in order."""
        limit = max(1, min(CHUNK_TOKENS, CHUNK_NUMBERS // self.head.outputs))
        for rows in chunks(batch.lengths, limit):
            begin, end = int(batch.offsets[rows[0]]), int(batch.offsets[rows[-1] + 1])
            offsets = batch.offsets[rows[0] : rows[-1] + 2] - begin
            if end - begin <= limit:
                yield self._stretch(batch, begin, end, offsets, Run(cache=self._cache))
                continue
            states: dict[str, Any] = {}
            for place in range(begin, end, limit):
                stop = min(place + limit, end)
                run = Run(cache=self._cache, states=states, keep_states=True)
                yield self._stretch(batch, place, stop, np.array([0, stop - place]), run)
                states = run.carried

    def _stretch(self, batch: Ragged, begin: int, end: int, offsets: Array, run: Run) -> Array:
        values = np.ascontiguousarray(np.asarray(batch.values)[begin:end])
        flow = Flow(values=values, offsets=offsets.astype(np.int64))
        answer: Array = self.model.forward(self.parameters, flow, run)
        return answer
