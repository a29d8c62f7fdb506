"""Pretrained word vectors: GloVe and fastText as text, word2vec and fastText as binary files.

Only the rows of the words asked for are kept: a text file is read line by line, a binary one where it lies (mapped,
not read). Nothing is downloaded and nothing is executed.

| file | what it is told by |
|---|---|
| `.txt`, `.vec`, also `.gz` | a line per word and its numbers; a first line of two whole numbers is a header |
| `.bin` of word2vec | a header line "words numbers", then each word, a space and its float32 numbers |
| `.bin` of fastText | its magic number; words that it does not list are made of their character n-grams |
"""

from __future__ import annotations

import gzip
import mmap
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from recurra.errors import DataError
from recurra.ragged import Array

FASTTEXT_MAGIC = 793712314
_LONGEST_WORD = 4096
_MOST_NUMBERS = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """Vectors for a list of words.

    values: (W, D) float32, zeros where a word was not found. found: (W,) whether it was. how: in words, for the user.
    """

    values: Array
    found: Array
    how: str


def read_vectors(path: str | Path, words: Sequence[str]) -> Vectors:
    """Read the vectors of some words.

    A word that the file lacks takes that of its lower-case form, if there is one. Raises DataError, naming file and
    place, where the file is truncated or no such file.
    """
    place = Path(path)
    if not place.is_file():
        raise DataError(f"{path}: no such file of word vectors; give a .txt, .vec or .bin file")
    wanted: dict[str, None] = {}
    for word in words:
        wanted.update({word: None, word.lower(): None})
    if place.suffix.lower() == ".bin":
        rows, size, composed = _binary(place, wanted)
    else:
        (rows, size), composed = _text(place, wanted), 0
    values = np.zeros((len(words), size), dtype=np.float32)
    found = np.zeros(len(words), dtype=bool)
    for row, word in enumerate(words):
        vector = rows.get(word, rows.get(word.lower()))
        if vector is not None:
            values[row], found[row] = vector, True
    if not np.isfinite(values).all():
        raise DataError(
            f"{path}: the vector of {words[int(np.argwhere(~np.isfinite(values))[0, 0])]!r} is not finite"
        )
    made_up = f", {composed} of them from their parts" if composed else ""
    return Vectors(
        values=values,
        found=found,
        how=f"{int(found.sum())} of {len(words)} words have a vector in {place.name}{made_up}",
    )


def _text(place: Path, wanted: Mapping[str, None]) -> tuple[dict[str, Array], int]:
    opener: Callable[..., IO[bytes]] = gzip.open if place.suffix == ".gz" else open  # type: ignore[assignment]
    rows: dict[str, Array] = {}
    size = 0
    try:
        with opener(place, "rb") as file:
            for number, line in enumerate(file, 1):
                parts = line.rstrip().split(b" ")
                if number == 1 and len(parts) == 2 and all(part.isdigit() for part in parts):
                    size = int(parts[1])
                    continue
                # Some words of GloVe hold spaces: the numbers are counted from the end.
                size = size or len(parts) - 1
                if size < 1 or len(parts) < size + 1:
                    raise DataError(
                        f"{place}, line {number}: must be a word and {max(size, 1)} numbers between spaces"
                    )
                word = b" ".join(parts[:-size]).decode("utf-8", "replace")
                if word in wanted and word not in rows:
                    rows[word] = _numbers(parts[-size:], place, number)
    except (OSError, EOFError) as error:
        raise DataError(f"{place} is damaged or cut short: {error}") from None
    if not size:
        raise DataError(f"{place} holds no word vectors")
    return rows, size


def _numbers(parts: Sequence[bytes], place: Path, number: int) -> Array:
    try:
        return np.array([float(part) for part in parts], dtype=np.float32)
    except ValueError:
        raise DataError(
            f"{place}, line {number}: must be a word and {len(parts)} numbers between spaces"
        ) from None


