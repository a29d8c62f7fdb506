"""Weights made to hurt: declared sizes, overlapping ranges, other formats under the name. All signed."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attacks.bundles import contents, joined, load, no_allocation_above, put_signed, save, split
from recurra.errors import CorruptBundleError
from recurra.runtime.bundle import Bundle
from recurra.runtime.weights import MAX_HEADER, decode_arrays
from recurra.storage.manifest import Entry, Manifest

WEIGHTS = "model.safetensors"


def assert_weights_refused(path: Path, data: bytes, reason: str) -> None:
    put_signed(path, WEIGHTS, data)
    with no_allocation_above(1 << 20), pytest.raises(CorruptBundleError, match=rf"{WEIGHTS}.*{reason}"):
        load(path)
    with pytest.raises(CorruptBundleError, match=reason):
        Bundle.load(path)


def test_shape_of_four_gigabytes_is_refused_without_allocating(tmp_path: Path) -> None:
    path = save(tmp_path / "m")
    header, data = split(contents(path)[WEIGHTS])
    header["head.weight"]["shape"] = [1 << 15, 1 << 15]
    assert_weights_refused(path, joined(header, data), "is 4294967296 bytes, its data_offsets give 24")
    header["head.weight"]["data_offsets"] = [56, 56 + (1 << 32)]
    assert_weights_refused(path, joined(header, data), "overlap|its header describes")


def test_header_that_claims_to_be_huge_is_refused_without_allocating(tmp_path: Path) -> None:
    path = save(tmp_path / "m")
    good = contents(path)[WEIGHTS]
    for length in (len(good), 1 << 31, 1 << 40, (1 << 64) - 1):
        assert_weights_refused(path, length.to_bytes(8, "little") + good[8:], "is more than the file has")


def test_header_above_the_cap_is_refused_though_the_file_has_it() -> None:
    data = joined(b"{" + b" " * MAX_HEADER + b"}", b"")
    with pytest.raises(CorruptBundleError, match=f"or than the {MAX_HEADER} that are read"):
        decode_arrays(data, "file")


def test_file_larger_than_the_expected_arrays_is_not_read(tmp_path: Path) -> None:
    path = save(tmp_path / "m")
    with open(path / WEIGHTS, "r+b") as file:
        file.truncate(1 << 36)  # 64 GiB on paper, nothing on the disk
    manifest = json.loads((path / "manifest.json").read_text())["files"]
    manifest[WEIGHTS]["size"] = 1 << 36
    entries = {name: Entry(**entry) for name, entry in manifest.items()}
    (path / "manifest.json").write_bytes(Manifest(entries=entries, meta={"kind": "bundle"}).encode())
    with (
        no_allocation_above(1 << 20),
        pytest.raises(CorruptBundleError, match=rf"{WEIGHTS} has \d+ bytes, at most"),
    ):
        load(path)


def entry(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24], **changes}


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"[]", "does not begin with"),
        (b"", "does not begin with"),
        (b"{", "not valid JSON"),
        (b'{"a":' * 20_000, "nested too deeply|not valid JSON"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": 1, "a": 2}', "stands twice"),
        (b'{"\xff": 1}', "not valid JSON"),
        ({"a": 3}, "must have dtype, shape and data_offsets"),
        ({"a": entry(code="import os")}, "must have dtype, shape and data_offsets"),
        ({"a": entry(dtype="F128")}, "the dtype 'F128', which is not read"),
        ({"a": entry(dtype=["F32"])}, "which is not read"),
        ({"a": entry(dtype=None)}, "which is not read"),
        ({"a": entry(shape=[-2, -3])}, "malformed shape"),
        ({"a": entry(shape=[2.0, 3])}, "malformed shape"),
        ({"a": entry(shape=[True, 6])}, "malformed shape"),
        ({"a": entry(shape="23")}, "malformed shape"),
        ({"a": entry(shape=[0, 1 << 62])}, "malformed shape"),
        ({"a": entry(shape=[0, 1 << 40, 1 << 40])}, "malformed shape"),
        ({"a": entry(shape=[1] * 40 + [6])}, "malformed shape"),
        ({"a": entry(shape=[1 << 32, 1 << 32])}, "malformed shape"),
        ({"a": entry(data_offsets=[24, 0])}, "its data_offsets give -24"),
        ({"a": entry(data_offsets=[-24, 0])}, "malformed data_offsets"),
        ({"a": entry(data_offsets=[0, 24, 48])}, "malformed data_offsets"),
        ({"a": entry(data_offsets=[8, 32])}, "overlap others or leave a gap"),
        ({"a": entry(), "b": entry()}, "overlap others or leave a gap"),
        ({"a": entry(), "b": entry(data_offsets=[12, 36])}, "overlap others or leave a gap"),
        (
            {"a": entry(), "b": entry(data_offsets=[24, 48])},
            "holds 24 bytes of arrays, its header describes 48",
        ),
        (
            {"a": entry(shape=[2, 2], data_offsets=[0, 16])},
            "holds 24 bytes of arrays, its header describes 16",
        ),
        ({"a": entry(dtype="BOOL", shape=[24])}, "neither true nor false"),
        ({}, "holds 24 bytes of arrays, its header describes 0"),
    ],
)
def test_malformed_header_is_refused(tmp_path: Path, header: Any, reason: str) -> None:
    assert_weights_refused(save(tmp_path / "m"), joined(header, b"\x07" * 24), reason)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"head.bias": None}, "lacks the array 'head.bias'"),
        ({"extra": np.zeros(3, np.float32)}, "holds the unknown array 'extra'"),
        ({"__proto__": np.zeros(3, np.float32)}, "holds the unknown array '__proto__'"),
        ({"head.bias": np.zeros(3, np.float32)}, r"'head.bias' must have the shape \(2,\), got \(3,\)"),
        ({"head.bias": np.zeros(2, np.float64)}, "'head.bias' must have the dtype float32, got float64"),
        ({"head.bias": np.zeros(2, np.int32)}, "'head.bias' must have the dtype float32, got int32"),
    ],
)
def test_other_arrays_than_the_model_has_are_refused(tmp_path: Path, change: Any, reason: str) -> None:
    import safetensors.numpy

    path = save(tmp_path / "m")
    arrays = {**safetensors.numpy.load(contents(path)[WEIGHTS]), **change}
    data = safetensors.numpy.save({name: array for name, array in arrays.items() if array is not None})
    put_signed(path, WEIGHTS, data)
    with pytest.raises(CorruptBundleError, match=rf"{WEIGHTS}.*{reason}"):
        load(path)


class Bomb:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def as_torch_archive(data: bytes) -> bytes:
    """The shape of a file of torch.save: a zip that holds a pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", data)
    return buffer.getvalue()


@pytest.mark.parametrize("name", [WEIGHTS, "config.json", "tokenizer.json", "manifest.json"])
@pytest.mark.parametrize("form", ["pickle", "torch", "npy"])
def test_pickle_under_any_name_is_never_run(tmp_path: Path, name: str, form: str) -> None:
    path, mark = save(tmp_path / "m"), tmp_path / "run"
    data = pickle.dumps(Bomb(mark), protocol=4)
    if form == "torch":
        data = as_torch_archive(data)
    if form == "npy":
        buffer = io.BytesIO()
        np.save(buffer, np.array([Bomb(mark)], dtype=object), allow_pickle=True)
        data = buffer.getvalue()
    if name == "manifest.json":
        (path / name).write_bytes(data)
    else:
        put_signed(path, name, data)
    if name == "tokenizer.json":  # the bundle hands its bytes on as they are
        assert load(path).files[name] == data
    else:
        with pytest.raises(CorruptBundleError, match=name):
            load(path)
    assert not mark.exists()
