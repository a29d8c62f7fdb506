"""An exported program at work in another process: nothing that was exported is ever loaded into this one."""

from __future__ import annotations

import hashlib
import io
import json
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from recurra.errors import ExportError
from recurra.ragged import Array

WORKER = Path(__file__).with_name("torch_worker.py")
OPERATORS = "recurra.nn"
"""The module that makes Recurra's operators known."""

PATIENCE = 300.0
"""Seconds that one answer may take."""


class ProgramSession:
    """A program in a process of its own; a context manager, since the process has to be ended.

    operators: whether Recurra's operators are made known to it. Where not, the process cannot even find Recurra
    by itself, and `needs_recurra` tells whether it was loaded all the same.
    """

    def __init__(self, content: bytes, *, operators: bool, states: dict[str, tuple[int, ...]]) -> None:
        self.states = states
        self._folder = tempfile.TemporaryDirectory(prefix="recurra-export-")
        file, told = Path(self._folder.name) / "program.pt2", Path(self._folder.name) / "stderr.txt"
        file.write_bytes(content)
        self._errors = told.open("wb")
        isolated = "-P" if operators else "-I"
        digest = hashlib.sha256(content).hexdigest()
        command = [sys.executable, isolated, str(WORKER), str(file), digest, OPERATORS if operators else ""]
        self._process = subprocess.Popen(command, stdin=-1, stdout=-1, stderr=self._errors)
        try:
            self.needs_recurra = bool(json.loads(self._receive("load"))["recurra"])
        except BaseException:
            self.close()
            raise

    def run(self, feed: dict[str, Array]) -> dict[str, Array]:
        """All outputs by name."""
        made, arrays = io.BytesIO(), dict[str, Any](feed)
        np.savez(made, **arrays)
        pipe = _there(self._process.stdin)
        try:
            pipe.write(b"N" + len(made.getvalue()).to_bytes(8, "little") + made.getvalue())
            pipe.flush()
        except BrokenPipeError:
            raise ExportError("PyTorch ended while it ran the exported program") from None
        found = np.load(io.BytesIO(self._receive("run")), allow_pickle=False)
        return {name: found[name] for name in found.files}

    def start(self, rows: int) -> dict[str, Array]:
        """The states that begin a sequence: zeros."""
        kinds = {name: np.float32 if size else np.int64 for name, size in self.states.items()}
        return {name: np.zeros((rows, *size), kinds[name]) for name, size in self.states.items()}

    def _receive(self, doing: str) -> bytes:
        header = self._read(9, doing)
        data = self._read(int.from_bytes(header[1:], "little"), doing)
        if header[:1] == b"J" and "error" in (told := json.loads(data)):
            raise ExportError(f"PyTorch could not {doing} the exported program: {told['error']}")
        return data

    def _read(self, size: int, doing: str) -> bytes:
        pipe, data, deadline = _there(self._process.stdout), b"", time.monotonic() + PATIENCE
        while len(data) < size:
            if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise ExportError(
                    f"PyTorch took more than {PATIENCE:g} seconds to {doing} the exported program"
                )
            part = pipe.read1(size - len(data))  # type: ignore[attr-defined]
            if not part:
                raise ExportError(f"PyTorch ended while it was to {doing} the exported program")
            data += part
        return data

    def close(self) -> None:
        """End the process and remove its files."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            _there(pipe).close()
        self._process.wait()
        self._errors.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _there(pipe: IO[Any] | None) -> IO[Any]:
    assert pipe is not None
    return pipe
