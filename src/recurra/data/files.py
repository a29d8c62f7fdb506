"""Files as they are found: single, compressed, in archives or in folders; and their bytes as text."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from recurra.errors import DataError

DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
}
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
PART_WORDS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "dev": "validation",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
}
_BESIDE_NAMES = {"README", "LICENSE", "LICENCE", "COPYING", "NOTICE", "CHANGELOG", "MANIFEST"}
_BESIDE_ENDINGS = (".md", ".html", ".pdf", ".py", ".xlsx", ".sha256")
BROKEN = (
    *(OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile),
    *(RuntimeError, ValueError, KeyError, OverflowError, MemoryError, struct.error),
)
"""What the libraries of compressed files and archives raise where one is damaged."""


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """One file with content, wherever it lies.

    path: where it lies inside of what was named, without the ending of its compression.
    source: what messages call it.
    load: returns its bytes, decompressed.
    """

    path: PurePosixPath
    source: str
    load: Callable[[], bytes]


def gather(path: str | Path) -> tuple[list[Leaf], bool]:
    """Return the files behind `path`, sorted, and whether it is a tree (a folder, or an archive of several).

    Compressed files and archives are read as they are, in memory; files that stand beside data (README,
    LICENSE, hidden files) are left out of trees. Raises DataError where nothing can be read.
    """
    place = Path(path)
    if not place.exists():
        raise DataError(f"{path} does not exist; check the path")
    if not place.is_dir():
        found = list(_open(place, PurePosixPath(place.name)))
        return (found, False) if len(found) == 1 else (_sorted(found, path), True)
    files = (file for file in sorted(place.rglob("*")) if file.is_file())
    inside = ((file, PurePosixPath(file.relative_to(place).as_posix())) for file in files)
    found = [leaf for file, name in inside if not beside(name) for leaf in _open(file, name)]
    return _sorted(found, path), True


def beside(path: PurePosixPath) -> bool:
    """Tell whether a file in a folder stands beside the data: a README, a licence, a hidden file."""
    hidden = any(part.startswith((".", "__")) for part in path.parts)
    paper = path.name.upper().split(".")[0] in _BESIDE_NAMES
    return hidden or paper or path.name.lower().endswith(_BESIDE_ENDINGS)


def part_of(path: PurePosixPath) -> str | None:
    """Return "train", "validation" or "test" where a folder or a word of the file's name says so.

    The word furthest to the right counts: clicks_train_valid.csv is validation.
    """
    words = [word for part in path.parts for word in re.split(r"[^a-z]+", part.lower())]
    named = [PART_WORDS[word] for word in words if word in PART_WORDS]
    return named[-1] if named else None


def without_part(name: str) -> str:
    """Return a file's name without its endings and without the words that name a part of the data."""
    words = [word for word in re.split(r"[_\-. ]+", name) if word.lower() not in PART_WORDS]
    return "_".join(words)


def decode(data: bytes, encoding: str, source: str) -> str:
    """Return `data` as text; raises DataError with the position of the first byte that does not fit."""
    try:
        text = data.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except LookupError:
        raise DataError(
            f"encoding {encoding!r} is unknown; use for example utf-8, latin-1 or utf-16"
        ) from None
    except UnicodeError as error:
        raise DataError(_undecodable(error, data, encoding, source)) from None
    if text.count("\0") * 10 > len(text):
        raise DataError(
            f"{source} is no {encoding} text: it is full of NUL; if it is text, try --encoding utf-16"
        )
    return text.removeprefix("\ufeff")


def _undecodable(error: UnicodeError, data: bytes, encoding: str, source: str) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return f"{source} is not {encoding}: it begins with the mark of UTF-16; try --encoding utf-16"
    if not isinstance(error, UnicodeDecodeError):
        return f"{source} is not {encoding}; name its encoding with --encoding"
    line = data.count(b"\n", 0, error.start) + 1
    other = "latin-1" if encoding.lower() in ("utf-8", "utf8", "ascii") else "utf-8"
    return (
        f"{source} is not {encoding}: byte 0x{data[error.start]:02x} at position {error.start} (line {line}); "
        f"try --encoding {other}"
    )


def brief(error: Exception) -> str:
    """Return the first line of what an error says, or its kind where it says nothing."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _open(place: Path, name: PurePosixPath) -> Iterator[Leaf]:
    lower = place.name.lower()
    if lower.endswith(ARCHIVES):
        yield from _members(place, name)
    else:
        inner, unpack = _compression(name, str(place))
        yield Leaf(path=inner, source=str(place), load=lambda: unpack(_bytes(place)))


def _compression(name: PurePosixPath, source: str) -> tuple[PurePosixPath, Callable[[bytes], bytes]]:
    unpack = DECOMPRESS.get(name.suffix.lower())
    if unpack is None:
        return name, lambda data: data
    return name.with_suffix(""), lambda data: _unpacked(unpack, data, source)


def _unpacked(unpack: Callable[[bytes], bytes], data: bytes, source: str) -> bytes:
    try:
        return unpack(data)
    except BROKEN as error:
        raise DataError(f"{source} cannot be decompressed ({brief(error)}); is it complete?") from None


def _bytes(place: Path) -> bytes:
    try:
        return place.read_bytes()
    except OSError as error:
        raise DataError(f"{place} cannot be read: {error.strerror}") from None


def _members(place: Path, name: PurePosixPath) -> Iterator[Leaf]:
    try:
        pairs = list(_zip_members(place) if place.suffix.lower() == ".zip" else _tar_members(place))
    except DataError:
        raise
    except BROKEN as error:
        raise DataError(f"{place} cannot be opened as an archive ({brief(error)}); is it complete?") from None
    folder = name.parent
    for member, data in pairs:
        source = f"{place}:{member}"
        inner, unpack = _compression(folder / member, source)
        yield Leaf(path=inner, source=source, load=lambda d=data, u=unpack: u(d))  # type: ignore[misc]


def _zip_members(place: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    with zipfile.ZipFile(io.BytesIO(_bytes(place))) as archive:
        for info in archive.infolist():
            path = PurePosixPath(info.filename)
            if not info.is_dir() and not beside(path):
                yield path, archive.read(info)


def _tar_members(place: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Read the plain files of a tar in order, in memory: nothing is ever unpacked to disk."""
    with tarfile.open(fileobj=io.BytesIO(_bytes(place))) as archive:
        for info in archive:
            path = PurePosixPath(info.name)
            if info.isfile() and not beside(path):
                content = archive.extractfile(info)
                yield path, content.read() if content else b""


def _sorted(leaves: list[Leaf], path: str | Path) -> list[Leaf]:
    if not leaves:
        raise DataError(f"{path} holds no data files")
    return sorted(leaves, key=lambda leaf: _natural(leaf.path))


def _natural(path: PurePosixPath) -> list[tuple[int, int, str]]:
    """Order 2_3.txt before 10_4.txt."""
    pieces = re.split(r"(\d+)", path.as_posix())
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces]
