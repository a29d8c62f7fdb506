"""Stored folders are verified before a byte of them is used.

All files are opened relative to one handle of the folder, so that a writer who exchanges it meanwhile
changes nothing for the reader; links, odd names and special files are refused.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from recurra.errors import CorruptBundleError, StorageError
from recurra.storage.durable import storage_errors
from recurra.storage.exchange import is_put_aside, recover
from recurra.storage.manifest import MANIFEST, MAX_MANIFEST_BYTES, Manifest, decode_manifest

MAX_BYTES = 64 << 30
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ATTEMPTS = 20
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The content of a folder after its sizes and hashes were checked: `files` by name, and `meta`."""

    path: Path
    meta: Mapping[str, Any]
    files: Mapping[str, bytes]


def read_folder(
    path: str | os.PathLike[str], names: Iterable[str] | None = None, *, limit: int = MAX_BYTES
) -> Verified:
    """Return the files `names` (all that are listed by default) of a stored folder, each of them verified.

    Files that are not asked for are not looked at. Raises what `open_folder` and `Folder.read` raise.
    """
    with open_folder(path) as folder, storage_errors("read", folder.path):
        wanted = folder.names if names is None else list(names)
        files = {name: folder.read(name, limit=limit) for name in wanted}
        return Verified(path=folder.path, meta=folder.meta, files=files)


def open_folder(path: str | os.PathLike[str]) -> Folder:
    """Open a stored folder; what a killed writer put aside is brought back first.

    Raises `StorageError` where there is no folder or it may not be read, `CorruptBundleError` naming the
    manifest where that is missing, changed or malformed, `NewerBundleError` where it is of a later format.
    """
    given, path = os.fspath(path), Path(os.path.realpath(path))
    for _ in range(_ATTEMPTS):
        with storage_errors("read", path):
            folder = _attempt(path)
        if folder is not None:
            return folder
    raise StorageError(f"could not read {given}: there is no such folder")


def _attempt(path: Path) -> Folder | None:
    """Open the folder, or return None where a writer is at work in it and it should be tried again."""
    recover(path)
    try:
        # Held open until the end: the number of a folder that is gone may be given to a new one.
        held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        if not is_put_aside(path):
            raise
        time.sleep(_PAUSE_SECONDS)
        return None
    try:
        folder = Folder(path)
    except (CorruptBundleError, FileNotFoundError):
        if _is_still(path, held):
            raise
        return None
    finally:
        os.close(held)
    if folder.complete or not folder.replaced:
        return folder
    folder.close()
    return None


def _is_still(path: Path, held: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(held))
    except FileNotFoundError:
        return False


class Folder:
    """A stored folder, open for reading; use `open_folder`, and `with`, or `close`.

    All listed files are opened at once, so that they stay readable though a writer replaces the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, int | CorruptBundleError] = {}
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.manifest = self._read_manifest()
            for name in self.manifest.entries:
                self._files[name] = self._opened(name)
        except BaseException:
            self.close()
            raise

    def _read_manifest(self) -> Manifest:
        file = str(self.path / MANIFEST)
        fd = open_inside(self._fd, MANIFEST, self.path)
        try:
            return decode_manifest(read_all(fd, file, MAX_MANIFEST_BYTES), file)
        finally:
            os.close(fd)

    def _opened(self, name: str) -> int | CorruptBundleError:
        try:
            return open_inside(self._fd, name, self.path)
        except CorruptBundleError as error:
            return error

    @property
    def meta(self) -> Mapping[str, Any]:
        """What the writer said that this folder is."""
        return self.manifest.meta

    @property
    def names(self) -> list[str]:
        """The files that the manifest lists."""
        return list(self.manifest.entries)

    @property
    def complete(self) -> bool:
        """Whether every listed file is there, with whatever content."""
        return not any(isinstance(fd, CorruptBundleError) for fd in self._files.values())

    @property
    def replaced(self) -> bool:
        """Whether another folder stands at the path by now."""
        try:
            return not os.path.samestat(os.stat(self.path), os.fstat(self._fd))
        except FileNotFoundError:
            return True

    def read(self, name: str, *, limit: int = MAX_BYTES) -> bytes:
        """Return the content of the file `name` after checking its size and sha256.

        Nothing is read where it is larger than `limit` bytes or than the manifest says.

        Raises `CorruptBundleError` naming the file, `StorageError` where the disk does not give it.
        """
        file = str(self.path / name)
        entry = self.manifest.entries.get(name)
        if entry is None:
            raise CorruptBundleError(f"{file} is missing: {MANIFEST} does not list it")
        fd = self._handle(name)
        size = os.fstat(fd).st_size
        if size != entry.size:
            raise CorruptBundleError(f"{file} has {size} bytes, {MANIFEST} says {entry.size}")
        data = read_all(fd, file, limit)
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise CorruptBundleError(f"{file} was changed after it was written; its sha256 does not match")
        return data

    def read_unverified(self, name: str, *, limit: int) -> bytes | None:
        """Return a file that people may edit (a model card) as it stands, or None where it is not there."""
        if not isinstance(self._files.get(name), int):
            return None
        return read_all(self._handle(name), str(self.path / name), limit)

    def _handle(self, name: str) -> int:
        fd = self._files[name]
        if isinstance(fd, CorruptBundleError):
            raise fd
        return fd

    def close(self) -> None:
        """Let go of the folder."""
        for fd in (self._fd, *self._files.values()):
            if isinstance(fd, int) and fd >= 0:
                os.close(fd)
        self._fd, self._files = -1, {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_inside(folder_fd: int, name: str, folder: Path) -> int:
    """Open the regular file `name` of an open folder; `folder` is its path for errors.

    Raises `CorruptBundleError` where it is missing, a link, a folder or a special file.
    """
    try:
        fd = os.open(name, _OPEN, dir_fd=folder_fd)
    except FileNotFoundError:
        raise CorruptBundleError(f"{folder / name} is missing") from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise CorruptBundleError(f"{folder / name} is a link or a special file, not a file") from error
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise CorruptBundleError(f"{folder / name} is not a regular file")
    return fd


def read_all(fd: int, file: str, limit: int) -> bytes:
    """Return the content of an open file; `file` is its path for errors.

    Raises `CorruptBundleError`, before anything is read, where it is larger than `limit` bytes.
    """
    size = os.fstat(fd).st_size
    if size > limit:
        raise CorruptBundleError(f"{file} has {size} bytes, at most {limit} are expected")
    os.lseek(fd, 0, os.SEEK_SET)
    with open(fd, "rb", buffering=0, closefd=False) as handle:
        return handle.readall()
