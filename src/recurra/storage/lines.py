"""JSON lines: a log that only grows, of which a crash can tear at most the last line."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from recurra.errors import StorageError
from recurra.storage.durable import fsync_folder, make_parents, resolved_target, storage_errors
from recurra.storage.json_text import plain_json


class JsonLines:
    """An append-only file of one JSON object per line.

    Opening it for writing cuts off a torn last line, and all lines after the first `keep` (a resumed run
    goes on from its checkpoint). Each record is one write, so that readers see whole lines. Non-finite
    floats are written as null, which every JSON reader takes. `count` is the number of lines.

    Raises `StorageError`; a record that did not fit on the disk leaves no part of itself.
    """

    def __init__(self, path: str | os.PathLike[str], *, keep: int | None = None) -> None:
        self.path = resolved_target(path)
        with storage_errors("open", self.path):
            make_parents(self.path.parent)
            is_new = not self.path.exists()
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            try:
                self.count = self._trim(keep)
                if is_new:
                    fsync_folder(self.path.parent)
            except BaseException:
                self.close()
                raise

    def _trim(self, keep: int | None) -> int:
        count = end = 0
        with open(self._fd, "rb", closefd=False) as file:
            for line in file:
                if not line.endswith(b"\n") or count == keep:
                    break
                count += 1
                end += len(line)
        os.ftruncate(self._fd, end)
        return count

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record at the end."""
        line = json.dumps(_finite(plain_json(record, "record", allow_nan=True)), allow_nan=False)
        data = line.encode("ascii") + b"\n"
        with storage_errors("append to", self.path):
            start = os.fstat(self._fd).st_size
            try:
                written = os.write(self._fd, data)
                while written < len(data):
                    written += os.write(self._fd, data[written:])
            except BaseException:
                os.ftruncate(self._fd, start)
                raise
        self.count += 1

    def sync(self) -> None:
        """Make everything written so far durable; to be called before a checkpoint that counts on it."""
        with storage_errors("sync", self.path):
            os.fsync(self._fd)

    def close(self) -> None:
        """Close the file; it may be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value


def read_json_lines(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the records of a file of JSON lines; a torn last line is left out.

    Raises `StorageError` where the file cannot be read or another line is not a JSON object, with its number.
    """
    path = Path(path)
    with storage_errors("read", path):
        whole, _, _ = path.read_bytes().rpartition(b"\n")
    return [_record(line, path, number) for number, line in enumerate(whole.splitlines(), 1) if line]


def _record(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise StorageError(f"{path}, line {number} is not valid JSON ({error}); remove that line") from error
    if not isinstance(record, dict):
        raise StorageError(f"{path}, line {number} must be a JSON object, got {type(record).__name__}")
    return record
