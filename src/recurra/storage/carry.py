"""What stands in a stored folder beside its own files stays when the folder is replaced."""

from __future__ import annotations

import os
from collections.abc import Set
from contextlib import suppress
from pathlib import Path

from recurra.errors import StorageError


def carry_over(old: Path, new: Path, replaced: Set[str]) -> set[str]:
    """Put everything of the folder `old` that `replaced` does not name into `new` too; return the names.

    Files are hard links where the file system has them (so that a log that is open stays the same file) and
    copies elsewhere; links stay links. Raises `StorageError` for sockets, pipes and devices.
    """
    if not old.is_dir():
        return set()
    os.chmod(new, old.stat().st_mode & 0o7777)
    names = {name for name in os.listdir(old) if name not in replaced}
    for name in names:
        _carry(old / name, new / name)
    return names


def _carry(old: Path, new: Path) -> None:
    if old.is_symlink():
        new.symlink_to(os.readlink(old))
    elif old.is_dir():
        import shutil

        new.mkdir()
        shutil.copystat(old, new)
        for name in os.listdir(old):
            _carry(old / name, new / name)
    elif old.is_file():
        _link_or_copy(old, new)
    else:
        raise StorageError(f"{old} is neither a file nor a folder; move it away to save here")


def _link_or_copy(old: Path, new: Path) -> None:
    try:
        os.link(old, new, follow_symlinks=False)
    except FileNotFoundError:
        return  # it was a temporary of somebody else, gone by now
    except OSError:
        import shutil

        shutil.copy2(old, new)


def rescue(old: Path, new: Path, known: Set[str]) -> None:
    """Move what appeared in `old` while it was being replaced, and is in neither, to `new`."""
    with suppress(OSError):
        for name in os.listdir(old):
            if name not in known and not os.path.lexists(new / name):
                with suppress(OSError):
                    os.rename(old / name, new / name)
