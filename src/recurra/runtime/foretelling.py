"""A text, or a sequence of frames, that arrives piece by piece, with what may come next after each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recurra.errors import SpecError
from recurra.ragged import Array
from recurra.runtime.stream import Stream

if TYPE_CHECKING:
    from recurra.runtime.walking import Walking

_ROW = np.array([0])


class ForetellingStream(Stream):
    """A stream of a model that foretells its own input. Made by `model.stream()`.

    It has read what begins every document before the first piece comes, so `outputs` and `probabilities` always say
    what may come next: those of the whole sequence so far, bit for bit. `steps` counts the tokens or frames since.
    """

    def __init__(self, predictor: Walking, *, static: Any = None, watch: bool = False) -> None:
        super().__init__(predictor, static=static, watch=watch)
        self._quick = None
        self._first = self._stepping.enter(predictor.beginning())
        self._take(self._first)

    def push_outputs(self, item: Any) -> Array:
        """(n, outputs) what leaves the model after each of the n steps of a further piece, before softmax."""
        encoded, memory = self._predictor.encoder.step(
            item, None if self._memory is None else dict(self._memory)
        )
        count = int(encoded.offsets[-1])
        made = [np.zeros((0, self._predictor.head.outputs), np.float32)]
        for x in self._stepping.enter(encoded) if count else ():
            self._take(x[None])
            self._steps += 1
            made.append(self.outputs()[None])
        self._memory = memory
        return np.concatenate(made)

    def probabilities(self) -> Array:
        """(outputs,) of what may come next: the ids of the vocabulary and then the boundary, or the yes/no's."""
        made: Array = self._predictor.probabilities(self.outputs()[None])[0]  # type: ignore[attr-defined]
        return made

    def result(self) -> dict[str, Any]:
        """A stream foretells the next step; there is no record of a whole sequence."""
        raise SpecError("a stream of frames has no result; use probabilities, or generate to write on")

    def predict(self) -> Any:
        """As `result`."""
        return self.result()

    def reset(self, static: Any = None) -> None:
        """Begin a new document."""
        super().reset(static)
        self._take(self._first)
