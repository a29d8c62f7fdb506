"""Many sequences on one sheet: the two directions in which their states differ most."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from recurra.errors import DataError, MissingExtraError, SpecError
from recurra.insight.passage import Passage
from recurra.insight.states import States
from recurra.ragged import Array

LEAST = {"pca": 3, "umap": 16}
HOW = tuple(LEAST)


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection:
    """S sequences as points.

    points: (S, 2) float64. how: "pca" or "umap". explained: of principal components the share of the variance along
    each, else None. of: "final" (state
    of the uppermost layer) or "pooled" (what enters the head). passages: the sequences. labels: S texts, or None.
    """

    points: Array
    how: str
    explained: tuple[float, float] | None
    of: str
    passages: tuple[Passage, ...]
    labels: tuple[str, ...] | None


def project(
    states: States, labels: Any = None, *, of: str = "final", how: str = "pca", seed: int = 0
) -> Projection:
    """Put the states of sequences on a sheet.

    labels: one per sequence, to colour by. of: "final" or "pooled". how: "pca": principal components; the sign of
    each is that of its largest loading, so that the same states give the same picture. "umap": neighbourhoods
    (McInnes et al. 2018), where umap-learn is installed; distances between far groups mean nothing there.
    seed: of UMAP.
    Raises DataError for fewer than three sequences (UMAP: 16), MissingExtraError without umap-learn.
    """
    if how not in HOW:
        raise SpecError(f"how must be one of {', '.join(HOW)}, got {how!r}")
    table = states.per_sequence(of)
    least = LEAST[how]
    if len(table) < least:
        raise DataError(f"states must be of at least {least} sequences to be projected, got {len(table)}")
    if labels is not None and len(labels) != len(table):
        raise DataError(f"labels must be one per sequence ({len(table)}), got {len(labels)}")
    points, explained = principal(table) if how == "pca" else (_neighbourly(table, seed), None)
    return Projection(
        points=points,
        how=how,
        explained=explained,
        of=of,
        passages=states.passages,
        labels=None if labels is None else tuple(str(label) for label in labels),
    )


def _neighbourly(table: Array, seed: int) -> Array:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Tensorflow not installed", category=ImportWarning)
            umap = import_module("umap")
    except ImportError:
        raise MissingExtraError(
            "how='umap' needs umap-learn, which is not installed; pip install umap-learn"
        ) from None
    made = umap.UMAP(n_components=2, random_state=seed, n_jobs=1).fit_transform(table)
    return np.asarray(made, dtype=np.float64)


def principal(table: Array) -> tuple[Array, tuple[float, float]]:
    """(S, 2) first two principal components of (S, F), and their shares of the variance; 0 for a missing second."""
    centred = table - np.mean(table, axis=0)
    left, spread, right = np.linalg.svd(centred, full_matrices=False)
    count = min(2, len(spread))
    largest = np.argmax(np.abs(right[:count]), axis=1)
    signs = np.where(right[np.arange(count), largest] < 0, -1.0, 1.0)
    points = np.zeros((len(table), 2))
    points[:, :count] = left[:, :count] * spread[:count] * signs
    total = float(np.sum(spread**2))
    shares = np.zeros(2)
    if total > 0:
        shares[:count] = spread[:count] ** 2 / total
    return points, (float(shares[0]), float(shares[1]))
