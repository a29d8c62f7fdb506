"""Text whose every token has a tag: CoNLL-U, files of columns, and JSON lines with spans of characters.

Read by `recurra.read(path, task="tagger", input=..., target=...)`. A sentence becomes a list of words, its target a
list of as many tags (of tuples of tags, where several columns are asked for).

| file | sentence ends | input, if not named | target, if not named |
|---|---|---|---|
| `.conllu`, `.conll` with ten columns and `#` lines | blank line | `form` | `upos` |
| any other file of columns | blank line | the first column | the last column, which `ner` names too |
| `.jsonl`, `.ndjson`, `.json` | each object is one | `tokens`, else `text` | `tags`, else `spans` |

CoNLL-U: words are what has a whole number as id; the range before the words of a contraction ("2-3 don't") and
empty nodes ("8.1") are no words and are left out. The text of a sentence is put together again from the pieces as
written and `SpaceAfter=No`, so that each word knows its place in it (`recurra.data.sentences.Sentence`). JSON:
`tokens` and `tags` are lists; or `text` is a text and `spans` a list of [begin, end, label] or of objects with these
keys, in characters: the BIO tags of its tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from recurra.data.dataset import Dataset
from recurra.data.files import Leaf, decode, part_of
from recurra.data.formats import Format
from recurra.data.roles import Columns, Request, as_list
from recurra.data.sentences import Sentence, sentence_of
from recurra.data.spans import TokenCutter, span_tags
from recurra.data.tables import json_lines_table, split_lines
from recurra.errors import DataError, nearest

CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
"""The columns of CoNLL-U by name."""

_USUAL_PLACES = {"ner": -1}
"""Columns of files without names: where the shared tasks of CoNLL and those after them put the tags of entities."""

_FORM, _MISC = CONLLU.index("form"), CONLLU.index("misc")
_JSON = (".jsonl", ".ndjson", ".json")
_TABLES = (".csv", ".parquet", ".pq", ".npz", ".npy", ".ts")
_BOUNDARY = "-DOCSTART-"
_SPANS = ("spans", "entities", "labels", "annotations")

Tags: TypeAlias = "list[Any]"


@dataclass(kw_only=True)
class _Found:
    """Sentences read so far, with the part that the file's name tells, and what was odd."""

    words: list[Sequence[str]] = field(default_factory=list)
    tags: list[Tags] = field(default_factory=list)
    parts: list[str | None] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    contractions: int = 0
    empty_nodes: int = 0
    widened: int = 0
    dropped: int = 0

    def notes(self) -> tuple[str, ...]:
        """One sentence for each thing that was done besides reading."""
        said = []
        if self.contractions or self.empty_nodes:
            said.append(
                f"{self.contractions} multi-word tokens were read as their words, "
                f"{self.empty_nodes} empty nodes left out"
            )
        if self.widened:
            said.append(f"{self.widened} spans begin or end inside a token and were widened to whole tokens")
        if self.dropped:
            said.append(f"{self.dropped} spans overlap an earlier one, or hold no token, and were left out")
        return tuple(said)


def is_tagged(leaves: Sequence[Leaf]) -> bool:
    """Whether files hold tagged text by their names: anything but tables of steps (CSV, Parquet, .npz, .ts)."""
    return all(leaf.path.suffix.lower() not in _TABLES for leaf in leaves)


def tagged_dataset(leaves: Sequence[Leaf], form: Format, request: Request, source: str) -> Dataset:
    """Read files of tagged text; raises DataError with file and line for what cannot be read."""
    found = _Found()
    for leaf in leaves:
        text = decode(leaf.load(), form.encoding, leaf.source)
        before = len(found.words)
        if leaf.path.suffix.lower() in _JSON:
            _read_json(text, leaf.source, request, found)
        else:
            _read_columns(text, leaf, form, request, found)
        if len(found.words) == before:
            raise DataError(f"{leaf.source} holds no sentence with a token")
        part = part_of(leaf.path) if len(leaves) > 1 else None
        found.parts += [part] * (len(found.words) - before)
    split = np.array(found.parts) if found.parts and all(found.parts) else None
    ids = {"sent_id": np.array(found.ids)} if any(found.ids) else {}
    return Dataset(
        inputs=found.words,
        targets=found.tags,
        kind="text",
        columns=ids,
        split=split,
        source=source,
        notes=found.notes(),
    )


def _read_columns(text: str, leaf: Leaf, form: Format, request: Request, found: _Found) -> None:
    lines = split_lines(text)
    conllu = leaf.path.suffix.lower() == ".conllu"
    places: tuple[int, list[int]] | None = None
    for block in _blocks(lines, comments=conllu):
        words: list[str] = []
        tags: Tags = []
        written = _Written()
        for number, line in block.rows:
            cells = _cells(line, form.separator, conllu)
            if conllu:
                _check_conllu(cells, f"{leaf.source}, line {number}")
            if places is None:
                places = _places(request, len(cells), f"{leaf.source}, line {number}", conllu)
            if conllu and not cells[0].isdecimal():
                found.contractions += "-" in cells[0]
                found.empty_nodes += "." in cells[0]
                written.piece(cells)
                continue
            _check_width(cells, places, f"{leaf.source}, line {number}")
            words.append(cells[places[0]])
            if conllu:
                written.word(cells, words[-1])
            chosen = [cells[place] for place in places[1]]
            tags.append(chosen[0] if len(chosen) == 1 else tuple(chosen))
        if words:
            found.words.append(written.sentence() if conllu else words)
            found.tags.append(tags)
            found.ids.append(block.name)


