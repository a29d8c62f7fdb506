"""Checkpoints: the whole state of a run as folders that are complete or not there.

```
<folder>/ckpt-1200/   state.json, arrays.safetensors, manifest.json
         ckpt-1400/
         best/        the best one so far, kept apart
         latest       the name of the newest one
         run.lock     while a process works here
```

A checkpoint is written whole beside its place and moved there; `latest` follows; only then are older ones
removed. One that does not verify is set aside as `ckpt-<step>.corrupt` and the one before it is used. State
is JSON and NumPy arrays, never pickle.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from recurra.errors import CorruptBundleError, NewerBundleError, SpecError, StorageError
from recurra.runtime.bundle import library_versions
from recurra.runtime.weights import decode_arrays, encode_arrays
from recurra.storage import (
    MANIFEST,
    FolderLock,
    Payload,
    atomic_write_text,
    clean_leftovers,
    dump_json,
    open_folder,
    parse_json,
    plain_json,
    recover,
    write_folder,
)
from recurra.storage.durable import fsync_folder, leftovers, remove, storage_errors, target_name, temporary

SCHEMA_VERSION = 1
STATE = "state.json"
ARRAYS = "arrays.safetensors"
BEST = "best"
LATEST = "latest"
_KIND = "checkpoint"
_STEP = re.compile(r"ckpt-([0-9]{1,15})")
_MAX_STATE = 256 << 20
_HEADROOM = 2.0  # the log and the report grow on the same disk

Arrays = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """The state of a run after `step`: plain JSON in `state`, NumPy arrays (read-only) in `arrays`.

    Floats come back bit for bit, NaN and infinities included; `versions` are the libraries that wrote it.
    """

    step: int
    state: Mapping[str, Any]
    arrays: Arrays
    versions: Mapping[str, str]
    path: Path


class CheckpointStore:
    """The checkpoints of one run in `folder`, of which the newest `keep` (at least 2) and the best stay.

    With `with`, or from the first `save`, the folder is locked: a second process gets `LockedError`.
    A disk that is full is warned of (RuntimeWarning) and tried again at the next save; after `max_misses`
    saves in a row that failed, `StorageError` is raised.
    """

    def __init__(self, folder: str | os.PathLike[str], *, keep: int = 2, max_misses: int = 3) -> None:
        if keep < 2:
            raise SpecError(f"keep must be at least 2 (one may turn out corrupt), got {keep}; use keep=2")
        if max_misses < 1:
            raise SpecError(f"max_misses must be at least 1, got {max_misses}; use for example max_misses=3")
        self.folder = Path(os.path.realpath(folder))
        self.keep = keep
        self.max_misses = max_misses
        self.misses = 0
        self._lock = FolderLock(self.folder)

    def __enter__(self) -> Self:
        self._claim()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def _claim(self) -> None:
        if not self._lock.held:
            self._lock.acquire()
            clean_leftovers(self.folder)

    def save(self, step: int, state: Mapping[str, Any], arrays: Arrays) -> bool:
        """Store the state after `step`, point `latest` to it, then remove what is too many.

        Returns False, with a warning, where it could not be written and the run should go on. Checkpoints of
        a later step are of a course that the run has left (it was set back) and are removed too.

        Raises `LockedError`, `DataError` for a state that JSON cannot hold, and `StorageError` after
        `max_misses` failures in a row.
        """
        name = f"ckpt-{_checked_step(step)}"
        if not self._try(partial(self._write, name, step, state, arrays)):
            return False
        self._prune(step)
        return True

    def save_best(self, step: int, state: Mapping[str, Any], arrays: Arrays) -> bool:
        """Store the best state so far, in place of the one before; as `save` otherwise."""
        return self._try(partial(self._write, BEST, _checked_step(step), state, arrays))

    def _try(self, write: Callable[[], None]) -> bool:
        self._claim()
        try:
            write()
        except StorageError as error:
            self.misses += 1
            if self.misses >= self.max_misses:
                raise StorageError(
                    f"{error}; {self.misses} checkpoints in a row could not be saved"
                ) from error
            warnings.warn(
                f"checkpoint not saved ({self.misses} of {self.max_misses} allowed in a row): {error}",
                RuntimeWarning,
                stacklevel=4,
            )
            return False
        self.misses = 0
        return True

    def _write(self, name: str, step: int, state: Mapping[str, Any], arrays: Arrays) -> None:
        record = {"step": step, "state": plain_json(state, "state", allow_nan=True)}
        contents: dict[str, bytes | Payload] = {
            STATE: dump_json(record, allow_nan=True),
            ARRAYS: encode_arrays(arrays),
        }
        meta = {"kind": _KIND, "schema_version": SCHEMA_VERSION, "versions": library_versions()}
        write_folder(self.folder / name, contents, meta=meta, adopt=True, headroom=_HEADROOM)
        if name != BEST:
            atomic_write_text(self.folder / LATEST, name + "\n")

    def _prune(self, newest: int) -> None:
        steps = self.steps()
        kept = [step for step in steps if step <= newest][-self.keep :]
        for step in sorted(set(steps) - set(kept)):
            _discard(self.folder / f"ckpt-{step}")

    def steps(self) -> list[int]:
        """Return the steps that have a checkpoint, verified or not, in ascending order."""
        if not self.folder.is_dir():
            return []
        matches = map(_STEP.fullmatch, os.listdir(self.folder))
        return sorted(int(match[1]) for match in matches if match)

    def latest(self) -> Checkpoint | None:
        """Return the newest checkpoint that verifies, or None where the folder has none.

        One that does not is set aside as `.corrupt` (RuntimeWarning) and the one before it is tried.

        Raises `CorruptBundleError` where there are checkpoints and none is sound, `NewerBundleError` for one
        of a later version of Recurra.
        """
        for aside in leftovers(self.folder, kind="old") if self.folder.is_dir() else ():
            recover(self.folder / target_name(aside))
        steps = self.steps()
        for step in reversed(steps):
            checkpoint = self._sound(self.folder / f"ckpt-{step}")
            if checkpoint is not None:
                return checkpoint
        if steps:
            raise CorruptBundleError(
                f"{self.folder} has {len(steps)} checkpoints and none of them can be used"
            )
        return None

    def best(self) -> Checkpoint | None:
        """Return the best checkpoint, or None where none was saved or it does not verify (RuntimeWarning)."""
        path = self.folder / BEST
        recover(path)
        return self._sound(path) if path.exists() else None

    def _sound(self, path: Path) -> Checkpoint | None:
        try:
            return load_checkpoint(path)
        except NewerBundleError:
            raise
        except CorruptBundleError as error:
            moved = _quarantine(path)
            warnings.warn(f"{error}; {moved}", RuntimeWarning, stacklevel=3)
        except StorageError as error:
            warnings.warn(f"{error}; the checkpoint before it is tried", RuntimeWarning, stacklevel=3)
        return None


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read and verify one checkpoint folder.

    Raises `CorruptBundleError` naming the file, `NewerBundleError`, `StorageError`.
    """
    with open_folder(path) as folder, storage_errors("read", folder.path):
        _check_meta(folder.meta, str(folder.path / MANIFEST))
        file = str(folder.path / STATE)
        record = parse_json(folder.read(STATE, limit=_MAX_STATE), file, allow_nan=True)
        arrays = decode_arrays(folder.read(ARRAYS), str(folder.path / ARRAYS))
        if not _is_record(record):
            raise CorruptBundleError(f"{file} must hold a step and a state")
        return Checkpoint(
            step=record["step"],
            state=record["state"],
            arrays=arrays,
            versions=folder.meta["versions"],
            path=folder.path,
        )


