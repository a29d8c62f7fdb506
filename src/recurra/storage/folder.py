"""Stored folders are written whole beside their target, then exchanged with it.

Every file is fsynced, the manifest is written last, the folder is fsynced, then put in the place of the old
one (`recurra.storage.exchange`), and only then is the old one removed. Whatever happens in between, a killed
process, a full disk, a power cut, the path holds the old content or the new.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recurra.errors import BundleError, SpecError, StorageError
from recurra.storage.carry import carry_over, rescue
from recurra.storage.durable import (
    Payload,
    atomic_write_bytes,
    clean_leftovers,
    content_size,
    fsync_folder,
    make_parents,
    marked_as_ours,
    remove,
    require_space,
    resolved_target,
    storage_errors,
    temporary,
    write_new_file,
)
from recurra.storage.exchange import put_in_place, recover
from recurra.storage.json_text import plain_json
from recurra.storage.manifest import MANIFEST, MAX_FILES, Entry, Manifest, case_clash, checked_name
from recurra.storage.reader import Folder, open_folder

_MARGIN = 1 << 20  # bytes for the manifest and for the file system's own books


def write_folder(
    target: str | os.PathLike[str],
    files: Mapping[str, bytes | Payload],
    *,
    meta: Mapping[str, Any] | None = None,
    adopt: bool = False,
    headroom: float = 1.0,
) -> Path:
    """Replace the folder `target` by one that holds `files` and their manifest; return its absolute path.

    `meta` is plain JSON kept in the manifest. Files of `target` that its manifest does not list stay beside
    the new ones (hard links where possible). A folder that is not empty and has no manifest is refused
    unless `adopt` says that it is ours to write in. `headroom` times the size of `files` must be free on the
    disk before anything is written.

    Raises `StorageError` with the system's `errno`; then `target` is as it was and no temporary is left.
    """
    contents = _checked_files(files)
    described = plain_json(meta or {}, "meta")
    target = resolved_target(target)
    with storage_errors("write", target):
        make_parents(target.parent)
        recover(target)
        _refuse_foreign(target, adopt)
        clean_leftovers(target.parent, target.name)
        require_space(target.parent, int(headroom * sum(map(content_size, contents.values()))) + _MARGIN)
        _write_and_exchange(target, contents, described)
    return target


def check_target(target: str | os.PathLike[str], *, adopt: bool = False) -> Path:
    """Check, before long work, that `write_folder` would accept `target`; return its absolute path.

    Raises `StorageError` where a file or somebody else's folder stands there, or it may not be written to.
    """
    target = resolved_target(target)
    with storage_errors("write", target):
        _refuse_foreign(target, adopt)
        parent = next(path for path in target.parents if path.exists())
        if not parent.is_dir():
            raise StorageError(f"could not write {target}: {parent} is a file, not a folder")
        if not os.access(parent, os.W_OK | os.X_OK):
            raise StorageError(
                f"could not write {target}: {parent} may not be written to; choose another folder"
            )
    return target


def _checked_files(files: Mapping[str, bytes | Payload]) -> dict[str, bytes | Payload]:
    contents = {checked_name(name): content for name, content in files.items()}
    double = case_clash(contents)
    if double is not None:
        raise SpecError(f"the names of stored files must differ in more than case, got {double!r} twice")
    if len(contents) > MAX_FILES:
        raise SpecError(f"a stored folder holds at most {MAX_FILES} files, got {len(contents)}")
    return contents


def _refuse_foreign(target: Path, adopt: bool) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise StorageError(f"could not write {target}: it is a file, not a folder; choose another name")
    names = os.listdir(target)
    if names and not adopt and _listed(target) is None:
        raise StorageError(
            f"could not write {target}: it holds files that Recurra did not write (such as {min(names)!r}), "
            f"or its {MANIFEST} was changed; choose an empty or a new folder"
        )


def _write_and_exchange(target: Path, contents: Mapping[str, bytes | Payload], meta: Any) -> None:
    fresh = temporary(target)
    try:
        fresh.mkdir()
        with marked_as_ours(fresh):
            _fill(fresh, contents, meta)
            replaced = {*(_listed(target) or ()), *contents, MANIFEST}
            carried = carry_over(target, fresh, replaced)
            fsync_folder(fresh)
            put_in_place(fresh, target)
            rescue(fresh, target, replaced | carried)
    finally:
        remove(fresh)


def _fill(folder: Path, contents: Mapping[str, bytes | Payload], meta: Any) -> None:
    entries = {}
    for name, content in contents.items():
        size, sha256 = write_new_file(folder / name, content)
        entries[name] = Entry(size=size, sha256=sha256)
    write_new_file(folder / MANIFEST, Manifest(entries=entries, meta=meta).encode())


def _listed(target: Path) -> list[str] | None:
    """The names that the manifest of `target` lists; None where there is no sound manifest."""
    if not target.exists():
        return None
    try:
        with Folder(target) as folder:
            return folder.names
    except BundleError:
        return None


def attach_file(path: str | os.PathLike[str], name: str, data: bytes) -> None:
    """Add the file `name` to the stored folder `path`, or replace it, with its new line in the manifest.

    For what is learnt about a folder later (a verification, scores) and is not read to use it: a crash
    between the file and the manifest leaves the two at odds for this one file.

    Raises `StorageError`, and what `open_folder` raises.
    """
    checked_name(name)
    with open_folder(path) as folder:
        entry = Entry(size=len(data), sha256=hashlib.sha256(data).hexdigest())
        changed = Manifest(entries={**folder.manifest.entries, name: entry}, meta=folder.meta)
        atomic_write_bytes(folder.path / name, data)
        atomic_write_bytes(folder.path / MANIFEST, changed.encode())
