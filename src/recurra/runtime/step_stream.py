"""One sequence that arrives step by step, with an answer for every step: at once, or when enough follows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra.errors import DataError, StateError
from recurra.ragged import Array
from recurra.runtime.promised_steps import with_sets
from recurra.runtime.state import Remembered, state_bytes, state_record
from recurra.runtime.stream import remembered, watched_layers

if TYPE_CHECKING:
    from recurra.runtime.tagger import TaggerPredictor

_TAG = "tag."
"""Begins the names under which a state remembers the last tag that stands."""


class StepStream:
    """A sequence that arrives step by step and is answered for every step. Made by `model.stream()`.

    A model of one direction answers for a step when it comes. A bidirectional one needs `look_ahead=k`: the answer
    for a step is given when the k - 1 steps behind it are there, from the last k steps read back over; `finish`
    gives what is still owed. So for sequences of at most k steps all answers are those of `predict`, bit for bit;
    of a model of one direction the numbers always are.

    Tags that depend on their neighbours (a chain, the rules of spans) are the best path of the steps that are read,
    behind the tags that were given before: what was given stands, and no pair of neighbours is ever illegal. Where a
    model reads one direction, whether the last tag may end a sequence cannot be known when it is given.
    """

    def __init__(
        self,
        predictor: TaggerPredictor,
        *,
        look_ahead: int | None = None,
        watch: bool = False,
        coverage: float | None = None,
    ) -> None:
        predictor.encoder.check_stream()
        self._predictor, self._look_ahead, self._watch = predictor, look_ahead, watch
        self._coverage = coverage
        self._stepping = predictor.stepping(look_ahead=look_ahead, watch=watch)
        self._begin()

    def _begin(self) -> None:
        self._steps = self._given = 0
        self._ended = False
        self._memory: dict[str, Any] | None = None
        self._before: tuple[int, ...] | None = None

    @property
    def steps(self) -> int:
        """Steps (tokens) taken so far."""
        return self._steps

    @property
    def owed(self) -> int:
        """Steps that were taken and not yet answered."""
        return self._steps - self._given

    def push(self, item: Any) -> list[dict[str, Any]]:
        """Take the next piece, as `Stream.push`; returns the records of the steps whose answers stand now, in order.

        Raises DataError for a piece that cannot be read, and after `finish`; the stream is then as before.
        """
        return list(self._records(self.push_outputs(item), ended=False))

    def finish(self) -> list[dict[str, Any]]:
        """The records of the steps that were not answered yet: nothing follows. `reset` begins a new sequence."""
        return list(self._records(self.finish_outputs(), ended=True))

    def push_outputs(self, item: Any) -> Array:
        """(n, reach, outputs) as `push`, before they are decoded: for each answered step what is read behind it."""
        if self._ended:
            raise DataError("the stream was finished; begin a new sequence with reset()")
        memory = None if self._memory is None else dict(self._memory)
        encoded, memory = self._predictor.step(item, memory)
        count = int(encoded.offsets[-1])
        made = []
        if count:
            x = self._stepping.enter(encoded)
            for t in range(count):
                self._stepping.advance(x[t : t + 1], np.array([0]))
                self._steps += 1
                if self.owed == self._stepping.reach:
                    made.append(self._stepping.latest(0))
                    self._given += 1
        self._memory = memory
        return np.stack(made) if made else np.zeros((0, self._stepping.reach, self._predictor.head.outputs))

    def finish_outputs(self) -> Array:
        """(n, outputs) of the steps that are still owed, before they are decoded."""
        if self._ended:
            raise DataError("the stream was finished; begin a new sequence with reset()")
        self._ended = True
        owed, self._given = self.owed, self._steps
        if not owed:
            return np.zeros((0, self._predictor.head.outputs), np.float32)
        return self._stepping.latest(0)[-owed:]

    def _records(self, outputs: Array, *, ended: bool) -> Iterator[dict[str, Any]]:
        if ended:
            yield from self._decoded(outputs, len(outputs), ended=True)
            return
        for window in outputs:
            yield from self._decoded(window, 1, ended=False)

    def _decoded(self, outputs: Array, count: int, *, ended: bool) -> Iterator[dict[str, Any]]:
        """The records of the first `count` of some steps, judged together with the others."""
        if not count:
            return
        predictor = self._predictor
        if predictor.numeric:
            yield from self._with_sets(list(predictor.records_of(outputs[:count])), outputs[:count])
            return
        codes, tables = predictor.decoder.continued(np.ascontiguousarray(outputs), self._before, ended=ended)
        self._before = tuple(codes[count - 1].tolist())
        records = predictor.tag_records(codes[:count], [table[:count] for table in tables])
        yield from self._with_sets(list(records), outputs[:count])

    def _with_sets(self, records: list[dict[str, Any]], outputs: Array) -> list[dict[str, Any]]:
        if self._coverage is None:
            return records
        sets = self._predictor.sets_of(np.ascontiguousarray(outputs), self._coverage)
        return with_sets(records, sets)

    @property
    def layers(self) -> dict[str, dict[str, Array]]:
        """What every layer held after the last step, as `Stream.layers`."""
        return watched_layers(self._stepping, self._predictor.network.cell, self._watch)

    def reset(self) -> None:
        """Begin a new sequence."""
        self._stepping.reset(np.array([0]))
        self._begin()

    @property
    def state(self) -> dict[str, Any]:
        """All that the stream remembers, as plain values ready for JSON; `restore` takes it back."""
        tags = {} if self._before is None else {f"{_TAG}{k}": code for k, code in enumerate(self._before)}
        memory = {
            **(self._memory or {}),
            **tags,
            "begun": int(self._memory is not None),
            "given": self._given,
        }
        held = Remembered(steps=self._steps, memory=memory, static=None, arrays=self._stepping.read(0))
        return state_record(held, model=self._predictor.identity, look_ahead=self._look_ahead)

    def snapshot(self) -> bytes:
        """The state as bytes."""
        return state_bytes(self.state)

    def restore(self, state: Any) -> None:
        """Go on from a `state` or `snapshot()` of a stream of the same model.

        Raises StateError where it belongs to another model or is malformed; the stream is then as before.
        """
        held = remembered(self._predictor, state, self._look_ahead, self._stepping.shapes())
        memory = dict(held.memory or {})
        given, begun = memory.pop("given", None), memory.pop("begun", None)
        tags = [memory.pop(name) for name in sorted(memory) if name.startswith(_TAG)]
        if (
            not isinstance(given, int)
            or not 0 <= held.steps - given < self._stepping.reach
            or begun not in (0, 1)
        ):
            raise StateError(
                "state: it does not say which steps were answered; it is none of a tagger's stream"
            )
        self._stepping.write(0, held.arrays)
        self._steps, self._given, self._ended = held.steps, given, False
        self._memory = memory if begun else None
        self._before = tuple(self._codes(tags)) if tags else None

    def _codes(self, tags: list[Any]) -> Iterator[int]:
        sizes = () if self._predictor.numeric else self._predictor.target.sizes
        if len(tags) != len(sizes) or any(
            not isinstance(tag, int) or not 0 <= tag < size for tag, size in zip(tags, sizes, strict=False)
        ):
            raise StateError(f"state: tags must be codes of {len(sizes)} columns, got {tags!r:.60}")
        yield from tags
