from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from recurra.data.files import beside, decode, gather, part_of, without_part
from recurra.errors import DataError


def tar_of(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("ending", "pack"), [("", bytes), (".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_a_compressed_file_is_read_as_the_file_itself(tmp_path: Path, ending: str, pack: object) -> None:
    (tmp_path / f"a.csv{ending}").write_bytes(pack(b"x,y\n"))  # type: ignore[operator]
    leaves, tree = gather(tmp_path / f"a.csv{ending}")
    assert not tree
    assert leaves[0].path == PurePosixPath("a.csv")
    assert leaves[0].load() == b"x,y\n"


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.xz"])
def test_an_archive_of_several_files_is_a_tree(tmp_path: Path, name: str) -> None:
    files = {"top/b/10.txt": b"ten", "top/b/2.txt": b"two", "top/a/1.txt.gz": gzip.compress(b"one")}
    mode = {"a.tar": "w", "a.tar.xz": "w:xz"}.get(name, "w:gz")
    (tmp_path / name).write_bytes(zip_of(files) if name == "a.zip" else tar_of(files, mode))
    leaves, tree = gather(tmp_path / name)
    assert tree
    assert [leaf.path.as_posix() for leaf in leaves] == ["top/a/1.txt", "top/b/2.txt", "top/b/10.txt"]
    assert [leaf.load() for leaf in leaves] == [b"one", b"two", b"ten"]


def test_an_archive_of_one_file_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zip_of({"reviews.csv": b"x\n"}))
    leaves, tree = gather(tmp_path / "a.zip")
    assert (leaves[0].path.name, tree) == ("reviews.csv", False)


def test_nothing_of_an_archive_is_unpacked_to_disk(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(tar_of({"../outside.txt": b"x", "/etc/inside.txt": b"y"}))
    leaves, _ = gather(tmp_path / "a.tar.gz")
    assert [leaf.load() for leaf in leaves] == [b"y"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]


def test_links_in_an_archive_are_not_followed(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo("passwd.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        info = tarfile.TarInfo("a.txt")
        archive.addfile(info, io.BytesIO(b""))
    (tmp_path / "a.tar").write_bytes(buffer.getvalue())
    leaves, _ = gather(tmp_path / "a.tar")
    assert [leaf.path.name for leaf in leaves] == ["a.txt"]


def test_what_stands_beside_data_is_left_out_of_a_folder(tmp_path: Path) -> None:
    for name in ("README.md", "LICENSE", "readme.uci.txt", ".hidden", "notes.md", "data.csv"):
        (tmp_path / name).write_bytes(b"x\n")
    leaves, tree = gather(tmp_path)
    assert tree
    assert [leaf.path.name for leaf in leaves] == ["data.csv"]
    assert not beside(PurePosixPath("license_plates.csv"))


def test_archives_inside_of_a_folder_are_opened(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(tar_of({"pos/1.txt": b"x", "neg/1.txt": b"y"}))
    assert [leaf.path.as_posix() for leaf in gather(tmp_path)[0]] == ["neg/1.txt", "pos/1.txt"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv.gz", gzip.compress(b"x,y\n" * 99)[:-9], r"cannot be decompressed .*; is it complete"),
        ("a.csv.gz", b"plain", "cannot be decompressed"),
        ("a.csv.xz", b"plain", "cannot be decompressed"),
        ("a.zip", b"plain", "cannot be opened as an archive"),
        ("a.tar.gz", tar_of({"a": b"x" * 2000})[:60], "cannot be opened as an archive"),
    ],
    ids=range(5),  # the bytes hold the time, and every process that runs tests must name them alike
)
def test_damaged_archives_are_one_clear_error(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message):
        gather(tmp_path / name)[0][0].load()


def test_a_missing_path_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing.csv does not exist; check the path"):
        gather(tmp_path / "nothing.csv")
    with pytest.raises(DataError, match="holds no data files"):
        gather(tmp_path)


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("train.csv", "train"),
        ("aclImdb/test/pos/0_2.txt", "test"),
        ("JapaneseVowels_TRAIN.ts", "train"),
        ("stsa.binary.dev", "validation"),
        ("clicks_train_valid.txt", "validation"),
        ("val/x.txt", "validation"),
        ("contest.csv", None),
        ("trainer.csv", None),
    ],
)
def test_paths_name_parts_by_whole_words(path: str, part: str | None) -> None:
    assert part_of(PurePosixPath(path)) == part


def test_names_are_told_without_their_part() -> None:
    assert without_part("body_acc_x_train") == "body_acc_x"
    assert without_part("test") == ""


def test_utf8_with_a_mark_at_its_beginning_is_read_without_it() -> None:
    assert decode("\ufefftext".encode(), "utf-8", "a.csv") == "text"
    assert decode("text".encode("utf-16"), "utf-16", "a.csv") == "text"
    assert decode("\ufefftext".encode(), "UTF8", "a.csv") == "text"


@pytest.mark.parametrize(
    ("data", "encoding", "message"),
    [
        (
            "ab\ncaf\xe9".encode("latin-1"),
            "utf-8",
            r"byte 0xe9 at position 6 \(line 2\); try --encoding latin-1",
        ),
        (b"\xff\xfea\0", "utf-8", "begins with the mark of UTF-16; try --encoding utf-16"),
        ("text,label".encode("utf-16-le"), "utf-8", "is full of NUL; if it is text, try --encoding utf-16"),
        (b"abc", "utf-9", "encoding 'utf-9' is unknown; use for example utf-8, latin-1"),
        ("caf\xe9".encode("latin-1"), "ascii", "try --encoding latin-1"),
        (b"\x81", "cp1252", "is not cp1252: byte 0x81 at position 0"),
    ],
)
def test_other_encodings_are_never_guessed(data: bytes, encoding: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        decode(data, encoding, "a.csv")
