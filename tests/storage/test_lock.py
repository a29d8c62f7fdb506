from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from recurra.errors import LockedError
from recurra.storage import FolderLock, lock


def holder(folder: Path) -> subprocess.Popen[str]:
    """A process that takes the lock, says so and waits."""
    body = """
import sys
from recurra.storage import FolderLock
FolderLock(sys.argv[1]).acquire()
print(1, flush=True)
input()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", body, str(folder)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    return process


def close(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_second_process_is_refused_and_told_who_works_there(tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        expected = rf"in use by process {process.pid} on .*holds {tmp_path}/run\.lock"
        with pytest.raises(LockedError, match=expected):
            FolderLock(tmp_path).acquire()
    finally:
        close(process)


def test_lock_ends_with_its_owner_however_it_ends(tmp_path: Path) -> None:
    process = holder(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (tmp_path / "run.lock").exists()
    with FolderLock(tmp_path) as taken:
        assert taken.held
        assert json.loads((tmp_path / "run.lock").read_text())["pid"] == os.getpid()
    assert os.listdir(tmp_path) == []


def test_second_lock_in_the_same_process_is_refused(tmp_path: Path) -> None:
    with FolderLock(tmp_path) as first:
        assert first.acquire() is first
        with pytest.raises(LockedError, match=f"process {os.getpid()} "):
            FolderLock(tmp_path).acquire()
    first.release()
    with FolderLock(tmp_path):
        pass


def test_forked_child_neither_holds_nor_releases_the_lock(tmp_path: Path) -> None:
    taken = FolderLock(tmp_path).acquire()
    pid = os.fork()
    if pid == 0:
        held = taken.held
        taken.release()
        signal.pause() if not held else None
        os._exit(1)
    try:
        with pytest.raises(LockedError):
            FolderLock(tmp_path).acquire()
        taken.release()
        FolderLock(tmp_path).acquire().release()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def without_flock(monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(fd: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize(
    ("record", "refused"),
    [
        ({"pid": 1, "started": "now", "host": "elsewhere"}, True),
        ({"pid": 1, "started": lock._start_of(1), "host": os.uname().nodename}, True),
        ({"pid": 1, "started": "before the last boot", "host": os.uname().nodename}, False),
        ({"pid": 2**22 + 1, "started": "x", "host": os.uname().nodename}, False),
        ({"pid": "x"}, False),
        ([], False),
        ("torn", False),
    ],
)
def test_record_decides_where_the_file_system_has_no_flock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: object, refused: bool
) -> None:
    text = record if isinstance(record, str) else json.dumps(record)
    (tmp_path / "run.lock").write_text(text)
    without_flock(monkeypatch)
    if refused:
        with pytest.raises(LockedError, match=r"in use by process 1 on .*remove the file only if"):
            FolderLock(tmp_path).acquire()
        assert (tmp_path / "run.lock").read_text() == text
    else:
        with FolderLock(tmp_path):
            pass


def test_record_of_a_dead_run_does_not_lock_where_the_kernel_decides(tmp_path: Path) -> None:
    (tmp_path / "run.lock").write_text(
        json.dumps({"pid": 1, "started": "x", "host": "a container of yesterday"})
    )
    with FolderLock(tmp_path):
        pass


def test_lock_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "run.lock").symlink_to("victim")
    with pytest.raises(OSError, match=r"could not lock .*run\.lock"):
        FolderLock(tmp_path).acquire()
    assert (tmp_path / "victim").read_text() == "mine"


def test_lock_without_its_record_would_let_two_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saboteur: neither flock nor the record is looked at."""
    without_flock(monkeypatch)
    monkeypatch.setattr(lock, "_is_alive", lambda record, certain: False)
    process = holder(tmp_path)
    try:
        with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"), pytest.raises(LockedError):
            FolderLock(tmp_path).acquire()
    finally:
        close(process)
