"""Scaling and missing values of numeric features, learnt on the training split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.data.encoder import expect, texts
from recurra.data.steps import Floats, Steps
from recurra.errors import CorruptBundleError, DataError
from recurra.ragged import Array

SCALINGS = ("standard", "minmax", "robust", "none")
MISSING = ("impute", "refuse")

_FLAT = 1e-12
"""A column whose spread is less than this share of its size is constant: the rest is rounding."""

_LN2 = 0.6931471805599453


@dataclass(frozen=True, kw_only=True, eq=False)
class Scaler:
    """`(x - center) / scale` per column, `fill` where missing; then one mask column per `masked`.

    All arithmetic is float64 and element by element, rounded once to float32: the same bits for a row alone
    and in a batch.
    """

    names: tuple[str, ...]
    center: Floats
    scale: Floats
    fill: Floats
    masked: tuple[int, ...] = ()
    refuse: bool = False

    @classmethod
    def fit(
        cls, steps: Steps, names: tuple[str, ...], *, scaling: str, missing: str, masks: bool | None
    ) -> tuple[Scaler, tuple[str, ...]]:
        """Learn from (N, F) values; returns the scaler and notes on columns that were out of the ordinary.

        masks: whether every column gets a mask, none, or (None) those with missing values in training.
        Raises DataError for a column without any value and, by choice, for any missing value.
        """
        values, notes, parts = steps.values, [], []
        for position, name in enumerate(names):
            column = values[:, position]
            known = column[~np.isnan(column)]
            if not len(known):
                raise DataError(f"feature {name!r} has no value in any of {len(column)} steps; leave it out")
            *learnt, note = _learn(known, name, scaling)
            parts.append(learnt)
            notes.extend([note] if note else [])
        center, scale, mean = np.asarray(parts, dtype=np.float64).reshape(-1, 3).T
        some = np.flatnonzero(np.isnan(values).any(axis=0)).tolist()
        chosen = some if masks is None else range(len(names)) if masks else ()
        made = cls(
            names=names,
            center=center,
            scale=scale,
            fill=mean / scale - center / scale,
            masked=tuple(chosen),
            refuse=missing == "refuse",
        )
        made._check_missing(steps, values)
        return made, tuple(notes)

    @property
    def width(self) -> int:
        """Columns that come out."""
        return len(self.names) + len(self.masked)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns that come out."""
        return (*self.names, *(f"{self.names[i]} is missing" for i in self.masked))

    def transform(self, steps: Steps, values: Floats) -> Array:
        """(N, F) float64 with NaN where missing -> (N, width) float32, all finite."""
        self._check_missing(steps, values)
        absent = np.isnan(values)
        with np.errstate(over="ignore", invalid="ignore"):
            # Halves are exact and keep the difference of the largest numbers finite.
            known = (values * 0.5 - self.center * 0.5) / (self.scale * 0.5)
            scaled = np.where(absent, self.fill, known).astype(np.float32)
        if not np.isfinite(scaled).all():
            row, position = (int(i) for i in np.argwhere(~np.isfinite(scaled))[0])
            raise DataError(
                f"{steps.where(row)}: feature {self.names[position]!r} is {values[row, position]:g}, "
                "too far from what training had to be scaled to float32"
            )
        if not self.masked:
            return scaled
        return np.concatenate([scaled, absent[:, list(self.masked)].astype(np.float32)], axis=1)

    def _check_missing(self, steps: Steps, values: Floats) -> None:
        if self.refuse and np.isnan(values).any():
            row, position = (int(i) for i in np.argwhere(np.isnan(values))[0])
            raise DataError(
                f"{steps.where(row)}: feature {self.names[position]!r} is missing and missing='refuse'; "
                "fill it in, or use missing='impute'"
            )

    def to_record(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "names": list(self.names),
            "center": self.center.tolist(),
            "scale": self.scale.tolist(),
            "fill": self.fill.tolist(),
            "masked": list(self.masked),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any], where: str, *, refuse: bool) -> Scaler:
        """From plain values; raises CorruptBundleError."""
        names = texts(expect(record, "names", list, where), f"{where}: names")
        masked = expect(record, "masked", list, where)
        if len(set(names)) != len(names):
            raise CorruptBundleError(f"{where}: names must be different")
        if any(type(i) is not int or not 0 <= i < len(names) for i in masked) or masked != sorted(
            set(masked)
        ):
            raise CorruptBundleError(f"{where}: masked must be positions of names in order")
        arrays = {name: _numbers(record, name, len(names), where) for name in ("center", "scale", "fill")}
        if not np.all(arrays["scale"] > 0):
            raise CorruptBundleError(f"{where}: every scale must be above 0")
        return cls(names=tuple(names), masked=tuple(masked), refuse=refuse, **arrays)


def _numbers(record: Mapping[str, Any], name: str, count: int, where: str) -> Floats:
    values = expect(record, name, list, where)
    if len(values) != count or any(type(value) not in (int, float) for value in values):
        raise CorruptBundleError(f"{where}: {name} must be {count} numbers")
    try:
        made = np.asarray(values, dtype=np.float64)
    except OverflowError:
        raise CorruptBundleError(f"{where}: {name} must be finite") from None
    if not np.isfinite(made).all():
        raise CorruptBundleError(f"{where}: {name} must be finite")
    return made


def _learn(known: Floats, name: str, scaling: str) -> tuple[float, float, float, str]:
    """Center, scale, mean and a note (or "") of the known values of one column."""
    size = float(np.abs(known).max()) or 1.0
    unit = known / size
    mean, low, high = float(unit.mean()), float(unit.min()), float(unit.max())
    if high - low <= _FLAT:
        center = 0.0 if scaling == "none" else float(known[0])
        # Of numbers as large as 1e300 even the rounding would not fit into float32 in its own unit.
        scale = max(1.0, size * _FLAT)
        return center, scale, float(known[0]), f"feature {name!r} is constant in training ({known[0]:g})"
    if scaling == "none":
        return 0.0, 1.0, mean * size, ""
    if scaling == "minmax":
        return low * size, _product(high - low, size), mean * size, ""
    deviation = float(unit.std())
    if scaling == "standard":
        return mean * size, _product(deviation, size), mean * size, ""
    first, middle, third = (float(q) for q in np.quantile(unit, [0.25, 0.5, 0.75]))
    if third - first > _FLAT:
        return middle * size, _product(third - first, size), mean * size, ""
    note = f"feature {name!r} has no spread between its quartiles; scaled by its standard deviation"
    return middle * size, _product(deviation, size), mean * size, note


def _product(spread: float, size: float) -> float:
    """Spread in the column's own unit, held between the smallest and largest normal float64."""
    return float(np.clip(spread * size, np.finfo(np.float64).tiny, np.finfo(np.float64).max))


def log1p(values: Floats) -> Floats:
    """log(1 + x) for x >= 0 from additions, multiplications and divisions alone; error below 1e-14.

    The library's own logarithm may differ in the last bit between processors and between array layouts.
    """
    fraction, exponent = np.frexp(1.0 + values)
    low = fraction < np.sqrt(0.5)
    fraction, exponent = np.where(low, 2.0 * fraction, fraction), exponent - low
    s = (fraction - 1.0) / (fraction + 1.0)
    square = s * s
    total = np.full_like(s, 1.0 / 23.0)
    for odd in range(21, 0, -2):
        total = total * square + 1.0 / odd
    made: Floats = exponent * _LN2 + 2.0 * s * total
    return made
