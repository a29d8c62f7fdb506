"""The one score that decides: which epoch is best, when a plateau is met, when to stop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from recurra.errors import SpecError, nearest
from recurra.metrics import higher_is_better
from recurra.spec import Training
from recurra.training.problem import Problem


@dataclass(kw_only=True)
class Monitor:
    """Follows one score over the epochs; all its fields are saved for resuming.

    score, epoch: the best so far (None, 0 before the first). stale: epochs since then. plateau: epochs
    since then or since the last cut of the learning rate; cuts: how often that was cut.
    """

    name: str
    higher: bool
    score: float | None = None
    epoch: int = 0
    stale: int = 0
    plateau: int = 0
    cuts: int = 0

    @classmethod
    def of(cls, problem: Problem, training: Training) -> Monitor:
        """Follow what `training.monitor` names, else the problem's own choice."""
        given = training.monitor or problem.monitor
        name = given.removeprefix("validation_")
        higher = problem.higher_is_better if given == problem.monitor else higher_is_better(name)
        return cls(name=name, higher=higher)

    def read(self, scores: Mapping[str, float]) -> float:
        """Return the followed score; raises SpecError where the task does not have it."""
        if self.name not in scores:
            raise SpecError(
                f"monitor must be a score of this task, got {self.name!r}{nearest(self.name, scores)}"
            )
        return float(scores[self.name])

    def better(self, score: float) -> bool:
        """Tell whether `score` is strictly better than the best so far; NaN and infinity never are."""
        if not math.isfinite(score):
            return False
        if self.score is None:
            return True
        return score > self.score if self.higher else score < self.score

    def update(self, score: float, epoch: int) -> bool:
        """Take in the score of an epoch (NaN: its weights cannot be used); return whether it is the best."""
        if self.better(score):
            self.score, self.epoch, self.stale, self.plateau = score, epoch, 0, 0
            return True
        self.stale += 1
        self.plateau += 1
        return False

    def cut_if_plateau(self, training: Training) -> None:
        """Count a cut of the learning rate after `decay_every` epochs without improvement."""
        every = training.resolved().decay_every
        if training.schedule == "plateau" and every is not None and self.plateau >= every:
            self.cuts, self.plateau = self.cuts + 1, 0
