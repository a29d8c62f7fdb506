"""Kills writers at random instants and looks at what they leave: `python kill_harness.py SUBJECT FOLDER ...`.

A process of its own, so that the writers are forked from something small. Prints one JSON object: how many
were killed, how many of them in the middle of a write, and every complaint about what was found.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recurra import storage
from recurra.errors import RecurraError
from recurra.storage import exchange, folder

Write = Callable[[Path, int], object]
Check = Callable[[Path], int]
SIZES = {"a.bin": 3_000, "b.bin": 70_000, "c.json": 200}


def _content(version: int, size: int) -> bytes:
    return (version.to_bytes(8, "little") * (size // 8 + 1))[:size]


def write_files(path: Path, version: int) -> None:
    storage.write_folder(path, {name: _content(version, size) for name, size in SIZES.items()})


def read_files(path: Path) -> int:
    found = storage.read_folder(path)
    version = int.from_bytes(found.files["a.bin"][:8], "little")
    if any(found.files[name] != _content(version, size) for name, size in SIZES.items()):
        raise AssertionError("files of different versions stand together")
    return version


def write_text(path: Path, version: int) -> None:
    storage.atomic_write_text(path, f"{version} " * 5_000)


def read_text(path: Path) -> int:
    words = path.read_text().split()
    if len(words) != 5_000 or len(set(words)) != 1:
        raise AssertionError("the text is not whole")
    return int(words[0])


def write_lines(path: Path, version: int) -> None:
    with storage.JsonLines(path) as lines:
        lines.append({"version": version, "filling": "x" * 2_000})


def read_lines(path: Path) -> int:
    records = storage.read_json_lines(path)
    versions = [record["version"] for record in records]
    if versions != list(range(1, len(versions) + 1)):
        raise AssertionError(f"lines were lost or written twice: {versions[-5:]}")
    return len(versions)


def write_bundle(path: Path, version: int) -> None:
    import numpy as np

    from recurra.runtime.bundle import Bundle

    arrays = {"weight": np.full((40, 300), version, np.float32), "bias": np.full(7, version, np.float32)}
    files = {"tokenizer.json": json.dumps({"version": version}).encode()}
    Bundle(config={"task": "classifier", "version": version}, arrays=arrays, files=files).save(path)


def read_bundle(path: Path) -> int:
    from recurra.runtime.bundle import Bundle

    found = Bundle.load(path, expect={"weight": (40, 300), "bias": (7,)})
    version = int(found.config["version"])
    values = {float(x) for array in found.arrays.values() for x in array.flat}
    if values != {float(version)} or json.loads(found.files["tokenizer.json"])["version"] != version:
        raise AssertionError("files of different versions stand together")
    return version


def _walk(state: dict[str, object] | None, total: Any) -> tuple[dict[str, Any], Any]:
    """One step of a run in miniature: its random state and its sum of random numbers."""
    import numpy as np

    rng = np.random.default_rng(5)
    if state is not None:
        rng.bit_generator.state = state
    total = total + rng.standard_normal((40, 100))
    return dict(rng.bit_generator.state), total


def write_checkpoint(path: Path, version: int) -> None:
    from recurra.training.checkpoint import CheckpointStore

    with CheckpointStore(path) as store:
        found = store.latest()
        start = (None, 0.0) if found is None else (found.state["rng"], found.arrays["total"])
        if version != (1 if found is None else found.step + 1):
            raise AssertionError(f"resumed at {found}, not before step {version}")
        state, total = _walk(*start)
        store.save_best(version, {"rng": state}, {"total": total})
        store.save(version, {"rng": state}, {"total": total})


def read_checkpoint(path: Path) -> int:
    import warnings

    from recurra.training.checkpoint import CheckpointStore

    store = CheckpointStore(path)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found, best = store.latest(), store.best()
    if told:
        raise AssertionError(f"nothing is to be set aside, but: {told[0].message}")
    if found is None or best is None:
        raise AssertionError("there is no checkpoint")
    for checkpoint in (found, best):
        _compare_with_a_run_that_was_not_killed(checkpoint)
    if best.step not in (found.step, found.step + 1):
        raise AssertionError(f"best is of step {best.step}, the newest of step {found.step}")
    return found.step


def _compare_with_a_run_that_was_not_killed(checkpoint: Any) -> None:
    while len(_whole_run) <= checkpoint.step:
        _whole_run.append(_walk(*_whole_run[-1]))
    state, total = _whole_run[checkpoint.step]
    if checkpoint.state["rng"] != state or checkpoint.arrays["total"].tobytes() != total.tobytes():
        raise AssertionError(f"step {checkpoint.step} has other bits than without the kills")


_whole_run: list[tuple[Any, Any]] = [(None, 0.0)]

SUBJECTS: dict[str, tuple[Write, Check]] = {
    "folder": (write_files, read_files),
    "text": (write_text, read_text),
    "lines": (write_lines, read_lines),
    "bundle": (write_bundle, read_bundle),
    "checkpoint": (write_checkpoint, read_checkpoint),
}


def no_exchange() -> None:
    """Not a sabotage: a system without RENAME_EXCHANGE."""
    exchange.exchange = lambda a, b: False


def write_in_place() -> None:
    """The files are written straight into the target."""

    def fill(target: Path, contents: object, meta: object) -> None:
        import shutil

        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        folder._fill(target, contents, meta)

    folder._write_and_exchange = fill


def target_removed_first() -> None:
    """The old folder is deleted, then the new one moved in."""

    def put_in_place(fresh: Path, target: Path) -> None:
        import shutil

        shutil.rmtree(target, ignore_errors=True)
        os.rename(fresh, target)

    folder.put_in_place = put_in_place


def resume_without_random_state() -> None:
    """A resumed run draws its random numbers from the beginning."""
    global _walk
    real, parent = _walk, os.getpid()
    _walk = lambda state, total: real(state if os.getpid() == parent else None, total)  # noqa: E731


SWITCHES = {
    switch.__name__: switch
    for switch in (no_exchange, write_in_place, target_removed_first, resume_without_random_state)
}


def _writer(write: Write, path: Path, version: int, acknowledge: int) -> None:
    """Write one version after the other until killed, and tell of each that is done."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        version += 1
        write(path, version)
        os.write(acknowledge, version.to_bytes(8, "little"))


