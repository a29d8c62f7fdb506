"""What the baselines read: texts as they are, signals and events as summary numbers of fixed width."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.ragged import Array, Ragged

SUMMARIES = ("mean", "deviation", "least", "most", "first", "last", "slope", "change")


def summary_features(batch: Ragged) -> Array:
    """(S, 8 F + 1) per channel: mean, standard deviation, minimum, maximum, first, last, slope over time and
    mean absolute change; and the length. Missing values are left out; what is undefined is 0."""
    values = np.asarray(batch.values, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    rows = [_summary(values[b:e]) for b, e in zip(batch.offsets[:-1], batch.offsets[1:], strict=True)]
    width = len(SUMMARIES) * values.shape[1] + 1
    return np.nan_to_num(np.stack(rows)) if rows else np.zeros((0, width))


def _summary(block: Array) -> Array:
    steps, width = block.shape
    known = ~np.isnan(block)
    counts = known.sum(axis=0)
    filled = np.where(known, block, 0.0)
    mean = filled.sum(axis=0) / np.maximum(counts, 1)
    centred = np.where(known, block - mean, 0.0)
    deviation = np.sqrt((centred**2).sum(axis=0) / np.maximum(counts, 1))
    least = np.where(known, block, np.inf).min(axis=0, initial=np.inf)
    most = np.where(known, block, -np.inf).max(axis=0, initial=-np.inf)
    time = np.arange(steps, dtype=np.float64)
    time = time - time.mean() if steps else time
    slope = (centred * time[:, None]).sum(axis=0) / max(float((time**2).sum()), 1e-12)
    change = np.abs(np.diff(filled, axis=0)).mean(axis=0) if steps > 1 else np.zeros(width)
    ends = (filled[0], filled[-1]) if steps else (np.zeros(width), np.zeros(width))
    parts = [mean, deviation, _finite(least), _finite(most), *ends, slope, change]
    return np.concatenate([*parts, [float(steps)]])


def _finite(values: Array) -> Array:
    return np.where(np.isfinite(values), values, 0.0)


def count_features(batch: Ragged, vocabularies: dict[str, dict[Any, int]]) -> Array:
    """(S, sum of vocabularies) how often each category of each column occurs, as a share of the steps."""
    lengths = np.maximum(batch.lengths, 1)
    rows = np.repeat(np.arange(len(batch)), batch.lengths)
    blocks = []
    for column, known in vocabularies.items():
        ids = np.array([known.get(item, -1) for item in batch.columns[column].tolist()], dtype=np.int64)
        block = np.zeros((len(batch), len(known)))
        np.add.at(block, (rows[ids >= 0], ids[ids >= 0]), 1.0)
        blocks.append(block / lengths[:, None])
    return np.concatenate(blocks, axis=1) if blocks else np.zeros((len(batch), 0))


def categories(batch: Ragged, *, limit: int = 2000) -> dict[str, dict[Any, int]]:
    """The most frequent categories of each text column of the training sequences, numbered."""
    found: dict[str, dict[Any, int]] = {}
    for column, values in batch.columns.items():
        if values.dtype.kind in "OUS":
            names, counts = np.unique(values.astype(str), return_counts=True)
            order = np.lexsort((names, -counts))[:limit]
            found[column] = {str(names[i]): n for n, i in enumerate(order)}
    return found
