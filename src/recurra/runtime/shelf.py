"""Sequences that are held by key: bounded in number and in time, the one that waits longest goes first."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from recurra.errors import LostStreamError, SpecError, nearest

LOST = ("restart", "error")

OnEvict = Callable[[Hashable, dict[str, Any]], None]
Clock = Callable[[], float]


@dataclass(kw_only=True)
class Kept:
    """What is held under a key. used: when something was last pushed to it."""

    used: float


HeldT = TypeVar("HeldT", bound=Kept)


class Shelf(ABC, Generic[HeldT]):
    """Base of streams by key. At most `max_streams` are held, none longer than `idle_seconds` without a push."""

    def __init__(
        self,
        *,
        max_streams: int,
        idle_seconds: float | None,
        lost: str,
        on_evict: OnEvict | None,
        clock: Clock,
    ) -> None:
        _check(max_streams, idle_seconds, lost)
        self._max, self._idle, self._lost = max_streams, idle_seconds, lost
        self._on_evict, self._clock = on_evict, clock
        self._held: OrderedDict[Hashable, HeldT] = OrderedDict()
        self._evicted: Counter[str] = Counter()
        self._lock = threading.RLock()

    @abstractmethod
    def _state(self, held: HeldT) -> dict[str, Any]:
        """All that a stream remembers."""

    def _release(self, held: HeldT) -> None:
        """Take back what a stream had that goes."""

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

    def drop(self, key: Hashable) -> None:
        """Forget a stream; nothing happens where there is none."""
        with self._lock:
            held = self._held.pop(key, None)
            if held is not None:
                self._release(held)

    def _touch(self, key: Hashable, now: float) -> None:
        self._held[key].used = now
        self._held.move_to_end(key)

    def _make_room(self) -> None:
        if len(self._held) >= self._max:
            self._evict(next(iter(self._held)), "room")

    def _evict_idle(self) -> None:
        if self._idle is None:
            return
        bound = self._clock() - self._idle
        while self._held and next(iter(self._held.values())).used < bound:
            self._evict(next(iter(self._held)), "idle")

    def _evict(self, key: Hashable, why: str) -> None:
        if self._on_evict is not None:
            self._on_evict(key, self._state(self._held[key]))
        self._release(self._held.pop(key))
        self._evicted[why] += 1

    def _at_most(self, count: int) -> None:
        if count > self._max:
            raise SpecError(f"push_many takes at most max_streams={self._max} keys at once, got {count}")

    def _of(self, key: Hashable) -> HeldT:
        self._evict_idle()
        if key not in self._held:
            raise self._lost_error(key)
        return self._held[key]

    def _may_begin(self, key: Hashable) -> None:
        """Raises LostStreamError for a key that is not held where a push may not begin one."""
        if key not in self._held and self._lost == "error":
            raise self._lost_error(key)

    def _lost_error(self, key: Hashable) -> LostStreamError:
        return LostStreamError(
            f"no stream {key!r:.80} is held: it was never begun here, or it was evicted (max_streams={self._max}, "
            f"idle_seconds={self._idle}); start it anew, or restore a state of it"
        )


def _check(max_streams: Any, idle_seconds: Any, lost: Any) -> None:
    if isinstance(max_streams, bool) or not isinstance(max_streams, int) or max_streams < 1:
        raise SpecError(f"max_streams must be a whole number of at least 1, got {max_streams!r}")
    if idle_seconds is not None and not (isinstance(idle_seconds, (int, float)) and idle_seconds > 0):
        raise SpecError(f"idle_seconds must be a number above 0 or None, got {idle_seconds!r}")
    if lost not in LOST:
        raise SpecError(f"lost must be 'restart' or 'error', got {lost!r}{nearest(str(lost), LOST)}")
