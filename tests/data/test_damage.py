"""Whatever bytes a file holds, reading it gives a dataset or one clear error, never anything else."""

from __future__ import annotations

import gzip
import io
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.data.reading import read
from recurra.errors import DataError


def parquet() -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame({"text": ["a b", "c"], "label": ["x", "y"]}).write_parquet(buffer)
    return buffer.getvalue()


def arrays() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, values=np.ones((5, 2)), offsets=[0, 2, 5], targets=["a", "b"])
    return buffer.getvalue()


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.csv", "text,label\na,b\n" * 20)
    return buffer.getvalue()


def music() -> bytes:
    """Two pieces of music beside each other."""
    buffer = io.BytesIO()
    track = bytes([0, 0x90, 60, 80, 4, 60, 0, 0, 64, 80, 2, 64, 0]) + b"\x00\xff\x2f\x00"
    song = b"MThd\0\0\0\6\0\1\0\1\0\4MTrk" + len(track).to_bytes(4, "big") + track
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.mid", song)
        archive.writestr("b.mid", song)
    return buffer.getvalue()


SOUND: dict[str, Callable[[], bytes]] = {
    "x.csv": lambda: b'text,label\n"a, b",x\nc,y\n',
    "x.jsonl": lambda: b'{"text": "a", "label": "x"}\n{"text": "b", "label": "y", "x": [1, null, {}]}\n',
    "x.ts": lambda: b"@problemName t\n@classLabel true a b\n@data\n1,2:3,4:a\n5,?:7,8:b\n",
    "x.parquet": parquet,
    "x.npz": arrays,
    "x.csv.gz": lambda: gzip.compress(b"text,label\na,b\n" * 20, mtime=0),
    "x.zip": zipped,
    "songs.zip": music,
    "x.json": lambda: b'{"train": [[[60, 64], [62]], [[60]]], "test": [[[70]]]}',
}


def attempt(name: str, data: bytes) -> None:
    """Read the bytes as a file of that name; anything but a dataset or a DataError of one line gets out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            read(path)
        except DataError as error:
            if "\n" in str(error):
                raise AssertionError(f"more than one line: {error!r}") from error


@pytest.mark.parametrize("name", SOUND)
def test_sound_files_are_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(SOUND[name]())
    assert len(read(tmp_path / name)) >= 2


@pytest.mark.parametrize("name", SOUND)
@settings(max_examples=40)
@given(
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.integers(0, 60),
)
def test_changed_and_cut_files_give_data_or_one_clear_error(
    name: str, changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(SOUND[name]())
    for place, value in changes:
        data[place % len(data)] = value
    attempt(name, bytes(data[: len(data) - cut] if cut < len(data) else data))


@pytest.mark.parametrize("name", [*SOUND, "x.txt", "x.tsv", "x.npy", "x.mid", "x.tar.gz"])
@settings(max_examples=25)
@given(data=st.binary(max_size=200))
def test_any_bytes_give_data_or_one_clear_error(name: str, data: bytes) -> None:
    attempt(name, data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150)
@given(
    rows=st.lists(
        st.fixed_dictionaries({}, optional={"text": JSON, "x": JSON, "label": JSON, "split": JSON}),
        max_size=4,
    )
)
def test_any_json_gives_data_or_one_clear_error(rows: list[dict[str, object]]) -> None:
    import json

    attempt("x.jsonl", "\n".join(json.dumps(row) for row in rows).encode())
