"""Folders made to hurt: names that leave them, links, pipes, missing and foreign files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from attacks.bundles import LOADED, contents, load, put, put_manifest, put_signed, save
from recurra.errors import BundleError, CorruptBundleError, NewerBundleError
from recurra.storage import dump_json

ENTRY = {"size": 6, "sha256": "0" * 64}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("secret")
    return save(tmp_path / "m")


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "/etc/passwd",
        "..",
        ".",
        "",
        "a/b",
        "a/../../secret",
        "..\\secret",
        "C:\\secret",
        "\\\\host\\share",
        "%2e%2e%2fsecret",
        "secret\0.json",
        "\u2024\u2024/secret",
        "~/secret",
        "x" * 200,
        ".hidden",
        "-\n",
        "manifest.json",
    ],
)
def test_names_that_leave_the_folder_are_refused(path: Path, name: str) -> None:
    put_manifest(path, {name: ENTRY})
    with pytest.raises(
        CorruptBundleError, match=r"manifest\.json lists the file name .* which may leave the folder"
    ):
        load(path)


def test_encoder_file_outside_the_folder_is_refused(path: Path) -> None:
    config = json.loads(contents(path)["config.json"])
    put_signed(path, "config.json", dump_json({**config, "files": ["../secret"]}))
    with pytest.raises(CorruptBundleError, match=r"config\.json: 'files' must be a list of plain file names"):
        load(path)


@pytest.mark.parametrize("name", LOADED)
def test_link_in_place_of_a_file_is_refused(path: Path, name: str) -> None:
    (path / name).rename(path.parent / "elsewhere")
    (path / name).symlink_to(path.parent / "elsewhere")
    with pytest.raises(CorruptBundleError, match=rf"{name} is a link or a special file"):
        load(path)


@pytest.mark.parametrize("name", LOADED)
def test_pipe_in_place_of_a_file_is_refused_at_once(path: Path, name: str) -> None:
    (path / name).unlink()
    os.mkfifo(path / name)
    with pytest.raises(CorruptBundleError, match=rf"{name} is not a regular file"):
        load(path)


@pytest.mark.parametrize("name", LOADED)
def test_folder_in_place_of_a_file_is_refused(path: Path, name: str) -> None:
    (path / name).unlink()
    (path / name).mkdir()
    with pytest.raises(CorruptBundleError, match=rf"{name} is not a regular file"):
        load(path)


@pytest.mark.parametrize("name", LOADED)
def test_missing_file_is_named(path: Path, name: str) -> None:
    (path / name).unlink()
    with pytest.raises(CorruptBundleError, match=rf"{name} is missing"):
        load(path)


def test_file_that_is_not_loaded_may_be_anything(path: Path) -> None:
    (path / "README.md").unlink()
    (path / "README.md").symlink_to(path.parent / "secret")
    (path / "unlisted.pkl").write_bytes(b"\x80\x04.")
    assert load(path).card == ""


MANIFESTS: list[tuple[Any, str]] = [
    (b"", "not valid JSON"),
    (b"null", "names no format"),
    (b"[]", "names no format"),
    ({"format": "1"}, "names no format"),
    ({"format": True}, "names no format"),
    ({"format": 1}, "malformed"),
    ({"format": 1, "files": [], "meta": {}}, "must list at most"),
    ({"format": 1, "files": {f"f{i}": ENTRY for i in range(999)}, "meta": {}}, "must list at most 128 files"),
    ({"format": 1, "files": {"a": ENTRY, "A": ENTRY}, "meta": {}}, "twice"),
    ({"format": 1, "files": {"a": 3}, "meta": {}}, "malformed"),
    ({"format": 1, "files": {"a": {**ENTRY, "size": -1}}, "meta": {}}, "gives a the size -1"),
    ({"format": 1, "files": {"a": {**ENTRY, "size": True}}, "meta": {}}, "gives a the size True"),
    ({"format": 1, "files": {"a": {**ENTRY, "size": 1e300}}, "meta": {}}, r"gives a the size 1e\+300"),
    ({"format": 1, "files": {"a": {**ENTRY, "sha256": "x"}}, "meta": {}}, "malformed sha256"),
    ({"format": 1, "files": {"a": {**ENTRY, "sha256": 0}}, "meta": {}}, "malformed sha256"),
    ({"format": 1, "files": {"a": ENTRY}, "meta": 3}, "malformed"),
    ({"format": 1, "files": {"a": ENTRY}, "meta": {}}, "its checksum does not match"),
    (b" " * ((1 << 20) + 1), "at most 1048576 are expected"),
    (b"[" * 100_000, "nested too deeply"),
    (b"\xef\xbb\xbf{}", "not valid JSON"),
]


@pytest.mark.parametrize(("manifest", "reason"), MANIFESTS)
def test_malformed_manifest_is_refused(path: Path, manifest: Any, reason: str) -> None:
    put(path, "manifest.json", manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode())
    with pytest.raises(CorruptBundleError, match=rf"manifest\.json.*{reason}"):
        load(path)


def test_manifest_of_a_later_format_is_refused_as_newer(path: Path) -> None:
    manifest = json.loads(contents(path)["manifest.json"])
    put(path, "manifest.json", json.dumps({**manifest, "format": 2}).encode())
    with pytest.raises(NewerBundleError, match=r"manifest\.json has format 2.*upgrade with pip"):
        load(path)


@pytest.mark.parametrize(
    "config", [b"null", b"3", b"[1]", b'"x"', b"{}", b"[" * 100_000, b'{"schema_version": 1e400}']
)
def test_config_that_is_no_object_of_ours_is_refused(path: Path, config: bytes) -> None:
    put_signed(path, "config.json", config)
    with pytest.raises(BundleError, match=r"config\.json"):
        load(path)
