"""From what was chosen at the command line to data, specifications and estimators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from recurra.cli.options import Choices
from recurra.data.bytes import Bytes
from recurra.data.dataset import PARTS, Dataset
from recurra.data.duplicates import duplicates_across, sequence_keys
from recurra.data.encoder import InputSpec
from recurra.data.events import Events
from recurra.data.reading import read
from recurra.data.signal import Signal
from recurra.data.splits import split_dataset
from recurra.data.text import BPE, Characters, Words
from recurra.data.tokens import Tokens
from recurra.errors import DataError, InputError, SpecError, nearest
from recurra.ragged import Ragged

UNITS: Mapping[str, type[InputSpec]] = {
    "words": Words,
    "characters": Characters,
    "bpe": BPE,
    "bytes": Bytes,
    "tokens": Tokens,
    "signal": Signal,
    "events": Events,
}
BY_KIND = {"text": "words", "signal": "signal", "events": "events"}
TASKS = ("classifier", "regressor", "tagger")
LANGUAGE = "language_model"
FRAMES = "frame_model"

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
    "steps_per_quarter",
    "bad_rows",
    "quote",
)
SPLIT_OPTIONS = ("group", "order", "gap", "validation", "test", "split_seed")


def check_task(task: str, known: Sequence[str] = TASKS) -> str:
    """The task's name, or an error that names the known ones."""
    name = task.replace("-", "_").lower()
    if name not in known:
        words = [each.replace("_", "-") for each in known]
        other = name in (*TASKS, LANGUAGE, FRAMES)
        hint = (
            ", which recurra fit takes and this command does not" if other else nearest(task.lower(), words)
        )
        raise InputError(f"TASK must be one of {', '.join(words)}, got {task!r}{hint}")
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


def input_spec(chosen: Mapping[str, Any], kind: str, units: Mapping[str, str] = BY_KIND) -> InputSpec:
    """The input spec by its unit, else by the kind of data: `units`."""
    name = str(chosen.get("unit") or chosen.get("kind") or units[kind]).lower()
    if name not in UNITS:
        raise SpecError(f"unit must be one of {', '.join(UNITS)}, got {name!r}{nearest(name, UNITS)}")
    fits = {"text": ("words", "characters", "bpe", "bytes", "tokens")}.get(kind, ("signal", "events"))
    if name not in fits:
        raise SpecError(f"unit {name!r} does not fit {kind} data; use one of {', '.join(fits)}")
    return UNITS[name].from_dict({k: v for k, v in chosen.items() if k not in ("unit", "kind")})


def estimator(task: str, choices: Choices, dataset: Dataset) -> Any:
    """The estimator that was described."""
    from recurra.tasks.classifier import Classifier
    from recurra.tasks.regressor import Regressor
    from recurra.tasks.tagger import Tagger

    kinds: dict[str, Any] = {"classifier": Classifier, "regressor": Regressor, "tagger": Tagger}
    kind = kinds[task]
    return kind(
        # None: a network of the task's own, or that of the model that training starts from.
        kind.default("network").replace(**choices.network) if choices.network else None,
        kind.default("training").replace(**choices.training),
        input_spec(choices.input, dataset.kind, {**BY_KIND, "text": kind.text_unit}),
        **_task_options(kind, choices.task),
    )


def _task_options(kind: Any, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a task as its arguments: those of its own specifications are gathered in them."""
    own = [part for part in kind.parts if part not in ("network", "training", "inputs")]
    within = {name: part for part in own for name in kind.default(part).names()}
    plain = [name for name in kind._parameter_names() if name not in kind.parts]
    made: dict[str, Any] = {part: kind.default(part) for part in own}
    for name, value in chosen.items():
        if name in within:
            made[within[name]] = made[within[name]].replace(**{name: value})
        elif name in plain:
            made[name] = value
        else:
            raise SpecError(f"[task] has no option {name!r}{nearest(name, (*plain, *within))}")
    return made


@dataclass(frozen=True, kw_only=True)
class Divided:
    """The parts of the data, in words how they were made, and a warning about repeats across them ("": none)."""

    parts: Mapping[str, Dataset]
    how: str
    warning: str

    @property
    def sizes(self) -> str:
        """One line for people."""
        counts = ", ".join(f"{name} {len(part):,}" for name, part in self.parts.items())
        return f"split: {counts} ({self.how})"


def _by_step(targets: Any) -> bool:
    """Whether targets are one per step: lists, of which the sequences have one each."""
    if isinstance(targets, list):
        return bool(targets) and isinstance(targets[0], list)
    return isinstance(targets, Ragged)


def divide(
    dataset: Dataset, chosen: Mapping[str, Any], test: Dataset | None, *, foretold: bool = False
) -> Divided:
    """Train, validation and test: a test file or the data's own split first, then by group, by time, else 60/20/20,
    stratified by class; 80/10/10 where every step has a target, so that a sequence tests many answers, or where each
    is foretold by those before it (`foretold`: there are no targets). [data] options: validation and test (shares),
    split_seed, group, order, gap."""
    usual = 0.1 if foretold or _by_step(dataset.targets) else 0.2
    validation, share = float(chosen.get("validation", usual)), float(chosen.get("test", usual))
    if dataset.targets is None and not foretold:
        raise DataError(f"{dataset.source}: no target column was found; name it with --target")
    if test is not None:
        dataset = replace(dataset, split=None)
        share = 0.0
    found = split_dataset(
        dataset,
        (1 - validation - share, validation, share),
        int(chosen.get("split_seed", 0)),
        group=chosen.get("group"),
        time=chosen.get("order"),
        gap=float(chosen.get("gap", 0.0)),
    )
    parts = {name: dataset.select(rows) for name, rows in zip(PARTS, found.parts(), strict=True)}
    for name in PARTS if test is None else PARTS[:2]:
        if not len(parts[name]):
            raise DataError(
                f"{dataset.source}: its {len(dataset)} sequences ({found.how}) leave none for {name}; give more of "
                "them, other shares ([data] validation, test), or a file by --test"
            )
    if test is None:
        return Divided(parts=parts, how=found.how, warning=duplicates_across(dataset.inputs, found).warning)
    repeated = len(set(sequence_keys(dataset.inputs)) & set(sequence_keys(test.inputs)))
    warning = f"{repeated} test sequences also stand in the training file" if repeated else ""
    return Divided(
        parts={**parts, "test": test}, how=f"{found.how}, test from {test.source}", warning=warning
    )
