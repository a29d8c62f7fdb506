"""Full disks, broken disks, interrupts, at every call: the old content stays, nothing is left behind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from recurra.errors import StorageError
from recurra.storage import JsonLines, atomic_write_text, exchange, folder, read_folder, write_folder
from recurra.storage import durable as durable_module
from storage.faults import BROKEN, CALLS, FULL, litter, nth_call_fails, os_error

OLD = {"a.bin": b"old" * 50, "b.bin": b"old"}
NEW = {"a.bin": b"new" * 50, "c.bin": b"new"}


def assert_old_or_new_and_no_litter(path: Path, *, may_be_new: bool) -> None:
    files = dict(read_folder(path).files)
    assert files == OLD or (may_be_new and files == NEW)
    assert (path / "notes").read_text() == "mine"
    assert litter(path.parent) == []


def every_call_fails(path: Path, call: str, error: BaseException, after: bool) -> int:
    """Let each call of `os.<call>` in a write fail in turn, checking after each; return how many did."""
    for number in range(1, 200):
        write_folder(path, OLD, adopt=True)
        (path / "notes").write_text("mine")
        with nth_call_fails(call, number, error, after=after) as seen:
            failed: BaseException | None = None
            try:
                write_folder(path, NEW)
            except (StorageError, KeyboardInterrupt) as caught:
                failed = caught
        if not seen.raised:
            return number - 1
        assert_old_or_new_and_no_litter(
            path, may_be_new=failed is None or isinstance(error, KeyboardInterrupt)
        )
        if isinstance(failed, StorageError):
            assert isinstance(error, OSError)
            assert failed.errno == error.errno
            assert str(path) in str(failed)
    raise AssertionError("the write makes too many calls")


@pytest.mark.parametrize("aside", [False, True], ids=["exchange", "aside"])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("number", [FULL, BROKEN])
def test_system_error_at_any_call_leaves_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, aside: bool
) -> None:
    if aside:
        monkeypatch.setattr(exchange, "exchange", lambda a, b: False)
    failures = every_call_fails(tmp_path / "m", call, os_error(number), after=False)
    uses = {"replace": False, "rename": aside}
    assert (failures > 0) == uses.get(call, True)


@pytest.mark.parametrize("aside", [False, True], ids=["exchange", "aside"])
@pytest.mark.parametrize("after", [False, True], ids=["instead", "after"])
@pytest.mark.parametrize("call", CALLS)
def test_ctrl_c_at_any_call_leaves_the_old_folder_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, after: bool, aside: bool
) -> None:
    if aside:
        monkeypatch.setattr(exchange, "exchange", lambda a, b: False)
    every_call_fails(tmp_path / "m", call, KeyboardInterrupt(), after=after)


def in_place(target: Path, contents: object, meta: object) -> None:
    """Saboteur: writes straight into the target."""
    for name in os.listdir(target):
        if name != "notes":
            os.unlink(target / name)
    folder._fill(target, contents, meta)  # type: ignore[arg-type]


def without_clean_up(path: Path) -> None:
    """Saboteur: leaves its temporary where it is."""


@pytest.mark.parametrize(
    ("name", "broken"),
    [("_write_and_exchange", in_place), ("remove", without_clean_up)],
    ids=["in-place", "litter"],
)
def test_faults_find_a_writer_that_does_not_keep_the_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, broken: Callable[..., None]
) -> None:
    monkeypatch.setattr(folder, name, broken)
    with pytest.raises((AssertionError, StorageError), match=r"assert|missing|bytes|No such"):
        every_call_fails(tmp_path / "m", "write", os_error(FULL), after=False)


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
def test_full_disk_leaves_the_old_text(tmp_path: Path, call: str) -> None:
    path = tmp_path / "latest"
    atomic_write_text(path, "old")
    path.chmod(0o640)
    with (
        nth_call_fails(call, 1, os_error(FULL)),
        pytest.raises(StorageError, match=r"latest.*free some space"),
    ):
        atomic_write_text(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["latest"]
    atomic_write_text(path, "neu \u00fc")
    assert path.read_text() == "neu \u00fc"
    assert path.stat().st_mode & 0o777 == 0o640


def test_text_that_is_not_unicode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="the text is not Unicode"):
        atomic_write_text(tmp_path / "x", "\ud800")
    assert os.listdir(tmp_path) == []


def test_too_little_space_is_found_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "m", OLD)
    real = os.statvfs(tmp_path)

    class Full:
        f_bavail, f_frsize = 300, real.f_frsize

    monkeypatch.setattr(os, "statvfs", lambda path: Full)
    write_folder(tmp_path / "m", OLD)
    with nth_call_fails("mkdir", 1, AssertionError("written to")), pytest.raises(StorageError) as caught:
        write_folder(tmp_path / "m", {"a.bin": bytes(300 * real.f_frsize)})
    assert caught.value.errno == errno.ENOSPC
    assert "bytes are needed" in str(caught.value)
    with pytest.raises(StorageError, match="are free; free some space"):
        write_folder(tmp_path / "m", {"a.bin": bytes(10_000)}, headroom=1000.0)
    assert read_folder(tmp_path / "m").files == OLD


def test_partial_writes_of_the_system_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:7]))
    write_folder(tmp_path / "m", OLD)
    assert read_folder(tmp_path / "m").files == OLD


def test_folder_fsync_that_the_file_system_lacks_is_left_at_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fsync(fd: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            raise os_error(errno.EINVAL)
        real(fd)

    monkeypatch.setattr(durable_module.os, "fsync", fsync)
    write_folder(tmp_path / "m", OLD)
    assert read_folder(tmp_path / "m").files == OLD


def script(body: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(body), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_file_size_limit_of_the_process_leaves_the_old_folder(tmp_path: Path) -> None:
    write_folder(tmp_path / "m", OLD)
    done = script(
        """
        import resource, sys
        from recurra.errors import StorageError
        from recurra.storage import write_folder
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            write_folder(sys.argv[1], {"a.bin": bytes(100_000)})
        except StorageError as error:
            print(error.errno, error)
        """,
        str(tmp_path / "m"),
    )
    assert done.stdout.startswith(f"{errno.EFBIG} could not write {tmp_path / 'm'}"), done.stderr
    assert read_folder(tmp_path / "m").files == OLD
    assert os.listdir(tmp_path) == ["m"]


MOUNT = """
    import os, subprocess, sys
    from recurra.errors import StorageError
    from recurra.storage import read_folder, write_folder
    place, options = sys.argv[1:]
    free = type("Free", (), {"f_bavail": 10**9, "f_frsize": 4096})
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        print("skip")
        sys.exit()
    try:
        write_folder(place + "/m", {"a.bin": bytes(1_000_000)})
        os.statvfs = lambda path: free  # the space goes while the folder is being written
        if options == "ro":
            subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        try:
            write_folder(place + "/m", {"a.bin": bytes(2_500_000)})
        except StorageError as error:
            print(error.errno, error)
        print(len(read_folder(place + "/m").files["a.bin"]), os.listdir(place))
    finally:
        subprocess.run(["umount", place], check=True)
    """


@pytest.mark.parametrize(("options", "number"), [("full", errno.ENOSPC), ("ro", errno.EROFS)])
def test_disk_that_is_really_full_or_read_only(tmp_path: Path, options: str, number: int) -> None:
    done = script(MOUNT, str(tmp_path), options)
    if done.stdout.strip() == "skip":
        pytest.skip("mounting a small disk needs root")
    assert done.returncode == 0, done.stderr
    error, state = done.stdout.splitlines()
    assert error.startswith(f"{number} could not write")
    assert state == "1000000 ['m']"


def test_log_line_that_does_not_fit_leaves_nothing_of_itself(tmp_path: Path) -> None:
    with JsonLines(tmp_path / "log") as lines:
        lines.append({"a": 1})
        with (
            nth_call_fails("write", 1, os_error(FULL), after=True),
            pytest.raises(StorageError, match="append to"),
        ):
            lines.append({"a": 2})
        lines.append({"a": 3})
    assert (tmp_path / "log").read_text() == '{"a": 1}\n{"a": 3}\n'
