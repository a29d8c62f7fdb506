"""Training: losses, the loop, batches, gradients, checkpoints, history."""

from __future__ import annotations

from recurra.training.callbacks import BeginEvent, Callback, EpochEvent, StepEvent
from recurra.training.fit import fit
from recurra.training.fitted import Fitted
from recurra.training.history import History
from recurra.training.problem import Problem, averaging_weights

__all__ = [
    "BeginEvent",
    "Callback",
    "EpochEvent",
    "Fitted",
    "History",
    "Problem",
    "StepEvent",
    "averaging_weights",
    "fit",
]
