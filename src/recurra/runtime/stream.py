"""One sequence that arrives step by step, answered after any of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra.errors import SpecError
from recurra.graph.stepping import FEW
from recurra.kernels import Recurred
from recurra.ragged import Array
from recurra.runtime.state import Remembered, read_state, state_bytes, state_record

if TYPE_CHECKING:
    from recurra.runtime.predictor import Predictor

_ROW = np.array([0])


class Stream:
    """A sequence that arrives step by step. Made by `model.stream()`.

    After n steps the answer is that of `predict` on the sequence of these n steps, bit for bit; a step costs the
    same however many came before, and nothing grows. Not to be shared between threads; `model.streams()` may be.

    static: the features of the whole sequence, for a model that reads any.
    look_ahead: for a bidirectional model alone, and required there: its backward direction is run over the last
        `look_ahead` steps anew with every step (`recurra.graph.stepping.LookAhead` says exactly how).
    watch: whether `layers` tells hidden states, cells and gates after each step; such a stream is some times slower.

    Raises SpecError where the model cannot be streamed, and says why; DataError for static features.
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        static: Any = None,
        look_ahead: int | None = None,
        watch: bool = False,
    ) -> None:
        predictor.encoder.check_stream()
        self._predictor, self._look_ahead, self._watch = predictor, look_ahead, watch
        self._stepping = predictor.begun(look_ahead=look_ahead, watch=watch)
        quick = predictor.quick
        self._quick = None if quick is None else quick.row
        self._take = self._stepping.bare()
        self._steps = 0
        self._memory: Mapping[str, Any] | None = None
        self._static = scaled_features(predictor, static)

    @property
    def steps(self) -> int:
        """Steps (tokens) taken so far."""
        return self._steps

    def push(self, item: Any) -> None:
        """Take the next piece: a chunk of text, a row of numbers, an event; or several steps at once.

        What a piece may be, and where a text may be cut, is what `Encoder.step` says. Raises DataError for a
        piece that cannot be read; the stream is then as before.
        """
        x = None if self._quick is None else self._quick(item)
        if x is None:
            self._push_pieces(item)
        else:
            self._take(x)
            self._steps += 1

    def _push_pieces(self, item: Any) -> None:
        encoded, memory = self._predictor.step(item, None if self._memory is None else dict(self._memory))
        count = int(encoded.offsets[-1])
        if count:
            x = self._stepping.enter(encoded)
            if count < FEW or self._watch:
                for t in range(count):
                    self._take(x[t : t + 1])
            else:
                self._stepping.extend(x, 0)
        self._memory = memory
        self._steps += count

    def outputs(self) -> Array:
        """(outputs,) numbers that leave the model, before softmax or unscaling."""
        made: Array = self._stepping.outputs(_ROW, np.array([self._steps]), self._static)[0]
        return made

    def result(self) -> dict[str, Any]:
        """The record that `recurra predict` writes, for the steps so far."""
        record: dict[str, Any] = next(iter(self._predictor.records_of(self.outputs()[None])))
        return record

    def predict(self) -> Any:
        """What `model.predict` gives for the steps so far: a label, a number, ..."""
        return self._predictor.answers(self.outputs()[None])[0]

    def probabilities(self) -> Array:
        """(C,) probabilities in the order of `model.classes`; raises SpecError where the model has none."""
        return probabilities_of(self._predictor, self.outputs())

    @property
    def layers(self) -> dict[str, dict[str, Array]]:
        """Layer -> "hidden", "cell" (of an lstm) and its gates by name, (H,) each, as they were at the last step.

        The bits are those of the whole sequence read at once (`recurra.insight.states.hidden_states`). Empty before
        the first step. Raises SpecError for a stream without watch=True.
        """
        return watched_layers(self._stepping, self._predictor.network.cell, self._watch)

    @property
    def state(self) -> dict[str, Any]:
        """All that the stream remembers, as plain values ready for JSON; `restore` takes it back."""
        held = Remembered(
            steps=self._steps, memory=self._memory, static=self._static, arrays=self._stepping.read(0)
        )
        return state_record(held, model=self._predictor.identity, look_ahead=self._look_ahead)

    def snapshot(self) -> bytes:
        """The state as bytes."""
        return state_bytes(self.state)

    def restore(self, state: Any) -> None:
        """Go on from a `state` or `snapshot()`, of this stream or of another one of the same model.

        Raises StateError where it belongs to another model or is malformed; the stream is then as before.
        """
        held = remembered(self._predictor, state, self._look_ahead, self._stepping.shapes())
        self._stepping.write(0, held.arrays)
        self._steps, self._memory, self._static = held.steps, held.memory, held.static

    def reset(self, static: Any = None) -> None:
        """Begin a new sequence; static: its features, None keeps those of the old one."""
        if static is not None:
            self._static = scaled_features(self._predictor, static)
        self._stepping.reset(_ROW)
        self._steps, self._memory = 0, None


def watched_layers(stepping: Any, cell: str, watch: bool) -> dict[str, dict[str, Array]]:
    """States and gates of every layer at the last step, by name; raises SpecError where nothing is watched."""
    if not watch:
        raise SpecError("layers needs a stream that watches; begin it with stream(watch=True)")
    return {
        name: {part: numbers[0].copy() for part, numbers in _parts(done, cell).items()}
        for name, done in stepping.watched().items()
    }


def _parts(done: Recurred, cell: str) -> dict[str, Array]:
    cells = {} if done.cells is None else {"cell": done.cells}
    return {"hidden": done.y, **cells, **done.named_gates(cell)}


def scaled_features(predictor: Predictor, static: Any) -> Array | None:
    """(1, K) scaled features of one sequence, or None where the model reads none; raises DataError."""
    given = None if static is None else np.reshape(np.asarray(static, dtype=object), (1, -1))
    return predictor.scaled_static(given, 1)


def remembered(predictor: Predictor, state: Any, look_ahead: int | None, shapes: Any) -> Remembered:
    """Read a state for a model."""
    head = predictor.head.static
    return read_state(
        state,
        model=predictor.identity,
        look_ahead=look_ahead,
        static=None if head is None else len(head.names),
        shapes=shapes,
    )


def probabilities_of(predictor: Predictor, outputs: Array) -> Array:
    """(C,) probabilities for the (C,) outputs of one sequence."""
    made = getattr(predictor, "probabilities", None)
    if made is None:
        raise SpecError(f"a {predictor.task} has no probabilities; use result() or predict()")
    chances: Array = made(outputs[None])[0]
    return chances
