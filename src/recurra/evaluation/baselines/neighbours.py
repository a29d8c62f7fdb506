"""The nearest neighbour under dynamic time warping: the classic that is hard to beat on small signal sets."""

from __future__ import annotations

import numpy as np

from recurra.evaluation.baselines.contract import Baseline, Setting, Sizes
from recurra.ragged import Array, Ragged
from recurra.tasks.materials import Materials

BAND = 0.1
"""Half the width of the Sakoe-Chiba band, as a share of the longer sequence."""
_CELLS_PER_SECOND = 1e7
"""Cells of the dynamic programme, measured with a dozen channels."""


class NearestWarped(Baseline):
    """The answer of the nearest training sequence under dynamic time warping with a band.

    Channels are standardised by the training split; the local cost is the squared Euclidean distance over all
    channels (dependent warping, Shokoohi-Yekta et al. 2017), the band 10% of the longer sequence (Sakoe & Chiba
    1978). Missing values count as the mean. Probabilities are 1 for the neighbour's class and 0 for all others.
    """

    name = "1-NN DTW"
    kinds = ("signal",)
    multilabel = False

    def fit(self, train: Materials, targets: Array, held: Materials, held_targets: Array) -> None:
        values = _matrix(train.inputs)
        with np.errstate(invalid="ignore"):
            known = ~np.isnan(values)
            counts = np.maximum(known.sum(axis=0), 1)
            self.mean = np.where(known, values, 0.0).sum(axis=0) / counts
            spread = np.sqrt(np.where(known, (values - self.mean) ** 2, 0.0).sum(axis=0) / counts)
        self.scale = np.where(spread > 0, spread, 1.0)
        self.train, self.lengths = _padded(self._scaled(train.inputs))
        self.targets = np.asarray(targets)

    def answer(self, held: Materials) -> Array:
        nearest = np.array([self._nearest(query) for query in self._scaled(held.inputs)], dtype=np.int64)
        if self.setting.task == "regressor":
            return np.asarray(self.targets[nearest], dtype=np.float64)
        return np.asarray(np.eye(self.setting.outputs)[self.targets[nearest]])

    def parameters(self) -> int:
        return int(self.lengths.sum() * len(self.mean))

    @classmethod
    def seconds(cls, setting: Setting, sizes: Sizes) -> float:
        pairs = (sizes.train + sizes.others) * sizes.train
        return pairs * sizes.mean * (2 * max(1.0, BAND * sizes.longest) + 1) / _CELLS_PER_SECOND

    def _scaled(self, batch: Ragged) -> Ragged:
        values = np.nan_to_num((_matrix(batch) - self.mean) / self.scale)
        return Ragged(values=values, offsets=batch.offsets)

    def _nearest(self, query: Array) -> int:
        return int(np.argmin(warped_distances(query, self.train, self.lengths)))


def warped_distances(query: Array, others: Array, lengths: Array, band: float = BAND) -> Array:
    """(S,) squared warping distances of one sequence (T, F) to several, (S, L, F) padded, of these lengths.

    The programme runs over the query's steps; all sequences advance together. A path may leave the diagonal by
    `band` times the longer length, at least one step. Against an empty sequence the distance is infinite.
    """
    steps, count, longest = len(query), len(others), others.shape[1]
    if not steps or not longest:
        return np.where((lengths == 0) & (steps == 0), 0.0, np.inf)
    radius = np.maximum(1.0, np.ceil(band * np.maximum(lengths, steps)))
    slope = lengths / steps
    columns = np.arange(longest)
    row = np.full((count, longest + 1), np.inf)
    row[:, 0] = 0.0
    for step in range(steps):
        centre = (step + 0.5) * slope - 0.5
        reach = np.maximum(radius, slope)
        low, high = int(np.floor((centre - reach).min())), int(np.ceil((centre + reach).max())) + 1
        low, high = max(low, 0), min(high, longest)
        local = ((others[:, low:high] - query[step]) ** 2).sum(axis=2)
        outside = (np.abs(columns[low:high] - centre[:, None]) > reach[:, None]) | (
            columns[low:high] >= lengths[:, None]
        )
        local[outside] = np.inf
        fresh = np.full_like(row, np.inf)
        before = np.minimum(row[:, low:high], row[:, low + 1 : high + 1])
        running = np.full(count, np.inf)
        for place in range(high - low):
            running = local[:, place] + np.minimum(before[:, place], running)
            fresh[:, low + 1 + place] = running
        row = fresh
    return np.asarray(row[np.arange(count), lengths])


def _matrix(batch: Ragged) -> Array:
    values = np.asarray(batch.values, dtype=np.float64)
    return values[:, None] if values.ndim == 1 else values


def _padded(batch: Ragged) -> tuple[Array, Array]:
    padded, lengths = batch.to_padded()
    return padded, np.asarray(lengths)