class _Written:
    """The pieces of a CoNLL-U sentence as they are written: words, and contractions of several words."""

    def __init__(self) -> None:
        self._tokens: list[tuple[list[str], str, bool]] = []
        self._last = -1

    def piece(self, cells: Sequence[str]) -> None:
        """A line that is no word: the range of a contraction, whose words follow; an empty node is not written."""
        begin, dash, end = cells[0].partition("-")
        if dash and begin.isdecimal() and end.isdecimal():
            self._tokens.append(([], cells[_FORM], _space_after(cells)))
            self._last = int(end)

    def word(self, cells: Sequence[str], word: str) -> None:
        """A word, of the contraction before it or by itself; `word` is what is read of it."""
        if int(cells[0]) <= self._last:
            self._tokens[-1][0].append(word)
        else:
            self._tokens.append(([word], cells[_FORM], _space_after(cells)))

    def sentence(self) -> Sentence:
        """The words in the text."""
        return sentence_of(self._tokens)


def _space_after(cells: Sequence[str]) -> bool:
    return "SpaceAfter=No" not in cells[_MISC].split("|")


@dataclass(kw_only=True)
class _Block:
    """The lines of one sentence with their numbers, and what a comment calls it."""

    rows: list[tuple[int, str]] = field(default_factory=list)
    name: str = ""


def _blocks(lines: Sequence[str], *, comments: bool) -> Iterator[_Block]:
    block = _Block()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            if block.rows:
                yield block
            block = _Block()
        elif comments and line.startswith("#"):
            key, _, value = line[1:].partition("=")
            block.name = value.strip() if key.strip() == "sent_id" else block.name
        elif not line.startswith(_BOUNDARY):
            block.rows.append((number, line))
    if block.rows:
        yield block


def _cells(line: str, separator: str | None, conllu: bool) -> list[str]:
    if conllu:
        return line.split("\t")
    if separator is None:
        separator = "\t" if "\t" in line else " "
    return line.split() if separator == " " else line.split(separator)


def _places(request: Request, width: int, where: str, conllu: bool) -> tuple[int, list[int]]:
    """Positions of the input column and of the target columns."""
    inputs = _positions(request.input, width, where, conllu, "form" if conllu else 0)
    targets = _positions(request.target, width, where, conllu, "upos" if conllu else -1)
    if len(inputs) != 1:
        raise DataError(f"input must be one column of words, got {len(inputs)}")
    return inputs[0], targets


def _check_conllu(cells: Sequence[str], where: str) -> None:
    if len(cells) != len(CONLLU):
        raise DataError(
            f"{where} must have the {len(CONLLU)} columns of CoNLL-U between tabs, got {len(cells)}"
        )


def _positions(columns: Columns, width: int, where: str, conllu: bool, usual: str | int) -> list[int]:
    made: list[int] = []
    for column in as_list(columns) or [usual]:
        if isinstance(column, str) and column.lower() in CONLLU and conllu:
            column = CONLLU.index(column.lower())
        elif isinstance(column, str) and not conllu:
            column = _USUAL_PLACES.get(column.lower(), column)
        if isinstance(column, str):
            hint = (
                nearest(column, CONLLU)
                if conllu
                else "; name columns by their position, from 0 (-1 is the last)"
            )
            raise DataError(f"{where}: there is no column {column!r}{hint}")
        if not -width <= column < width:
            raise DataError(f"{where}: there is no column {column}, the line has {width} of them")
        if all(column % width != other % width for other in made):
            made.append(column)
    return made


def _check_width(cells: Sequence[str], places: tuple[int, Sequence[int]], where: str) -> None:
    least = max(place + 1 if place >= 0 else -place for place in (places[0], *places[1]))
    if len(cells) < max(least, 2):
        raise DataError(
            f"{where} must have at least {max(least, 2)} columns as asked for, got {len(cells)}; "
            "is the separator right, or a tag missing?"
        )


def _read_json(text: str, source: str, request: Request, found: _Found) -> None:
    table = json_lines_table(text, source)
    cut: TokenCutter | None = None
    names = table.names
    inputs = _named(request.input, names, ("tokens", "text"), source)
    targets = _named(request.target, names, ("tags", *_SPANS), source)
    for row in range(len(table)):
        item, tags = table.columns[inputs][row], table.columns[targets][row]
        where = f"{source}, {table.where(row)}" if source not in table.where(row) else table.where(row)
        words: Sequence[str]
        if isinstance(item, str):
            cut = cut or TokenCutter()
            words, made, odd = span_tags(item, tags, cut, where)
            found.widened += odd.widened
            found.dropped += odd.dropped
        else:
            words, made = _listed(item, tags, where)
        if words:
            found.words.append(words)
            found.tags.append(made)
            found.ids.append("")


def _named(columns: Columns, known: Sequence[str], usual: Sequence[str], source: str) -> str:
    wanted = as_list(columns) or [next((name for name in usual if name in known), usual[0])]
    if len(wanted) != 1 or wanted[0] not in known:
        raise DataError(f"{source} has no key {wanted[0]!r}{nearest(str(wanted[0]), known)}")
    return str(wanted[0])


def _listed(words: Any, tags: Any, where: str) -> tuple[list[str], Tags]:
    if not isinstance(words, list) or not isinstance(tags, list):
        raise DataError(
            f"{where}: tokens and tags must be lists, got {type(words).__name__} and {type(tags).__name__}"
        )
    if len(words) != len(tags):
        raise DataError(f"{where}: there must be one tag per token, got {len(tags)} for {len(words)}")
    return [str(word) for word in words], [str(tag) for tag in tags]
