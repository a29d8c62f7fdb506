"""Many sequences that arrive step by step, by key, in one object: batched, bounded, safe between threads."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra.errors import DataError, InputError
from recurra.ragged import Array, Ragged
from recurra.runtime.shelf import Clock, Kept, OnEvict, Shelf
from recurra.runtime.state import Remembered, state_bytes, state_record
from recurra.runtime.stream import probabilities_of, remembered, scaled_features

if TYPE_CHECKING:
    from recurra.runtime.predictor import Predictor

FIRST_ROWS = 16


@dataclass(kw_only=True)
class _Held(Kept):
    """One stream: its row, and what is not in the row."""

    row: int
    static: Array | None
    steps: int = 0
    memory: Mapping[str, Any] | None = None


@dataclass(kw_only=True)
class _Piece:
    """What one stream is handed, encoded."""

    x: Array
    memory: Mapping[str, Any] | None


@dataclass(kw_only=True)
class _Taken:
    """Pieces by key that could be read, and errors by key for the others."""

    pieces: dict[Hashable, _Piece] = field(default_factory=dict)
    errors: dict[Hashable, InputError] = field(default_factory=dict)


class Streams(Shelf[_Held]):
    """Many streams of one model by key. Made by `model.streams()`; safe between threads.

    Streams that are interleaved, or stepped together by `push_many`, give the bits that each gives alone. A stream
    begins with the first `push` of its key, or with `start`. At most `max_streams` are held; for one more, that
    which was pushed to longest ago is evicted, and so is any that nothing was pushed to for `idle_seconds` (by a
    clock that no change of the time of day moves).

    max_streams: streams held at a time. Memory grows with the streams that there are, not with this.
    idle_seconds: None: no bound.
    lost: what `push` does for a key that is not held, new or evicted: "restart" begins a stream; "error" raises
        LostStreamError, so that streams begin by `start` alone and none ever begins anew unnoticed.
    look_ahead: for bidirectional models, as of `Stream`.
    on_evict: called with the key and the `state` of a stream before it is evicted; while it runs the object is
        locked.
    """

    def __init__(
        self,
        predictor: Predictor,
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
        predictor.encoder.check_stream()
        self._predictor, self._look_ahead = predictor, look_ahead
        rows = min(FIRST_ROWS, max_streams)
        self._stepping = predictor.begun(rows=rows, look_ahead=look_ahead)
        self._free = list(range(rows))
        self._quick = predictor.quick

    def start(self, key: Hashable, *, static: Any = None) -> None:
        """Begin a stream, or begin it anew; static: its features, for a model that reads any."""
        scaled = scaled_features(self._predictor, static)
        with self._lock:
            self._evict_idle()
            if key in self._held:
                self._anew(key, self._held[key].row, scaled)
            else:
                self._begin(key, scaled)

    def push(self, key: Hashable, item: Any, *, static: Any = None) -> None:
        """Take the next piece of one stream, as `Stream.push`; static: where it begins the stream.

        Raises DataError where the piece cannot be read (the stream is then as before) and LostStreamError where the
        key is not held and `lost` is "error".
        """
        with self._lock:
            errors = self._push({key: item}, {} if static is None else {key: static})
        for error in errors.values():
            raise error

    def push_many(
        self, items: Mapping[Hashable, Any], *, static: Mapping[Hashable, Any] | None = None
    ) -> dict[Hashable, InputError]:
        """Take the next piece of many streams, stepped together: key -> piece.

        Returns the errors by key, for the pieces that could not be read and the keys that are lost; their streams
        are as before, all others have moved on. Raises SpecError for more keys than `max_streams`.
        """
        with self._lock:
            return self._push(items, static or {})

    def _push(
        self, items: Mapping[Hashable, Any], static: Mapping[Hashable, Any]
    ) -> dict[Hashable, InputError]:
        self._at_most(len(items))
        self._evict_idle()
        if not static and self._push_rows(items):
            return {}
        taken = self._encode(items)
        features = self._features(taken, static)
        now = self._clock()
        for key in taken.pieces:
            if key in self._held:
                self._touch(key, now)
        for key in taken.pieces:
            if key not in self._held:
                self._begin(key, features[key])
        self._advance(taken.pieces)
        for key, piece in taken.pieces.items():
            held = self._held[key]
            held.steps, held.memory = held.steps + len(piece.x), piece.memory
        return taken.errors

    def _push_rows(self, items: Mapping[Hashable, Any]) -> bool:
        """Take one row of numbers for each of several streams that there are; False: it is not as plain as that."""
        if self._quick is None or len(items) < 2:
            return False
        found = [self._held.get(key) for key in items]
        held = [each for each in found if each is not None]
        x = self._quick.rows(list(items.values())) if len(held) == len(found) else None
        if x is None:
            return False
        now, move = self._clock(), self._held.move_to_end
        self._stepping.advance(x, np.array([each.row for each in held]))
        for key, each in zip(items, held, strict=True):
            each.steps += 1
            each.used = now
            move(key)
        return True

    def _encode(self, items: Mapping[Hashable, Any]) -> _Taken:
        taken = _Taken()
        for key, item in items.items():
            try:
                self._may_begin(key)
                taken.pieces[key] = self._piece(key, item)
            except InputError as error:
                taken.errors[key] = error
        return taken

    def _piece(self, key: Hashable, item: Any) -> _Piece:
        quick = None if self._quick is None else self._quick.row(item)
        if quick is not None:
            return _Piece(x=quick.copy(), memory=None)
        held = self._held.get(key)
        encoded, memory = self._predictor.step(item, _remembered(held))
        return _Piece(x=self._enter(encoded), memory=memory)

    def _enter(self, encoded: Ragged) -> Array:
        if int(encoded.offsets[-1]):
            return self._stepping.enter(encoded)
        return np.zeros((0, self._stepping.inputs), np.float32)

    def _features(self, taken: _Taken, static: Mapping[Hashable, Any]) -> dict[Hashable, Array | None]:
        """Scaled static features of the streams that begin; what cannot be read becomes an error of its key."""
        found = {}
        for key in list(taken.pieces):
            try:
                if key not in self._held:
                    found[key] = scaled_features(self._predictor, static.get(key))
                elif static.get(key) is not None:
                    raise DataError(
                        f"static of {key!r} was given before: a stream has it from its beginning on"
                    )
            except InputError as error:
                taken.errors[key] = error
                del taken.pieces[key]
        return found

    def _advance(self, pieces: Mapping[Hashable, _Piece]) -> None:
        """Step by step: the first steps of all streams together, then the second ones, ..."""
        left = [(self._held[key].row, piece.x) for key, piece in pieces.items() if len(piece.x)]
        step = 0
        while len(left) > 1:
            x = np.concatenate([x[step : step + 1] for _, x in left])
            self._stepping.advance(x, np.array([row for row, _ in left]))
            step += 1
            left = [(row, x) for row, x in left if len(x) > step]
        for row, x in left:
            self._stepping.extend(x[step:], row)

    def _begin(self, key: Hashable, static: Array | None) -> None:
        """Give a new stream a row, making room by growing or by evicting that which waits longest."""
        self._make_room()
        if not self._free:
            before = self._stepping.rows
            self._stepping.grow(min(2 * before, self._max))
            self._free = list(range(before, self._stepping.rows))
        self._anew(key, self._free.pop(), static)

    def _release(self, held: _Held) -> None:
        self._free.append(held.row)

    def steps(self, key: Hashable) -> int:
        """Steps (tokens) that a stream has taken."""
        with self._lock:
            return self._of(key).steps

    def outputs(self, keys: Sequence[Hashable]) -> Array:
        """(n, outputs) numbers that leave the model for n streams, before softmax or unscaling."""
        with self._lock:
            held = [self._of(key) for key in keys]
            if not held:
                return np.zeros((0, self._predictor.head.outputs), np.float32)
            parts = [each.static for each in held if each.static is not None]
            made: Array = self._stepping.outputs(
                np.array([each.row for each in held]),
                np.array([each.steps for each in held]),
                np.concatenate(parts) if parts else None,
            )
            return made

    def result(self, key: Hashable) -> dict[str, Any]:
        """The record of one stream, as `Stream.result`; raises LostStreamError where the key is not held."""
        return self.results([key])[key]

    def results(self, keys: Iterable[Hashable]) -> dict[Hashable, dict[str, Any]]:
        """The records of several streams, worked out together."""
        names = list(dict.fromkeys(keys))
        return dict(zip(names, self._predictor.records_of(self.outputs(names)), strict=True))

    def predict(self, key: Hashable) -> Any:
        """What `model.predict` gives for the steps of one stream so far."""
        return self._predictor.answers(self.outputs([key]))[0]

    def probabilities(self, key: Hashable) -> Array:
        """(C,) probabilities of one stream; raises SpecError where the model has none."""
        return probabilities_of(self._predictor, self.outputs([key])[0])

    def state(self, key: Hashable) -> dict[str, Any]:
        """All that one stream remembers, as `Stream.state`: a `Stream` takes it as well."""
        with self._lock:
            return self._state(self._of(key))

    def snapshot(self, key: Hashable) -> bytes:
        """The state of one stream as bytes."""
        return state_bytes(self.state(key))

    def _state(self, held: _Held) -> dict[str, Any]:
        record = Remembered(
            steps=held.steps,
            memory=held.memory,
            static=held.static,
            arrays=self._stepping.read(held.row),
        )
        return state_record(record, model=self._predictor.identity, look_ahead=self._look_ahead)

    def restore(self, key: Hashable, state: Any) -> None:
        """Begin a stream, or replace it, with a `state` or `snapshot`; raises StateError, and nothing changes."""
        with self._lock:
            self._evict_idle()
            held = remembered(self._predictor, state, self._look_ahead, self._stepping.shapes())
            if key not in self._held:
                self._begin(key, held.static)
            mine = self._held[key]
            self._stepping.write(mine.row, held.arrays)
            mine.steps, mine.memory, mine.static = held.steps, held.memory, held.static
            self._touch(key, self._clock())

    def reset(self, key: Hashable) -> None:
        """Begin a stream anew, with the static features that it has; raises LostStreamError where there is none."""
        with self._lock:
            held = self._of(key)
            self._anew(key, held.row, held.static)

    def _anew(self, key: Hashable, row: int, static: Array | None) -> None:
        self._stepping.reset(np.array([row]))
        self._held[key] = _Held(row=row, static=static, used=self._clock())
        self._held.move_to_end(key)


def _remembered(held: _Held | None) -> dict[str, Any] | None:
    return None if held is None or held.memory is None else dict(held.memory)
