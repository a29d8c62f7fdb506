from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from recurra.errors import CorruptBundleError, SpecError, StorageError
from recurra.storage import (
    MANIFEST,
    Payload,
    attach_file,
    check_target,
    clean_leftovers,
    open_folder,
    read_folder,
    recover,
    write_folder,
)
from storage.faults import litter

FILES = {"a.bin": b"alpha", "b.json": b"{}"}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "deep" / "model", FILES, meta={"kind": "test", "n": 3})
    found = read_folder(path)
    assert found.files == FILES
    assert found.meta == {"kind": "test", "n": 3}
    assert sorted(os.listdir(path)) == ["a.bin", "b.json", MANIFEST]
    assert litter(path.parent) == []


def test_replacing_drops_the_files_of_the_old_folder(tmp_path: Path) -> None:
    write_folder(tmp_path / "m", FILES)
    write_folder(tmp_path / "m", {"c": b"new"})
    assert read_folder(tmp_path / "m").files == {"c": b"new"}
    assert sorted(os.listdir(tmp_path / "m")) == ["c", MANIFEST]


def test_payload_is_written_piece_by_piece(tmp_path: Path) -> None:
    def write(sink: object) -> None:
        for part in (b"ab", b"", b"cd"):
            sink.write(memoryview(part))  # type: ignore[attr-defined]

    write_folder(tmp_path / "m", {"x": Payload(size=4, write=write)})
    assert read_folder(tmp_path / "m").files == {"x": b"abcd"}


def test_payload_of_another_size_than_announced_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"x was to have 5 bytes, got 2"):
        write_folder(tmp_path / "m", {"x": Payload(size=5, write=lambda sink: sink.write(b"ab") and None)})
    assert os.listdir(tmp_path) == []


def test_error_inside_a_payload_passes_and_leaves_the_old_folder(tmp_path: Path) -> None:
    def write(sink: object) -> None:
        raise ZeroDivisionError

    write_folder(tmp_path / "m", FILES)
    with pytest.raises(ZeroDivisionError):
        write_folder(tmp_path / "m", {"x": Payload(size=5, write=write)})
    assert read_folder(tmp_path / "m").files == FILES
    assert os.listdir(tmp_path) == ["m"]


@pytest.mark.parametrize("with_links", [True, False])
def test_files_that_the_manifest_does_not_list_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_links: bool
) -> None:
    path = write_folder(tmp_path / "m", FILES)
    (path / "history.jsonl").write_text("1\n")
    (path / "deep" / "er").mkdir(parents=True)
    (path / "deep" / "er" / "file").write_text("2")
    (path / "link").symlink_to("nowhere")
    if not with_links:
        monkeypatch.setattr(os, "link", _no_links)
    with open(path / "history.jsonl", "a") as log:
        write_folder(path, {"a.bin": b"new"})
        log.write("2\n")
    assert sorted(os.listdir(path)) == ["a.bin", "deep", "history.jsonl", "link", MANIFEST]
    assert (path / "history.jsonl").read_text() == ("1\n2\n" if with_links else "1\n")
    assert (path / "deep" / "er" / "file").read_text() == "2"
    assert os.readlink(path / "link") == "nowhere"


def _no_links(*args: object, **kwargs: object) -> None:
    raise PermissionError(1, "no hard links here")


def test_file_that_appears_during_the_exchange_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recurra.storage import folder

    path, real = write_folder(tmp_path / "m", FILES), folder.put_in_place

    def put_in_place(fresh: Path, target: Path) -> None:
        (target / "late").write_text("from another process")
        real(fresh, target)

    monkeypatch.setattr(folder, "put_in_place", put_in_place)
    write_folder(path, FILES)
    assert (path / "late").read_text() == "from another process"


def test_socket_in_the_folder_is_refused(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "m", FILES)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path / "s"))
        with pytest.raises(StorageError, match="neither a file nor a folder"):
            write_folder(path, {"a.bin": b"new"})
    assert read_folder(path).files == FILES


def test_permissions_of_the_folder_stay(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "m", FILES)
    path.chmod(0o750)
    write_folder(path, FILES)
    assert path.stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("name", ["thesis.tex", MANIFEST])
def test_folder_of_somebody_else_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / name).write_text("{}")
    with pytest.raises(StorageError, match="holds files that Recurra did not write"):
        write_folder(tmp_path / "m", FILES)
    assert (tmp_path / "m" / name).read_text() == "{}"
    assert os.listdir(tmp_path) == ["m"]


