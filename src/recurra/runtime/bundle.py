"""The bundle: a model as a folder of JSON and safetensors, the only thing that passes between the wings.

| file | what it is | read by `load` |
|---|---|---|
| `config.json` | schema version, versions of the libraries, and the model's own settings | yes, verified |
| `model.safetensors` | the weights | yes, verified |
| `tokenizer.json`, `encoder.json` | the encoder, where the model has one | yes, verified |
| `README.md` | the model card | as it stands: it may be edited |
| `manifest.json` | size and sha256 of every file | yes |
| anything else | reports, scores, history | no |

Nothing that executes code is ever read: no pickle, whatever the file is called.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from recurra.errors import CorruptBundleError, NewerBundleError, SpecError, StorageError
from recurra.runtime import migrations
from recurra.runtime.weights import Expected, check_arrays, decode_arrays, encode_arrays, expected_bytes
from recurra.storage import (
    MANIFEST,
    Folder,
    Payload,
    attach_file,
    canonical_json,
    checked_name,
    dump_json,
    open_folder,
    parse_json,
    plain_json,
    write_folder,
)
from recurra.storage.manifest import is_plain_name

SCHEMA_VERSION = migrations.SCHEMA_VERSION
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"
_KIND = "bundle"
_BOOKKEEPING = ("schema_version", "versions", "created", "files")
_MEASURED = ("scores",)
_MAX_CONFIG = 16 << 20
_MAX_FILE = 1 << 30
_MAX_WEIGHTS = 64 << 30
_MAX_CARD = 4 << 20

Expectation = Expected | Callable[[dict[str, Any]], Expected]


@dataclass(frozen=True, kw_only=True, eq=False)
class Bundle:
    """A stored model in memory.

    `config`: plain JSON, what the model is (task, specs, labels, data fingerprint, ...); the keys
    `schema_version`, `versions`, `created` and `files` belong to the bundle itself.
    `arrays`: the weights by name; read-only views where they were loaded.
    `files`: what else belongs to the model, by file name: `tokenizer.json` or `encoder.json`.
    `card`: the model card in Markdown. `origin`: the bundle's own keys as they were loaded.

    Raises `SpecError` for a reserved key or name and `DataError` for a value that JSON cannot hold.
    """

    config: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray[Any, Any]]
    files: Mapping[str, bytes] = field(default_factory=dict)
    card: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in _BOOKKEEPING:
            if key in self.config:
                raise SpecError(f"config[{key!r}] is written by the bundle itself; leave it out")
        for name in self.files:
            _check_free(name)
        object.__setattr__(self, "config", plain_json(self.config, "config"))

    @cached_property
    def model_id(self) -> str:
        """The sha256 of what the model is: `config`, the weights and `files`.

        Without what was measured of it (`config["scores"]`), the schema version, the library versions, the
        date, the card and everything that `load` does not read: scoring, saving again, migrating or editing
        the card keeps the id.
        """
        digest = hashlib.sha256(b"recurra model 1")
        _add(digest, canonical_json({k: v for k, v in self.config.items() if k not in _MEASURED}))
        for name in sorted(self.arrays):
            array = self.arrays[name]
            stored = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
            _add(digest, f"{name}\0{array.dtype.name}\0{list(array.shape)}".encode("utf-8", "surrogatepass"))
            _add(digest, stored.reshape(-1).view(np.uint8).data)
        for name in sorted(self.files):
            _add(digest, name.encode())
            _add(digest, self.files[name])
        return digest.hexdigest()

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        extras: Mapping[str, bytes] | None = None,
        adopt: bool = False,
    ) -> Path:
        """Write the bundle to the folder `path`, replacing an older bundle as one; return its absolute path.

        `extras` (history, scores, a report) are written with it and never read by `load`; those of the older
        bundle go, files that no bundle wrote stay. `adopt` allows a folder that holds such files only.

        Raises `StorageError`; then what stood at `path` is untouched.
        """
        for name in extras or {}:
            _check_free(name)
            if name in self.files:
                raise SpecError(f"{name!r} is among the bundle's files already; give the extra another name")
        head = {
            "schema_version": SCHEMA_VERSION,
            "versions": library_versions(),
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "files": sorted(self.files),
        }
        contents: dict[str, bytes | Payload] = {
            CONFIG: dump_json({**head, **self.config}),
            WEIGHTS: encode_arrays(self.arrays, bfloat16=self._halved()),
            **self.files,
            CARD: self.card.encode("utf-8", "replace"),
            **(extras or {}),
        }
        return write_folder(path, contents, meta={"kind": _KIND}, adopt=adopt)

    def _halved(self) -> list[str]:
        """The arrays that a bundle in bfloat16 stores in two bytes a number: its matrices."""
        if self.config.get("precision") != "bfloat16":
            return []
        return [name for name, array in self.arrays.items() if array.ndim == 2 and array.dtype == np.float32]

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, expect: Expectation | None = None) -> Bundle:
        """Read and verify the bundle in the folder `path`.

        `expect` gives the arrays that there must be, `{name: shape}` or `{name: ArraySpec}`, or is a function
        from the config to that; a file of weights larger than those is not read at all.

        Raises `CorruptBundleError` naming the file (and array or key), `NewerBundleError` for a bundle of a
        later version, `StorageError` where there is none.
        """
        with open_folder(path) as folder:
            return _load(cls, folder, expect)


def _load(cls: type[Bundle], folder: Folder, expect: Expectation | None) -> Bundle:
    if folder.meta.get("kind") != _KIND:
        kind = folder.meta.get("kind", "folder")
        raise CorruptBundleError(f"{folder.path / MANIFEST} says that this is a {kind}, not a model bundle")
    config, version = _read_config(folder)
    is_current = version == SCHEMA_VERSION
    if not is_current:
        config = migrations.migrate_config(config, version, str(folder.path / CONFIG))
    origin = {key: config.pop(key, None) for key in _BOOKKEEPING}
    expected = expect(config) if callable(expect) else expect
    limit = _MAX_WEIGHTS if expected is None or not is_current else expected_bytes(expected)
    file = str(folder.path / WEIGHTS)
    arrays = decode_arrays(_read(folder, WEIGHTS, limit), file)
    if not is_current:
        arrays = migrations.migrate_arrays(arrays, version)
    if expected is not None:
        check_arrays(arrays, expected, file)
    files = {name: _read(folder, name, _MAX_FILE) for name in _listed(origin["files"], folder)}
    card = (folder.read_unverified(CARD, limit=_MAX_CARD) or b"").decode("utf-8", "replace")
    origin["schema_version"] = version
    return cls(config=config, arrays=arrays, files=files, card=card, origin=origin)


def _read(folder: Folder, name: str, limit: int) -> bytes:
    try:
        return folder.read(name, limit=limit)
    except MemoryError as error:
        raise StorageError(f"{folder.path / name} is larger than the memory that is left") from error


def _read_config(folder: Folder) -> tuple[dict[str, Any], int]:
    file = str(folder.path / CONFIG)
    config = parse_json(folder.read(CONFIG, limit=_MAX_CONFIG), file)
    version = config.get("schema_version") if isinstance(config, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 0:
        raise CorruptBundleError(f"{file} must give schema_version as a number, got {version!r}")
    if version > SCHEMA_VERSION:
        raise NewerBundleError(
            f"{file} has schema_version {version}, this version of Recurra reads up to {SCHEMA_VERSION}; "
            "upgrade with pip install --upgrade recurra"
        )
    return config, version


def _listed(names: Any, folder: Folder) -> list[str]:
    if not isinstance(names, list) or not all(_is_free(name) for name in names):
        raise CorruptBundleError(f"{folder.path / CONFIG}: 'files' must be a list of plain file names")
    return names


def _is_free(name: object) -> bool:
    return is_plain_name(name) and name not in (CONFIG, WEIGHTS, CARD)


def _check_free(name: str) -> None:
    checked_name(name)
    if not _is_free(name):
        raise SpecError(f"{name!r} is a name that the bundle itself writes; choose another")


def _add(digest: Any, part: bytes | memoryview) -> None:
    digest.update(len(part).to_bytes(8, "little"))
    digest.update(part)


def library_versions() -> dict[str, str]:
    """Return the versions of what is at work here: Python, Recurra, NumPy and, where loaded, torch."""
    from recurra import __version__

    versions = {"python": sys.version.split()[0], "recurra": __version__, "numpy": np.__version__}
    torch = sys.modules.get("torch")
    if torch is not None:
        versions["torch"] = str(torch.__version__)
    return versions


def attach(path: str | os.PathLike[str], name: str, data: bytes) -> None:
    """Add a file that `load` does not read (scores, a verification) to the bundle at `path`, or replace it.

    Raises `SpecError` for a file that the model is made of, `StorageError` where it cannot be written.
    """
    _check_free(name)
    with open_folder(path) as folder:
        if name in _listed(_read_config(folder)[0].get("files", []), folder):
            raise SpecError(f"{name!r} is part of the model; save the bundle anew to change it")
    attach_file(path, name, data)


def write_card(path: str | os.PathLike[str], card: str) -> None:
    """Replace the model card of the bundle at `path`."""
    attach_file(path, CARD, card.encode("utf-8", "replace"))


def add_to_card(path: str | os.PathLike[str], title: str, lines: Sequence[str]) -> None:
    """Put a section `## title` on a bundle's model card, in the place of the one that it has; raises StorageError."""
    from recurra.runtime.card import with_section

    place = Path(path) / CARD
    card = place.read_text(encoding="utf-8", errors="replace") if place.exists() else ""
    write_card(path, with_section(card, title, lines))
