"""How far a measured share may be off."""

from __future__ import annotations

import math

from recurra.errors import SpecError

Z = 1.959963984540054
"""The 97.5% point of the standard normal law."""


def share_interval(share: float, units: int) -> tuple[float, float]:
    """The 95% interval of a share of `units` independent sequences (an accuracy): Wilson (1927), its score interval.

    It stays within 0 and 1 and is not empty where the share is 0 or 1. Raises SpecError for no units, or for
    what is no share.
    """
    if units < 1 or not 0.0 <= share <= 1.0:
        raise SpecError(f"share must be between 0 and 1, of at least 1 unit, got {share!r} of {units!r}")
    extra = Z * Z / units
    centre = (share + extra / 2) / (1 + extra)
    half = Z / (1 + extra) * math.sqrt(share * (1 - share) / units + extra / (4 * units))
    return max(0.0, centre - half), min(1.0, centre + half)
