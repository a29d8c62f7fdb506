"""One working process per folder.

The lock is a `flock` on a small file: the kernel releases it however its owner ends, so a lock cannot go
stale where `flock` works. The record in the file (process number, its start time, host) tells people who
works there, and decides alone on file systems without `flock`, where a number taken over by another process
is recognised by its start time.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from recurra.errors import LockedError
from recurra.storage.durable import is_running, make_parents, resolved_target, storage_errors

_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_BYTES = 4096


class FolderLock:
    """The right to work in a folder, held from `acquire` to `release` (or by `with`).

    Raises `LockedError` naming the process and the file where another one holds it.
    """

    def __init__(self, folder: str | os.PathLike[str], name: str = "run.lock") -> None:
        self.path = resolved_target(folder) / name
        self._fd = -1
        self._pid = 0

    @property
    def held(self) -> bool:
        """Whether this object, in this process and not in one forked from it, holds the lock."""
        return self._fd >= 0 and self._pid == os.getpid()

    def acquire(self) -> Self:
        """Take the lock, at once or not at all; the folder is made where it is missing."""
        if self.held:
            return self
        with storage_errors("lock", self.path):
            make_parents(self.path.parent)
            fd = self._opened()
            try:
                _write(fd, _own_record())
            except BaseException:
                os.close(fd)
                raise
        self._fd, self._pid = fd, os.getpid()
        _held.add(fd)
        return self

    def _opened(self) -> int:
        while True:
            fd = os.open(self.path, _OPEN, 0o666)
            try:
                self._claim(fd)
                if self._is_current(fd):
                    return fd
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)  # its owner removed the file between our open and our claim

    def _claim(self, fd: int) -> None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            certain = True
        except BlockingIOError:
            raise self._refusal(_read(fd)) from None
        except OSError:
            certain = False
        record = _read(fd)
        if _is_alive(record, certain):
            raise self._refusal(record)

    def _is_current(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(fd))
        except FileNotFoundError:
            return False

    def _refusal(self, record: dict[str, Any]) -> LockedError:
        owner = f"process {record['pid']} on {record.get('host')}" if "pid" in record else "another process"
        return LockedError(
            f"{self.path.parent} is in use by {owner} (it holds {self.path}); wait for it or choose another "
            "folder, and remove the file only if you know that the process has ended"
        )

    def release(self) -> None:
        """Give the lock back and remove its file."""
        if not self.held:
            return
        with suppress(OSError):
            if self._is_current(self._fd):
                os.unlink(self.path)
        _held.discard(self._fd)
        os.close(self._fd)
        self._fd = -1

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


_held: set[int] = set()


def _forget_in_child() -> None:
    """A forked child shares the lock's handle; let go of it, so that the lock ends with its owner."""
    for fd in _held:
        with suppress(OSError):
            os.close(fd)
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)


def _host() -> str:
    return os.uname().nodename


def _own_record() -> dict[str, Any]:
    return {"pid": os.getpid(), "started": _start_of(os.getpid()), "host": _host()}


def _is_alive(record: dict[str, Any], certain: bool) -> bool:
    """Tell whether the recorded owner may still work; `certain` says that the kernel gave us the lock."""
    pid = record.get("pid")
    if certain or not isinstance(pid, int):
        return False
    if record.get("host") != _host():
        return True
    return is_running(pid) and record.get("started") == _start_of(pid)


def _start_of(pid: int) -> str | None:
    """When a process started: the boot's id and the ticks since; None where the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return f"{boot}:{fields[19]}"
    except (OSError, IndexError):
        return None


def _read(fd: int) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        record = json.loads(os.pread(fd, _MAX_BYTES, 0))
        if isinstance(record, dict):
            return record
    return {}


def _write(fd: int, record: dict[str, Any]) -> None:
    os.ftruncate(fd, 0)
    os.pwrite(fd, json.dumps(record).encode(), 0)
    os.fsync(fd)
