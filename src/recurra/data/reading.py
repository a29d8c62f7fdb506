"""`read`: files and folders as a `Dataset`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from recurra.data.assembly import assemble
from recurra.data.dataset import Dataset
from recurra.data.files import Leaf, gather
from recurra.data.formats import MIDI_ENDINGS, Format, leaf_table
from recurra.data.roles import Columns, Request
from recurra.data.tables import frame_table
from recurra.data.tagged import is_tagged, tagged_dataset
from recurra.data.trees import FILE, tree_table
from recurra.errors import DataError, nearest

Paths: TypeAlias = "str | Path | Sequence[str | Path]"


def read(
    path: Paths,
    input: Columns = None,
    target: Columns = None,
    *,
    encoding: str = "utf-8",
    separator: str | None = None,
    header: bool | None = None,
    quote: str = '"',
    split: str | int | None = None,
    sequence_id: str | int | None = None,
    time: str | int | None = None,
    time_format: str | None = None,
    time_order: str = "sort",
    bad_rows: str = "refuse",
    static: Columns = None,
    categories: Columns = None,
    multilabel: str | bool | None = None,
    rows: str | None = None,
    kind: str | None = None,
    task: str | None = None,
    pattern: str | None = None,
    rows_per_step: int = 1,
    steps_per_quarter: int | None = None,
) -> Dataset:
    """Read sequences from a file, a folder, an archive, or several of them.

    Formats, by ending: .csv, .tsv, .jsonl (.ndjson, .json), .parquet, .npz, .npy, .ts (UEA and UCR), .mid (a sequence
    of the 88 keys of a piano, 0 or 1 per step), .json of lists of keys by part; any other file is a table where
    `separator` is given or its first line holds a tab, else one text per line. Compressed files (.gz, .bz2, .xz) and
    archives (.zip, .tar, .tar.gz) are read as they are, in memory. What a folder or several files mean is written at
    the top of `recurra.data.trees`.

    path: where the data are.
    input: the column(s) to learn from: names, positions from 0, or ranges ("1:", "x1:x9"). Several text columns
        are joined by a space, several numeric ones are the steps of a row (empty cells at the end end it), and
        where a row is one step they are its features. None: a column called "text" or the like, else what is
        left. For folders of files by feature: a pattern such as "Inertial_Signals/*".
    target: the column(s) to predict; None: one called "label", "target", "class" or the like, else none.
    encoding: of texts; never guessed. A mark at the beginning (BOM) is left out.
    separator: between cells; " " is any white space: a line is then cut only as often as the positions given
        ask for, so that `target=0, input=1` reads lines of a label and a text.
    header: whether the first row names the columns; None: yes, unless columns are given by position or the row
        holds nothing but numbers.
    quote: the character around cells that hold separators or line feeds; "" where there is none.
    split: a column that says train, validation (dev, val) or test; None: one called "split", or the names of
        files and folders.
    sequence_id: for long tables, many rows per sequence: what rows of one sequence share.
    time: for long tables: when a row happened; a number of seconds or a date.
    time_format: the pattern of dates that are not ISO 8601, as for `datetime.strptime`.
    time_order: "sort" orders the rows of a sequence by time and says in `notes` how many were out of order and
        how many repeat a time; "refuse" makes both an error.
    bad_rows: "refuse" makes a row without target, time or id, or with a text where a number must be, an error;
        "drop" leaves such rows out and says in `notes` how many.
    static: numeric columns that describe the whole sequence, kept beside it.
    categories: input columns whose numbers are names: item numbers, codes.
    multilabel: for several labels per sequence: their separator in the target column ("|"), or True for lists
        (JSON lines, Parquet) and for several columns of 0 and 1.
    rows: what a row is, "sequences" or "steps"; None: steps where `sequence_id` or `time` is given. Steps
        without `sequence_id` make one sequence of each file.
    kind: "text", "signal" or "events" where the data leave it open.
    task: "regressor" reads targets as numbers, "classifier" as labels; None: texts and whole numbers are labels.
        "tagger" reads a tag per word (`recurra.data.tagged`), from tables of steps a tag or number per step.
    pattern: for folders where each file is one sequence: a regular expression for their paths, whose named
        groups become columns: r"a(?P<target>\\d+)_s(?P<subject>\\d+)".
    rows_per_step: for such files of numbers: how many lines make one step.
    steps_per_quarter: of MIDI files: steps of a quarter note; None: 2, eighths.

    Raises DataError, one line that says where, what and what to do; MissingExtraError for Parquet without polars.
    """
    request = Request(
        input=input,
        target=target,
        sequence_id=sequence_id,
        time=time,
        static=static,
        split=split,
        categories=categories,
        multilabel=multilabel,
        kind=kind,
        task=task,
        rows=rows,
        time_format=time_format,
        time_order=time_order,
        bad_rows=bad_rows,
    )
    form = Format(
        encoding=encoding,
        separator=separator,
        header=header,
        quote=quote,
        pattern=pattern,
        rows_per_step=rows_per_step,
        steps_per_quarter=steps_per_quarter,
    )
    leaves, tree, source = _leaves(path)
    if steps_per_quarter is not None and not any(leaf.path.suffix.lower() in MIDI_ENDINGS for leaf in leaves):
        raise DataError(f"steps_per_quarter has no effect on {source}, which is no MIDI file; leave it out")
    if task == "tagger" and is_tagged(leaves):
        return tagged_dataset(leaves, form, request, source)
    if tree and (len(leaves) > 1 or pattern is not None):
        return assemble(*tree_table(leaves, form, request, source))
    _refuse_tree_options(form, source)
    table = leaf_table(leaves[0], form, request)
    if request.row_is_step and request.sequence_id is None and FILE not in table.columns:
        table = table.with_column(FILE, [leaves[0].path.name] * len(table))
        request = replace(request, sequence_id=FILE)
    return assemble(table, request)


def read_frame(
    frame: Any, input: Columns = None, target: Columns = None, *, source: str, **options: Any
) -> Dataset:
    """Read a frame or a mapping of columns; options as of `read` that concern columns."""
    known = [field.name for field in fields(Request)]
    for name in options:
        if name not in known:
            raise DataError(f"a frame is read without an option {name!r}{nearest(name, known)}")
    return assemble(frame_table(frame, source), Request(input=input, target=target, **options))


def _leaves(path: Paths) -> tuple[list[Leaf], bool, str]:
    if isinstance(path, (str, Path)):
        leaves, tree = gather(path)
        return leaves, tree, str(path)
    paths = [Path(one) for one in path]
    if not paths:
        raise DataError("path must name at least one file, got none")
    if len(paths) == 1:
        return _leaves(paths[0])
    shared = Path(os.path.commonpath([one.absolute() for one in paths]))
    found: list[Leaf] = []
    for one in paths:
        own, tree = gather(one)
        place = PurePosixPath(one.absolute().relative_to(shared).as_posix())
        found += [replace(leaf, path=(place if tree else place.parent) / leaf.path) for leaf in own]
    return found, True, ", ".join(str(one) for one in paths)


def _refuse_tree_options(form: Format, source: str) -> None:
    for name, given in (("pattern", form.pattern is not None), ("rows_per_step", form.rows_per_step != 1)):
        if given:
            raise DataError(
                f"{name} has no effect on the single file {source}; name the folder or leave it out"
            )
