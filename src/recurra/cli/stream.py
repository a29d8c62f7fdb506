"""`recurra stream MODEL`: JSON lines in, JSON lines out, one step each, state kept per key, without torch."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from recurra.cli.under import Condition, under
from recurra.errors import Interrupted

MAX_LINE = 64 << 20
"""Bytes of a line that are kept; a longer one is answered by an error."""

MOST_LINES = 256
"""Lines that are answered together at most."""

_BLOCK = 1 << 16
_PIECE = select.PIPE_BUF
"""Bytes that a pipe takes as one, and has room for where it is ready."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="stream")(stream)


def stream(
    model: Annotated[str, typer.Argument(help="Folder of a bundle.")],
    max_streams: Annotated[
        int, typer.Option(help="Streams held at a time; for one more, the one that waits longest goes.")
    ] = 10_000,
    idle_seconds: Annotated[
        float | None, typer.Option(help="Forget streams that nothing came for in this time.")
    ] = None,
    lost: Annotated[
        str,
        typer.Option(help="What a key that is not held does: restart, or error (streams begin by reset)."),
    ] = "restart",
    condition: Condition = None,
    look_ahead: Annotated[
        int | None, typer.Option(help="For a bidirectional model: the last steps that it reads back over.")
    ] = None,
) -> None:
    """Answer step by step: `{"key": ..., "input": ...}` per line in, `{"key", "steps", ...}` per line out.

    Further fields in: "text" for "input", "static", "reset": true, "state", and of a tagger "end": true. A line
    that cannot be read is answered by an error in its place, and the stream goes on. Lines are read only as fast
    as answers are taken.
    """
    from recurra.runtime import load
    from recurra.runtime.wire import Wire, as_line

    predictor = under(load(model), condition)
    streams = predictor.streams(
        max_streams=max_streams, idle_seconds=idle_seconds, lost=lost, look_ahead=look_ahead
    )
    wire = Wire(streams, most=min(MOST_LINES, max_streams))
    try:
        with _stoppable() as stop:
            for lines in waiting_lines(sys.stdin.fileno(), stop):
                stop.write(sys.stdout.fileno(), [as_line(answer) for answer in wire.answer(lines)])
    except BrokenPipeError:
        # Whoever took the answers has gone. What is still buffered goes nowhere, without another complaint.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(141) from None


class _Stop:
    """Whether a signal asked to end: at once while waiting for a pipe, else after the lines at hand."""

    def __init__(self) -> None:
        self.asked: Interrupted | None = None
        self.waiting = False

    def on_signal(self, number: int, frame: Any) -> None:
        self.asked = Interrupted(f"stopped by {signal.Signals(number).name}", 128 + number)
        if self.waiting:
            self.check()

    def check(self) -> None:
        if self.asked is not None:
            self.waiting = False
            raise self.asked

    def read(self, descriptor: int) -> bytes:
        """Up to a block of bytes; raises Interrupted where a signal came."""
        self.waiting = True
        self.check()
        block = os.read(descriptor, _BLOCK)
        self.waiting = False
        return block

    def write(self, descriptor: int, lines: list[bytes]) -> None:
        """Write lines; raises Interrupted where a signal comes while nobody takes them.

        As many whole lines at a time as a pipe takes in one piece, so that none is torn.
        """
        for part in _parts(lines):
            rest = memoryview(part)
            while rest:
                if not select.select([], [descriptor], [], 0)[1]:
                    self.waiting = True
                    self.check()
                    select.select([], [descriptor], [])
                    self.waiting = False
                rest = rest[os.write(descriptor, rest[:_PIECE]) :]


def _parts(lines: list[bytes]) -> Iterator[bytes]:
    """Lines joined up to the piece that a pipe takes as one; a longer line stands alone."""
    part = b""
    for line in lines:
        if part and len(part) + len(line) > _PIECE:
            yield part
            part = b""
        part += line
    yield part


@contextmanager
def _stoppable() -> Iterator[_Stop]:
    stop = _Stop()
    main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGTERM, signal.SIGINT) if main else ()
    before = [signal.signal(number, stop.on_signal) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def waiting_lines(descriptor: int, stop: _Stop) -> Iterator[list[bytes | None]]:
    """Yield the lines that wait, at least one and at most `MOST_LINES`; None for one that is too long.

    Nothing is read while the caller is at work, so that whoever writes to us waits when we do.
    """
    lines: deque[bytes | None] = deque()
    rest, skipping, ended = bytearray(), False, False
    while not ended or lines:
        while not lines and not ended:
            block = stop.read(descriptor)
            ended = not block
            *whole, tail = block.split(b"\n")
            for part in whole:
                lines.append(None if skipping else bytes(rest + part))
                rest.clear()
                skipping = False
            rest += tail
            if len(rest) > MAX_LINE:
                rest.clear()
                skipping = True
            if ended and (rest or skipping):
                lines.append(None if skipping else bytes(rest))
        if lines:
            yield [lines.popleft() for _ in range(min(len(lines), MOST_LINES))]
            stop.check()