def _binary(place: Path, wanted: Mapping[str, None]) -> tuple[dict[str, Array], int, int]:
    """Rows, size, and how many were composed of n-grams."""
    with place.open("rb") as file:
        if not place.stat().st_size:
            raise DataError(f"{place} is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            reader = _Reader(content, place)
            if len(content) >= 4 and struct.unpack_from("<i", content)[0] == FASTTEXT_MAGIC:
                return _fasttext(reader, wanted)
            return (*_word2vec(reader, wanted), 0)


class _Reader:
    """Walks over mapped bytes; whatever reaches past the end is a DataError."""

    def __init__(self, content: mmap.mmap, place: Path) -> None:
        self.content, self.place, self.at = content, place, 0

    def take(self, form: str) -> Any:
        """One number, or a tuple of them, in the form of `struct`."""
        size = struct.calcsize(form)
        if self.at + size > len(self.content):
            raise DataError(f"{self.place} is cut short at byte {len(self.content)}")
        found = struct.unpack_from(form, self.content, self.at)
        self.at += size
        return found[0] if len(found) == 1 else found

    def word(self, end: bytes) -> str:
        """The text up to `end`, which is passed."""
        stop = self.content.find(end, self.at, self.at + _LONGEST_WORD)
        if stop < 0:
            raise DataError(
                f"{self.place} is no file of word vectors, or cut short: no word ends after byte {self.at}"
            )
        found = self.content[self.at : stop].decode("utf-8", "replace")
        self.at = stop + 1
        return found

    def floats(self, count: int) -> Array:
        """A copy of the next numbers."""
        if self.at + 4 * count > len(self.content):
            raise DataError(f"{self.place} is cut short at byte {len(self.content)}")
        found = np.frombuffer(self.content, dtype="<f4", count=count, offset=self.at).astype(np.float32)
        self.at += 4 * count
        return found


def _word2vec(reader: _Reader, wanted: Mapping[str, None]) -> tuple[dict[str, Array], int]:
    header = reader.word(b"\n").split()
    if len(header) != 2 or not all(part.isdecimal() for part in header):
        raise DataError(
            f"{reader.place} is no binary file of word2vec or fastText: its first line is {header!r:.60}"
        )
    count, size = int(header[0]), int(header[1])
    if not 1 <= size <= _MOST_NUMBERS or 4 * size * count > len(reader.content):
        raise DataError(
            f"{reader.place} says it holds {count} words of {size} numbers, which its length does not allow"
        )
    rows: dict[str, Array] = {}
    for _ in range(count):
        word = reader.word(b" ").lstrip("\n")
        if word in wanted and word not in rows:
            rows[word] = reader.floats(size)
        elif reader.at + 4 * size > len(reader.content):
            raise DataError(f"{reader.place} is cut short at byte {len(reader.content)}")
        else:
            reader.at += 4 * size
    return rows, size


@dataclass(frozen=True, kw_only=True)
class _Grams:
    """How fastText makes parts of words: n-grams of `least` to `most` characters, hashed into `buckets` rows."""

    least: int
    most: int
    buckets: int
    words: int

    def rows(self, word: str) -> Iterator[int]:
        """The rows of the n-grams of <word>, in the order of fastText."""
        letters = [letter.encode() for letter in f"<{word}>"]
        for begin in range(len(letters)):
            for count in range(1, min(self.most, len(letters) - begin) + 1):
                edge = begin == 0 or begin + count == len(letters)
                if count >= self.least and not (count == 1 and edge):
                    yield self.words + _hash(b"".join(letters[begin : begin + count])) % self.buckets


def _hash(text: bytes) -> int:
    """FNV-1a over signed bytes, as fastText has it."""
    found = 2166136261
    for byte in text:
        signed = byte | 0xFFFFFF00 if byte > 127 else byte
        found = ((found ^ signed) * 16777619) & 0xFFFFFFFF
    return found


def _fasttext(reader: _Reader, wanted: Mapping[str, None]) -> tuple[dict[str, Array], int, int]:
    _, version = reader.take("<ii")
    if version not in (11, 12):
        raise DataError(f"{reader.place} has version {version} of fastText's format; 11 and 12 are read")
    size, _, _, _, _, _, _, model, buckets, least, most, _ = reader.take("<12i")
    reader.take("<d")
    total, words, _ = reader.take("<3i")
    _, pruned = reader.take("<2q")
    if pruned > 0:
        raise DataError(
            f"{reader.place} is a pruned fastText model, whose parts are not read; use the .vec file"
        )
    if version == 11 and model == 3:
        most = 0  # classifiers of that version have no parts of words
    listed: dict[str, int] = {}
    for row in range(total):
        word = reader.word(b"\0")
        reader.take("<qb")
        if row < words and word in wanted:
            listed[word] = row
    if reader.take("<b"):
        raise DataError(
            f"{reader.place} is a quantised fastText model, which is not read; use the .vec or full .bin file"
        )
    height, width = reader.take("<2q")
    start = reader.at
    if (
        width != size
        or not 1 <= size <= _MOST_NUMBERS
        or height < words
        or start + 4 * height * width > len(reader.content)
    ):
        raise DataError(
            f"{reader.place} is cut short, or its matrix is not {words} words and their parts by {size}"
        )
    grams = _Grams(least=least, most=most, buckets=buckets, words=words)
    rows: dict[str, Array] = {}
    composed = 0
    for word in wanted:
        own = [listed[word]] if word in listed else []
        parts = own + (list(grams.rows(word)) if most > 0 and buckets > 0 else [])
        if not parts or max(parts) >= height:
            continue
        total_vector = np.zeros(size, dtype=np.float64)
        for row in parts:
            reader.at = start + 4 * size * row
            total_vector += reader.floats(size)
        rows[word] = (total_vector / len(parts)).astype(np.float32)
        composed += not own
    return rows, size, composed
