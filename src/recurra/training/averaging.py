"""Averages of the weights over the steps: what is scored, kept and stored instead of the last weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from recurra.spec import Training
from recurra.training.device import flushed_subnormals


@dataclass(kw_only=True)
class Average:
    """A running mean of the weights: mean = mean + (weights - mean) · max(1 / count, floor) after each step.

    "tail": the plain mean of all steps since it began (Polyak & Juditsky 1992). It begins at the end of the first
    epoch whose score is worse than the best of those that lie more than `after` epochs before it (NT-ASGD, Merity
    et al. 2018). "exponential": from the first step on, with floor = 1 - decay: a plain mean at first, so that the
    starting values weigh nothing.

    after: None where it begins with the first step. count: steps in the mean, 0 before it begins. scores: of the
    epochs until it began. means: parameter name -> mean, empty before it begins.
    """

    after: int | None
    floor: float = 0.0
    count: int = 0
    scores: list[float] = field(default_factory=list)
    means: dict[str, torch.Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, training: Training) -> Average | None:
        """What `training` asks for; None where the last weights are used."""
        if training.average_weights is None:
            return None
        resolved = training.resolved()
        if resolved.average_decay is None:
            return cls(after=resolved.average_after)
        return cls(after=None, floor=1.0 - resolved.average_decay)

    @torch.no_grad()
    def add(self, parameters: Mapping[str, torch.Tensor]) -> None:
        """Take in the weights after a step, where the average has begun."""
        if self.after is not None:
            return
        self.count += 1
        if self.count == 1:
            self.means = {name: tensor.detach().clone() for name, tensor in parameters.items()}
            return
        share = max(1.0 / self.count, self.floor)
        with flushed_subnormals():
            for name, mean in self.means.items():
                mean.lerp_(parameters[name].detach(), share)

    def heed(self, score: float, *, higher: bool) -> None:
        """Take in the score of an epoch, which may be what the average waits for; NaN is worse than any number."""
        if self.after is None:
            return
        worth = -math.inf if math.isnan(score) else (score if higher else -score)
        earlier = self.scores[: -self.after]
        self.scores.append(worth)
        if earlier and worth < max(earlier):
            self.after = None

    def weights(self, parameters: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """The mean, or the weights themselves before it begins."""
        return self.means or parameters
