"""Features of a whole sequence, standardised with what was seen in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import DataError
from recurra.ragged import Array


@dataclass(frozen=True, kw_only=True)
class StaticScaler:
    """Standardises the per-sequence features with what was seen in training."""

    names: tuple[str, ...]
    mean: Array
    scale: Array

    @classmethod
    def fit(cls, static: Array, names: Sequence[str] = ()) -> StaticScaler:
        """Learn mean and standard deviation of each column; constant columns keep scale 1."""
        values = _static_matrix(static)
        labels = tuple(names) or tuple(f"static_{i}" for i in range(values.shape[1]))
        for column in np.flatnonzero(np.all(np.isnan(values), axis=0)):
            raise DataError(
                f"static feature {labels[column]!r} must have some values, all are missing; leave it out"
            )
        deviation = np.nanstd(values, axis=0)
        return cls(
            names=labels, mean=np.nanmean(values, axis=0), scale=np.where(deviation > 0, deviation, 1.0)
        )

    def transform(self, static: Any, rows: int) -> Array:
        """(S, K) float32; a missing value becomes the mean. Refuses another number of columns or rows."""
        if static is None:
            raise DataError(f"static must be given: this model reads {len(self.names)} features per sequence")
        values = _static_matrix(static)
        if values.shape != (rows, len(self.names)):
            raise DataError(f"static must have shape ({rows}, {len(self.names)}), got {values.shape}")
        scaled = (values - self.mean) / self.scale
        return np.ascontiguousarray(np.where(np.isnan(scaled), 0.0, scaled), dtype=np.float32)

    def to_record(self) -> dict[str, Any]:
        """As plain values."""
        return {"names": list(self.names), "mean": self.mean.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> StaticScaler:
        """From plain values."""
        return cls(
            names=tuple(record["names"]),
            mean=np.asarray(record["mean"], dtype=np.float64),
            scale=np.asarray(record["scale"], dtype=np.float64),
        )


def _static_matrix(static: Any) -> Array:
    values = np.asarray(static, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or np.any(np.isinf(values)):
        raise DataError(
            f"static must be a (sequences, features) table of finite numbers, got shape {values.shape}"
        )
    return values
