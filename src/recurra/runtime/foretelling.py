"""A text, or a sequence of frames, that arrives piece by piece, with what may come next after each step."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.ragged import Array
from recurra.runtime.stream import Stream


class ForetellingStream(Stream):
    """A stream of a model that foretells its own input. Made by `model.stream()`.

    It has read what begins every document before the first piece comes, so `outputs` and `probabilities` always say
    what may come next: those of the whole sequence so far, bit for bit. `steps` counts the tokens or frames since.
    """

    def push_outputs(self, item: Any) -> Array:
        """(n, outputs) what leaves the model after each of the n steps of a further piece, before softmax."""
        encoded, memory = self._predictor.step(item, None if self._memory is None else dict(self._memory))
        count = int(encoded.offsets[-1])
        made = [np.zeros((0, self._predictor.head.outputs), np.float32)]
        for x in self._stepping.enter(encoded) if count else ():
            self._take(x[None])
            self._steps += 1
            made.append(self.outputs()[None])
        self._memory = memory
        return np.concatenate(made)
