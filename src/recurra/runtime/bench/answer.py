"""Whether two engines computed the same: asserted before anything is timed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from recurra.errors import RecurraError

Answer: TypeAlias = Mapping[str, np.ndarray]
"""Named results: y (N, F) on real tokens; h, c (layers, directions, S, H); dx (N, I); gradients of weights as
"layer.direction.w_ih". An engine gives those that it has."""

TOLERANCES = {
    ("float32", "forward"): 1e-5,
    ("float32", "step"): 1e-5,
    ("float32", "train"): 5e-5,
    ("bfloat16", "forward"): 3e-2,
    ("bfloat16", "step"): 3e-2,
    ("bfloat16", "train"): 5e-2,
    ("int8", "forward"): 5e-2,
    ("int8", "step"): 5e-2,
}
"""Largest max|a - b| / max|b| allowed against the float32 answer, per result."""

NOTHING = 1e-30
"""Answers that stay below this are alike: they come of subnormal numbers, which our threads take for zero."""


class UnequalError(RecurraError):
    """An engine's answer differs by more than the tolerance, so its time means nothing."""


def difference(found: Answer, expected: Answer) -> tuple[float, str]:
    """The largest max|a - b| / max|b| over the results that both have, and the name of that result."""
    common = [name for name in expected if name in found]
    if not common:
        raise UnequalError("the two answers have no result in common")
    return max((_relative(found[name], expected[name]), name) for name in common)


def _relative(found: np.ndarray, expected: np.ndarray) -> float:
    if found.shape != expected.shape:
        raise UnequalError(f"shapes differ: {found.shape} and {expected.shape}")
    gap = np.abs(found.astype(np.float64) - expected.astype(np.float64)).max(initial=0.0)
    size = np.abs(expected.astype(np.float64)).max(initial=0.0)
    return float(gap / max(size, NOTHING)) if np.isfinite(gap) else float("inf")


def assert_equal(engine: str, found: Answer, expected: Answer, tolerance: float) -> float:
    """The difference; raises UnequalError where it is above the tolerance."""
    gap, name = difference(found, expected)
    if not gap <= tolerance:
        raise UnequalError(
            f"{engine} differs by {gap:.1e} in {name}, and {tolerance:.0e} is allowed: it is not timed"
        )
    return gap
