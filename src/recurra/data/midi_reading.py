"""Standard MIDI files as piano rolls: which of the 88 keys sound in each step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from recurra.data.piano import KEYS, LOWEST_KEY
from recurra.errors import DataError
from recurra.ragged import Array

MOST_STEPS = 200_000
"""Steps of a piece that are read at most: seventeen hours of eighths, so that a broken file does not fill memory."""

PERCUSSION = 9
"""The channel whose keys are drums and no pitches."""

Note: TypeAlias = tuple[int, int, int]
"""Key, first tick, last tick."""

_HEADER = 14
_DATA_BYTES = {0x80: 2, 0x90: 2, 0xA0: 2, 0xB0: 2, 0xC0: 1, 0xD0: 1, 0xE0: 2}


def read_midi(data: bytes, source: str, *, steps_per_quarter: int = 2) -> Array:
    """(T, 88) uint8, 1 where a key sounds: all tracks of a MIDI file (format 0 or 1) on a grid of steps.

    A note sounds from the step nearest to its beginning to that nearest to its end, one step at least. Percussion and
    keys beyond the piano are left out; loudness, pedals and tempo are not read. The file ends where its longest track
    does. What `write_midi` wrote with the same steps_per_quarter is read back as it was.

    Raises DataError for anything that is no such file.
    """
    ticks, notes, length = _notes(data, source)
    key, first, last = np.array(notes, dtype=np.int64).reshape(-1, 3).T
    heard = (key >= LOWEST_KEY) & (key < LOWEST_KEY + KEYS)
    begin, end = (_nearest(tick[heard], steps_per_quarter, ticks) for tick in (first, last))
    end = np.maximum(begin + 1, end)
    steps = max(_nearest(length, steps_per_quarter, ticks), int(end.max(initial=0)))
    if steps > MOST_STEPS:
        raise DataError(f"{source} is {steps:,} steps long; at most {MOST_STEPS:,} are read, is it damaged?")
    # Notes that begin less those that have ended: however many there are, and however long, it takes one walk.
    changes = np.zeros((steps + 1, KEYS), np.int32)
    for places, change in ((begin, 1), (end, -1)):
        np.add.at(changes, (places, key[heard] - LOWEST_KEY), change)
    roll: Array = (np.cumsum(changes, axis=0)[:steps] > 0).astype(np.uint8)
    return roll


def _nearest(tick: Any, steps_per_quarter: int, ticks: int) -> Any:
    """The step nearest to a tick; halves go up."""
    return (2 * tick * steps_per_quarter + ticks) // (2 * ticks)


def _notes(data: bytes, source: str) -> tuple[int, list[Note], int]:
    """Ticks of a quarter note, the notes of all tracks, and the last tick."""
    if data[:4] != b"MThd" or len(data) < _HEADER or int.from_bytes(data[4:8], "big") < 6:
        raise DataError(f"{source} is no standard MIDI file: it does not begin with its header")
    kind, tracks, ticks = (int.from_bytes(data[at : at + 2], "big") for at in (8, 10, 12))
    if kind > 1 or not 0 < ticks < 0x8000:
        raise DataError(
            f"{source} must be of format 0 or 1 in ticks per quarter note, got format {kind}, division {ticks:#x}"
        )
    place, notes, length = 8 + int.from_bytes(data[4:8], "big"), [], 0
    while tracks and place < len(data):
        size = int.from_bytes(data[place + 4 : place + 8], "big")
        begin, name = place + 8, data[place : place + 4]
        place = begin + size
        if place > len(data):
            raise DataError(f"{source} ends in the middle of a track; is it complete?")
        if name == b"MTrk":
            found, last = _Track(data=data, place=begin, end=place, source=source).notes()
            notes += found
            length, tracks = max(length, last), tracks - 1
    if tracks:
        raise DataError(f"{source} lacks {tracks} of its tracks; is it complete?")
    return ticks, notes, length


@dataclass(kw_only=True)
class _Track:
    """The bytes of one track from `place` to `end`."""

    data: bytes
    place: int
    end: int
    source: str

    def notes(self) -> tuple[list[Note], int]:
        """The notes in the order of their ends, and the last tick; a note that is never ended ends with the track."""
        now, begun, found = 0, dict[tuple[int, int], int](), list[Note]()
        for wait, status, key, loudness in self._events():
            now += wait
            channel, kind = status & 0x0F, status & 0xF0
            if kind not in (0x80, 0x90) or channel == PERCUSSION:
                continue
            first = begun.pop((channel, key), None)
            if first is not None:
                found.append((key, first, now))
            if kind == 0x90 and loudness:
                begun[channel, key] = now
        return found + [(key, first, now) for (_, key), first in begun.items()], now

    def _events(self) -> Iterator[tuple[int, int, int, int]]:
        """(ticks since the one before, status, two bytes of data) of each event; 0xFF for what is no sound."""
        status = 0
        while self.place < self.end:
            wait, first = self._number(), self._byte()
            if first in (0xF0, 0xF7, 0xFF):
                ended = first == 0xFF and self._byte() == 0x2F
                self._skip(self._number())
                yield wait, 0xFF, 0, 0
                if ended:
                    return
                status = 0
                continue
            if first >= 0x80:
                status, first = first, self._byte()
            if status & 0xF0 not in _DATA_BYTES or first >= 0x80:
                raise DataError(
                    f"{self.source}: byte {self.place - 1} is no MIDI event; is the file damaged?"
                )
            yield wait, status, first, self._byte() if _DATA_BYTES[status & 0xF0] == 2 else 0

    def _byte(self) -> int:
        if self.place >= self.end:
            raise DataError(f"{self.source}: a track ends in the middle of an event; is the file damaged?")
        self.place += 1
        return self.data[self.place - 1]

    def _number(self) -> int:
        """A number in groups of seven bits, four at most, the last without the high bit."""
        number = 0
        for _ in range(4):
            byte = self._byte()
            number = number << 7 | byte & 0x7F
            if byte < 0x80:
                return number
        raise DataError(
            f"{self.source}: byte {self.place - 1} goes on with a number that is too long; is the file damaged?"
        )

    def _skip(self, count: int) -> None:
        self.place += count
        if self.place > self.end:
            raise DataError(f"{self.source}: a track ends in the middle of an event; is the file damaged?")
