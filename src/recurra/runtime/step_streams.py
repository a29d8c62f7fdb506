"""Many sequences by key that are answered for every step, where an answer depends on its neighbours."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recurra.errors import InputError
from recurra.runtime.shelf import Clock, Kept, OnEvict, Shelf
from recurra.runtime.state import state_bytes
from recurra.runtime.step_stream import StepStream

if TYPE_CHECKING:
    from recurra.runtime.tagger import TaggerPredictor


@dataclass(kw_only=True)
class _Held(Kept):
    """A stream, and the records that its last push or `finish` gave."""

    stream: StepStream
    answers: list[dict[str, Any]]


class StepStreams(Shelf[_Held]):
    """Many `StepStream`s of one tagger by key. Made by `model.streams()`; safe between threads.

    Each gives the bits and the tags that it gives alone: a push returns the records of the steps whose answers stand
    now, `finish` those that were still owed, and then forgets the key. Which streams are held, and what becomes of
    the others, is as of `recurra.runtime.keyed.Streams`.

    max_streams, idle_seconds, lost, on_evict: as there. look_ahead: of a bidirectional model, as of `StepStream`.
    """

    def __init__(
        self,
        predictor: TaggerPredictor,
        *,
        max_streams: int = 10_000,
        idle_seconds: float | None = None,
        lost: str = "restart",
        look_ahead: int | None = None,
        on_evict: OnEvict | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        super().__init__(
            max_streams=max_streams, idle_seconds=idle_seconds, lost=lost, on_evict=on_evict, clock=clock
        )
        self._predictor, self._look_ahead = predictor, look_ahead
        self._fresh()  # what cannot be streamed is refused here, not at the first push

    def _fresh(self) -> StepStream:
        return StepStream(self._predictor, look_ahead=self._look_ahead)

    def start(self, key: Hashable, *, static: Any = None) -> None:
        """Begin a stream, or begin it anew. static: None; taggers read no features of the whole sequence."""
        self._predictor.scaled_static(static, 1)
        with self._lock:
            self._evict_idle()
            self._keep(key, self._fresh(), [])

    def _keep(self, key: Hashable, stream: StepStream, answers: list[dict[str, Any]]) -> None:
        """Hold a stream, a new one or that which is held, with the records that it gave last."""
        if key not in self._held:
            self._make_room()
        self._held[key] = _Held(used=self._clock(), stream=stream, answers=answers)
        self._held.move_to_end(key)

    def push(self, key: Hashable, item: Any, *, static: Any = None) -> list[dict[str, Any]]:
        """Take the next piece of one stream; returns the records of the steps whose answers stand now, in order.

        Raises DataError where the piece cannot be read (the stream is then as before) and LostStreamError where the
        key is not held and `lost` is "error".
        """
        self._predictor.scaled_static(static, 1)
        with self._lock:
            self._evict_idle()
            self._may_begin(key)
            stream = self._held[key].stream if key in self._held else self._fresh()
            answers = stream.push(item)
            self._keep(key, stream, answers)
            return answers

    def push_many(
        self, items: Mapping[Hashable, Any], *, static: Mapping[Hashable, Any] | None = None
    ) -> dict[Hashable, InputError]:
        """Take the next piece of many streams, one after the other; `results` then tells their answers.

        Returns the errors by key; the streams of these are as before. Raises SpecError for more keys than
        `max_streams`.
        """
        self._at_most(len(items))
        errors: dict[Hashable, InputError] = {}
        for key, item in items.items():
            try:
                self.push(key, item, static=(static or {}).get(key))
            except InputError as error:
                errors[key] = error
        return errors

    def finish(self, key: Hashable) -> list[dict[str, Any]]:
        """The records of the steps that were still owed: nothing follows, and the key is forgotten."""
        with self._lock:
            answers = self._of(key).stream.finish()
            self.drop(key)
            return answers

    def steps(self, key: Hashable) -> int:
        """Steps (tokens) that a stream has taken."""
        with self._lock:
            return self._of(key).stream.steps

    def result(self, key: Hashable) -> dict[str, Any]:
        """`{"answers": [...]}`: the records that the last push gave; LostStreamError where the key is not held."""
        with self._lock:
            return {"answers": self._of(key).answers}

    def results(self, keys: Iterable[Hashable]) -> dict[Hashable, dict[str, Any]]:
        """`result` of several streams."""
        return {key: self.result(key) for key in keys}

    def state(self, key: Hashable) -> dict[str, Any]:
        """All that one stream remembers, as `StepStream.state`: a `StepStream` takes it as well."""
        with self._lock:
            return self._state(self._of(key))

    def _state(self, held: _Held) -> dict[str, Any]:
        return held.stream.state

    def snapshot(self, key: Hashable) -> bytes:
        """The state of one stream as bytes."""
        return state_bytes(self.state(key))

    def restore(self, key: Hashable, state: Any) -> None:
        """Begin a stream, or replace it, with a `state` or `snapshot`; raises StateError, and nothing changes."""
        with self._lock:
            self._evict_idle()
            stream = self._fresh()
            stream.restore(state)
            self._keep(key, stream, [])

    def reset(self, key: Hashable) -> None:
        """Begin a stream anew; raises LostStreamError where there is none."""
        with self._lock:
            self._of(key)
            self.start(key)
