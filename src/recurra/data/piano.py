"""The keys of a piano as 88 columns of 0 and 1 per step, and rolls that are written as lists of keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from recurra.data.array_files import SIGNAL
from recurra.data.files import PART_WORDS
from recurra.data.tables import Table
from recurra.errors import DataError
from recurra.ragged import Array

LOWEST_KEY = 21
"""The MIDI number of the lowest of a piano's 88 keys (A0)."""

KEYS = 88

KEY_NAMES = tuple(
    f"{('C', 'C#', 'D', 'D#', 'E', 'F', 'F#', 'G', 'G#', 'A', 'A#', 'B')[n % 12]}{n // 12 - 1}"
    for n in range(LOWEST_KEY, LOWEST_KEY + KEYS)
)
"""A0 to C8; C4 is the middle one."""

REST = -1
"""What stands for a voice that is silent."""

_OPENING = re.compile(rf'\s*\{{\s*"({"|".join(PART_WORDS)})"\s*:\s*\[\s*\[\s*\[')


def holds_rolls(text: str) -> bool:
    """Whether JSON begins as rolls by part do: `{"train": [[[60, 64], ...], ...], ...}`."""
    return _OPENING.match(text) is not None


def rolls_table(text: str, source: str) -> Table:
    """Read one JSON object of parts (train, valid, test), each a list of pieces: lists of steps, lists of MIDI keys.

    The layout of the JSB chorales and their kin. A step may be empty, -1 is a voice that is silent. Raises DataError.
    """
    try:
        parts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source} is not JSON: {error}") from None
    pieces: list[Array] = []
    split: list[str] = []
    for name, held in parts.items():
        if name.lower() not in PART_WORDS or not isinstance(held, list):
            raise DataError(f"{source}: {name!r:.40} must be train, valid or test with a list of pieces")
        pieces += [_roll(piece, f"{source}, {name}, piece {row}") for row, piece in enumerate(held, 1)]
        split += [PART_WORDS[name.lower()]] * len(held)
    return Table(columns={SIGNAL: pieces, "split": split}, source=source, features=KEY_NAMES)


def _roll(piece: Any, where: str) -> Array:
    if not isinstance(piece, list) or not all(isinstance(step, list) for step in piece):
        raise DataError(f"{where} must be a list of steps, each a list of keys")
    roll = np.zeros((len(piece), KEYS), np.uint8)
    for step, keys in enumerate(piece):
        for key in _keys(keys, f"{where}, step {step + 1}"):
            roll[step, key] = 1
    return roll


def _keys(keys: Sequence[Any], where: str) -> Iterator[int]:
    for key in keys:
        known = isinstance(key, (int, float)) and not isinstance(key, bool)
        if known and key == REST:
            continue
        if not known or not LOWEST_KEY <= key < LOWEST_KEY + KEYS or key != int(key):
            raise DataError(
                f"{where}: a key must be a MIDI number from {LOWEST_KEY} to {LOWEST_KEY + KEYS - 1}, got {key!r:.20}"
            )
        yield int(key) - LOWEST_KEY
