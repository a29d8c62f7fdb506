"""Where the time of a piece of work goes: functions wrapped so that each second is counted once."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any


class Stopwatch:
    """Seconds by name. Time in a wrapped function that another one called is the inner one's alone.

    closed: names within which nothing is told apart: all of their time is their own.
    """

    def __init__(self, closed: Container[str] = ()) -> None:
        self.closed = closed
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._open: list[tuple[str, float]] = []

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, on the watch."""

        @functools.wraps(function, updated=())
        def timed(*args: Any, **kwargs: Any) -> Any:
            if any(running in self.closed for running, _ in self._open):
                return function(*args, **kwargs)
            self._switch()
            self._open.append((name, time.perf_counter()))
            self.calls[name] += 1
            try:
                return function(*args, **kwargs)
            finally:
                self._switch()
                self._open.pop()

        return timed

    def _switch(self) -> None:
        """Count the running piece up to now, and let the one below go on from now."""
        now = time.perf_counter()
        if self._open:
            name, since = self._open[-1]
            self.seconds[name] += now - since
            self._open[-1] = (name, now)
            if len(self._open) > 1:
                self._open[-2] = (self._open[-2][0], now)

    @contextmanager
    def watching(self, places: Mapping[str, Sequence[tuple[Any, str]]]) -> Iterator[None]:
        """Within, the functions at these places (owner, attribute) are on the watch, by name."""
        held = [(owner, attribute, getattr(owner, attribute))
                for spots in places.values() for owner, attribute in spots]  # fmt: skip
        for name, spots in places.items():
            for owner, attribute in spots:
                setattr(owner, attribute, self.wrap(name, getattr(owner, attribute)))
        try:
            yield
        finally:
            for owner, attribute, function in held:
                setattr(owner, attribute, function)
