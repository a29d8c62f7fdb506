"""Text without end: documents read in pieces, so that a corpus may be larger than memory, or a single line.

A corpus is a file (plain or compressed), a folder of files, or a list of texts. It is read anew each time it is
walked; no more than two pieces of `PIECE` characters are held at once.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import numpy as np

from recurra.data.files import BROKEN, beside
from recurra.errors import DataError, SpecError, nearest

PIECE = 1 << 20
"""Characters that are read at a time."""

DOCUMENTS = ("whole", "lines", "paragraphs")
"""What a document of a file is: the file, each line, or what stands between blank lines."""

Piece: TypeAlias = tuple[str, bool]
"""Some text, and whether its document ends with it."""

_OPENERS: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_BETWEEN = {"lines": re.compile(r"\n"), "paragraphs": re.compile(r"\n[ \t]*\n")}
_JOINERS = "\u200d\ufe0f"


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Documents of text, walked in pieces.

    source: path of a file or folder, or a tuple of texts. documents: what a document of a file is, see `DOCUMENTS`;
    each text of a list is one. encoding: of files, never guessed. begin, end: the part of the characters of a file
    that belongs to it (a line or paragraph to the part that it begins in); None: to the end.
    """

    source: Path | tuple[str, ...]
    documents: str = "whole"
    encoding: str = "utf-8"
    begin: int = 0
    end: int | None = None

    @classmethod
    def of(cls, given: Any, *, documents: str = "whole", encoding: str = "utf-8") -> Corpus:
        """A path, or texts. Raises DataError where there is nothing to read, SpecError for unknown `documents`."""
        if documents not in DOCUMENTS:
            raise SpecError(
                f"documents must be one of {', '.join(DOCUMENTS)}, got {documents!r}{nearest(documents, DOCUMENTS)}"
            )
        if isinstance(given, (str, os.PathLike)):
            if not os.path.exists(given):  # which a text may be too long to be asked of by other means
                hint = "; a text itself is given as [text]" if isinstance(given, str) else ""
                name = " ".join(str(given)[:80].split())
                raise DataError(f"{name} does not exist; check the path{hint}")
            return cls(source=Path(given), documents=documents, encoding=encoding)
        return cls(source=tuple(_texts(given)))

    @property
    def ends(self) -> bool:
        """Whether where a document ends is part of the text: not where a file was taken as one."""
        return isinstance(self.source, tuple) or self.documents != "whole" or self.source.is_dir()

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{len(self.source)} texts" if isinstance(self.source, tuple) else str(self.source)

    def pieces(self) -> Iterator[Piece]:
        """All text in order; an empty document is left out."""
        if isinstance(self.source, tuple):
            for text in self.source:
                yield from _in_documents(_parts(text), "whole")
            return
        every = (
            piece
            for path in _files(self.source)
            for piece in _in_documents(_decoded(path, self.encoding), self.documents)
        )
        if self.begin == 0 and self.end is None:
            yield from every
        elif self.documents == "whole":
            yield from _characters(every, self.begin, self.end)
        else:
            yield from _documents(every, self.begin, self.end)

    def whole(self) -> Iterator[str]:
        """Each document in one text."""
        parts: list[str] = []
        for text, ends in self.pieces():
            parts.append(text)
            if ends:
                yield "".join(parts)
                parts = []

    def texts(self) -> Iterator[str]:
        """All text in pieces, without the ends of documents."""
        return (text for text, _ in self.pieces())


def drawn(count: int, share: float, seed: int) -> set[int]:
    """Which of so many texts a share is that is set aside: random ones, at least one."""
    order = np.random.Generator(np.random.Philox(seed)).permutation(count)
    return set(order[: max(1, round(share * count))].tolist())


def divided(corpus: Corpus, share: float, seed: int = 0) -> tuple[Corpus, Corpus]:
    """Set a share of a corpus aside: the last characters of a file or of a single text, random ones of many texts.

    Raises DataError where one of the two would be empty.
    """
    source = corpus.source
    if isinstance(source, tuple) and len(source) > 1:
        held = drawn(len(source), share, seed)
        parts = [tuple(t for i, t in enumerate(source) if (i in held) == aside) for aside in (False, True)]
        first, second = (replace(corpus, source=part) for part in parts)
    else:
        total = sum(len(text) for text in corpus.texts())
        cut = total - round(share * total)
        if isinstance(source, tuple):
            text = "".join(source)
            first, second = replace(corpus, source=(text[:cut],)), replace(corpus, source=(text[cut:],))
        else:
            first = replace(corpus, end=corpus.begin + cut)
            second = replace(corpus, begin=corpus.begin + cut)
    if not any(map(len, first.texts())) or not any(map(len, second.texts())):
        raise DataError(
            f"{corpus.name} must be enough for a part of {share:g} to be set aside; give a longer text, or "
            "validation_data"
        )
    return first, second


