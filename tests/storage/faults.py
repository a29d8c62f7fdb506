"""Faults on demand: the n-th system call of a kind fails, or the process is interrupted in it."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CALLS = ("open", "mkdir", "write", "fsync", "rename", "replace", "link", "chmod")


class Counter:
    """How many calls were seen, and whether the fault was raised."""

    def __init__(self) -> None:
        self.calls = 0
        self.raised = False


@contextmanager
def nth_call_fails(name: str, number: int, error: BaseException, *, after: bool = False) -> Iterator[Counter]:
    """Let the `number`-th call of `os.<name>` raise `error`: instead of the call, or right `after` it."""
    real, counter = getattr(os, name), Counter()

    def call(*args: Any, **kwargs: Any) -> Any:
        counter.calls += 1
        if counter.calls != number:
            return real(*args, **kwargs)
        counter.raised = True
        if after:
            real(*args, **kwargs)
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, name, call)
        yield counter


def os_error(number: int) -> OSError:
    """An error as the system raises it."""
    return OSError(number, os.strerror(number))


FULL = errno.ENOSPC
BROKEN = errno.EIO


@contextmanager
def memory_folder(otherwise: Path) -> Iterator[Path]:
    """A folder in memory where there is one, or `otherwise`: many small writes are slow on a busy disk."""
    if not os.access("/dev/shm", os.W_OK):
        yield otherwise
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def litter(folder: Path) -> list[str]:
    """The temporaries and copies put aside that stand in `folder`."""
    return sorted(name for name in os.listdir(folder) if ".tmp-" in name or ".old-" in name)
