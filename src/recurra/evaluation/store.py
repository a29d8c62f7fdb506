"""Runs on disk, each under the fingerprint of all it depends on: a comparison goes on where it was stopped.

A run is a folder `<row>-<fold>-<seed>-<fingerprint>` with `run.json` and `answers.safetensors`, verified when read;
a recurrent one has its bundle beside it, `.model`, written first, so that a run that is there is there whole.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import recurra
from recurra.errors import BundleError, StorageError
from recurra.evaluation.runs import PARTS, Job, Run
from recurra.metrics.regression import finite_or_none
from recurra.storage import canonical_json, dump_json, parse_json, read_folder, write_folder

RECORD, ANSWERS = "run.json", "answers.safetensors"
_PLAIN = ("row", "kind", "fold", "seed", "share", "seconds", "latency", "alone", "parameters", "megabytes")
_ARRAYS = ("validation", "test", "ingredients")
_ROOMS = (
    "errors.py",
    "ragged.py",
    "spec.py",
    "kernels",
    "graph",
    "data",
    "metrics",
    "runtime",
    "training",
    "tasks",
)
_OWN = (
    *("baselines", "features.py", "judge.py", "judging.py", "kneser_ney.py", "language_runs.py", "runs.py"),
    *("step_judging.py", "tag_models.py"),
)
_PACKAGES = ("numpy", "torch", "scikit-learn", "tokenizers")


class RunStore:
    """The runs in a folder."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def place(self, job: Job, key: str) -> Path:
        """Where a run with this fingerprint stands."""
        row = re.sub(r"[^A-Za-z0-9]+", "-", job.row).strip("-")[:40] or "row"
        return self.folder / f"{row}-{job.fold + 1}-{job.seed}-{key[:16]}"

    def load(self, job: Job, key: str) -> Run | None:
        """The run that was kept, or None where there is none, or none that can be read whole."""
        # The name in front is for people: the same network under another name is the same run.
        place = next((path for path in self.folder.glob(f"*-{key[:16]}") if path.is_dir()), None)
        if place is None:
            return None
        try:
            return self._read(place, job)
        except (BundleError, StorageError, KeyError, TypeError, ValueError):
            return None

    def save(self, job: Job, key: str, run: Run) -> Run:
        """Keep a run; its model goes to disk first and is named in the returned one."""
        place = self.place(job, key)
        bundle = place.with_name(place.name + ".model")
        if run.model is not None:
            run.model.save(bundle, scores=run.scores)
        record = {
            name: finite_or_none(value) if isinstance(value, float) else value for name, value in _plain(run)
        }
        record |= {"fingerprint": key, "asked": job.described, "bundle": bundle.name if run.model else None}
        files = {RECORD: dump_json(_finite(record)), ANSWERS: _packed(run)}
        write_folder(place, files, adopt=True)
        return replace(run, bundle=str(bundle) if run.model is not None else None)

    def _read(self, place: Path, job: Job) -> Run:
        from safetensors.numpy import load

        files = read_folder(place, [RECORD, ANSWERS]).files
        record = parse_json(files[RECORD], str(place / RECORD))
        arrays = load(files[ANSWERS])
        bundle = record["bundle"]
        if bundle is not None and not (self.folder / bundle / "config.json").is_file():
            raise StorageError(f"{place} has lost its model")
        plain: dict[str, Any] = {name: _number(record[name]) for name in _PLAIN}
        plain |= {name: arrays[name] for name in _ARRAYS}
        plain["row"] = job.row
        return Run(
            **plain,
            parts=record["parts"],
            scores={part: {n: _number(v) for n, v in record["scores"][part].items()} for part in PARTS},
            epochs=tuple(record["epochs"]),
            notes=tuple(record["notes"]),
            bundle=None if bundle is None else str(self.folder / bundle),
        )


def _plain(run: Run) -> list[tuple[str, Any]]:
    plain = [(name, getattr(run, name)) for name in _PLAIN]
    scores = {part: dict(values) for part, values in run.scores.items()}
    more = {"parts": dict(run.parts), "scores": scores, "epochs": list(run.epochs), "notes": list(run.notes)}
    return plain + list(more.items())


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return finite_or_none(value) if isinstance(value, float) else value


def _number(value: Any) -> Any:
    return float("nan") if value is None else value


def _packed(run: Run) -> bytes:
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(getattr(run, name)) for name in _ARRAYS})


def data_fingerprint(parts: Mapping[str, Any]) -> str:
    """A hash of the three parts of one fold."""
    return hashlib.sha256("".join(parts[name].fingerprint() for name in PARTS).encode()).hexdigest()


def run_fingerprint(job: Job, data: str) -> str:
    """A hash of data, specification, seed and code: the same one is the same run."""
    content = canonical_json({"data": data, "asked": _finite(job.described), "code": code_version()})
    return hashlib.sha256(content).hexdigest()


@lru_cache(maxsize=1)
def code_version() -> str:
    """A hash of every source that a run depends on, of the native module, and of the versions of what they use."""
    root = Path(recurra.__file__).parent
    files = [path for room in _ROOMS for path in _sources(root / room)]
    files += [path for name in _OWN for path in _sources(root / "evaluation" / name)]
    files += sorted(root.glob("_native*.so"))
    digest = hashlib.sha256(recurra.__version__.encode())
    for path in files:
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    for package in _PACKAGES:
        try:
            digest.update(f"{package} {version(package)}".encode())
        except PackageNotFoundError:
            digest.update(f"{package} absent".encode())
    return digest.hexdigest()


def _sources(place: Path) -> list[Path]:
    return sorted(place.rglob("*.py")) if place.is_dir() else [place]