def _characters(pieces: Iterator[Piece], begin: int, end: int | None) -> Iterator[Piece]:
    """The characters from `begin` to `end`; the document that `end` cuts ends there."""
    place = 0
    for text, ends in pieces:
        low, high = max(begin - place, 0), len(text) if end is None else min(end - place, len(text))
        place += len(text)
        last = end is not None and place >= end
        if low < high or (ends and low <= high):
            yield text[low:high], ends or last
        if last:
            return


def _documents(pieces: Iterator[Piece], begin: int, end: int | None) -> Iterator[Piece]:
    """The documents that begin from `begin` on and before `end`."""
    place, started = 0, 0
    for text, ends in pieces:
        if end is not None and started >= end:
            return
        if started >= begin:
            yield text, ends
        place += len(text)
        started = place if ends else started


def _texts(given: Any) -> Iterator[str]:
    if isinstance(given, bytes) or not isinstance(given, Iterable):
        raise DataError(f"a corpus must be a path or a list of texts, got {type(given).__name__}")
    for row, text in enumerate(given):
        if not isinstance(text, str):
            raise DataError(f"a corpus must hold texts; number {row} is {text!r:.40} ({type(text).__name__})")
        yield text


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = [file for file in sorted(path.rglob("*")) if file.is_file()]
    found = [file for file in found if not beside(PurePosixPath(file.relative_to(path).as_posix()))]
    if not found:
        raise DataError(f"{path} must hold at least one file of text, got none")
    return found


def _parts(text: str) -> Iterator[str]:
    for begin in range(0, len(text), PIECE):
        yield text[begin : begin + PIECE]


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    """The text of a file, piece by piece, with \\n at the ends of lines; says where a byte does not fit."""
    try:
        inner = codecs.getincrementaldecoder(encoding)("strict")
    except LookupError:
        raise DataError(
            f"encoding {encoding!r} is unknown; use for example utf-8, latin-1 or utf-16"
        ) from None
    decoder = io.IncrementalNewlineDecoder(inner, translate=True)
    done, first = 0, True
    try:
        with _OPENERS.get(path.suffix.lower(), Path.open)(path, mode="rb") as file:
            while True:
                data = file.read(PIECE)
                pending = len(inner.getstate()[0])
                try:
                    text = decoder.decode(data, final=not data)
                except UnicodeDecodeError as error:
                    place = done - pending + error.start
                    raise DataError(
                        f"{path} is not {encoding}: byte {place} (0x{error.object[error.start]:02x}) does not fit; "
                        "name its encoding, such as latin-1, or mend the file"
                    ) from None
                done += len(data)
                yield text.removeprefix("\ufeff") if first else text
                first = False
                if not data:
                    return
    except DataError:
        raise
    except BROKEN as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _in_documents(parts: Iterator[str], documents: str) -> Iterator[Piece]:
    """Cut running text into pieces that end documents or stand before white space; empty documents are left out."""
    between = _BETWEEN.get(documents)
    held, begun = "", False
    for part in parts:
        held += part
        if between is not None:
            *done, held = between.split(held)
            for text in done:
                if begun or text.strip("\n"):
                    yield (text if begun else text.lstrip("\n")), True
                begun = False
        while len(held) > PIECE and (cut := _safe_cut(held, documents)):
            yield held[:cut], False
            held, begun = held[cut:], True
    if between is not None:
        held = held.strip("\n")
    if held or begun:
        yield held, True


def _safe_cut(text: str, documents: str) -> int:
    """Where to cut a long text: before its last white space, else where no character joins another; 0: not yet."""
    place = max(text.rfind(white, PIECE // 2) for white in " \n\t")
    if place > 0:
        # What may turn out to be the end of a paragraph is not torn.
        return len(text[:place].rstrip()) if documents == "paragraphs" else place
    if len(text) < 2 * PIECE:
        return 0
    place = PIECE
    while place > 1 and (unicodedata.combining(text[place]) or text[place] in _JOINERS):
        place -= 1
    return place