def test_folder_that_was_begun_by_us_is_adopted(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "history.jsonl").write_text("1\n")
    write_folder(tmp_path / "m", FILES, adopt=True)
    assert read_folder(tmp_path / "m").files == FILES
    assert (tmp_path / "m" / "history.jsonl").read_text() == "1\n"


def test_empty_folder_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    write_folder(tmp_path / "m", FILES)
    assert read_folder(tmp_path / "m").files == FILES


def test_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m").write_text("mine")
    with pytest.raises(StorageError, match="it is a file, not a folder"):
        write_folder(tmp_path / "m", FILES)
    with pytest.raises(StorageError, match=r"could not read .*m: Not a directory"):
        read_folder(tmp_path / "m")


def test_target_is_checked_before_long_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    assert check_target(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert check_target(tmp_path / "full", adopt=True) == tmp_path / "full"
    assert check_target(write_folder(tmp_path / "m", FILES)) == tmp_path / "m"
    with pytest.raises(StorageError, match="holds files that Recurra did not write"):
        check_target(tmp_path / "full")
    with pytest.raises(StorageError, match="it is a file, not a folder"):
        check_target(tmp_path / "file")
    with pytest.raises(StorageError, match="file is a file, not a folder"):
        check_target(tmp_path / "file" / "m")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(StorageError, match="may not be written to; choose another folder"):
        check_target(tmp_path / "a")
    assert sorted(os.listdir(tmp_path)) == ["file", "full", "m"]


def test_link_to_a_folder_is_followed_and_stays(tmp_path: Path) -> None:
    write_folder(tmp_path / "v1", FILES)
    (tmp_path / "current").symlink_to("v1")
    write_folder(tmp_path / "current", {"a.bin": b"new"})
    assert (tmp_path / "current").is_symlink()
    assert read_folder(tmp_path / "current").files == read_folder(tmp_path / "v1").files == {"a.bin": b"new"}


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "/x", "a/b", "a\\b", ".hidden", "x\0", "ä", "x" * 129, MANIFEST, "a b"]
)
def test_odd_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match="a stored file's name must be"):
        write_folder(tmp_path / "m", {name: b""})
    with pytest.raises(SpecError, match="a stored file's name must be"):
        attach_file(tmp_path / "m", name, b"")


def test_names_that_differ_in_case_only_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"must differ in more than case, got 'A.BIN'"):
        write_folder(tmp_path / "m", {"a.bin": b"", "A.BIN": b""})


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="at most 128 files, got 129"):
        write_folder(tmp_path / "m", {f"f{i}": b"" for i in range(129)})


def test_root_of_the_disk_is_refused() -> None:
    with pytest.raises(StorageError, match="cannot be replaced"):
        write_folder("/", FILES)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"could not read .*gone"):
        read_folder(tmp_path / "gone")


def test_only_the_files_that_are_asked_for_are_verified(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "m", FILES)
    (path / "b.json").write_bytes(b"[]")
    assert read_folder(path, ["a.bin"]).files == {"a.bin": b"alpha"}
    with pytest.raises(CorruptBundleError, match=r"b\.json was changed after it was written"):
        read_folder(path)
    (path / "b.json").unlink()
    assert read_folder(path, ["a.bin"]).files == {"a.bin": b"alpha"}
    with pytest.raises(CorruptBundleError, match=r"b\.json is missing"):
        read_folder(path)


def test_file_that_the_manifest_does_not_list_is_not_read(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "m", FILES)
    (path / "other").write_text("x")
    with pytest.raises(CorruptBundleError, match=r"other is missing: manifest\.json does not list it"):
        read_folder(path, ["other"])


def test_file_above_the_limit_is_not_read(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "m", FILES)
    with pytest.raises(CorruptBundleError, match=r"a\.bin has 5 bytes, at most 4 are expected"):
        read_folder(path, ["a.bin"], limit=4)


def test_unverified_file_is_read_as_it_stands(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "m", FILES)
    (path / "b.json").write_bytes(b"edited")
    with open_folder(path) as folder:
        assert folder.read_unverified("b.json", limit=10) == b"edited"
        assert folder.read_unverified("none", limit=10) is None
        assert folder.names == ["a.bin", "b.json"]


