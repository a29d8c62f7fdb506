"""Many sequences on one sheet: the two directions in which their states differ most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import DataError, SpecError
from recurra.insight.passage import Passage
from recurra.insight.states import States
from recurra.ragged import Array

OF = ("final", "pooled")


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection:
    """S sequences as points.

    points: (S, 2) float64. explained: the share of the variance along each of the two directions. of: "final" (state
    of the uppermost layer) or "pooled" (what enters the head). passages: the sequences. labels: S texts, or None.
    """

    points: Array
    explained: tuple[float, float]
    of: str
    passages: tuple[Passage, ...]
    labels: tuple[str, ...] | None


def project(states: States, labels: Any = None, *, of: str = "final") -> Projection:
    """Principal components of the states of sequences.

    labels: one per sequence, to colour by. of: "final" or "pooled". The sign of a direction is that of its largest
    loading, so that the same states give the same picture. Raises DataError for fewer than three sequences.
    """
    if of not in OF:
        raise SpecError(f"of must be one of {', '.join(OF)}, got {of!r}")
    table = (states.final if of == "final" else states.pooled).astype(np.float64)
    if len(table) < 3:
        raise DataError(f"states must be of at least three sequences to be projected, got {len(table)}")
    if labels is not None and len(labels) != len(table):
        raise DataError(f"labels must be one per sequence ({len(table)}), got {len(labels)}")
    points, explained = principal(table)
    return Projection(
        points=points,
        explained=explained,
        of=of,
        passages=states.passages,
        labels=None if labels is None else tuple(str(label) for label in labels),
    )


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
