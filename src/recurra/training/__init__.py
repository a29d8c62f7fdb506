"""Training: losses, the loop, batches, gradients, checkpoints, history."""

from __future__ import annotations

from recurra.training.callbacks import BeginEvent, Callback, EpochEvent, StepEvent
from recurra.training.device import resolve_device
from recurra.training.finder import FoundRate, find_learning_rate
from recurra.training.fitted import Fitted
from recurra.training.fitting import fit
from recurra.training.history import History
from recurra.training.memory import MemoryEstimate, estimate_memory
from recurra.training.problem import Problem, averaging_weights
from recurra.training.recorders import TensorBoard

__all__ = [
    "BeginEvent",
    "Callback",
    "EpochEvent",
    "Fitted",
    "FoundRate",
    "History",
    "MemoryEstimate",
    "Problem",
    "StepEvent",
    "TensorBoard",
    "averaging_weights",
    "estimate_memory",
    "find_learning_rate",
    "fit",
    "resolve_device",
]
