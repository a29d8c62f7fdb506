"""Every figure and table of a report as files of their own, in a folder beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from recurra.errors import StorageError
from recurra.report.figure import Figure, csv_text
from recurra.report.items import Report, Table
from recurra.report.wording import slug
from recurra.storage.durable import (
    clean_leftovers,
    fsync_folder,
    make_parents,
    remove,
    resolved_target,
    storage_errors,
    temporary,
    write_new_file,
)
from recurra.storage.exchange import put_in_place

INDEX = "index.csv"
"""Names the files of such a folder; a folder that is not empty and has none is not ours to replace."""


def save_parts(folder: str | Path, report: Report, pictures: Mapping[str, bytes]) -> int:
    """Write each figure as `.svg`, `.png` and `.csv`, each table as `.csv`, and `index.csv`; return how many files.

    pictures: what `keeping_pictures` kept while the report was made. File names are numbered in the order of the
    page. The folder is replaced as a whole or not at all. Raises StorageError where that fails, or where it holds
    something else.
    """
    target = resolved_target(folder)
    files = _files(report, pictures)
    if target.exists() and (
        not target.is_dir() or (any(target.iterdir()) and not (target / INDEX).is_file())
    ):
        raise StorageError(f"{target} is not a folder of figures; move it away, or name another page")
    with storage_errors("write", target):
        make_parents(target.parent)
        clean_leftovers(target.parent, target.name)
        fresh = temporary(target)
        try:
            fresh.mkdir()
            for name, content in files.items():
                write_new_file(fresh / name, content)
            fsync_folder(fresh)
            put_in_place(fresh, target)
        finally:
            if fresh.exists():
                remove(fresh)
    return len(files)


def _files(report: Report, pictures: Mapping[str, bytes]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    index = []
    for number, section in enumerate(report.sections, 1):
        for place, item in enumerate(section.items, 1):
            made: dict[str, bytes] = {}
            title = ""
            if isinstance(item, Figure):
                title = item.title
                made = {".svg": item.svg.encode(), ".csv": item.to_csv().encode()}
                if item.svg in pictures:
                    made[".png"] = pictures[item.svg]
            elif isinstance(item, Table):
                title = item.caption
                made = {".csv": item.to_csv().encode()}
            for suffix, content in made.items():
                name = f"{number:02d}-{place:02d}-{slug(title, 'item')}{suffix}"
                files[name] = content
                index.append([name, section.title, title])
    files[INDEX] = csv_text(["file", "section", "title"], index).encode()
    return files
