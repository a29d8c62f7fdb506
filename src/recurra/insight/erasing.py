"""A sequence without some of its parts: what occlusion and the deletion curves ask the model about.

A token of a text is taken away, and the text is shorter by it: there is no padding to put in its place, and a
sentence without a word is still a sentence. A number becomes 0, the training mean; a category the unknown one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from recurra.data.encoder import UNKNOWN
from recurra.insight.subject import Reading, Subject
from recurra.ragged import Array, Ragged

CELLS_AT_ONCE = 1_000_000
"""Cells of variants that are in memory at a time: bounds memory, never the result."""


def outputs_without(subject: Subject, reading: Reading, keep: Array) -> Array:
    """(V, O) outputs of V variants of one sequence. keep: (V, T, C) or (V, T, 1) bool, what stays."""
    parts = [_outputs(subject, reading, block) for block in _blocks(keep)]
    return np.concatenate(parts) if parts else np.zeros((0, subject.model.width), np.float32)


def _blocks(keep: Array) -> Iterator[Array]:
    size = max(1, CELLS_AT_ONCE // max(1, keep.shape[1] * keep.shape[2]))
    return (keep[begin : begin + size] for begin in range(0, len(keep), size))


def _outputs(subject: Subject, reading: Reading, keep: Array) -> Array:
    static = None if reading.static is None else np.repeat(reading.static, len(keep), axis=0)
    batch = _shorter(reading.batch, keep[:, :, 0]) if subject.is_text else _blanked(reading.batch, keep)
    return subject.outputs(batch, static)


def _shorter(batch: Ragged, keep: Array) -> Ragged:
    variant, step = np.nonzero(keep)
    lengths = np.bincount(variant, minlength=len(keep))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Ragged(values=np.asarray(batch.values)[step], offsets=offsets)


def _blanked(batch: Ragged, keep: Array) -> Ragged:
    variants, steps = keep.shape[:2]
    values = np.asarray(batch.values)
    features = values.shape[1]
    wide = np.broadcast_to(keep, (variants, steps, features + len(batch.columns)))
    numbers = np.where(wide[:, :, :features], values[None], np.float32(0))
    columns = {
        name: np.where(wide[:, :, features + place], column[None], UNKNOWN).reshape(-1)
        for place, (name, column) in enumerate(batch.columns.items())
    }
    return Ragged(
        values=numbers.reshape(variants * steps, features),
        offsets=np.arange(variants + 1, dtype=np.int64) * steps,
        columns=columns,
    )
