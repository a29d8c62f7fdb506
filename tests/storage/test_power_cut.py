"""A power cut after any system call: the old content or the new, on the harshest disk that POSIX allows."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recurra.errors import StorageError
from recurra.storage import (
    atomic_write_text,
    durable,
    exchange,
    folder,
    read_folder,
    reader,
    write_folder,
)
from storage.power_cut import every_cut

OLD = {"a.bin": b"old a", "b.bin": b"old b" * 9}
NEW = {"a.bin": b"new a" * 7, "c.bin": b"new c"}


def write_old_then(root: Path, old: bool) -> None:
    root.mkdir()
    if old:
        write_folder(root / "model", OLD)
        (root / "model" / "notes.txt").write_text("mine")


def states_after_cuts(tmp_path: Path, *, old: bool = True) -> set[str]:
    """Replace the folder under power cuts; return which contents were found, asserting that each is whole."""
    write_old_then(tmp_path / "disk", old)
    seen = set()

    def check(place: Path) -> None:
        try:
            files = dict(read_folder(place / "model").files)
        except StorageError as error:
            assert not old, f"neither old nor new: {error}"  # noqa: PT017
            assert "no such" in str(error).lower(), f"half a folder: {error}"  # noqa: PT017
            seen.add("nothing")
            return
        assert files in (OLD, NEW)
        if old:
            assert (place / "model" / "notes.txt").read_bytes() == b"mine"
        seen.add("old" if files == OLD else "new")

    def write() -> None:
        write_folder(tmp_path / "disk" / "model", NEW)

    def check_in_another_life(place: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(durable, "is_running", lambda pid: False)  # the writer went with the power
            check(place)

    assert every_cut(tmp_path / "disk", tmp_path / "states", write, check_in_another_life) > 5
    return seen


def without_exchange(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(exchange, "exchange", lambda a, b: False)


def without_recovery(patch: pytest.MonkeyPatch) -> None:
    without_exchange(patch)
    patch.setattr(reader, "recover", lambda path: False)
    patch.setattr(reader, "_PAUSE_SECONDS", 0.0)


class _NoFileFsync:
    """The module `os` as a writer sees it that forgets to fsync files."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def fsync(self, fd: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            os.fsync(fd)


def without_file_fsync(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(durable, "os", _NoFileFsync())


def without_folder_fsync(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(folder, "fsync_folder", lambda path: None)


def without_parent_fsync(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(exchange, "fsync_folder", lambda path: None)


def exchanged_before_the_files_are_durable(patch: pytest.MonkeyPatch) -> None:
    real = folder.fsync_folder
    patch.setattr(folder, "fsync_folder", lambda path: None)
    put = exchange.put_in_place

    def put_in_place(fresh: Path, target: Path) -> None:
        put(fresh, target)
        real(target)

    patch.setattr(folder, "put_in_place", put_in_place)


@pytest.mark.parametrize("old", [True, False], ids=["replaced", "first"])
def test_power_cut_leaves_the_old_folder_or_the_new(tmp_path: Path, old: bool) -> None:
    assert states_after_cuts(tmp_path, old=old) == {"old" if old else "nothing", "new"}


def test_power_cut_leaves_the_old_folder_or_the_new_without_exchange(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_exchange(monkeypatch)
    assert states_after_cuts(tmp_path) == {"old", "new"}


@pytest.mark.parametrize(
    "sabotage",
    [
        without_recovery,
        without_file_fsync,
        without_folder_fsync,
        without_parent_fsync,
        exchanged_before_the_files_are_durable,
    ],
)
def test_power_cut_finds_a_writer_that_skips_a_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sabotage: Callable[[pytest.MonkeyPatch], None]
) -> None:
    sabotage(monkeypatch)
    with pytest.raises(AssertionError, match="neither old nor new"):
        states_after_cuts(tmp_path)


def text_after_cuts(tmp_path: Path) -> set[str]:
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "latest").write_text("old")
    seen = set()

    def check(place: Path) -> None:
        text = (place / "latest").read_text()
        assert text in ("old", "new"), f"neither old nor new: {text!r}"
        seen.add(text)

    every_cut(disk, tmp_path / "states", lambda: atomic_write_text(disk / "latest", "new"), check)
    return seen


def test_power_cut_leaves_the_old_text_or_the_new(tmp_path: Path) -> None:
    assert text_after_cuts(tmp_path) == {"old", "new"}


def test_power_cut_finds_a_text_that_is_not_fsynced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_file_fsync(monkeypatch)
    with pytest.raises(AssertionError, match="neither old nor new"):
        text_after_cuts(tmp_path)