def _is_record(record: Any) -> bool:
    return (
        isinstance(record, dict)
        and isinstance(record.get("step"), int)
        and isinstance(record.get("state"), dict)
    )


def _check_meta(meta: Mapping[str, Any], file: str) -> None:
    version = meta.get("schema_version")
    if (
        meta.get("kind") != _KIND
        or not isinstance(version, int)
        or not isinstance(meta.get("versions"), dict)
    ):
        raise CorruptBundleError(f"{file} says that this is a {meta.get('kind', 'folder')}, not a checkpoint")
    if version > SCHEMA_VERSION:
        raise NewerBundleError(
            f"{file} has schema_version {version}, this version of Recurra reads up to {SCHEMA_VERSION}; "
            "upgrade with pip install --upgrade recurra"
        )


def _checked_step(step: int) -> int:
    if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step < 10**15:
        raise SpecError(f"step must be a whole number from 0, got {step!r}; use the number of steps done")
    return step


def _discard(path: Path) -> None:
    """Remove a checkpoint so that none is ever half there under its name."""
    doomed = temporary(path)
    with suppress(OSError):
        os.rename(path, doomed)
        remove(doomed)


def _quarantine(path: Path) -> str:
    """Set a corrupt checkpoint aside; return what was done, for the warning."""
    target = path.with_name(f"{path.name}.corrupt")
    for number in range(2, 100):
        if not os.path.lexists(target):
            break
        target = path.with_name(f"{path.name}.corrupt-{number}")
    try:
        os.rename(path, target)
        fsync_folder(path.parent)
    except OSError as error:
        return f"it could not be set aside ({error.strerror})"
    return f"it was set aside as {target.name}"
