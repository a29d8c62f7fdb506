"""Does order matter? A permutation test of true against shuffled order with a small recurrent network.

One network is trained on every sequence twice, in its true order and shuffled, so that neither is strange to it.
On held-out sequences it then answers for the true order and for `SHUFFLES` others. If order carries nothing, the
true one is only one of them: which of the answers is called "true" can be exchanged within each sequence, and that
gives the p-value, exactly and whatever was trained.

Natural order may be easier to read without saying anything more (words that always stand together). So order is said
to matter only where the network on the true order also beats what the same steps say without any order.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recurra.evaluation.probing import Probe, shuffled
from recurra.evaluation.sketch import bag_predictions
from recurra.ragged import Array, Ragged

SHUFFLES = 5
DRAWS = 1999
LEVEL = 0.05
LEAD = 0.02
"""How far ahead of a model without order the small network must be to leave the question open, where p is greater."""


@dataclass(frozen=True, kw_only=True)
class OrderTest:
    """What order carries.

    score: "accuracy", "label accuracy" or "R²" of held-out sequences. ordered, shuffled: of the small network on the
    true order and on shuffled sequences; unordered: of a model that never sees order. p_shuffled, p_unordered:
    one-sided, that the first is better than the second or the third by chance. rows: held-out sequences.
    """

    score: str
    ordered: float
    shuffled: float
    unordered: float
    p_shuffled: float
    p_unordered: float
    rows: int

    @property
    def p_value(self) -> float:
        """The greater of both: order matters only where both differences are there."""
        return max(self.p_shuffled, self.p_unordered)

    @property
    def matters(self) -> bool:
        """Whether order carries something, at 5%."""
        return self.p_value <= LEVEL

    @property
    def ahead(self) -> bool:
        """Whether the network was better than the model without order by more than `LEAD`, shown at 5% or not."""
        return self.ordered - self.unordered > LEAD

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "p_value": self.p_value, "matters": self.matters, "ahead": self.ahead}

    def __str__(self) -> str:
        found = (
            f"{self.score} {self.ordered:.3f} in true order, {self.shuffled:.3f} shuffled, {self.unordered:.3f} "
            f"without any order (p = {self.p_value:.2g}, {self.rows:,} held-out sequences)"
        )
        if self.matters:
            return f"order matters: {found}"
        if self.ahead:
            return f"order may matter, but so few sequences do not show it: {found}"
        return f"order carries nothing that these data show: {found}"


def order_test(probe: Probe, seed: int = 0) -> OrderTest:
    """Train the small network and compare; two or three seconds for a few thousand short sequences."""
    generator = np.random.default_rng(seed)

    def both(rows: Array) -> Ragged:
        part = probe.batch.select(rows)
        return Ragged.concatenate([part, shuffled(part, generator)])

    twice = (np.tile(probe.train, 2), np.tile(probe.choice, 2))
    model = probe.fit(both(probe.train), twice[0], both(probe.choice), twice[1])
    held = probe.batch.select(probe.held)
    forms = [held, *(shuffled(held, generator) for _ in range(SHUFFLES))]
    judged = np.stack([probe.judged(probe.predictions(model, form), probe.held) for form in forms])
    known = np.concatenate([probe.train, probe.choice])
    guessed = bag_predictions(probe.batch.select(known), probe.coded[known], held)
    unordered = probe.judged(guessed, probe.held)
    return OrderTest(
        score={"classes": "accuracy", "labels": "label accuracy", "numbers": "R²"}[probe.kind],
        ordered=score_of(probe, judged[0]),
        shuffled=score_of(probe, judged[1:].mean(axis=0)),
        unordered=score_of(probe, unordered),
        p_shuffled=exchange_test(judged, generator),
        p_unordered=sign_test(judged[0] - unordered, generator),
        rows=len(probe.held),
    )


def score_of(probe: Probe, judged: Array) -> float:
    """Accuracy, or R² from minus squared errors."""
    if probe.kind != "numbers":
        return float(judged.mean())
    truth = probe.coded[probe.held]
    return float(1 + judged.mean() / max(float(((truth - truth.mean(axis=0)) ** 2).mean()), 1e-12))


def exchange_test(judged: Array, generator: np.random.Generator) -> float:
    """One-sided p that the first row of (forms, S) is no better than one drawn at random for each column."""
    actual = judged[0].sum()
    chosen = generator.integers(0, len(judged), (DRAWS, judged.shape[1]))
    drawn = judged[chosen, np.arange(judged.shape[1])].sum(axis=1)
    return float((1 + np.sum(drawn >= actual - 1e-9)) / (DRAWS + 1))


def sign_test(differences: Array, generator: np.random.Generator) -> float:
    """One-sided p that the mean of paired differences is not above 0, by exchanging the pairs' members."""
    actual = differences.sum()
    signs = generator.integers(0, 2, (DRAWS, len(differences))) * 2 - 1
    return float((1 + np.sum(signs @ differences >= actual - 1e-9)) / (DRAWS + 1))
