"""Every byte of every header changed, a thousand random flips, every truncation: never a crash, never silence."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from attacks.bundles import EXPECT, LOADED, contents, load, put, put_signed, save
from recurra.errors import BundleError, CorruptBundleError
from recurra.storage import reader
from storage.faults import memory_folder


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with memory_folder(tmp_path) as folder:
        yield folder


def assert_refused(path: Path, name: str, data: bytes) -> None:
    put(path, name, data)
    with pytest.raises(BundleError, match=name):
        load(path)


def headers(path: Path) -> dict[str, int]:
    """How many bytes of each loaded file are header: all but the weights' data."""
    lengths = {name: len(data) for name, data in contents(path).items() if name in LOADED}
    weights = contents(path)["model.safetensors"]
    return {**lengths, "model.safetensors": 8 + int.from_bytes(weights[:8], "little")}


def change_every_header_byte(path: Path) -> None:
    rng = random.Random(1)
    for name, length in headers(path).items():
        good = contents(path)[name]
        for position in range(length):
            other = (good[position] + rng.randrange(1, 256)) % 256
            assert_refused(path, name, good[:position] + bytes([other]) + good[position + 1 :])
        put(path, name, good)
    load(path)


def flip_bits(path: Path, flips: int) -> None:
    rng, good = random.Random(2), contents(path)
    for _ in range(flips):
        name = rng.choice(LOADED)
        position, bit = rng.randrange(len(good[name])), 1 << rng.randrange(8)
        data = good[name]
        assert_refused(path, name, data[:position] + bytes([data[position] ^ bit]) + data[position + 1 :])
        put(path, name, data)
    load(path)


def truncate(path: Path) -> None:
    for name in LOADED:
        good = contents(path)[name]
        for length in range(0, len(good), 3):
            assert_refused(path, name, good[:length])
        assert_refused(path, name, good + b"\0")
        put(path, name, good)


ATTACKS = [change_every_header_byte, lambda path: flip_bits(path, 1000), truncate]


@pytest.mark.parametrize("attack", ATTACKS, ids=["header-bytes", "flips", "truncations"])
def test_every_change_is_refused_and_the_file_is_named(place: Path, attack: Callable[[Path], None]) -> None:
    attack(save(place / "m"))


@pytest.mark.parametrize("attack", ATTACKS, ids=["header-bytes", "flips", "truncations"])
def test_attacks_find_a_loader_that_does_not_verify(
    place: Path, monkeypatch: pytest.MonkeyPatch, attack: Callable[[Path], None]
) -> None:
    def read(folder: reader.Folder, name: str, *, limit: int = reader.MAX_BYTES) -> bytes:
        return reader.read_all(folder._handle(name), name, limit)

    monkeypatch.setattr(reader.Folder, "read", read)
    with pytest.raises(
        (AssertionError, pytest.fail.Exception), match=r"DID NOT RAISE|Regex pattern did not match"
    ):
        attack(save(place / "m"))


def test_weights_changed_by_somebody_who_can_write_the_manifest_are_sound_or_refused(place: Path) -> None:
    path, rng, loaded = save(place / "m"), random.Random(3), 0
    good = contents(path)["model.safetensors"]
    length = 8 + int.from_bytes(good[:8], "little")
    for position in range(length):
        for other in (rng.randrange(256), good[position] ^ 1, ord("9"), ord('"'), 0, 255):
            put_signed(path, "model.safetensors", good[:position] + bytes([other]) + good[position + 1 :])
            try:
                found = load(path)
            except CorruptBundleError as error:
                assert "model.safetensors" in str(error)  # noqa: PT017
            else:
                loaded += 1
                assert {name: array.shape for name, array in found.arrays.items()} == EXPECT
    assert loaded < length * 6 / 4  # a byte replaced by itself, or a space by a line break


def test_config_changed_by_somebody_who_can_write_the_manifest_is_json_or_refused(place: Path) -> None:
    path, rng = save(place / "m"), random.Random(4)
    good = contents(path)["config.json"]
    for position in range(len(good)):
        put_signed(path, "config.json", good[:position] + bytes([rng.randrange(256)]) + good[position + 1 :])
        try:
            load(path)
        except BundleError as error:
            assert any(name in str(error) for name in LOADED)  # noqa: PT017