def test_attached_file_is_listed_and_the_rest_stays(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "m", FILES, meta={"k": 1})
    attach_file(path, "scores.json", b"[1]")
    attach_file(path, "scores.json", b"[2]")
    assert read_folder(path).files == {**FILES, "scores.json": b"[2]"}
    assert read_folder(path).meta == {"k": 1}
    assert litter(path) == []


def test_open_folder_stays_readable_while_it_is_replaced(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "m", FILES)
    with open_folder(path) as folder:
        write_folder(path, {"a.bin": b"new"})
        assert folder.read("a.bin") == b"alpha"
        assert folder.replaced


@pytest.mark.parametrize("aside", [False, True], ids=["exchange", "aside"])
def test_reader_never_sees_half_of_a_busy_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aside: bool
) -> None:
    from recurra.storage import durable, exchange

    monkeypatch.setattr(durable.os, "fsync", lambda fd: None)
    if aside:
        monkeypatch.setattr(exchange, "exchange", lambda a, b: False)
    path, stop, versions = tmp_path / "m", threading.Event(), 0
    write_folder(path, {f"f{i}": b"0" for i in range(4)})

    def write() -> None:
        nonlocal versions
        while not stop.is_set():
            versions += 1
            write_folder(path, {f"f{i}": str(versions).encode() for i in range(4)})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        reads = 0
        while reads < 150 or versions <= 5:  # on a busy machine the writer may be long in coming
            assert len(set(read_folder(path).files.values())) == 1
            reads += 1
    finally:
        stop.set()
        writer.join()


def test_a_folder_that_was_replaced_is_held_until_it_is_known_to_be_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number must not go to the folder that replaces it, or a writer at work looks like a damaged folder."""
    from recurra.storage import reader

    path, honest, held = write_folder(tmp_path / "m", FILES), reader.Folder, []

    def replaced_meanwhile(given: Path) -> reader.Folder:
        if held:
            return honest(given)
        write_folder(path, {"a.bin": b"new"})
        links = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_open(fd)]
        held.extend(link for link in links if link.startswith(str(path)) and link.endswith("(deleted)"))
        raise CorruptBundleError("the manifest is missing")

    monkeypatch.setattr(reader, "Folder", replaced_meanwhile)
    assert read_folder(path).files == {"a.bin": b"new"}
    assert len(held) == 1


def _is_open(fd: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{fd}")


def test_leftovers_of_dead_writers_are_cleaned_and_the_rest_stays(tmp_path: Path) -> None:
    dead, mine = 2**22 + 1, os.getpid()  # above the highest number that Linux gives
    (tmp_path / f"m.tmp-{dead}-0123abcd").mkdir()
    (tmp_path / f"m.tmp-{dead}-0123abcd" / "x").write_text("1")
    (tmp_path / f"m.tmp-{mine}-0123abcd").mkdir()  # young and its writer lives
    (tmp_path / f"other.tmp-{dead}-0123abcd").write_text("")
    (tmp_path / "m.tmp-notours").write_text("")
    write_folder(tmp_path / "m", FILES)
    expected = ["m", f"m.tmp-{mine}-0123abcd", "m.tmp-notours", f"other.tmp-{dead}-0123abcd"]
    assert sorted(os.listdir(tmp_path)) == sorted(expected)
    assert [p.name for p in clean_leftovers(tmp_path)] == [f"other.tmp-{dead}-0123abcd"]


def test_copy_put_aside_by_a_dead_writer_is_brought_back(tmp_path: Path) -> None:
    dead = 2**22 + 1
    path = write_folder(tmp_path / "m", FILES)
    aside = tmp_path / f"m.old-{dead}-0123abcd"
    path.rename(aside)
    assert clean_leftovers(tmp_path) == []
    assert read_folder(path).files == FILES
    assert not recover(path)
    write_folder(aside, {"stale": b""})
    write_folder(path, FILES)
    assert os.listdir(tmp_path) == ["m"]


def test_writer_brings_back_the_copy_put_aside_before_it_writes(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "m", FILES)
    (path / "notes").write_text("mine")
    path.rename(tmp_path / f"m.old-{2**22 + 1}-0123abcd")
    write_folder(path, {"a.bin": b"new"})
    assert (path / "notes").read_text() == "mine"
    assert os.listdir(tmp_path) == ["m"]
