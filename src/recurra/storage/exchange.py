"""Putting a finished folder in the place of another, as one step, and finding it again after a crash.

Linux exchanges two folders in one system call (`renameat2` with `RENAME_EXCHANGE`). Where the system or the
file system lacks it, the old folder is put aside as `<name>.old-<pid>-<random>` and the new one moved in;
a crash between the two leaves the copy aside, complete, and `recover` brings it back.
"""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from recurra.storage.durable import fsync_folder, leftovers, marked_as_ours, remove, temporary

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NOT_SUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)


def put_in_place(fresh: Path, target: Path) -> None:
    """Move the folder `fresh` to `target`, durably; what stood at `target` then stands at `fresh`.

    On an error the folders stand as before and the OSError is passed on.
    """
    if not os.path.lexists(target):
        os.rename(fresh, target)
        undo: Callable[[], object] = functools.partial(os.rename, target, fresh)
    elif exchange(fresh, target):
        undo = functools.partial(exchange, fresh, target)
    else:
        _put_aside(fresh, target)
        return
    try:
        fsync_folder(target.parent)
    except BaseException:
        undo()
        raise


def exchange(a: Path, b: Path) -> bool:
    """Exchange two paths in one step; return False, with nothing done, where that is not supported."""
    call = _renameat2()
    if call is None:
        return False
    if call(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE) == 0:
        return True
    number = _errno()
    if number in _NOT_SUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(b))


def _errno() -> int:
    import ctypes

    return ctypes.get_errno()


@functools.cache
def _renameat2() -> Callable[..., int] | None:
    import ctypes

    with suppress(OSError, AttributeError):
        call = ctypes.CDLL(None, use_errno=True).renameat2
        call.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
        return call
    return None


def _put_aside(fresh: Path, target: Path) -> None:
    aside = temporary(target, "old")
    with marked_as_ours(target):  # or a reader would take the copy aside for one that a crash left
        try:
            os.rename(target, aside)
            os.rename(fresh, target)
            fsync_folder(target.parent)
        except BaseException:
            _put_back(fresh, target, aside)
            raise
        _give_up(aside, fresh)


def _give_up(aside: Path, fresh: Path) -> None:
    """Let the old folder go by a name that nobody would recover it from, even if only half removed."""
    try:
        os.rename(aside, fresh)
    except OSError:
        remove(aside)
    except BaseException:
        remove(aside)
        raise


def _put_back(fresh: Path, target: Path, aside: Path) -> None:
    if not os.path.lexists(aside):
        return
    if os.path.lexists(target):
        os.rename(target, fresh)
    os.rename(aside, target)


def recover(path: Path) -> bool:
    """Bring back the newest copy of `path` put aside by a writer that was killed; tell whether one was."""
    if os.path.lexists(path) or not path.parent.is_dir():
        return False
    asides = leftovers(path.parent, path.name, "old")
    for aside in sorted(asides, key=lambda p: os.lstat(p).st_ctime_ns, reverse=True):
        with suppress(OSError):
            os.rename(aside, path)
            return True
    return False


def is_put_aside(path: Path) -> bool:
    """Tell whether a copy of `path` stands aside, as for a moment while a living writer replaces it."""
    try:
        return any(name.startswith(f"{path.name}.old-") for name in os.listdir(path.parent))
    except OSError:
        return False
