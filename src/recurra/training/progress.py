"""What a person sees of training: a bar on a terminal, plain lines elsewhere; always on standard error."""

from __future__ import annotations

import math
import sys
import time
from typing import Any, TextIO

from recurra.errors import SpecError
from recurra.training.callbacks import BeginEvent, Callback, EpochEvent, StepEvent

LINE_SECONDS = 30.0
"""Between two lines within an epoch, where there is no bar."""


def make_progress(progress: str | Callback | None, stream: TextIO | None = None) -> Callback | None:
    """Return what shows the progress.

    progress: None shows nothing; "auto" a bar on a terminal and lines elsewhere; "bar"; "lines"; or any
    callback.
    """
    out = sys.stderr if stream is None else stream
    if progress is None or isinstance(progress, Callback):
        return progress
    if progress not in ("auto", "bar", "lines"):
        raise SpecError(f"progress must be None, 'auto', 'bar', 'lines' or a callback, got {progress!r}")
    if progress == "bar" or (progress == "auto" and out.isatty()):
        return Bar(out)
    return Lines(out)


def greeting(event: BeginEvent) -> list[str]:
    """Return the lines that say what is about to be trained, and where."""
    resumed = f", resumed after {event.done} epochs" if event.done else ""
    first = (
        f"training {event.parameters:,} parameters on {event.sequences:,} sequences for {event.epochs} "
        f"epochs on {event.device}; best by {event.monitor}; learning rate {event.learning_rate:.3g}{resumed}"
    )
    return [first, *event.notes]


def epoch_line(event: EpochEvent, speed: float, left: float | None) -> str:
    """Return one line about an epoch: losses, scores, gradient norm, speed and the time that is left."""
    record = event.record
    scores = [f"{name} {_short(value)}" for name, value in record.items() if name.startswith("validation_")]
    parts = [
        f"epoch {event.epoch}/{event.epochs}",
        f"loss {_short(record['train_loss'])}",
        *(scores or [f"train_{name} {_short(value)}" for name, value in event.scores.items()]),
        f"gradient norm {_short(record['gradient_norm'])}",
        f"rate {record['learning_rate']:.3g}",
        f"{speed:,.0f} sequences/s",
    ]
    parts += [f"skipped {record['skipped']} steps"] if record["skipped"] else []
    parts += [f"left {duration(left)}"] if left is not None else []
    return "  ".join(parts) + ("  best" if event.improved else "")


def duration(seconds: float) -> str:
    """Return a time as 0:07, 12:34 or 1:02:03."""
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def _short(value: float | None) -> str:
    return "not finite" if value is None or not math.isfinite(value) else f"{value:.4g}"


class _Clock(Callback):
    """Counts sequences and time of this sitting; the base of both forms."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._done = 0.0
        self._first = 0.0
        self._epoch_begun = self._begun
        self._epoch_sequences = 0

    def on_begin(self, event: BeginEvent) -> None:
        self._begun = self._epoch_begun = time.monotonic()
        self._done = self._first = float(event.done)

    def on_step(self, event: StepEvent) -> bool | None:
        if self._done == self._first and event.step > 1:
            self._first = event.epoch - 1 + (event.step - 1) / event.steps  # resumed within an epoch
        self._done = event.epoch - 1 + event.step / event.steps
        self._epoch_sequences += event.sequences
        return None

    def on_epoch(self, event: EpochEvent) -> bool | None:
        self._epoch_begun, self._epoch_sequences = time.monotonic(), 0
        return None

    def speed(self) -> float:
        """Sequences per second in this epoch."""
        return self._epoch_sequences / max(1e-9, time.monotonic() - self._epoch_begun)

    def left(self, epochs: int) -> float | None:
        """Seconds that are left at the speed so far; None before there is one."""
        done = self._done - self._first
        return (time.monotonic() - self._begun) / done * (epochs - self._done) if done > 0 else None


class Lines(_Clock):
    """One line per epoch, and one every half minute within long epochs."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream: TextIO | None = stream
        self._epochs = 0
        self._said = time.monotonic()

    def on_begin(self, event: BeginEvent) -> None:
        super().on_begin(event)
        self._epochs = event.epochs
        for line in greeting(event):
            self._say(line)

    def on_step(self, event: StepEvent) -> bool | None:
        super().on_step(event)
        if time.monotonic() - self._said >= LINE_SECONDS:
            left = self.left(self._epochs)
            self._say(
                f"epoch {event.epoch}/{self._epochs}  step {event.step}/{event.steps}  "
                f"loss {_short(event.loss)}  gradient norm {_short(event.gradient_norm)}  "
                f"{self.speed():,.0f} sequences/s" + ("" if left is None else f"  left {duration(left)}")
            )
        return None

    def on_epoch(self, event: EpochEvent) -> bool | None:
        self._say(epoch_line(event, self.speed(), self.left(event.epochs)))
        return super().on_epoch(event)

    def _say(self, line: str) -> None:
        self._said = time.monotonic()
        if self._stream is None:
            return
        try:
            print(line, file=self._stream, flush=True)
        except (OSError, ValueError):  # whoever read it is gone; training goes on
            self._stream = None


class Bar(_Clock):
    """A bar with loss, score, gradient norm, speed and the time left, and a line for every epoch."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._bar: Any = None
        self._task: Any = None

    def on_begin(self, event: BeginEvent) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        super().on_begin(event)
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.total}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]}  {task.fields[score]}  norm {task.fields[norm]}"),
            TextColumn("{task.fields[speed]} seq/s"),
            TimeRemainingColumn(),
            console=Console(file=self._stream),
            transient=True,
        )
        self._bar.start()
        for line in greeting(event):
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        fields = {
            "epoch": event.done + 1,
            "loss": "-",
            "score": f"{event.monitor} -",
            "norm": "-",
            "speed": "-",
        }
        self._task = self._bar.add_task("", total=event.epochs, completed=event.done, **fields)
        self._monitor = event.monitor

    def on_step(self, event: StepEvent) -> bool | None:
        super().on_step(event)
        self._bar.update(
            self._task,
            completed=self._done,
            epoch=event.epoch,
            loss=_short(event.loss),
            norm=_short(event.gradient_norm),
            speed=f"{self.speed():,.0f}",
        )
        return None

    def on_epoch(self, event: EpochEvent) -> bool | None:
        line = epoch_line(event, self.speed(), self.left(event.epochs))
        self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        score = event.scores.get(self._monitor)
        self._bar.update(self._task, score=f"{self._monitor} {_short(score)}")
        return super().on_epoch(event)

    def on_end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
