"""Folders, archives and several files as one `Table`: parts and classes are read off the names.

What a tree is follows from what lies in it, in this order:

1. `pattern`: a regular expression; each file whose path it matches is one sequence (or one table of steps),
   and its named groups become columns: `target`, `split`, a subject, a session.
2. `input` with "*" or "/": files of numbers, one file per feature, one line per sequence, one number per step;
   `target` names the files of labels in the same way.
3. Tables: below each other; each one sequence where its rows are steps, or where folders name classes.
4. Texts in folders that name classes, one file per text (the aclImdb layout).
5. Texts, one per line: the name of the file is the class.

Words such as train, dev or test in the path of every file make the split.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from recurra.data.array_files import SIGNAL, TARGET, array_of
from recurra.data.cells import Floats
from recurra.data.files import PART_WORDS, Leaf, decode, part_of, without_part
from recurra.data.formats import (
    MIDI_ENDINGS,
    TABLE_ENDINGS,
    Format,
    is_numeric,
    leaf_table,
    midi_roll,
    number_rows,
    stem,
)
from recurra.data.roles import STEPS, Request
from recurra.data.tables import TEXT, Table, join, line_table
from recurra.errors import DataError

LABEL = "label"
SPLIT = "split"
FILE = "file"
_UNLABELLED = ("unsup", "unlabeled", "unlabelled")

Marks = Mapping[str, str]


def tree_table(leaves: Sequence[Leaf], form: Format, request: Request, source: str) -> tuple[Table, Request]:
    """Return the table of a tree and the request, completed by what the tree says about the roles."""
    if form.pattern is not None:
        return _by_pattern(leaves, form, request, source)
    if isinstance(request.input, str) and any(mark in request.input for mark in "*/"):
        return _by_feature(leaves, form, request, source)
    leaves = _rooted(leaves)
    tables = [leaf for leaf in leaves if leaf.path.suffix.lower() in TABLE_ENDINGS or form.separator]
    if len(tables) * 2 > len(leaves):
        return _of_tables(tables, form, request, source)
    texts = [leaf for leaf in leaves if leaf not in tables]
    classed = [leaf for leaf in texts if _class_folder(leaf.path)]
    if classed:
        return _of_files(classed, [_folder_marks(leaf.path) for leaf in classed], form, request, source)
    return _of_lines(texts, form, request, source)


def _rooted(leaves: Sequence[Leaf]) -> list[Leaf]:
    """Leave out the folders that all files share."""
    if len(leaves) < 2:
        return list(leaves)
    shared = len(os.path.commonpath([leaf.path.parent.as_posix() for leaf in leaves]).split("/"))
    if all(leaf.path.parent == PurePosixPath(".") for leaf in leaves) or not _shares(leaves):
        shared = 0
    return [replace(leaf, path=PurePosixPath(*leaf.path.parts[shared:])) for leaf in leaves]


def _shares(leaves: Sequence[Leaf]) -> bool:
    return bool(os.path.commonpath([leaf.path.parent.as_posix() for leaf in leaves]))


def _class_folder(path: PurePosixPath) -> str | None:
    """Return the folder that names the class: the one a file lies in, unless it is a part or unlabelled."""
    name = path.parent.name
    return None if not name or name.lower() in (*PART_WORDS, *_UNLABELLED) else name


def _folder_marks(path: PurePosixPath) -> Marks:
    part = part_of(path.parent)
    return {LABEL: _class_folder(path) or "", **({SPLIT: part} if part else {})}


def _of_tables(leaves: Sequence[Leaf], form: Format, request: Request, source: str) -> tuple[Table, Request]:
    folders = {_class_folder(leaf.path) for leaf in leaves}
    if None not in folders and len(folders) > 1 and len(leaves) > len(folders):
        return _of_files(leaves, [_folder_marks(leaf.path) for leaf in leaves], form, request, source)
    parts = [part_of(leaf.path) for leaf in leaves]
    named = [leaf for leaf, part in zip(leaves, parts, strict=True) if part]
    if len(set(parts) - {None}) > 1 and request.split is None:
        tables = [
            _with_marks(leaf_table(leaf, form, request), {SPLIT: part_of(leaf.path) or ""}) for leaf in named
        ]
        return _per_file(tables, named, request, source)
    return _per_file([leaf_table(leaf, form, request) for leaf in leaves], leaves, request, source)


def _per_file(
    tables: list[Table], leaves: Sequence[Leaf], request: Request, source: str
) -> tuple[Table, Request]:
    """Where rows are steps and nothing else says which belong together, a file is one sequence."""
    if request.row_is_step and request.sequence_id is None:
        tables = [
            _with_marks(t, {FILE: leaf.path.as_posix()}) for t, leaf in zip(tables, leaves, strict=True)
        ]
        request = replace(request, sequence_id=FILE)
    return join(tables, source), request


def _with_marks(table: Table, marks: Marks) -> Table:
    for name, value in marks.items():
        if name not in table.columns:
            table = table.with_column(name, [value] * len(table))
    return table


def _by_pattern(leaves: Sequence[Leaf], form: Format, request: Request, source: str) -> tuple[Table, Request]:
    try:
        expression = re.compile(form.pattern or "")
    except re.error as error:
        raise DataError(f"pattern {form.pattern!r} is not a regular expression: {error}") from None
    pairs = [(leaf, expression.search(leaf.path.as_posix())) for leaf in leaves]
    found = [(leaf, match.groupdict(default="")) for leaf, match in pairs if match]
    if not found:
        raise DataError(f"pattern {form.pattern!r} matches no file of {source}, such as {leaves[0].path}")
    return _of_files([leaf for leaf, _ in found], [marks for _, marks in found], form, request, source)


def _of_files(
    leaves: Sequence[Leaf], marks: Sequence[Marks], form: Format, request: Request, source: str
) -> tuple[Table, Request]:
    """Read each file as one sequence: a text, rows of numbers, an array, or a table of steps."""
    first = leaves[0].path.suffix.lower()
    if first in TABLE_ENDINGS or form.separator:
        tables = [
            _with_marks(leaf_table(leaf, form, request), {**own, FILE: leaf.path.as_posix()})
            for leaf, own in zip(leaves, marks, strict=True)
        ]
        return join(tables, source), _completed(replace(request, rows=STEPS), marks, sequence_id=FILE)
    columns: dict[str, list[Any]] = {name: [own.get(name, "") for own in marks] for name in marks[0]}
    name, cells = _sequences(leaves, form, request)
    if name in columns or FILE in columns:
        raise DataError(f"pattern cannot have a group called {name!r} or {FILE!r}; give it another name")
    table = Table(
        columns={name: cells, **columns, FILE: [leaf.path.as_posix() for leaf in leaves]}, source=source
    )
    return table, _completed(request, marks, input=name)


def _completed(request: Request, marks: Sequence[Marks], **roles: Any) -> Request:
    """Fill in the roles that the caller left open."""
    target = next((name for name in (TARGET, LABEL) if name in marks[0]), None)
    found = {"target": target, "split": SPLIT if SPLIT in marks[0] else None, **roles}
    return replace(request, **{name: role for name, role in found.items() if getattr(request, name) is None})


def _sequences(leaves: Sequence[Leaf], form: Format, request: Request) -> tuple[str, list[Any]]:
    if leaves[0].path.suffix.lower() == ".npy":
        return SIGNAL, [array_of(leaf.load(), leaf.source) for leaf in leaves]
    if leaves[0].path.suffix.lower() in MIDI_ENDINGS:
        return SIGNAL, [midi_roll(leaf, form) for leaf in leaves]
    texts = [decode(leaf.load(), form.encoding, leaf.source) for leaf in leaves]
    if request.kind == "text" or (request.kind is None and not is_numeric(texts[0])):
        return TEXT, texts
    pairs = zip(leaves, texts, strict=True)
    return SIGNAL, [_matrix(text, leaf.source, form.rows_per_step) for leaf, text in pairs]


def _matrix(text: str, source: str, rows_per_step: int) -> Floats:
    """Return the numbers of one file as (steps, features); `rows_per_step` lines make one step."""
    rows, lines = number_rows(text, source)
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(rows[0]):
            raise DataError(f"{source}, line {line} has {len(row)} numbers and the first has {len(rows[0])}")
    if len(rows) % rows_per_step:
        raise DataError(
            f"{source} has {len(rows)} lines, which rows_per_step={rows_per_step} does not divide"
        )
    if not len(rows):
        return np.zeros((0, 1))
    return np.stack(rows).reshape(len(rows) // rows_per_step, -1)


def _by_feature(leaves: Sequence[Leaf], form: Format, request: Request, source: str) -> tuple[Table, Request]:
    chosen = _matching(leaves, str(request.input), source)
    answers = _matching(leaves, str(request.target), source) if request.target is not None else []
    parts = sorted({part_of(leaf.path) or "" for leaf in chosen})
    tables = []
    for part in parts:
        own = [leaf for leaf in chosen if (part_of(leaf.path) or "") == part]
        labels = [leaf for leaf in answers if (part_of(leaf.path) or "") == part]
        table = _features_table(own, labels, form)
        tables.append(_with_marks(table, {SPLIT: part}) if part and len(parts) > 1 else table)
    return join(tables, source), replace(request, input=SIGNAL, target=TARGET if answers else None)


def _matching(leaves: Sequence[Leaf], pattern: str, source: str) -> list[Leaf]:
    found = [leaf for leaf in leaves if leaf.path.match(pattern)]
    if not found:
        shown = ", ".join(leaf.path.as_posix() for leaf in leaves[:3])
        raise DataError(f"{pattern!r} matches no file of {source}, which holds {shown}, ...")
    return found


def _features_table(leaves: Sequence[Leaf], answers: Sequence[Leaf], form: Format) -> Table:
    rows = [number_rows(decode(leaf.load(), form.encoding, leaf.source), leaf.source)[0] for leaf in leaves]
    names = tuple(without_part(stem(leaf.path)) for leaf in leaves)
    cells = [_side_by_side(row, leaves, number) for number, row in enumerate(_lines(rows, leaves), 1)]
    columns: dict[str, Any] = {SIGNAL: cells}
    if answers:
        table = line_table(decode(answers[0].load(), form.encoding, answers[0].source), answers[0].source)
        if len(table) != len(cells) or len(answers) > 1:
            raise DataError(
                f"{answers[0].source} has {len(table)} labels in {len(answers)} files, and there are "
                f"{len(cells)} sequences"
            )
        columns[TARGET] = table.columns[TEXT]
    return Table(columns=columns, source=leaves[0].source, features=names)


def _lines(rows: Sequence[Sequence[Floats]], leaves: Sequence[Leaf]) -> list[tuple[Floats, ...]]:
    for own, leaf in zip(rows, leaves, strict=True):
        if len(own) != len(rows[0]):
            raise DataError(
                f"{leaf.source} has {len(own)} sequences and {leaves[0].source} has {len(rows[0])}"
            )
    return list(zip(*rows, strict=True))


def _side_by_side(row: Sequence[Floats], leaves: Sequence[Leaf], number: int) -> Floats:
    for own, leaf in zip(row, leaves, strict=True):
        if len(own) != len(row[0]):
            raise DataError(
                f"{leaf.source}: sequence {number} has {len(own)} steps and {len(row[0])} in {leaves[0].source}"
            )
    return np.stack(row, axis=1)


def _of_lines(leaves: Sequence[Leaf], form: Format, request: Request, source: str) -> tuple[Table, Request]:
    parts = [part_of(leaf.path) for leaf in leaves]
    split = None not in parts and len(set(parts)) > 1
    tables = [leaf_table(leaf, form, request) for leaf in leaves]
    if split:
        tables = [_with_marks(table, {SPLIT: part or ""}) for table, part in zip(tables, parts, strict=True)]
    names = class_names(leaves, split)
    if any(names) and all(table.names[0] == TEXT for table in tables):
        tables = [_with_marks(table, {LABEL: name}) for table, name in zip(tables, names, strict=True)]
    return _per_file(tables, leaves, request, source)


def class_names(leaves: Sequence[Leaf], split: bool) -> list[str]:
    """Name classes by files: without .txt, the words of the split, and the dotted beginning that all share.

    Arabic.txt is "Arabic"; rt-polarity.pos beside rt-polarity.neg is "pos".
    """
    stems = [stem(leaf.path) for leaf in leaves]
    if split:
        stems = [without_part(name) for name in stems]
        return stems if len(set(stems)) > 1 else [""] * len(stems)
    pieces = [name.split(".") for name in stems]
    shared = 0
    while len({tuple(own[: shared + 1]) for own in pieces}) == 1 and all(
        len(own) > shared + 1 for own in pieces
    ):
        shared += 1
    return [".".join(own[shared:]) for own in pieces]
