"""Sequences of ids, and of steps that mix categories and numbers, to ids per column and scaled features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from recurra.data.encoder import (
    ENCODER_FILE,
    UNKNOWN,
    Encoder,
    Memory,
    expect,
    read_json,
    restored_notes,
    restored_spec,
    texts,
    truncated,
)
from recurra.data.signal import NumericEncoding, NumericSpec, timed
from recurra.data.steps import Steps, check_names, holds_texts, one_sequence, read_steps
from recurra.errors import CorruptBundleError, DataError, SpecError, nearest
from recurra.ragged import Array, Ragged
from recurra.spec import option
from recurra.storage import dump_json


@dataclass(frozen=True, kw_only=True)
class Events(NumericSpec):
    """Sequences of ids, or of steps with categories and numbers: clicks, transactions, calls, vital signs.

    Inputs: a `Ragged` whose values are the numbers (N, F) and whose columns are the categories; sequences of
    named columns (mappings, frames) or of mappings, one per step; or sequences of plain ids (whole numbers or
    texts), which make one column "id". In named columns texts and truth values are categories, numbers are
    features unless `id_columns` names them; 3, 3.0 and "3" are one category, a missing one is a category of
    its own. How many numbers a category becomes is the network's `embedding_size`.

    min_count: times a category must occur in training to be known; rarer ones become the unknown id 0, which
        is thereby trained. Usual: 1-10.
    max_size: known categories per column at most, the most frequent ones (ties by text); None: all.
    id_columns: named columns of numbers that are categories.
    scaling, missing, mask_features, elapsed_time, max_length, truncate: as for `Signal`.
    """

    name: ClassVar[str] = "events"

    min_count: int = option(2, int, low=1, usual="1-10")
    max_size: int | None = option(None, int, low=1, optional=True, usual="100-100000")
    id_columns: tuple[str, ...] = option((), tuple)

    def validate(self) -> None:
        """Refuse what is no column name."""
        super().validate()
        if not all(isinstance(name, str) for name in self.id_columns):
            raise SpecError(f"id_columns must be names of columns, got {self.id_columns!r}")

    def fit(self, inputs: Any, features: Any = None) -> EventEncoder:
        """Learn the categories of each column and the scaling of the numbers from the training sequences."""
        steps = read_steps(inputs, features, is_category=self._is_category)
        for name in self.id_columns:
            if name not in steps.categories:
                raise DataError(
                    f"inputs have no column {name!r} of id_columns{nearest(name, steps.categories)}"
                )
        if not steps.categories:
            raise DataError(
                "inputs must have at least one column of ids or categories; use Signal for numbers alone"
            )
        numbers, notes = NumericEncoding.fit(self, steps)
        known = {name: self._known(cells) for name, cells in steps.categories.items()}
        empty = tuple(
            f"no category of {name!r} occurs {self.min_count} times: all are unknown; lower min_count"
            for name, kept in known.items()
            if not kept
        )
        return EventEncoder(spec=self, numbers=numbers, categories=known, notes=(*notes, *empty))

    def _is_category(self, name: str, column: Array) -> bool:
        return name in self.id_columns or holds_texts(column)

    def _known(self, cells: list[str]) -> tuple[str, ...]:
        counts = Counter(cells)
        kept = [text for text, times in counts.items() if times >= self.min_count]
        kept.sort(key=lambda text: (-counts[text], text))
        return tuple(kept[: self.max_size])

    @classmethod
    def restore(cls, record: Mapping[str, Any], files: Mapping[str, bytes]) -> EventEncoder:
        spec = restored_spec(cls, record)
        content = read_json(files, ENCODER_FILE)
        stored = expect(content, "categories", dict, ENCODER_FILE)
        known = {name: tuple(texts(stored[name], f"{ENCODER_FILE}: categories")) for name in sorted(stored)}
        if not known or any(len(set(kept)) != len(kept) for kept in known.values()):
            raise CorruptBundleError(f"{ENCODER_FILE} must hold at least one column of different categories")
        numbers = NumericEncoding.from_record(spec, content)
        made = EventEncoder(spec=spec, numbers=numbers, categories=known, notes=restored_notes(record))
        if made._content() != {name: record.get(name) for name in made._content()}:
            raise CorruptBundleError(
                f"{ENCODER_FILE} does not belong to this record: widths or vocabularies differ"
            )
        return made


@dataclass(frozen=True, kw_only=True, eq=False)
class EventEncoder(Encoder):
    """Fitted categories and scaling. Ids are 1 + positions in `categories[column]`; 0 is any other category."""

    kind: ClassVar[str] = "events"

    spec: Any
    numbers: NumericEncoding
    categories: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()
    _ids: dict[str, dict[str, int]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        ids = {name: {text: i for i, text in enumerate(kept, 1)} for name, kept in self.categories.items()}
        object.__setattr__(self, "_ids", ids)

    @property
    def width(self) -> int:
        return self.numbers.width

    @property
    def vocabularies(self) -> dict[str, int]:
        return {name: len(kept) + 1 for name, kept in self.categories.items()}

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.numbers.feature_names

    def encode(self, inputs: Any, features: Any = None) -> Ragged:
        """Encode sequences to float32 values (N, F) and int64 columns (N,)."""
        steps = read_steps(inputs, features, is_category=self._is_category)
        made = Ragged(values=self._values(steps), offsets=steps.offsets, columns=self._columns(steps))
        return truncated(made, self.spec.max_length, self.spec.truncate)

    def step(self, item: Any, memory: Memory | None = None) -> tuple[Ragged, Memory]:
        """Encode the next step: an id, or a mapping of names to cells (or a list of such mappings)."""
        room = self._room(memory)
        steps = one_sequence(item, 1, self._is_category)
        values, columns = self._values(steps, memory), self._columns(steps)
        rows = len(values) if room is None else min(len(values), max(room, 0))
        made = Ragged(
            values=values[:rows],
            offsets=np.asarray([0, rows], dtype=np.int64),
            columns={name: column[:rows] for name, column in columns.items()},
        )
        return made, timed(self._counted(memory, rows), self.spec, steps)

    def unknown_rate(self, inputs: Any) -> float:
        """Return the share of unknown among all categories of the sequences; 0.0 where there are none."""
        columns = list(self.encode(inputs).columns.values())
        ids = np.concatenate(columns)
        return float(np.mean(ids == UNKNOWN)) if len(ids) else 0.0

    def files(self) -> dict[str, bytes]:
        """`encoder.json`."""
        categories = {name: list(kept) for name, kept in self.categories.items()}
        return {ENCODER_FILE: dump_json({**self.numbers.to_record(), "categories": categories})}

    def _is_category(self, name: str, column: Array) -> bool:
        return name in self.categories or (holds_texts(column) and name not in self.numbers.names)

    def _values(self, steps: Steps, memory: Memory | None = None) -> Array:
        return self.numbers.transform(steps, (memory or {}).get("time"))

    def _columns(self, steps: Steps) -> dict[str, Array]:
        if len(steps.values):
            check_names("column", list(self.categories), list(steps.categories))
        made = {}
        for name, known in self._ids.items():
            cells = steps.categories.get(name, [])
            made[name] = np.fromiter(
                (known.get(cell, UNKNOWN) for cell in cells), dtype=np.int64, count=len(cells)
            )
        return made

    def _content(self) -> dict[str, Any]:
        return {"width": self.width, "vocabularies": self.vocabularies}
