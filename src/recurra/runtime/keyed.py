"""Many sequences that arrive step by step, by key, in one object: batched, bounded, safe between threads."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra.errors import DataError, InputError, LostStreamError, SpecError, nearest
from recurra.ragged import Array, Ragged
from recurra.runtime.intake import quick_numbers
from recurra.runtime.state import Remembered, state_bytes, state_record
from recurra.runtime.stream import probabilities_of, remembered, scaled_features

if TYPE_CHECKING:
    from recurra.runtime.predictor import Predictor

FIRST_ROWS = 16
LOST = ("restart", "error")

OnEvict = Callable[[Hashable, dict[str, Any]], None]


@dataclass(kw_only=True)
class _Held:
    """One stream: its row, and what is not in the row."""

    row: int
    static: Array | None
    used: float
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


class Streams:
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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        _check(max_streams, idle_seconds, lost)
        predictor.encoder.check_stream()
        self._predictor, self._look_ahead = predictor, look_ahead
        self._max, self._idle, self._lost = max_streams, idle_seconds, lost
        self._on_evict, self._clock = on_evict, clock
        rows = min(FIRST_ROWS, max_streams)
        self._stepping = predictor.begun(rows=rows, look_ahead=look_ahead)
        self._free = list(range(rows))
        self._quick = quick_numbers(predictor.encoder)
        self._held: OrderedDict[Hashable, _Held] = OrderedDict()
        self._evicted: Counter[str] = Counter()
        self._lock = threading.RLock()

    def __len__(self) -> int:
        with self._lock:
            self._evict_idle()
            return len(self._held)

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            self._evict_idle()
            return key in self._held

    def keys(self) -> list[Hashable]:
        """The keys that are held, that which was pushed to longest ago first."""
        with self._lock:
            self._evict_idle()
            return list(self._held)

    @property
    def evicted(self) -> dict[str, int]:
        """How many streams were evicted so far: "idle" for time, "room" for others' sake."""
        with self._lock:
            return {"idle": self._evicted["idle"], "room": self._evicted["room"]}

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
        if len(items) > self._max:
            raise SpecError(f"push_many takes at most max_streams={self._max} keys at once, got {len(items)}")
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

    def _touch(self, key: Hashable, now: float) -> None:
        self._held[key].used = now
        self._held.move_to_end(key)

    def _encode(self, items: Mapping[Hashable, Any]) -> _Taken:
        taken = _Taken()
        for key, item in items.items():
            try:
                if key not in self._held and self._lost == "error":
                    raise self._lost_error(key)
                taken.pieces[key] = self._piece(key, item)
            except InputError as error:
                taken.errors[key] = error
        return taken

    def _piece(self, key: Hashable, item: Any) -> _Piece:
        quick = None if self._quick is None else self._quick.row(item)
        if quick is not None:
            return _Piece(x=quick.copy(), memory=None)
        held = self._held.get(key)
        encoded, memory = self._predictor.encoder.step(item, _remembered(held))
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
        if not self._free and len(self._held) >= self._max:
            self._evict(next(iter(self._held)), "room")
        if not self._free:
            before = self._stepping.rows
            self._stepping.grow(min(2 * before, self._max))
            self._free = list(range(before, self._stepping.rows))
        self._anew(key, self._free.pop(), static)

    def _evict_idle(self) -> None:
        if self._idle is None:
            return
        bound = self._clock() - self._idle
        while self._held and next(iter(self._held.values())).used < bound:
            self._evict(next(iter(self._held)), "idle")

    def _evict(self, key: Hashable, why: str) -> None:
        if self._on_evict is not None:
            self._on_evict(key, self._state(self._held[key]))
        self._free.append(self._held.pop(key).row)
        self._evicted[why] += 1

    def drop(self, key: Hashable) -> None:
        """Forget a stream; nothing happens where there is none."""
        with self._lock:
            held = self._held.pop(key, None)
            if held is not None:
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

    def _of(self, key: Hashable) -> _Held:
        self._evict_idle()
        if key not in self._held:
            raise self._lost_error(key)
        return self._held[key]

    def _lost_error(self, key: Hashable) -> LostStreamError:
        return LostStreamError(
            f"no stream {key!r:.80} is held: it was never begun here, or it was evicted (max_streams={self._max}, "
            f"idle_seconds={self._idle}); start it anew, or restore a state of it"
        )


def _remembered(held: _Held | None) -> dict[str, Any] | None:
    return None if held is None or held.memory is None else dict(held.memory)


def _check(max_streams: Any, idle_seconds: Any, lost: Any) -> None:
    if isinstance(max_streams, bool) or not isinstance(max_streams, int) or max_streams < 1:
        raise SpecError(f"max_streams must be a whole number of at least 1, got {max_streams!r}")
    if idle_seconds is not None and not (isinstance(idle_seconds, (int, float)) and idle_seconds > 0):
        raise SpecError(f"idle_seconds must be a number above 0 or None, got {idle_seconds!r}")
    if lost not in LOST:
        raise SpecError(f"lost must be 'restart' or 'error', got {lost!r}{nearest(str(lost), LOST)}")
