"""Ctrl-C and SIGTERM: the step is finished, the work saved, and only then training ends."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self

NAMES = {signal.SIGINT: "Ctrl-C (SIGINT)", signal.SIGTERM: "SIGTERM"}


class Signals:
    """While entered, the first SIGINT or SIGTERM is kept in `received`; a second one acts at once.

    Outside of the main thread, and for a signal that the process ignores, nothing is changed. The
    handlers found are put back at the end.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in NAMES:
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):
                    self._before[number] = before
                    signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before = {}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received = signal.Signals(number)
            return
        self.__exit__()
        signal.raise_signal(number)

    @property
    def exit_code(self) -> int:
        """The exit code that says which signal it was: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + int(self.received or 0)
