"""Which column plays which part: what was asked for, and what a table's own names say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from recurra.data.cells import all_numbers, is_sequence
from recurra.data.files import PART_WORDS
from recurra.data.tables import Table
from recurra.errors import DataError, nearest

Column: TypeAlias = str | int
Columns: TypeAlias = Column | Sequence[Column] | None

TARGET_NAMES = ("label", "labels", "target", "targets", "class", "category", "sentiment", "y")
TEXT_NAMES = ("text", "texts", "sentence", "review", "content", "document", "comment", "message", "utterance")
STEPS = "steps"
SEQUENCES = "sequences"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the caller asked for; the fields are the options of `recurra.data.reading.read` of the same names."""

    input: Columns = None
    target: Columns = None
    sequence_id: Column | None = None
    time: Column | None = None
    static: Columns = None
    split: Column | None = None
    categories: Columns = None
    multilabel: str | bool | None = None
    kind: str | None = None
    task: str | None = None
    rows: str | None = None
    time_format: str | None = None
    time_order: str = "sort"
    bad_rows: str = "refuse"

    def __post_init__(self) -> None:
        _one_of("kind", self.kind, ("text", "signal", "events", None))
        _one_of("rows", self.rows, (STEPS, SEQUENCES, None))
        _one_of("time_order", self.time_order, ("sort", "refuse"))
        _one_of("bad_rows", self.bad_rows, ("refuse", "drop"))

    @property
    def row_is_step(self) -> bool:
        """Whether a row is one step of a sequence rather than a whole sequence."""
        named = self.sequence_id is not None or self.time is not None
        return self.rows == STEPS or (self.rows is None and named)

    def positions(self) -> bool:
        """Whether any column is given by its position."""
        given = (
            self.input,
            self.target,
            self.sequence_id,
            self.time,
            self.static,
            self.split,
            self.categories,
        )
        return any(isinstance(column, int) for columns in given for column in as_list(columns))


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The names of the columns that play each part; `others` are the ones that play none."""

    inputs: tuple[str, ...]
    targets: tuple[str, ...] = ()
    sequence_id: str | None = None
    time: str | None = None
    static: tuple[str, ...] = ()
    split: str | None = None
    categories: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def resolve(table: Table, request: Request) -> Roles:
    """Find the columns; raises DataError for an unknown one, with the nearest name, and where none is evident."""
    known = table.names
    one = {
        name: select(known, getattr(request, name), table.source) for name in ("sequence_id", "time", "split")
    }
    named = {name: values[0] if values else None for name, values in one.items()}
    named["split"] = named["split"] or _split_column(table)
    static = select(known, request.static, table.source)
    targets = select(known, request.target, table.source)
    used = {*static, *targets, *(name for name in named.values() if name)}
    inputs = select(known, request.input, table.source)
    if request.target is None:
        targets = _usual_target(table, request, used | set(inputs))
        used |= set(targets)
    if request.input is None:
        inputs = _usual_inputs(table, request, [name for name in known if name not in used])
    taken = used | set(inputs)
    categories = select(known, request.categories, table.source)
    _refuse_idle(table, inputs, categories, request)
    return Roles(
        inputs=inputs,
        targets=targets,
        sequence_id=named["sequence_id"],
        time=named["time"],
        static=static,
        split=named["split"],
        categories=categories,
        others=tuple(name for name in known if name not in taken),
    )


def _refuse_idle(table: Table, inputs: Sequence[str], categories: Sequence[str], request: Request) -> None:
    """Refuse options that can have no effect."""
    idle = [name for name in categories if name not in inputs]
    if idle:
        raise DataError(f"categories names {idle[0]!r}, which is no input column{nearest(idle[0], inputs)}")
    if request.time_format is not None and request.time is None:
        raise DataError("time_format has no effect without time=; name the column of the dates")


def as_list(columns: Columns) -> list[Column]:
    """Return one or several columns as a list."""
    if columns is None:
        return []
    return [columns] if isinstance(columns, (str, int)) else list(columns)


def select(known: Sequence[str], wanted: Columns, source: str) -> tuple[str, ...]:
    """Return the names behind names, positions (from 0; also written as digits) and ranges ("1:", "x1:x9").

    A range of positions leaves its end out, as in Python; a range of names has it in.
    """
    chosen: dict[str, None] = {}
    for column in as_list(wanted):
        chosen.update(dict.fromkeys(_matches(known, column, source)))
    return tuple(chosen)


def _matches(known: Sequence[str], column: Column, source: str) -> Iterable[str]:
    if isinstance(column, str) and column in known:
        return [column]
    if isinstance(column, str) and not _is_digits(column):
        begin, colon, end = column.partition(":")
        if colon:
            return _range(known, begin, end, source)
        raise DataError(f"{source} has no column {column!r}{_hint(column, known)}")
    position = int(column)
    if not -len(known) <= position < len(known):
        raise DataError(f"{source} has no column at position {position}; it has {len(known)}, counted from 0")
    return [known[position]]


def _range(known: Sequence[str], begin: str, end: str, source: str) -> Iterable[str]:
    if all(not edge or _is_digits(edge) for edge in (begin, end)):
        chosen = known[slice(int(begin) if begin else None, int(end) if end else None)]
    else:
        first = known.index(_matches_one(known, begin, source)) if begin else 0
        last = known.index(_matches_one(known, end, source)) if end else len(known) - 1
        chosen = known[first : last + 1]
    if not chosen:
        raise DataError(
            f"{source} has no columns in the range {begin}:{end}; it has {len(known)}, counted from 0"
        )
    return chosen


def _matches_one(known: Sequence[str], name: str, source: str) -> str:
    if name not in known:
        raise DataError(f"{source} has no column {name!r}{_hint(name, known)}")
    return name


def _is_digits(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _hint(column: str, known: Sequence[str]) -> str:
    if len(known) == 1 and any(mark in known[0] for mark in ";\t|"):
        mark = next(mark for mark in ";\t|" if mark in known[0])
        return f"; its only column is {known[0]!r}: is the separator {mark!r}? Give it with separator="
    return nearest(column, known)


def _split_column(table: Table) -> str | None:
    """Find a column called "split" whose values are all names of parts."""
    for name in table.names:
        if name.lower() == "split":
            values = {str(value).strip().lower() for value in table.columns[name]}
            return name if values and values <= set(PART_WORDS) else None
    return None


def _usual_target(table: Table, request: Request, used: set[str]) -> tuple[str, ...]:
    usual = ("label", "target") if request.row_is_step else TARGET_NAMES
    free = [name for name in table.names if name not in used and not _is_series(table, name)]
    return tuple([name for word in usual for name in free if name.lower() == word][:1])


def _is_series(table: Table, name: str) -> bool:
    """A column "y" of lists is the other axis of a series, not a target."""
    return name.lower() == "y" and any(is_sequence(cell) for cell in table.columns[name][:1])


def _usual_inputs(table: Table, request: Request, rest: list[str]) -> tuple[str, ...]:
    if request.row_is_step:
        return tuple(rest)
    usual = [name for word in TEXT_NAMES for name in rest if name.lower() == word]
    sequences = [name for name in rest if any(is_sequence(cell) for cell in table.columns[name][:1])]
    texts = [name for name in rest if not all_numbers(table.columns[name])]
    for found in (usual[:1], sequences, rest if len(rest) == 1 or not texts else [], texts):
        if found and (found is not texts or len(texts) == 1):
            return tuple(found)
    raise DataError(
        f"{table.source}: name the input column with --input (input=); the columns are "
        + ", ".join(repr(name) for name in table.names[:20])
    )


def _one_of(name: str, value: Any, allowed: Sequence[Any]) -> None:
    if value not in allowed:
        shown = ", ".join(repr(item) for item in allowed)
        raise DataError(f"{name} must be one of {shown}, got {value!r}")
