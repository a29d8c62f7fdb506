"""How long is the memory? The score of a small network that reads only the last steps, for more and more of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recurra.evaluation.ordering import score_of, sign_test
from recurra.evaluation.probing import Probe, last

FACTOR = 4
LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class ContextCurve:
    """Score against context length.

    score: as in `OrderTest`. contexts: steps that are read, from the end; the last is the whole sequence (or the most
    that the question allows). scores: of a network trained anew on that much. needed: the least context whose
    predictions those of the best are not significantly better than (one-sided paired test at 5%).
    """

    score: str
    contexts: tuple[int, ...]
    scores: tuple[float, ...]
    needed: int

    @property
    def longest(self) -> int:
        """The greatest context that was tried."""
        return self.contexts[-1]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    def __str__(self) -> str:
        curve = ", ".join(f"{k:,}: {score:.3f}" for k, score in zip(self.contexts, self.scores, strict=True))
        return f"memory: {self.score} by steps read from the end: {curve}; {self.needed:,} are as good as all"


def context_curve(probe: Probe, seed: int = 0) -> ContextCurve:
    """Train one small network per context length, each four times the one before."""
    longest = int(np.percentile(probe.batch.lengths, 95))
    contexts = [FACTOR**power for power in range(12) if FACTOR**power < longest]
    judged = []
    for count in [*contexts, int(probe.batch.lengths.max())]:
        cut = last(probe.batch, count)
        train, choice, held = (cut.select(rows) for rows in (probe.train, probe.choice, probe.held))
        model = probe.fit(train, probe.train, choice, probe.choice)
        judged.append(probe.judged(probe.predictions(model, held), probe.held))
    scores = [score_of(probe, one) for one in judged]
    best = int(np.argmax(scores))
    generator = np.random.default_rng(seed)
    enough = [sign_test(judged[best] - one, generator) > LEVEL for one in judged]
    every = [*contexts, longest]
    return ContextCurve(
        score={"classes": "accuracy", "labels": "label accuracy", "numbers": "R²"}[probe.kind],
        contexts=tuple(every),
        scores=tuple(scores),
        needed=every[enough.index(True)],
    )