def _killed(write: Write, path: Path, version: int, delay: float) -> int:
    """Fork a writer, kill it after `delay` seconds; return the last version that it called done."""
    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(receive)
            _writer(write, path, version, send)
        finally:
            os._exit(9)
    os.close(send)
    time.sleep(delay)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        raise AssertionError("the writer ended by itself")
    done = b""
    while part := os.read(receive, 1 << 16):
        done += part
    os.close(receive)
    return int.from_bytes(done[-8:], "little") if done else version


def _seconds_of_a_write(write: Write, path: Path) -> float:
    write(path, 1)  # imports
    start = time.perf_counter()
    for version in (2, 3):
        write(path, version)
    return (time.perf_counter() - start) / 2


def run(subject: str, path: Path, kills: int, seed: int) -> dict[str, object]:
    """Kill `kills` writers one after the other on the same path, checking after each."""
    write, check = SUBJECTS[subject]
    rng, complaints, amid, version = random.Random(seed), [], 0, 3
    seconds = _seconds_of_a_write(write, path)
    killed = 0
    while killed < kills and not complaints:
        killed += 1
        try:
            acknowledged = _killed(write, path, version, rng.uniform(0.0, 3.0 * seconds) + 0.002)
            around = [path.parent, path] if path.is_dir() else [path.parent]
            amid += any(".tmp-" in name or ".old-" in name for place in around for name in os.listdir(place))
            version = check(path)
            if version not in (acknowledged, acknowledged + 1):
                complaints.append(f"version {acknowledged} was done, {version} is there")
        except (RecurraError, AssertionError, OSError) as error:
            complaints.append(f"{type(error).__name__}: {error}")
    if not complaints:
        write(path, version + 1)
    left = sorted(name for place in {path.parent, path} if place.is_dir() for name in os.listdir(place))
    return {"left": left, "kills": killed, "amid": amid, "versions": version, "complaints": complaints}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("subject", choices=SUBJECTS)
    parser.add_argument("path", type=Path)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--switch", choices=SWITCHES, action="append", default=[])
    given = parser.parse_args(arguments)
    for name in given.switch:
        SWITCHES[name]()
    print(json.dumps(run(given.subject, given.path, given.kills, given.seed)))


if __name__ == "__main__":
    main(sys.argv[1:])
