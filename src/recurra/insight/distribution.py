"""How the final states are distributed: what values they take, unit by unit, and where the labels part them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import DataError, SpecError
from recurra.insight.states import States
from recurra.ragged import Array

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
FULL = 0.95
"""From here on a unit that cannot pass 1 is called full: the slope of tanh has fallen to a tenth."""
STILL = 0.01
"""A standard deviation over the sequences below which a unit is called still."""
_BINS = 40
_LEAST = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class StateDistribution:
    """The final states of S sequences, U units each.

    of: "final" (state of the uppermost layer, both directions) or "pooled" (what enters the head).
    edges: (B + 1,) and counts: (B,) histogram of all S * U values.
    by_label: the same counts for every label; empty without labels.
    quantiles: (U, 5) of each unit at 5, 25, 50, 75 and 95%. deviation: (U,) standard deviation over the sequences.
    parted: (U,) share of a unit's variance that lies between the labels (eta squared, 0 to 1; 0 for a still unit), or
    None without labels. full: share of all values beyond +-`FULL`, or None where states have no bound.
    """

    of: str
    sequences: int
    edges: Array
    counts: Array
    by_label: Mapping[str, Array]
    quantiles: Array
    deviation: Array
    parted: Array | None
    full: float | None

    @property
    def still(self) -> int:
        """Units that hardly differ between the sequences: they tell the head nothing about them."""
        return int(np.sum(self.deviation < STILL))

    @property
    def sentence(self) -> str:
        """What the distribution shows, in words."""
        units = len(self.deviation)
        parts = [
            f"Over {self.sequences:,} sequences {units - self.still:,} of {units:,} units of the final state differ"
        ]
        if self.full is not None:
            parts.append(f"{100 * self.full:.1f}% of the values lie beyond {FULL:g} of their bound of 1")
        if self.parted is not None:
            unit = int(np.argmax(self.parted))
            parts.append(
                f"the labels part unit {unit} most: {100 * self.parted[unit]:.0f}% of its variance lies between them"
            )
        return "; ".join(parts) + "."


def distribution(
    states: States, labels: Any = None, *, of: str = "final", bins: int = _BINS
) -> StateDistribution:
    """Describe how the final states of sequences are distributed.

    labels: one per sequence, to tell the distributions apart by. of: "final" or "pooled". bins: of the histogram,
    equally wide, from -1 to 1 where the states are bounded, else over their range.
    Raises DataError for fewer than two sequences or another number of labels, SpecError for an unknown `of`.
    """
    if bins < 1:
        raise SpecError(f"bins must be at least 1, got {bins!r}; usual: {_BINS}")
    table = states.per_sequence(of)
    if len(table) < _LEAST:
        raise DataError(f"states must be of at least {_LEAST} sequences to be distributed, got {len(table)}")
    if labels is not None and len(labels) != len(table):
        raise DataError(f"labels must be one per sequence ({len(table)}), got {len(labels)}")
    names = None if labels is None else np.asarray([str(label) for label in labels])
    # A relu has no bound and no negative state.
    bounded = bool(np.all(np.abs(table) <= 1.0) and np.any(table < 0))
    span = (-1.0, 1.0) if bounded else (float(table.min()), float(table.max()))
    counts, edges = np.histogram(table, bins, span)
    kinds = [] if names is None else sorted(set(names.tolist()))
    return StateDistribution(
        of=of,
        sequences=len(table),
        edges=edges,
        counts=counts,
        by_label={kind: np.histogram(table[names == kind], edges)[0] for kind in kinds},
        quantiles=np.quantile(table, QUANTILES, axis=0).T,
        deviation=table.std(axis=0),
        parted=None if names is None else _parted(table, [table[names == kind] for kind in kinds]),
        full=float(np.mean(np.abs(table) > FULL)) if bounded else None,
    )


def _parted(table: Array, groups: list[Array]) -> Array:
    """(U,) share of the variance between the groups."""
    middle = table.mean(axis=0)
    between = sum(len(group) * (group.mean(axis=0) - middle) ** 2 for group in groups)
    whole = np.sum((table - middle) ** 2, axis=0)
    enough = whole > len(table) * STILL**2
    made: Array = np.where(enough, between / np.where(enough, whole, 1.0), 0.0)
    return made
