"""Numeric sequences to scaled features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from recurra.data.encoder import (
    ENCODER_FILE,
    SIDES,
    Encoder,
    InputSpec,
    Memory,
    expect,
    read_json,
    restored_notes,
    restored_spec,
    truncated,
)
from recurra.data.scaler import MISSING, SCALINGS, Scaler, log1p
from recurra.data.steps import TIME, Floats, Steps, default_names, in_order, one_sequence, read_steps
from recurra.errors import CorruptBundleError, DataError, SpecError
from recurra.ragged import Array, Ragged
from recurra.spec import option
from recurra.storage import dump_json

ELAPSED = "elapsed_time"
NAMINGS = ("none", "features", "columns")


@dataclass(frozen=True, kw_only=True)
class NumericSpec(InputSpec):
    """What `Signal` and `Events` share: how numbers are scaled and missing ones treated."""

    scaling: str = option("standard", str, choices=SCALINGS)
    missing: str = option("impute", str, choices=MISSING)
    mask_features: bool | None = option(None, bool, optional=True)
    elapsed_time: bool = option(False, bool)
    max_length: int | None = option(None, int, low=1, optional=True, usual="50-5000")
    truncate: str = option("end", str, choices=SIDES)

    def validate(self) -> None:
        """Refuse masks of values that cannot be missing."""
        if self.missing == "refuse" and self.mask_features is not None:
            raise SpecError("mask_features has no effect with missing='refuse'; leave it out")


@dataclass(frozen=True, kw_only=True)
class Signal(NumericSpec):
    """Sequences of numbers: (T,) or (T, F) arrays, a `Ragged`, or named columns (mappings, frames).

    scaling: "standard" (mean 0, deviation 1), "minmax" (0 to 1), "robust" (median 0, middle half 1 wide) or
        "none"; learnt on the training split. A constant column keeps its scale and is named in the encoder's
        notes.
    missing: "impute" puts the training mean in place of a missing value (NaN), "refuse" is an error that
        names it. Infinite values are always refused.
    mask_features: a further feature per column that is 1 where the value was missing; None: for the columns
        that had missing values in training; True: for all; False: for none.
    elapsed_time: a further feature log(1 + seconds since the previous step), scaled, from the column "time";
        for irregular sampling. 0 at the first step.
    max_length: steps that are read of a sequence, in training and prediction alike; None: all.
    truncate: side that is cut off, by `max_length` and by the training's `sequence_length`: "end" or "start".
    """

    name: ClassVar[str] = "signal"

    def fit(self, inputs: Any, features: Any = None) -> SignalEncoder:
        """Learn scaling, mean and masks of each column from the training sequences."""
        steps = read_steps(inputs, features)
        if not steps.values.shape[1]:
            raise DataError("inputs must have at least one number per step, got none")
        numbers, notes = NumericEncoding.fit(self, steps)
        return SignalEncoder(spec=self, numbers=numbers, notes=notes)

    @classmethod
    def restore(cls, record: Mapping[str, Any], files: Mapping[str, bytes]) -> SignalEncoder:
        spec = restored_spec(cls, record)
        numbers = NumericEncoding.from_record(spec, read_json(files, ENCODER_FILE))
        if numbers.width != expect(record, "width", int, "encoder record") or not numbers.names:
            raise CorruptBundleError(
                f"{ENCODER_FILE} makes {numbers.width} features, not what the record says"
            )
        return SignalEncoder(spec=spec, numbers=numbers, notes=restored_notes(record))


@dataclass(frozen=True, kw_only=True, eq=False)
class NumericEncoding:
    """The numeric part of an encoder: features by name, masks, elapsed time.

    named: whether the names came with the data; then they are checked at prediction, and the order may
        differ.
    """

    scaler: Scaler
    elapsed: Scaler | None
    naming: str

    @classmethod
    def fit(cls, spec: NumericSpec, steps: Steps) -> tuple[NumericEncoding, tuple[str, ...]]:
        """Learn from the training steps; returns the encoding and notes."""
        if not len(steps.values):
            raise DataError("inputs must hold at least one step to learn from, got none")
        names = steps.names or default_names(steps.values.shape[1])
        scaler, notes = Scaler.fit(
            steps, names, scaling=spec.scaling, missing=spec.missing, masks=spec.mask_features
        )
        elapsed = None
        if spec.elapsed_time:
            passed = _elapsed(steps, None)
            shown = Steps(values=passed, names=(ELAPSED,), categories={}, time=None, offsets=steps.offsets)
            elapsed, more = Scaler.fit(shown, (ELAPSED,), scaling=spec.scaling, missing="refuse", masks=False)
            notes = (*notes, *more)
        return cls(scaler=scaler, elapsed=elapsed, naming=steps.naming), notes

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features that come in."""
        return self.scaler.names

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features that come out."""
        return (*self.scaler.feature_names, *((ELAPSED,) if self.elapsed else ()))

    @property
    def width(self) -> int:
        """Features that come out."""
        return self.scaler.width + (1 if self.elapsed else 0)

    def transform(self, steps: Steps, before: float | None = None) -> Array:
        """(N, width) float32. before: time of the step before the first one, for streams."""
        made = self.scaler.transform(steps, in_order(steps, self.names, self.naming))
        if self.elapsed is None:
            return made
        return np.concatenate([made, self.elapsed.transform(steps, _elapsed(steps, before))], axis=1)

    def to_record(self) -> dict[str, Any]:
        """As plain values."""
        elapsed = self.elapsed.to_record() if self.elapsed else None
        return {"features": self.scaler.to_record(), "elapsed": elapsed, "naming": self.naming}

    @classmethod
    def from_record(cls, spec: NumericSpec, record: Mapping[str, Any]) -> NumericEncoding:
        """From plain values; raises CorruptBundleError."""
        refuse = spec.missing == "refuse"
        features = expect(record, "features", dict, ENCODER_FILE)
        scaler = Scaler.from_record(features, f"{ENCODER_FILE}: features", refuse=refuse)
        elapsed = None
        if spec.elapsed_time:
            stored = expect(record, "elapsed", dict, ENCODER_FILE)
            elapsed = Scaler.from_record(stored, f"{ENCODER_FILE}: elapsed", refuse=True)
            if elapsed.names != (ELAPSED,) or elapsed.masked:
                raise CorruptBundleError(f"{ENCODER_FILE}: elapsed must scale {ELAPSED!r} alone")
        naming = expect(record, "naming", str, ENCODER_FILE)
        if naming not in NAMINGS:
            raise CorruptBundleError(
                f"{ENCODER_FILE}: naming must be one of {', '.join(NAMINGS)}, got {naming!r}"
            )
        return cls(scaler=scaler, elapsed=elapsed, naming=naming)


def _elapsed(steps: Steps, before: float | None) -> Floats:
    """(N, 1) log(1 + seconds since the previous step of the same sequence), 0 at the first."""
    if not len(steps.values):
        return np.zeros((0, 1))
    if steps.time is None:
        raise DataError(
            f"elapsed_time=True needs a column {TIME!r} beside the features; give it, or leave it out"
        )
    passed = np.diff(steps.time, prepend=0.0)
    first = steps.offsets[:-1][np.diff(steps.offsets) > 0]
    passed[first] = 0.0
    if before is not None and len(passed):
        passed[0] = steps.time[0] - before
    for row in np.flatnonzero(passed < 0):
        raise DataError(
            f"{steps.where(int(row))}: column {TIME!r} goes back by {-passed[row]:g} s; sort the steps"
        )
    return log1p(passed)[:, None]


@dataclass(frozen=True, kw_only=True, eq=False)
class SignalEncoder(Encoder):
    """Fitted scaling. What comes out: the features, a mask per masked feature, the elapsed time."""

    kind: ClassVar[str] = "features"

    spec: Any
    numbers: NumericEncoding
    notes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        return self.numbers.width

    @property
    def vocabularies(self) -> dict[str, int]:
        return {}

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.numbers.feature_names

    def encode(self, inputs: Any, features: Any = None) -> Ragged:
        """Encode sequences to float32 (N, F)."""
        steps = read_steps(inputs, features)
        made = Ragged(values=self.numbers.transform(steps), offsets=steps.offsets)
        return truncated(made, self.spec.max_length, self.spec.truncate)

    def step(self, item: Any, memory: Memory | None = None) -> tuple[Ragged, Memory]:
        """Encode the next step: F numbers (or one number), an array (n, F), or a mapping of names to numbers.

        With `elapsed_time` the mapping also has "time"; where the features have no names, "values" holds
        them.
        """
        room = self._room(memory)
        steps = one_sequence(item, len(self.numbers.names))
        values = self.numbers.transform(steps, (memory or {}).get(TIME))
        kept = values if room is None else values[: max(room, 0)]
        offsets = np.asarray([0, len(kept)], dtype=np.int64)
        return Ragged(values=kept, offsets=offsets), timed(self._counted(memory, len(kept)), self.spec, steps)

    def files(self) -> dict[str, bytes]:
        """`encoder.json`."""
        return {ENCODER_FILE: dump_json(self.numbers.to_record())}

    def _content(self) -> dict[str, Any]:
        return {"width": self.width}


def timed(memory: Memory, spec: NumericSpec, steps: Steps) -> Memory:
    """Return the memory with the time of the last step, where the spec looks at it."""
    if spec.elapsed_time and steps.time is not None and len(steps.time):
        return {**memory, TIME: float(steps.time[-1])}
    return memory
