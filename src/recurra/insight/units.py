"""What single units respond to: tokens, found on one half of the sequences, measured on the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recurra.insight.states import LayerStates, States
from recurra.ragged import Array

LEAST = 5
"""Times a token must occur in each half to be looked at."""


@dataclass(frozen=True, kw_only=True)
class UnitResponse:
    """The token that a unit responds to most.

    layer: "l0", ...; unit: from 0. token: lower case. found: correlation of the unit's hidden state with "this step
    is this token", over the steps of the half of the sequences in which the token was chosen out of many. measured:
    the same over the other half, which it was not chosen on: the number to believe. mean, other: of the unit's state
    at this token and at all others, in the other half. times: how often the token occurs there.
    """

    layer: str
    unit: int
    token: str
    found: float
    measured: float
    mean: float
    other: float
    times: int


def unit_responses(
    states: States, layer: str | None = None, *, count: int = 10, seed: int = 0
) -> list[UnitResponse]:
    """The `count` units with the strongest response to one token, strongest measured first.

    layer: by name; None: the uppermost, forward. seed: of the draw of the halves. A response that turns round in the
    other half comes last. Empty where no token occurs often enough.
    """
    held = states.top if layer is None else states.layer(layer)
    tokens = [token.lower() for passage in states.passages for token in passage.tokens]
    drawn = np.random.default_rng(seed).permutation(len(states)) % 2 == 0
    first = np.repeat(drawn, np.diff(states.offsets))
    vocabulary, ids = _frequent(tokens, first)
    if not vocabulary:
        return []
    found = _correlations(held.hidden[first], ids[first], len(vocabulary))
    measured = _correlations(held.hidden[~first], ids[~first], len(vocabulary))
    best = np.argmax(np.abs(found), axis=1)
    units = np.arange(len(best))
    agreement = measured[units, best] * np.sign(found[units, best])
    order = np.argsort(-agreement, kind="stable")[:count]
    return [
        _response(held, int(unit), vocabulary, int(best[unit]), found, measured, ids, ~first)
        for unit in order
    ]


def _response(
    held: LayerStates,
    unit: int,
    vocabulary: Sequence[str],
    place: int,
    found: Array,
    measured: Array,
    ids: Array,
    half: Array,
) -> UnitResponse:
    state, here = held.hidden[half, unit].astype(np.float64), ids[half] == place
    return UnitResponse(
        layer=held.name,
        unit=unit,
        token=vocabulary[place],
        found=float(found[unit, place]),
        measured=float(measured[unit, place]),
        mean=float(np.mean(state[here])),
        other=float(np.mean(state[~here])),
        times=int(np.sum(here)),
    )


def _frequent(tokens: Sequence[str], first: Array) -> tuple[list[str], Array]:
    """Tokens frequent in both halves, in alphabetical order, and the number (N,) of each step's token or -1."""
    distinct, ids = np.unique(np.asarray(tokens, dtype=object).astype(str), return_inverse=True)
    size = len(distinct)
    enough = (np.bincount(ids[first], minlength=size) >= LEAST) & (
        np.bincount(ids[~first], minlength=size) >= LEAST
    )
    kept = np.flatnonzero(enough)
    numbers = np.full(size, -1)
    numbers[kept] = np.arange(len(kept))
    return distinct[kept].tolist(), numbers[ids]


def _correlations(hidden: Array, ids: Array, size: int) -> Array:
    """(H, V) correlation of every unit with the presence of every token; 0 for a unit that never moves."""
    wide = hidden.astype(np.float64)
    centred = wide - np.mean(wide, axis=0)
    spread = np.sqrt(np.mean(centred**2, axis=0))
    sums = np.zeros((size, wide.shape[1]))
    present = ids >= 0
    np.add.at(sums, ids[present], centred[present])
    share = np.bincount(ids[present], minlength=size) / len(ids)
    scale = np.sqrt(share * (1 - share))[:, None] * spread[None, :]
    made: Array = np.divide(sums / len(ids), scale, out=np.zeros_like(sums), where=scale > 0)
    return made.T
