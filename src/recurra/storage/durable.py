"""Bytes that stay: fsync, single files replaced as one, and the temporaries that a killed writer leaves.

A temporary stands beside its target as `<name>.tmp-<pid>-<random>`; its writer holds a `flock` on it, which
the kernel releases however the writer ends. That, not its age, says whether it is abandoned.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from recurra.errors import StorageError

NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LEFTOVER = re.compile(r"(?P<name>.+)\.(?P<kind>tmp|old)-(?P<pid>[0-9]{1,10})-[0-9a-f]{8}", re.DOTALL)
_YOUNG_SECONDS = 60.0  # between making a temporary and locking it, its writer is known by its pid alone
_NO_FSYNC = (errno.EINVAL, errno.EBADF, errno.ENOTSUP)


class Sink(Protocol):
    """Where the content of a file is written to."""

    def write(self, data: bytes | memoryview, /) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Payload:
    """Content that is written piece by piece: its size in bytes, and what writes exactly so many."""

    size: int
    write: Callable[[Sink], None]


class _Hashing:
    """A sink that counts and hashes what passes through to an open file."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | memoryview, /) -> int:
        view = memoryview(data).cast("B")
        self._hash.update(view)
        written = 0
        while written < len(view):  # os.write takes at most 2 GiB at once, and less on a filling disk
            written += os.write(self._fd, view[written : written + (1 << 30)])
        self.size += len(view)
        return len(view)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def content_size(content: bytes | Payload) -> int:
    """Return how many bytes `content` is."""
    return content.size if isinstance(content, Payload) else len(content)


def write_new_file(path: Path, content: bytes | Payload) -> tuple[int, str]:
    """Create `path` with `content`, fsynced; return its size in bytes and its sha256."""
    fd = os.open(path, NEW_FILE, 0o666)
    try:
        _mark(fd)
        sink = _Hashing(fd)
        if isinstance(content, Payload):
            content.write(sink)
        else:
            sink.write(content)
        if sink.size != content_size(content):
            raise StorageError(f"{path.name} was to have {content_size(content)} bytes, got {sink.size}")
        os.fsync(fd)
    finally:
        os.close(fd)
    return sink.size, sink.sha256


def fsync_folder(path: Path) -> None:
    """Make the names in a folder durable; file systems that cannot fsync a folder are left at that."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_FSYNC:
            raise
    finally:
        os.close(fd)


def make_parents(folder: Path) -> None:
    """Make `folder` and its parents where missing, each of them durable."""
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        fsync_folder(path.parent)


def resolved_target(target: str | os.PathLike[str]) -> Path:
    """Return the absolute path to write to, links followed: a link stays, what it names is replaced."""
    path = Path(os.path.realpath(target))
    if not path.name:
        raise StorageError(f"{os.fspath(target)!r} cannot be replaced; give a name below it")
    return path


@contextmanager
def storage_errors(doing: str, path: Path) -> Iterator[None]:
    """Turn an OSError inside into a `StorageError` that says what was being done where; `errno` is kept."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raised = StorageError(f"could not {doing} {path}: {reason}{_advice(error)}")
        raised.errno = error.errno
        raise raised from error


def _advice(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "; free some space or choose another disk"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "; choose a folder that may be written to"
    return ""


def require_space(folder: Path, needed: int) -> None:
    """Raise `StorageError` (ENOSPC) where the disk of `folder` has less than `needed` bytes free."""
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if free < needed:
        raise OSError(errno.ENOSPC, f"{needed:,} bytes are needed, {free:,} are free")


def temporary(target: Path, kind: str = "tmp") -> Path:
    """Return a new name beside `target` that says whose it is."""
    return target.with_name(f"{target.name}.{kind}-{os.getpid()}-{os.urandom(4).hex()}")


@contextmanager
def marked_as_ours(path: Path) -> Iterator[None]:
    """Hold the lock that tells other processes that the temporary `path` is in work."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _mark(fd)
        yield
    finally:
        os.close(fd)


def _mark(fd: int) -> None:
    with suppress(OSError):  # a file system without flock: the pid in the name has to do
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def leftovers(folder: Path, name: str | None = None, kind: str | None = None) -> list[Path]:
    """Return the abandoned temporaries (`tmp`) and copies put aside (`old`) in `folder`, all or of `name`."""
    found = []
    for entry in sorted(os.listdir(folder)):
        match = _LEFTOVER.fullmatch(entry)
        if match is None or name not in (None, match["name"]) or kind not in (None, match["kind"]):
            continue
        if _abandoned(folder / entry, int(match["pid"])):
            found.append(folder / entry)
    return found


def _abandoned(path: Path, pid: int) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        young = time.time() - os.fstat(fd).st_ctime < _YOUNG_SECONDS
    except BlockingIOError:
        return False
    except OSError:
        young = True
    finally:
        os.close(fd)
    return not (young and is_running(pid))


def is_running(pid: int) -> bool:
    """Tell whether a process with this number exists on this machine."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def remove(path: Path) -> None:
    """Remove a file or a folder with everything in it, as far as that is possible; Ctrl-C waits for it."""
    try:
        _remove(path)
    except BaseException:
        _remove(path)
        raise
    if os.path.lexists(path):
        _remove(path)


def _remove(path: Path) -> None:
    import shutil  # late: it brings the compression libraries, and reading needs none of them

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def clean_leftovers(folder: str | os.PathLike[str], name: str | None = None) -> list[Path]:
    """Remove what killed writers left in `folder` (all, or for the target `name`); return what was removed.

    The work of living processes stays. A copy that was put aside is removed only where its target stands.
    """
    folder = Path(folder)
    removed = []
    for path in leftovers(folder, name):
        if ".old-" not in path.name or os.path.lexists(folder / target_name(path)):
            remove(path)
            removed.append(path)
    return removed


def target_name(leftover: Path) -> str:
    """Return the name of the target that a temporary belongs to."""
    match = _LEFTOVER.fullmatch(leftover.name)
    return match["name"] if match else leftover.name


def atomic_write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Replace the file `path` by `data` as one: after any crash it is the old file or the new one, durable.

    Parents are made. Raises `StorageError`; then the old file stands (the new one where only the very last
    step, making its name durable, failed) and no temporary is left.
    """
    target = resolved_target(path)
    with storage_errors("write", target):
        make_parents(target.parent)
        clean_leftovers(target.parent, target.name)
        fresh = temporary(target)
        try:
            write_new_file(fresh, data)
            if target.exists():
                os.chmod(fresh, target.stat().st_mode & 0o7777)
            os.replace(fresh, target)
        finally:
            remove(fresh)
        fsync_folder(target.parent)


def atomic_write_text(path: str | os.PathLike[str], text: str) -> None:
    """Replace the file `path` by `text` in UTF-8, as `atomic_write_bytes` does.

    Raises `StorageError`, also for text that UTF-8 cannot hold (lone surrogates).
    """
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise StorageError(f"could not write {os.fspath(path)}: the text is not Unicode ({error})") from error
    atomic_write_bytes(path, data)
