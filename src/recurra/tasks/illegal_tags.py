"""What becomes of tags of spans that break the rules of their scheme, in the data that a tagger learns from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recurra.data.step_targets import is_absent
from recurra.errors import DataError
from recurra.metrics.spans import spans_of, tags_of

ILLEGAL = ("keep", "repair", "refuse")


def lawful(targets: Any, schemes: Sequence[str | None], how: str, unlabelled: str | None) -> Any:
    """Targets whose tags follow the schemes of their columns.

    how: "repair": a sequence that breaks the rules gets the tags of the spans that `conlleval` reads in it; "refuse":
    it raises DataError; "keep": nothing is done. A sequence with a tag that is not given stays as it is.
    """
    if how == "keep" or all(scheme is None for scheme in schemes):
        return targets
    made = []
    for place, row in enumerate(targets):
        cells = [tuple(cell) if isinstance(cell, (tuple, list)) else (cell,) for cell in row]
        columns = [
            _column([cell[k] for cell in cells], scheme, how, place, unlabelled)
            for k, scheme in enumerate(schemes)
        ]
        made.append(columns[0] if len(columns) == 1 else list(zip(*columns, strict=True)))
    return made


def _column(tags: list[Any], scheme: Any, how: str, place: int, unlabelled: str | None) -> list[Any]:
    if scheme is None or any(is_absent(tag, unlabelled) for tag in tags):
        return tags
    right = tags_of(spans_of([str(tag) for tag in tags]), len(tags), scheme)
    if right != tags and how == "refuse":
        step = next(at for at, (tag, other) in enumerate(zip(tags, right, strict=True)) if tag != other)
        raise DataError(
            f"targets[{place}] must follow the rules of {scheme}, got {tags[step]!r} at step {step}; correct it, or "
            f"choose illegal='repair' (it becomes {right[step]!r}) or 'keep'"
        )
    return right
