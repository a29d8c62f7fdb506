"""Penalties on what the recurrent layers answer: for being large, and for changing fast (Merity et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from recurra import kernels
from recurra.kernels import shaping
from recurra.ragged import Offsets
from recurra.spec import Training


@dataclass(frozen=True, kw_only=True)
class Penalties:
    """activation: factor of the mean square of the last layer's outputs; slowness: factor of the mean square of their
    change from step to step. Both are taken before dropout."""

    activation: float = 0.0
    slowness: float = 0.0

    @classmethod
    def of(cls, training: Training) -> Penalties:
        """As asked for."""
        return cls(activation=training.activation_penalty, slowness=training.slowness_penalty)

    def __bool__(self) -> bool:
        return self.activation > 0 or self.slowness > 0

    def added(self, losses: torch.Tensor, outputs: torch.Tensor, offsets: Offsets) -> torch.Tensor:
        """Losses (S,), each with the penalty of the batch, whose last layer gave outputs (N, H)."""
        parts = []
        if self.activation and len(outputs):
            parts.append(kernels.scale(_mean_square(outputs), self.activation))
        later = np.setdiff1d(np.arange(len(outputs)), offsets)
        if self.slowness and len(later):
            now, before = (torch.from_numpy(rows).to(outputs.device) for rows in (later, later - 1))
            change = kernels.add(
                kernels.gather_rows(outputs, now), kernels.scale(kernels.gather_rows(outputs, before), -1.0)
            )
            parts.append(kernels.scale(_mean_square(change), self.slowness))
        for part in parts:
            losses = kernels.add(losses, shaping.repeat_row(part.reshape(1), len(losses)).reshape(-1))
        return losses


def _mean_square(values: Any) -> Any:
    return kernels.weighted_mean(shaping.row_mean(kernels.mul(values, values)))
