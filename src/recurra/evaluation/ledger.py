"""Past runs in a folder: what was asked for and what came out, read from what `fit`, `compare` and `tune` left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recurra.errors import BundleError, InputError, StorageError, nearest
from recurra.storage import parse_json

DEPTH = 3
"""Folders below the one given that are looked at."""
_MAIN = ("accuracy", "f1_micro", "rmse")


@dataclass(frozen=True, kw_only=True)
class PastRun:
    """One run.

    name: its folder, relative to the one that was searched; kind: "fit", "compare", "tune", or "kept" for a single
    run of a comparison. when: seconds since 1970 of its last change. options: `section.option` -> value; scores: of
    the test split; data: fingerprint of the training data ("" where it was not kept).
    """

    name: str
    path: str
    kind: str
    task: str
    when: float
    options: Mapping[str, Any]
    scores: Mapping[str, float]
    data: str

    @property
    def score(self) -> tuple[str, float] | None:
        """Name and value of the main score, None where there is none."""
        found = next((name for name in (*_MAIN, *self.scores) if self.scores.get(name) is not None), None)
        return None if found is None else (found, float(self.scores[found]))

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "name": self.name,
            "path": self.path,
            "kind": self.kind,
            "task": self.task,
            "when": self.when,
            "options": dict(self.options),
            "scores": dict(self.scores),
            "data": self.data,
        }


def past_runs(folder: str | Path) -> list[PastRun]:
    """All runs in a folder, the newest first; what cannot be read is left out."""
    root = Path(folder)
    if not root.is_dir():
        raise StorageError(f"could not read {root}: there is no such folder")
    found = [run for place in _places(root, DEPTH) if (run := _read(place, root)) is not None]
    return sorted(found, key=lambda run: (-run.when, run.name))


def chosen_run(runs: Sequence[PastRun], name: str) -> PastRun:
    """The run of that name, or whose name alone ends or begins so."""
    exact = [run for run in runs if run.name == name.rstrip("/")]
    near = exact or [run for run in runs if run.name.startswith(name) or run.name.endswith(name)]
    if len(near) == 1:
        return near[0]
    names = [run.name for run in runs]
    if near:
        raise InputError(
            f"{name!r} is the name of {len(near)} runs; write more of it: {near[0].name}, {near[1].name}"
        )
    raise InputError(f"there is no run {name!r}{nearest(name, names)}")


def differences(first: PastRun, second: PastRun) -> dict[str, Any]:
    """{"options": {name: [first, second]}, "scores": {name: [first, second, second - first]}, "same_data"}.

    Only options that differ, and the scores that both have. same_data: None where it is not known.
    """
    names = dict.fromkeys((*first.options, *second.options))
    options = {
        name: [first.options.get(name), second.options.get(name)]
        for name in names
        if first.options.get(name) != second.options.get(name)
    }
    scores = {
        name: [first.scores[name], second.scores[name], second.scores[name] - first.scores[name]]
        for name in first.scores
        if first.scores[name] is not None and second.scores.get(name) is not None
    }
    known = bool(first.data and second.data)
    return {
        "first": first.name,
        "second": second.name,
        "same_data": first.data == second.data if known else None,
        "options": options,
        "scores": scores,
    }


def _places(root: Path, depth: int) -> Iterator[Path]:
    yield root
    if depth:
        for place in sorted(path for path in root.iterdir() if path.is_dir() and not path.is_symlink()):
            # A model of a kept run is told by that run; what a killed writer left is nobody's.
            if place.suffix != ".model" and ".tmp-" not in place.name:
                yield from _places(place, depth - 1)


def _read(place: Path, root: Path) -> PastRun | None:
    for name, reader in (("run.json", _kept), ("config.json", _bundle)):
        file = place / name
        if file.is_file():
            try:
                record = parse_json(file.read_bytes(), str(file))
                return reader(record, place, str(place.relative_to(root)), file.stat().st_mtime)
            except (BundleError, OSError, KeyError, TypeError, AttributeError):
                return None
    return None


def _kept(record: Mapping[str, Any], place: Path, name: str, when: float) -> PastRun:
    asked = record["asked"]
    sections = {part: value for part, value in asked["options"].items() if isinstance(value, Mapping)}
    single = {part: value for part, value in asked["options"].items() if not isinstance(value, Mapping)}
    return PastRun(
        name=name,
        path=str(place),
        kind="kept",
        task=asked["task"],
        when=when,
        options={
            "row": record["row"],
            "seed": record["seed"],
            "fold": record["fold"],
            **_flat(sections),
            **single,
        },
        scores=_numbers(record["scores"]["test"]),
        data="",
    )


def _bundle(record: Mapping[str, Any], place: Path, name: str, when: float) -> PastRun:
    scores, facts = record.get("scores", {}), record.get("data", {})
    sections = {"network": record["network"], "training": record.get("training", {})}
    sections["input"] = record.get("input", {}).get("spec", record.get("input", {}))
    kind = "tune" if (place / "trials.json").is_file() else "compare" if "verdict" in facts else "fit"
    return PastRun(
        name=name,
        path=str(place),
        kind=kind,
        task=record["task"],
        when=when,
        options=_flat(sections),
        scores=_numbers(scores.get("test") or scores.get("validation") or {}),
        data=str(facts.get("fingerprint", "")),
    )


def _flat(sections: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"{section}.{name}": value
        for section, values in sections.items()
        if isinstance(values, Mapping)
        for name, value in values.items()
        if not isinstance(value, Mapping)
    }


def _numbers(scores: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in scores.items() if isinstance(value, (int, float))}
