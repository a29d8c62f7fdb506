"""From what was chosen at the command line to data, specifications and estimators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recurra.cli.options import Choices
from recurra.data import splits
from recurra.data.dataset import Dataset
from recurra.data.encoder import InputSpec
from recurra.data.events import Events
from recurra.data.reading import read
from recurra.data.signal import Signal
from recurra.data.text import BPE, Characters, Words
from recurra.errors import DataError, InputError, SpecError, nearest
from recurra.ragged import Array
from recurra.spec import Network, Training

UNITS: Mapping[str, type[InputSpec]] = {
    "words": Words,
    "characters": Characters,
    "bpe": BPE,
    "signal": Signal,
    "events": Events,
}
BY_KIND = {"text": "words", "signal": "signal", "events": "events"}
TASKS = ("classifier", "regressor")

READ_OPTIONS = (
    "input",
    "target",
    "encoding",
    "sequence_id",
    "time",
    "static",
    "split",
    "separator",
    "header",
    "multilabel",
    "categories",
    "kind",
    "rows",
    "time_format",
    "time_order",
    "pattern",
    "rows_per_step",
)
SPLIT_OPTIONS = ("group", "order", "validation", "test", "split_seed")


def check_task(task: str) -> str:
    """The task's name, or an error that names the known ones."""
    name = task.replace("-", "_").lower()
    if name not in TASKS:
        raise InputError(f"TASK must be one of {', '.join(TASKS)}, got {task!r}{nearest(name, TASKS)}")
    return name


def read_options(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `read` among those of the [data] section; refuses what neither reading nor splitting knows."""
    known = (*READ_OPTIONS, *SPLIT_OPTIONS)
    for name in chosen:
        if name not in known:
            raise SpecError(f"[data] has no option {name!r}{nearest(name, known)}")
    found = {name: _unwrapped(chosen[name]) for name in READ_OPTIONS if chosen.get(name) is not None}
    return {"encoding": "utf-8", **found}


def _unwrapped(value: Any) -> Any:
    """One column as itself; numbers as positions."""
    if isinstance(value, (list, tuple)):
        columns = [_position(item) for item in value]
        return columns[0] if len(columns) == 1 else columns
    return value


def _position(item: Any) -> Any:
    return int(item) if isinstance(item, str) and item.lstrip("-").isdigit() else item


def read_data(paths: Sequence[str], chosen: Mapping[str, Any], task: str | None) -> Dataset:
    """Read the files of a command line."""
    source = paths[0] if len(paths) == 1 else list(paths)
    return read(source, task=task, **read_options(chosen))


def input_spec(chosen: Mapping[str, Any], kind: str) -> InputSpec:
    """The input spec by its unit, else by the kind of data."""
    name = str(chosen.get("unit") or BY_KIND[kind]).lower()
    if name not in UNITS:
        raise SpecError(f"unit must be one of {', '.join(UNITS)}, got {name!r}{nearest(name, UNITS)}")
    fits = {"text": ("words", "characters", "bpe")}.get(kind, ("signal", "events"))
    if name not in fits:
        raise SpecError(f"unit {name!r} does not fit {kind} data; use one of {', '.join(fits)}")
    return UNITS[name].from_dict({k: v for k, v in chosen.items() if k != "unit"})


def estimator(task: str, choices: Choices, dataset: Dataset) -> Any:
    """The estimator that was described."""
    from recurra.tasks.classifier import Classifier
    from recurra.tasks.regressor import Regressor

    kinds: dict[str, Any] = {"classifier": Classifier, "regressor": Regressor}
    kind = kinds[task]
    known = [n for n in kind._parameter_names() if n not in ("network", "training", "inputs")]
    for name in choices.task:
        if name not in known:
            raise SpecError(f"[task] has no option {name!r}{nearest(name, known)}")
    return kind(
        Network.from_dict(choices.network),
        Training.from_dict(choices.training),
        input_spec(choices.input, dataset.kind),
        **choices.task,
    )


def divide(
    dataset: Dataset, task: str, chosen: Mapping[str, Any], test: Dataset | None
) -> tuple[dict[str, Dataset], str]:
    """Train, validation and test, and in words how they were made.

    A test file or the data's own split comes first; then `group`, `order`, else 60/20/20, stratified by class.
    """
    validation, share = float(chosen.get("validation", 0.2)), float(chosen.get("test", 0.2))
    seed = int(chosen.get("split_seed", 0))
    if dataset.targets is None:
        raise DataError(f"{dataset.source}: no target column was found; name it with --target")
    if test is not None:
        inner = _split(dataset, task, chosen, (1 - validation, validation, 0.0), seed)
        return {
            "train": dataset.select(inner.train),
            "validation": dataset.select(inner.validation),
            "test": test,
        }, (f"test from {test.source}; {validation:.0%} of the rest for validation")
    named = set() if dataset.split is None else set(np.asarray(dataset.split).tolist())
    if {"train", "test"} <= named:
        return _named(dataset, task, chosen, validation, seed, named)
    made = _split(dataset, task, chosen, (1 - validation - share, validation, share), seed)
    how = "by group" if chosen.get("group") else "chronological" if chosen.get("order") else ""
    how = how or ("stratified" if task == "classifier" and not _several(dataset.targets) else "random")
    return {name: dataset.select(getattr(made, name)) for name in ("train", "validation", "test")}, how


def _named(
    dataset: Dataset, task: str, chosen: Mapping[str, Any], validation: float, seed: int, named: set[str]
) -> tuple[dict[str, Dataset], str]:
    if "validation" in named:
        return {name: dataset.part(name) for name in ("train", "validation", "test")}, "as the data name it"
    train = dataset.part("train")
    inner = _split(train, task, chosen, (1 - validation, validation, 0.0), seed)
    parts = {"train": train.select(inner.train), "validation": train.select(inner.validation)}
    return {
        **parts,
        "test": dataset.part("test"),
    }, f"test as the data name it; {validation:.0%} of train for validation"


def _split(
    dataset: Dataset, task: str, chosen: Mapping[str, Any], shares: tuple[float, ...], seed: int
) -> Any:
    if chosen.get("group"):
        return splits.grouped(_column(dataset, chosen["group"]), shares=shares, seed=seed)
    if chosen.get("order"):
        return splits.chronological(_column(dataset, chosen["order"]), shares=shares)
    by_class = task == "classifier" and not _several(dataset.targets)
    return splits.stratified(dataset.targets if by_class else len(dataset), shares=shares, seed=seed)


def _several(targets: Any) -> bool:
    return any(isinstance(target, (tuple, set, list)) for target in targets)


def _column(dataset: Dataset, name: str) -> Array:
    if name not in dataset.columns:
        raise DataError(
            f"{dataset.source}: no column {name!r} beside the inputs{nearest(name, dataset.columns)}"
        )
    return np.asarray(dataset.columns[name])
