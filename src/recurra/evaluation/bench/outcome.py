"""What was measured of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way of training.

    ms_per_step: the median over rounds of the same steps; sequences_per_second, tokens_per_second: of these;
    difference: the largest of a step's loss from Recurra's in the first round, as a share of it.
    """

    engine: str
    ms_per_step: float
    sequences_per_second: float
    tokens_per_second: float
    difference: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """All rows; how much a round holds; who is missing, who was wrong, and what is allowed.

    unit: what a task counts: "tokens" of a language model, "sentences" of a tagger of words, else "sequences".
    """

    rows: Sequence[Row]
    unit: str
    steps: int
    sequences: int
    tokens: int
    made: bool
    threads: int
    tolerance: float
    differences: dict[str, float] = field(default_factory=dict)
    notes: Sequence[str] = field(default_factory=list)
    unequal: Sequence[str] = field(default_factory=list)
    seconds: float = 0.0

    def per_second(self, row: Row) -> float:
        """In the unit of the task."""
        return row.tokens_per_second if self.unit == "tokens" else row.sequences_per_second
