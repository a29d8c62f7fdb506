"""Sequences that occur more than once, and above all in more than one part of a split."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recurra.data.splits import Split
from recurra.ragged import Ragged


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Sequences of one part that also stand in another: those of the part named second are counted.

    example: a text that is in two parts, shortened; "" where there is none or the data are no texts.
    """

    train_validation: int = 0
    train_test: int = 0
    validation_test: int = 0
    example: str = ""

    @property
    def total(self) -> int:
        """Sum of the three counts."""
        return self.train_validation + self.train_test + self.validation_test

    @property
    def warning(self) -> str:
        """One sentence for people, "" where nothing stands in two parts."""
        if not self.total:
            return ""
        shown = f", such as {self.example!r}" if self.example else ""
        return (
            f"{self.train_validation} validation and {self.train_test} test sequences also stand in train, and "
            f"{self.validation_test} test sequences in validation{shown}: scores on them are too good"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def duplicates_across(inputs: Any, split: Split) -> Overlap:
    """Count exact duplicates across the parts of a split; texts are compared after NFC and case folding."""
    keys = sequence_keys(inputs)
    parts = [[keys[row] for row in part.tolist()] for part in split.parts()]
    train, validation, _ = (set(part) for part in parts)
    pairs = ((train, split.validation), (train, split.test), (validation, split.test))
    found = [[row for row in rows.tolist() if keys[row] in earlier] for earlier, rows in pairs]
    first = next((rows[0] for rows in found if rows), None)
    text = inputs[first] if first is not None and isinstance(inputs[first], str) else ""
    return Overlap(
        train_validation=len(found[0]),
        train_test=len(found[1]),
        validation_test=len(found[2]),
        example=text if len(text) <= 60 else text[:57] + "...",
    )


def duplicate_count(inputs: Any) -> int:
    """Return how many sequences occur earlier in the same data."""
    keys = sequence_keys(inputs)
    return len(keys) - len(set(keys))


def sequence_keys(inputs: Any) -> list[bytes]:
    """Return for each sequence a key that exactly its duplicates share."""
    if isinstance(inputs, Ragged):
        return [_ragged_key(inputs, row) for row in range(len(inputs))]
    return [_text_key(item) if isinstance(item, str) else _array_key(item) for item in inputs]


def _text_key(text: str) -> bytes:
    """Compare texts as readers do: composed characters, no case, no white space at the ends."""
    return (
        unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
        .strip()
        .encode("utf-8", "surrogatepass")
    )


def _array_key(item: Any) -> bytes:
    array = np.asarray(item)
    content = (
        repr(array.tolist()).encode("utf-8", "surrogatepass") if array.dtype == object else array.tobytes()
    )
    return hashlib.sha256(f"{array.dtype}{array.shape}".encode() + content).digest()


def _ragged_key(inputs: Ragged, row: int) -> bytes:
    begin, end = int(inputs.offsets[row]), int(inputs.offsets[row + 1])
    item = inputs[row]
    pieces = [_array_key(inner) for inner in item] if isinstance(item, Ragged) else [_array_key(item)]
    pieces += [
        _array_key(_relative(name, inputs.columns[name][begin:end])) for name in sorted(inputs.columns)
    ]
    return hashlib.sha256(b"".join(pieces)).digest()


def _relative(name: str, column: Any) -> Any:
    """Times count from the first step: a repeat at another time is a repeat."""
    return column - column[0] if name == "time" and len(column) else column
