"""A small bundle, and ways to change it: behind the manifest's back, or with a manifest that agrees."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from recurra.runtime.bundle import Bundle
from recurra.storage.manifest import Entry, Manifest

EXPECT = {"embed.weight": (4, 3), "head.bias": (2,), "head.weight": (2, 3)}
LOADED = ("config.json", "manifest.json", "model.safetensors", "tokenizer.json")


def save(path: Path) -> Path:
    """Write the bundle that is attacked."""
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in EXPECT.items()}
    config = {"task": "classifier", "labels": ["no", "yes"], "network": {"cell": "lstm", "hidden_size": 3}}
    bundle = Bundle(config=config, arrays=arrays, files={"tokenizer.json": b'{"vocabulary": ["a", "b"]}'})
    return bundle.save(path)


def load(path: Path) -> Bundle:
    """Load it as the runtime does."""
    return Bundle.load(path, expect=EXPECT)


def contents(path: Path) -> dict[str, bytes]:
    """The bytes of every file of the folder."""
    return {file.name: file.read_bytes() for file in path.iterdir()}


def put(path: Path, name: str, data: bytes) -> None:
    """Change one file and nothing else, as a failing disk does."""
    (path / name).write_bytes(data)


def put_signed(path: Path, name: str, data: bytes) -> None:
    """Change one file and its line in the manifest, as an attacker does."""
    (path / name).write_bytes(data)
    entry = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    put_manifest(path, {name: entry})


def put_manifest(path: Path, changes: dict[str, Any]) -> None:
    """Change lines of the manifest, with a right checksum and whatever names."""
    files = json.loads((path / "manifest.json").read_text())["files"]
    entries = {name: Entry(**entry) for name, entry in {**files, **changes}.items()}
    (path / "manifest.json").write_bytes(Manifest(entries=entries, meta={"kind": "bundle"}).encode())


def split(weights: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and data of a safetensors file."""
    length = int.from_bytes(weights[:8], "little")
    return json.loads(weights[8 : 8 + length]), weights[8 + length :]


def joined(header: Any, data: bytes) -> bytes:
    """A safetensors file of any header (text or value) and data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@contextmanager
def no_allocation_above(limit: int) -> Iterator[None]:
    """Fail where more than `limit` bytes are allocated at once inside."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        yield
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak < limit, f"{peak:,} bytes were allocated"
