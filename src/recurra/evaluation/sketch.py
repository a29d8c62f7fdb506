"""What can be predicted from the steps of a sequence without their order: ridge regression on a kernel of the bag.

The *bag* knows what a sequence holds, not where: the shares of its categories (weighed by rarity); mean, deviation
and quantiles of its numbers; its length. One closed solution takes a fraction of a second.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from recurra.ragged import Array, Ragged

RIDGE = 0.3
QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
FARTHEST = 8.0


def bag_predictions(known: Ragged, targets: Array, held: Ragged) -> Array:
    """(S, K) predictions for `held`, learnt from `known` and its targets (S, K)."""
    likeness = bag_likeness(Ragged.concatenate([known, held]))
    rows = len(known)
    mean = targets.mean(axis=0)
    weights = np.linalg.solve(likeness[:rows, :rows] + RIDGE * np.eye(rows), targets - mean)
    return np.asarray(likeness[rows:, :rows] @ weights + mean)


def bag_likeness(batch: Ragged) -> Array:
    """(S, S) likeness of sequences by what they hold, whatever its order; ones on the diagonal."""
    parts = [_shares(column, batch) for name, column in batch.columns.items() if name != "time"]
    numbers = np.asarray(batch.values, dtype=np.float64)
    numbers = numbers if numbers.ndim == 2 else numbers[:, None]
    if numbers.shape[1]:
        parts.append(_near(_summaries(_standard(numbers), batch.offsets)))
    return np.asarray(sum(parts) / len(parts)) if parts else np.eye(len(batch))


def _shares(column: Array, batch: Ragged) -> Array:
    """Cosine of the square roots of the counts: a word that is repeated ten times does not count ten times."""
    from scipy.sparse import csr_matrix

    _, items = np.unique(column.astype(str), return_inverse=True)
    rows = np.repeat(np.arange(len(batch)), batch.lengths)
    table = csr_matrix((np.ones(len(rows)), (rows, items)), shape=(len(batch), int(items.max(initial=0)) + 1))
    table.sum_duplicates()
    occurs = np.bincount(table.indices, minlength=table.shape[1])
    rarity = np.log((1.0 + len(batch)) / (1.0 + occurs)) + 1.0
    table.data = np.sqrt(table.data) * rarity[table.indices]
    norms = np.sqrt(np.asarray(table.multiply(table).sum(axis=1)).ravel())
    table = csr_matrix(table.multiply(1.0 / np.where(norms > 0, norms, 1.0)[:, None]))
    return np.asarray((table @ table.T).toarray())


def _standard(numbers: Array) -> Array:
    """Zero mean, deviation 1, missing values at the mean, extreme ones cut."""
    known = np.where(np.isfinite(numbers), numbers, np.nan)
    some = ~np.isnan(known).all(axis=0)
    mean, deviation = np.zeros(numbers.shape[1]), np.ones(numbers.shape[1])
    mean[some] = np.nanmean(known[:, some], axis=0)
    deviation[some] = np.nanstd(known[:, some], axis=0)
    scaled = (known - mean) / np.where(deviation > 0, deviation, 1.0)
    return np.clip(np.nan_to_num(scaled), -FARTHEST, FARTHEST)


def _summaries(numbers: Array, offsets: Array) -> Array:
    rows = []
    for begin, end in pairwise(offsets):
        block = numbers[begin:end] if end > begin else np.zeros((1, numbers.shape[1]))
        shape = [block.mean(axis=0), block.std(axis=0), *np.quantile(block, QUANTILES, axis=0)]
        rows.append(np.concatenate([*shape, [np.log1p(end - begin)]]))
    return np.stack(rows)


def _near(features: Array) -> Array:
    """A Gaussian kernel on standardised features, as wide as the median distance."""
    scaled = _standard(features)
    squares = (scaled**2).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2 * scaled @ scaled.T, 0.0)
    apart = distances[distances > 1e-9]
    return np.asarray(np.exp(-distances / (float(np.median(apart)) if len(apart) else 1.0)))
