"""Piano rolls as standard MIDI files, which every player and notation program opens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from recurra.data.piano import LOWEST_KEY
from recurra.errors import DataError
from recurra.ragged import Array
from recurra.storage import atomic_write_bytes

TICKS = 480
"""Ticks of a quarter note."""

MICROSECONDS_PER_MINUTE = 60_000_000


def write_midi(
    path: str | Path,
    roll: Any,
    *,
    lowest: int = LOWEST_KEY,
    steps_per_quarter: int = 2,
    tempo: float = 100.0,
    velocity: int = 80,
) -> Path:
    """Write a piano roll as a MIDI file of one track (format 0); returns its path.

    roll: (T, K), nonzero where a key sounds in a step; steps in a row are one held note. lowest: MIDI number of the
    first of the K keys. steps_per_quarter: steps of a quarter note; 2 for the eighths of the JSB chorales. tempo:
    quarter notes per minute. velocity: loudness, 1 to 127. Raises DataError for what MIDI cannot say.
    """
    keys = np.asarray(roll)
    if keys.ndim != 2:
        raise DataError(f"roll must have the shape (steps, keys), got {keys.shape}")
    if not 0 <= lowest <= lowest + keys.shape[1] - 1 <= 127:
        raise DataError(
            f"lowest={lowest} with {keys.shape[1]} keys must stay within MIDI's numbers 0 to 127; use another lowest"
        )
    if TICKS % steps_per_quarter or not 4 <= tempo <= 1000 or not 1 <= velocity <= 127:
        raise DataError(
            f"steps_per_quarter must divide {TICKS}, tempo lie between 4 and 1000 and velocity between 1 and 127, "
            f"got {steps_per_quarter}, {tempo} and {velocity}"
        )
    track = b"".join(_events(keys != 0, lowest, TICKS // steps_per_quarter, tempo, velocity))
    header = b"MThd" + (6).to_bytes(4, "big") + b"".join(n.to_bytes(2, "big") for n in (0, 1, TICKS))
    atomic_write_bytes(path, header + b"MTrk" + len(track).to_bytes(4, "big") + track)
    return Path(path)


def _events(keys: Array, lowest: int, ticks: int, tempo: float, velocity: int) -> Iterator[bytes]:
    """The events of the track, each behind the ticks since the one before."""
    yield b"\x00\xff\x51\x03" + round(MICROSECONDS_PER_MINUTE / tempo).to_bytes(3, "big")
    silent = np.zeros((1, keys.shape[1]), dtype=bool)
    changes = np.diff(np.concatenate([silent, keys, silent]).astype(np.int8), axis=0)
    told = 0
    for step, change in enumerate(changes):
        # What ends is said before what begins.
        for key in (*np.flatnonzero(change < 0), *np.flatnonzero(change > 0)):
            status, loudness = (0x90, velocity) if change[key] > 0 else (0x80, 0)
            yield _variable((step - told) * ticks) + bytes([status, lowest + int(key), loudness])
            told = step
    yield _variable((len(keys) - told) * ticks) + b"\xff\x2f\x00"


def _variable(number: int) -> bytes:
    """A number in groups of seven bits, the last without the high bit."""
    made = [number & 0x7F]
    while number := number >> 7:
        made.append(0x80 | number & 0x7F)
    return bytes(reversed(made))
