"""The flags that several verbs share, and how flags, `--set` and `--config` become specifications."""

from __future__ import annotations

import functools
import inspect
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Union, get_type_hints

import typer

from recurra.errors import DataError, SpecError, nearest

Data = Annotated[
    list[str],
    typer.Argument(
        help="CSV, TSV, JSON lines, Parquet, .ts, .npz, MIDI, a folder by class, or archives; several are joined."
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Config = Annotated[
    Path | None,
    typer.Option(help="TOML file with sections [data] [network] [training] [input] [task]."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any option by its place, such as network.cell_clip=3; repeatable."),
]
TestData = Annotated[
    str | None, typer.Option("--test", help="File with the test split; without it a fifth is set aside.")
]
Part = Annotated[
    str | None, typer.Option(help="Only train, validation or test of data that name their split.")
]


@dataclass(frozen=True, kw_only=True)
class Flag:
    """One flag: its name in Python, its section and type, and what its help says. `names`: where not by rule."""

    name: str
    section: str
    kind: Any
    help: str
    names: tuple[str, ...] = ()

    @property
    def parameter(self) -> inspect.Parameter:
        """As a parameter of a function that typer reads; None means that it was not given."""
        kind: Any = Union[self.kind, None]  # noqa: UP007 - a value, not an annotation
        annotation = Annotated[kind, typer.Option(*self.names, help=self.help)]
        return inspect.Parameter(
            self.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
        )


def _flags(section: str, *rows: tuple[Any, ...]) -> tuple[Flag, ...]:
    return tuple(
        Flag(name=name, section=section, kind=kind, help=text, names=tuple(names))
        for name, kind, text, *names in rows
    )


DATA = _flags(
    "data",
    ("input", list[str], "Input column by name or number from 0; several for signals and events."),
    ("target", list[str], "Target column by name or number from 0; several for a vector of numbers."),
    ("encoding", str, "Encoding of text files; UTF-8 if left out, never guessed."),
    ("separator", str, "Field separator; by the file's name if left out."),
    ("header", bool, "Whether the first row names the columns.", "--header/--no-header"),
    ("sequence_id", str, "Column that names the sequence of a row (a long table)."),
    ("time", str, "Column with the time of a row, in a long table."),
    ("static", list[str], "Numeric column that belongs to the whole sequence."),
    ("split", str, "Column that says train, validation or test."),
    ("categories", list[str], "Input column whose numbers are names: item numbers, codes."),
    ("kind", str, "text, signal or events, where the data leave it open."),
    ("rows", str, "What a row is: sequences or steps."),
    ("time_format", str, "Pattern of dates that are not ISO 8601."),
    ("time_order", str, "sort or refuse rows that are out of order."),
    ("pattern", str, "For folders of one file per sequence: a regular expression that names columns."),
    ("rows_per_step", int, "For such files: lines per step."),
    ("steps_per_quarter", int, "Of MIDI files: steps of a quarter note; 2 (eighths) if left out."),
    ("bad_rows", str, "refuse or drop rows that cannot be read."),
    ("quote", str, "Character around cells that hold the separator; empty for none."),
    ("multilabel", str, "Separator between several labels in one cell, such as '|'."),
)
SPLITS = _flags(
    "data",
    ("group", str, "Column whose equal values must stay in one split."),
    ("order", str, "Column by which to split chronologically."),
    ("gap", float, "With --order: least time between the parts (seconds, for dates)."),
)
MODEL = (
    *_flags(
        "input",
        ("unit", str, "words, characters, bpe, bytes, tokens, signal or events; by the data if left out."),
    ),
    *_flags(
        "network",
        ("hidden_size", int, "Units per layer and direction; usual 32-512."),
        ("num_layers", int, "Recurrent layers; usual 1-4."),
        ("embedding_size", int, "Numbers per token; usual 50-300."),
        ("dropout", float, "Between layers; usual 0.2-0.5."),
    ),
    *_flags("task", ("pooling", str, "max, mean, last, attention, or auto.")),
    *_flags(
        "training",
        ("epochs", str, "Passes over the training split; usual 5-50; 'auto' by how much there is to read."),
        ("batch_size", int, "Sequences per step; usual 16-128."),
        ("learning_rate", str, "Usual 0.0001-0.01; 'auto' searches."),
        ("sequence_length", str, "Truncation of training sequences; 'none' for none."),
        ("patience", int, "Epochs without improvement before stopping."),
        ("seed", int, "Everything random follows from it."),
    ),
)
CELL = _flags(
    "network",
    ("cell", str, "lstm, gru, rnn or rnn_relu."),
    ("bidirectional", bool, "Also read from the end.", "--bidirectional/--unidirectional"),
)
LANGUAGE = _flags(
    "task",
    ("documents", str, "Of running text for a language model: whole, lines or paragraphs."),
)
DIAGNOSE = _flags(
    "training",
    (
        "diagnose",
        bool,
        "Measure gradients through time, gates and updates, and say what is wrong.",
        "--diagnose",
    ),
)
_FREE = ("epochs", "learning_rate", "sequence_length")
"""Flags whose texts may stand for a number or for none."""


def chosen_by(*flags: Flag) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a verb these flags besides its own, and `--config` and `--set`; it is handed them as `chosen`."""

    def wrap(verb: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(verb, include_extras=True)
        own = inspect.signature(verb).parameters.values()
        kept = [p.replace(annotation=hints[p.name]) for p in own if p.name != "chosen"]
        extra = [flag.parameter for flag in flags]
        both = [("config", Config), ("set_", Set)]
        files = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
            for name, annotation in both
        ]

        @functools.wraps(verb)
        def run(*args: Any, **given: Any) -> None:
            config, sets = given.pop("config"), given.pop("set_")
            sections: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
            for flag in flags:
                value = given.pop(flag.name)
                if value is not None and value != []:
                    sections[flag.section][flag.name] = plain(value) if flag.name in _FREE else value
            verb(*args, chosen=choices(config, sets, sections), **given)

        positional = [p for p in kept if p.default is inspect.Parameter.empty]
        rest = [p for p in kept if p.default is not inspect.Parameter.empty]
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in [*positional, *rest]]
        run.__signature__ = inspect.Signature([*parameters, *extra, *files])  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in [*parameters, *extra, *files]}
        return run

    return wrap


SECTIONS = ("data", "network", "training", "input", "task")


@dataclass(kw_only=True)
class Choices:
    """What was chosen, section by section: the configuration file, then `--set`, then the flags."""

    data: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    input: dict[str, Any] = field(default_factory=dict)
    task: dict[str, Any] = field(default_factory=dict)


def choices(
    config: Path | None, sets: Sequence[str] | None, flags: Mapping[str, Mapping[str, Any]]
) -> Choices:
    """Merge the three sources, the flags last."""
    made = Choices(**(_read_config(config) if config else {}))
    for text in sets or ():
        section, name, value = _setting(text)
        getattr(made, section)[name] = value
    for section, given in flags.items():
        getattr(made, section).update(given)
    return made


def _read_config(path: Path) -> dict[str, dict[str, Any]]:
    try:
        sections = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"--config {path}: no such file; give the path of a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"--config {path}: not valid TOML: {error}") from None
    for name, values in sections.items():
        if name not in SECTIONS:
            raise SpecError(f"--config {path}: no section [{name}]{nearest(name, SECTIONS)}")
        if not isinstance(values, dict):
            raise SpecError(
                f"--config {path}: {name} must be a section [{name}] with options, got {values!r}"
            )
    return {name: _with_none(name, values) for name, values in sections.items()}


def _with_none(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """TOML has no none: in the sections of specifications the text "none" stands for it."""
    if section == "data":
        return dict(values)
    return {name: None if value == "none" else value for name, value in values.items()}


def _setting(text: str) -> tuple[str, str, Any]:
    path, equals, value = text.partition("=")
    section, dot, name = path.strip().partition(".")
    if not equals or not dot or not name:
        raise SpecError(f"--set must be section.option=value such as network.cell_clip=3, got {text!r}")
    if section not in SECTIONS:
        raise SpecError(f"--set {text}: no section {section!r}{nearest(section, SECTIONS)}")
    return section, name, plain(value.strip())


def plain(text: str) -> Any:
    """A value as TOML or JSON would read it; anything else is a text."""
    words = {"none": None, "null": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
