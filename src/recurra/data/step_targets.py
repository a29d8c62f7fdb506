"""What is asked about each step of a sequence, as numbers: one class per column of tags, or measurements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.data.target_encoders import NumberEncoder
from recurra.decoding.tag_decoder import named
from recurra.errors import CorruptBundleError, DataError
from recurra.kernels import UNKNOWN_TAG
from recurra.ragged import Array, Offsets, Ragged

UNSEEN = -2
"""Code of a tag that training had not: nothing is learnt from it, and no answer to it can be right."""


@dataclass(frozen=True, kw_only=True)
class StepLabels:
    """One of the classes of each of K columns of tags, per step.

    classes: sorted texts per column. unlabelled: the text that stands where a tag is not given, beside None and "".
    """

    classes: tuple[tuple[str, ...], ...]
    unlabelled: str | None = None

    @classmethod
    def fit(cls, targets: Any, unlabelled: str | None = None) -> StepLabels:
        """Learn the tags of each column; raises DataError for sequences that are not lists of tags."""
        rows = _rows(targets)
        width = _width(rows)
        found: list[set[str]] = [set() for _ in range(width)]
        for place, row in enumerate(rows):
            for step, cell in enumerate(row):
                for tags, tag in zip(found, _tags(cell, width, place, step), strict=True):
                    if not is_absent(tag, unlabelled):
                        tags.add(str(tag))
        for column, tags in enumerate(found):
            if len(tags) < 2:
                shown = repr(next(iter(tags))) if tags else "none"
                which = f" in column {column}" if width > 1 else ""
                raise DataError(f"targets must hold at least two tags to learn from{which}, got only {shown}")
        return cls(classes=tuple(tuple(sorted(tags)) for tags in found), unlabelled=unlabelled)

    @property
    def width(self) -> int:
        """Columns of tags, K."""
        return len(self.classes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Tags per column."""
        return tuple(len(tags) for tags in self.classes)

    def encode(self, targets: Any) -> Ragged:
        """(N, K) int64 codes of the tags of all steps; `UNKNOWN_TAG` and `UNSEEN` are below 0."""
        rows = _rows(targets)
        known = [{tag: code for code, tag in enumerate(tags)} for tags in self.classes]
        codes = [
            [self._code(tag, column) for tag, column in zip(cells, known, strict=True)]
            for place, row in enumerate(rows)
            for cells in (_tags(cell, self.width, place, step) for step, cell in enumerate(row))
        ]
        values = np.asarray(codes, dtype=np.int64).reshape(-1, self.width)
        return Ragged(values=values, offsets=_offsets(rows))

    def _code(self, tag: Any, known: Mapping[str, int]) -> int:
        return UNKNOWN_TAG if is_absent(tag, self.unlabelled) else known.get(str(tag), UNSEEN)

    def decode(self, codes: Array) -> list[Any]:
        """Tags of (N, K) codes: texts, or tuples of texts where there are several columns."""
        return named(codes, self.classes)

    def to_record(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "kind": "step labels",
            "classes": [list(tags) for tags in self.classes],
            "unlabelled": self.unlabelled,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> StepLabels:
        """From plain values; raises CorruptBundleError."""
        classes, unlabelled = record.get("classes"), record.get("unlabelled")
        if not isinstance(classes, list) or not classes or not all(map(_is_stored, classes)):
            raise CorruptBundleError("step labels must have columns of at least two different texts in order")
        if unlabelled is not None and not isinstance(unlabelled, str):
            raise CorruptBundleError("step labels: unlabelled must be a text or null")
        return cls(classes=tuple(tuple(tags) for tags in classes), unlabelled=unlabelled)


@dataclass(frozen=True, kw_only=True)
class StepNumbers:
    """One number, or a vector of K numbers, per step, standardised with what training had; NaN is not given."""

    numbers: NumberEncoder

    @classmethod
    def fit(cls, targets: Any) -> StepNumbers:
        """Learn mean and standard deviation over all steps that are given; raises DataError."""
        values, _ = _numbers(targets)
        given = values[np.isfinite(values).all(axis=1)] if values.ndim == 2 else values[np.isfinite(values)]
        return cls(numbers=NumberEncoder.fit(given))

    @property
    def width(self) -> int:
        """Numbers per step, K."""
        return self.numbers.width

    def encode(self, targets: Any) -> Ragged:
        """(N, K) float32, standardised; NaN where a number is not given."""
        values, offsets = _numbers(targets)
        table = values.reshape(len(values), -1)
        made = np.full((len(table), self.width), np.nan, dtype=np.float32)
        given = ~np.isnan(table).any(axis=1)
        made[given] = self.numbers.encode(values[given])
        return Ragged(values=made, offsets=offsets)

    def decode(self, outputs: Array) -> Array:
        """(N,) or (N, K) float64 in the units of the training targets."""
        return self.numbers.decode(outputs)

    def to_record(self) -> dict[str, Any]:
        """As plain values."""
        return {"kind": "step numbers", "numbers": self.numbers.to_record()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> StepNumbers:
        """From plain values; raises CorruptBundleError."""
        numbers = record.get("numbers")
        if not isinstance(numbers, Mapping):
            raise CorruptBundleError("step numbers must have a record of their scaling")
        return cls(numbers=NumberEncoder.from_record(numbers))


def are_numbers(targets: Any) -> bool:
    """Whether targets per step are measurements: floating-point numbers, in lists or arrays."""
    for row in targets:
        for cell in row:
            if cell is None:
                continue
            kind = np.asarray(cell).dtype.kind
            return kind == "f"
    return False


def known_steps(given: Array, offsets: Offsets) -> tuple[Array, Offsets]:
    """Of (N,) whether the target of a step is known: where it is, and (S + 1,) where those of each sequence begin."""
    before = np.concatenate([[0], np.cumsum(given)])
    return np.flatnonzero(given), before[offsets].astype(np.int64)


def check_steps(targets: Ragged, lengths: Array) -> None:
    """Raise DataError where a sequence has not one target per step."""
    for row in np.flatnonzero(targets.lengths != lengths):
        raise DataError(
            f"targets[{row}] must have one entry per step of its sequence ({int(lengths[row])}), "
            f"got {int(targets.lengths[row])}"
        )


def _rows(targets: Any) -> list[Any]:
    if isinstance(targets, (str, bytes, Mapping)) or not isinstance(targets, Iterable):
        raise DataError(
            f"targets must be a list with the tags of each sequence, got {type(targets).__name__}"
        )
    rows = list(targets)
    for place, row in enumerate(rows):
        if isinstance(row, (str, bytes, Mapping)) or not isinstance(row, Iterable):
            raise DataError(f"targets[{place}] must be a list of tags, one per step, got {row!r:.40}")
    return [row if isinstance(row, (list, tuple, np.ndarray)) else list(row) for row in rows]


def _offsets(rows: Sequence[Any]) -> Any:
    return np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)


def _width(rows: Sequence[Any]) -> int:
    cell = next((row[0] for row in rows if len(row)), "")
    return len(cell) if isinstance(cell, (tuple, list)) else 1


def _tags(cell: Any, width: int, place: int, step: int) -> tuple[Any, ...]:
    tags = tuple(cell) if isinstance(cell, (tuple, list)) else (cell,)
    if len(tags) != width:
        raise DataError(
            f"targets[{place}] must have {width} tags at every step, got {len(tags)} at step {step}"
        )
    return tags


def is_absent(tag: Any, marker: str | None) -> bool:
    """Whether a tag is not given: None, "", NaN, or the text that marks it."""
    return tag is None or tag == "" or (marker is not None and tag == marker) or tag != tag


def _is_stored(tags: Any) -> bool:
    plain = isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)
    return plain and len(tags) >= 2 and tags == sorted(set(tags))


def _numbers(targets: Any) -> tuple[Array, Any]:
    rows = _rows(targets)
    try:
        arrays = [np.asarray(row, dtype=np.float64) for row in rows]
        filled = [array for array in arrays if len(array)]
        values = np.concatenate(filled) if filled else np.zeros(0)
    except (TypeError, ValueError) as error:
        raise DataError(f"targets must be numbers, as many at every step: {error}") from None
    if values.ndim > 2:
        raise DataError(
            f"targets must be one number or one row of numbers per step, got shape {values.shape}"
        )
    return values, _offsets(rows)
