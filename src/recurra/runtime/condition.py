"""Labels or vectors that texts come with, as the numbers that initial states are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.data.target_encoders import LabelEncoder
from recurra.errors import DataError
from recurra.ragged import Array
from recurra.runtime.static_scaler import StaticScaler


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Labels, one-hot, or vectors, standardised with what was seen in training; exactly one of the two is there."""

    labels: LabelEncoder | None = None
    scaler: StaticScaler | None = None

    @classmethod
    def fit(cls, conditions: Any, rows: int) -> Condition:
        """Learn from the conditions of some texts: labels, numbers with fractions, or a (texts, K) table of numbers.

        Raises DataError where there is not one for each text.
        """
        if len(conditions) != rows:
            raise DataError(
                f"conditions must hold one label or vector per text, got {len(conditions)} for {rows} texts"
            )
        if _is_table(conditions):
            return cls(scaler=StaticScaler.fit(np.asarray(conditions)))
        return cls(labels=LabelEncoder.fit(conditions))

    @property
    def width(self) -> int:
        """Numbers per text."""
        if self.labels is not None:
            return len(self.labels.classes)
        assert self.scaler is not None
        return len(self.scaler.names)

    @property
    def described(self) -> str:
        """What a condition is, for messages."""
        if self.labels is None:
            return f"a vector of {self.width} numbers"
        shown = ", ".join(map(repr, self.labels.classes[:5]))
        return f"one of {self.width} labels ({shown}{', ...' if self.width > 5 else ''})"

    def rows(self, conditions: Any, rows: int) -> Array:
        """(rows, width) float32 of one condition per text. Raises DataError for an unknown label and other shapes."""
        if self.scaler is not None:
            return self.scaler.transform(conditions, rows)
        assert self.labels is not None
        if isinstance(conditions, str) or len(conditions) != rows:
            raise DataError(
                f"conditions must hold one label per text, got {conditions!r:.60} for {rows} texts"
            )
        made: Array = np.eye(self.width, dtype=np.float32)[self.labels.encode(conditions)]
        return made

    def one(self, condition: Any) -> Array:
        """(1, width) of a single condition."""
        return self.rows(np.asarray(condition)[None] if self.scaler is not None else [condition], 1)

    def to_record(self) -> dict[str, Any]:
        """As plain values."""
        if self.labels is not None:
            return {"width": self.width, "labels": self.labels.to_record()}
        assert self.scaler is not None
        return {"width": self.width, "vector": self.scaler.to_record()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Condition:
        """From plain values."""
        if "labels" in record:
            return cls(labels=LabelEncoder.from_record(record["labels"]))
        return cls(scaler=StaticScaler.from_record(record["vector"]))


def _is_table(conditions: Any) -> bool:
    """Whether these are vectors, or numbers with fractions (vectors of one), rather than labels."""
    if isinstance(conditions, np.ndarray):
        return conditions.ndim == 2 or conditions.dtype.kind == "f"
    first = conditions[0] if len(conditions) else ""
    return isinstance(first, (float, np.floating)) or not np.isscalar(first)
