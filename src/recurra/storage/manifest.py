"""The manifest: size and sha256 of every file in a folder, and a checksum of itself."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from recurra.errors import CorruptBundleError, NewerBundleError, SpecError
from recurra.storage.json_text import dump_json, parse_json

MANIFEST = "manifest.json"
FORMAT = 1
MAX_MANIFEST_BYTES = 1 << 20
MAX_FILES = 128
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file of a folder: its size in bytes and its sha256 in hexadecimal."""

    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a folder holds (`entries`, by file name) and what it is (`meta`, free plain JSON)."""

    entries: Mapping[str, Entry]
    meta: Mapping[str, Any]

    def encode(self) -> bytes:
        """Return the bytes of `manifest.json`."""
        body = self._body()
        return dump_json({**body, "checksum": hashlib.sha256(dump_json(body)).hexdigest()})

    def _body(self) -> dict[str, Any]:
        files = {name: {"size": e.size, "sha256": e.sha256} for name, e in self.entries.items()}
        return {"format": FORMAT, "files": files, "meta": dict(self.meta)}


def is_plain_name(name: object) -> bool:
    """Tell whether `name` is a flat file name of letters, digits, dot, dash and underscore, at most 128."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None and name != MANIFEST


def checked_name(name: object) -> str:
    """Return `name` where it may name a file of a stored folder; raises `SpecError` otherwise."""
    if not is_plain_name(name):
        raise SpecError(
            f"a stored file's name must be letters, digits, '.', '-' and '_' (1 to 128 of them, the first a "
            f"letter or digit) and not {MANIFEST!r}, got {name!r}; use for example 'encoder.json'"
        )
    return str(name)


def case_clash(names: Iterable[str]) -> str | None:
    """Return the first name that another one equals on a file system that ignores case, or None."""
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            return name
        seen.add(name.lower())
    return None


def decode_manifest(data: bytes, file: str) -> Manifest:
    """Return the manifest in `data`; `file` is its path for errors.

    Every changed byte is found: the text must be exactly what `Manifest.encode` writes for its content.

    Raises `NewerBundleError` for a later format and `CorruptBundleError` for everything else.
    """
    value = parse_json(data, file)
    _check_format(value, file)
    try:
        manifest = Manifest(entries=_entries(value["files"], file), meta=dict(value["meta"]))
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptBundleError(f"{file} is malformed ({type(error).__name__}: {error})") from error
    if manifest.encode() != data:
        raise CorruptBundleError(f"{file} was changed after it was written; its checksum does not match")
    return manifest


def _check_format(value: Any, file: str) -> None:
    version = value.get("format") if isinstance(value, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise CorruptBundleError(f"{file} is not a manifest of Recurra: it names no format")
    if version > FORMAT:
        raise NewerBundleError(
            f"{file} has format {version}, this version of Recurra reads format {FORMAT}; "
            "upgrade with pip install --upgrade recurra"
        )


def _entries(files: Any, file: str) -> dict[str, Entry]:
    if not isinstance(files, dict) or len(files) > MAX_FILES:
        raise CorruptBundleError(f"{file} must list at most {MAX_FILES} files")
    for name in files:
        if not is_plain_name(name):
            raise CorruptBundleError(f"{file} lists the file name {name!r}, which may leave the folder")
    double = case_clash(files)
    if double is not None:
        raise CorruptBundleError(f"{file} lists {double!r} twice (upper and lower case)")
    return {name: _entry(name, entry, file) for name, entry in files.items()}


def _entry(name: str, entry: Any, file: str) -> Entry:
    size, sha256 = entry["size"], entry["sha256"]
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise CorruptBundleError(f"{file} gives {name} the size {size!r}")
    if not isinstance(sha256, str) or _SHA256.fullmatch(sha256) is None:
        raise CorruptBundleError(f"{file} gives {name} a malformed sha256")
    return Entry(size=size, sha256=sha256)
