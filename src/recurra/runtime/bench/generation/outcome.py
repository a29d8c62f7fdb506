"""What was measured of a model that writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

DECODINGS = ("greedy", "drawn", "beam")
"""The likeliest token each time; drawn at a temperature; the best text of a search."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One engine in one precision, writing in one way.

    per_second: tokens of one text that is written alone, the median over the turns; ms_per_token: the same the
    other way round; difference: the largest, in the probability of any next token along the greedy text, from
    Recurra's in float32.
    """

    engine: str
    precision: str
    decoding: str
    per_second: float
    ms_per_token: float
    difference: float

    @property
    def name(self) -> str:
        """Engine and precision."""
        return f"{self.engine} {self.precision}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """All rows; what the tokens are and how many a text has; who is missing, who was wrong, and what is allowed."""

    rows: Sequence[Row]
    unit: str
    length: int
    kinds: int
    threads: int
    differences: Mapping[str, float]
    tolerances: Mapping[str, float]
    notes: Sequence[str] = field(default_factory=list)
    unequal: Sequence[str] = field(default_factory=list)
    seconds: float = 0.0
