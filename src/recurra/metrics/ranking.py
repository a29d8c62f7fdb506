"""Scores of recommendations: hit rate, mean reciprocal rank, NDCG."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.errors import DataError, SpecError
from recurra.metrics.checks import Booleans, Floats, as_array, as_column, as_floats, same_length, undefined

NOT_FOUND = np.inf


def ranks_in(targets: Any, recommended: Any) -> Floats:
    """Return (N,) the place of each target among the recommended items, from 1; infinite where it is not there.

    targets: (N,) the item that came next; recommended: (N, K) items, best first (fill short lists with items
    that cannot be targets).
    """
    wanted, lists = as_column("targets", targets), as_array("recommended", recommended)
    same_length(targets=wanted, recommended=lists)
    if lists.ndim != 2:
        raise DataError(f"recommended must have shape (events, places), got {lists.shape}")
    hits = lists == wanted[:, None]
    if lists.shape[1] == 0:
        return np.full(len(wanted), NOT_FOUND)
    return np.where(hits.any(axis=1), hits.argmax(axis=1) + 1.0, NOT_FOUND)


def ranks_of(targets: Any, scores: Any) -> Floats:
    """Return (N,) the rank of each target by score, from 1; ties count against the model.

    targets: (N,) column numbers; scores: (N, I) one per item, higher = recommended first. So a model that
    scores all items alike gets the last rank, not the first.
    """
    table, columns = as_floats("scores", scores, ndim=2), as_column("targets", targets)
    same_length(targets=columns, scores=table)
    if len(columns) and (
        columns.dtype.kind not in "iu" or columns.min() < 0 or columns.max() >= table.shape[1]
    ):
        raise DataError(f"targets must be column numbers from 0 to {table.shape[1] - 1}")
    own = table[np.arange(len(columns)), columns.astype(np.int64)][:, None]
    return np.asarray((table >= own).sum(axis=1), dtype=np.float64)


def _within(name: str, ranks: Any, k: int | None) -> tuple[Floats, Booleans] | None:
    """Return the ranks and which of them count, or None (and a warning) where there are no events."""
    if k is not None and k < 1:
        raise SpecError(f"k must be at least 1 or None, got {k}; use for example k=20")
    places = as_column("ranks", ranks).astype(np.float64)
    if len(places) and not (places >= 1).all():
        raise DataError("ranks must be at least 1 (infinite: not found)")
    if len(places) == 0:
        undefined(name, "there are no events")
        return None
    return places, np.asarray(places <= (np.inf if k is None else k)) & np.isfinite(places)


def hit_rate(ranks: Any, k: int | None = 20) -> float:
    """Share of events whose item is among the first k (recall at k for one relevant item).

    ranks: (N,) from `ranks_in` or `ranks_of`. No events: `nan` and a `MetricWarning`.
    """
    found = _within("hit rate", ranks, k)
    return float("nan") if found is None else float(np.mean(found[1]))


def mrr(ranks: Any, k: int | None = 20) -> float:
    """Mean reciprocal rank: mean of 1 / rank, 0 beyond the first k. Arguments as in `hit_rate`."""
    found = _within("mean reciprocal rank", ranks, k)
    return float("nan") if found is None else float(np.mean(found[1] / found[0]))


def ndcg(ranks: Any, k: int | None = 20) -> float:
    """NDCG for one relevant item per event: mean of 1 / log2(1 + rank), 0 beyond the first k.

    Järvelin & Kekäläinen (2002). Arguments as in `hit_rate`; several or graded items: `graded_ndcg`.
    """
    found = _within("NDCG", ranks, k)
    return float("nan") if found is None else float(np.mean(found[1] / np.log2(1.0 + found[0])))


def graded_ndcg(relevance: Any, scores: Any, k: int | None = None) -> float:
    """NDCG of graded relevance: DCG / best possible DCG with gains rel / log2(1 + rank); mean over events.

    relevance: (N, I) not negative; scores: (N, I). Equal scores share their gains (the mean over all orders).
    Events without a relevant item count 0, as in scikit-learn. No events: `nan` and a `MetricWarning`.
    """
    gains, table = as_floats("relevance", relevance, ndim=2), as_floats("scores", scores, ndim=2)
    if gains.shape != table.shape:
        raise DataError(f"relevance and scores must have one shape, got {gains.shape} and {table.shape}")
    if (gains < 0).any():
        raise DataError(f"relevance must not be negative, got {gains.min():.6g}")
    if k is not None and k < 1:
        raise SpecError(f"k must be at least 1 or None, got {k}; use for example k=20")
    if len(gains) == 0:
        return undefined("NDCG", "there are no events")
    discount = 1.0 / np.log2(np.arange(gains.shape[1]) + 2.0)
    discount[gains.shape[1] if k is None else k :] = 0.0
    best = (np.sort(gains, axis=1)[:, ::-1] * discount).sum(axis=1)
    reached = np.array([_tied_gain(row, score, discount) for row, score in zip(gains, table, strict=True)])
    return float(np.mean(np.divide(reached, best, out=np.zeros(len(gains)), where=best > 0)))


def _tied_gain(gains: Floats, scores: Floats, discount: Floats) -> float:
    _, group, counts = np.unique(-scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    cumulated = np.concatenate(([0.0], np.cumsum(discount)))
    mean_gain = np.bincount(group, weights=gains) / counts
    return float((mean_gain * (cumulated[ends] - cumulated[ends - counts])).sum())


def recommendation_scores(ranks: Any, *, k: int = 20) -> dict[str, float]:
    """Return hit_rate, mrr and ndcg, each within the first k. ranks: from `ranks_in` or `ranks_of`."""
    return {"hit_rate": hit_rate(ranks, k), "mrr": mrr(ranks, k), "ndcg": ndcg(ranks, k)}
