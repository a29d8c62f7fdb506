"""What a person sees of a whole comparison on a terminal: how many runs are done, and the run that is on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TextIO

from recurra.training.callbacks import BeginEvent, Callback, EpochEvent, StepEvent


class Board:
    """Two bars at the foot of a terminal, the lines of `say` above them. Drawn while entered.

    runs: of the whole grid; done: of those, how many are there already. stream: None: standard error.
    """

    def __init__(self, runs: int, done: int, stream: TextIO | None = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[words]}"),
            console=Console(file=sys.stderr if stream is None else stream),
            transient=True,
        )
        self._grid = self._bars.add_task("runs", total=runs, completed=done, words="")
        self._run = self._bars.add_task("epochs", total=None, visible=False, words="")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def begin(self, words: str) -> Callback:
        """A run begins; what it answers listens to its training."""
        self._bars.update(self._grid, words=words)
        return _Listener(lambda **fields: self._bars.update(self._run, **fields))

    def end(self) -> None:
        """A run is done."""
        self._bars.update(self._run, visible=False)
        self._bars.advance(self._grid)


class _Listener(Callback):
    """Tells a bar how far one training is."""

    def __init__(self, update: Callable[..., Any]) -> None:
        self._update = update

    def on_begin(self, event: BeginEvent) -> None:
        self._update(total=event.epochs, completed=event.done, visible=True, words="")

    def on_step(self, event: StepEvent) -> bool | None:
        self._update(completed=event.epoch - 1 + event.step / event.steps, words=f"loss {event.loss:.4g}")
        return None

    def on_epoch(self, event: EpochEvent) -> bool | None:
        shown = next((f"{name} {score:.4g}" for name, score in event.scores.items() if name != "loss"), "")
        self._update(completed=event.epoch, words=shown)
        return None
