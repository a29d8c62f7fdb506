"""What can listen to training, and ask it to stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recurra.training.problem import FloatArray


@dataclass(frozen=True, kw_only=True)
class BeginEvent:
    """What is about to be trained.

    monitor: the score that decides; epochs: planned; done: already finished before a resume; device,
    notes: in words.
    """

    monitor: str
    epochs: int
    done: int
    sequences: int
    parameters: int
    device: str
    learning_rate: float
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class StepEvent:
    """One step just done.

    epoch: from 1; step: from 1 within the epoch, of `steps`; total: steps since the start of training.
    loss: of the step; gradient_norm and layers (name -> norm): before clipping; skipped: whether the step
        was non-finite, so that it changed nothing. seconds: since the start of training.
    """

    epoch: int
    step: int
    steps: int
    total: int
    loss: float
    gradient_norm: float
    layers: Mapping[str, float]
    learning_rate: float
    sequences: int
    skipped: bool
    seconds: float


@dataclass(frozen=True, kw_only=True)
class EpochEvent:
    """One epoch just done and scored.

    record: as in `History.epochs`; scores: what `monitor` was read from; improved: whether it is the best
        so far;
    parameters: copies of the weights that were scored (never changed afterwards, not to be changed by
        you).
    """

    epoch: int
    epochs: int
    record: Mapping[str, Any]
    scores: Mapping[str, float]
    improved: bool
    parameters: Mapping[str, FloatArray]


class Callback:
    """Base of everything that listens; override what you need. A true answer asks the loop to stop cleanly.

    Called in the order given, after the step or epoch has been recorded. Stopping counts as an end of
    training: the best weights are restored. On resume callbacks are told only about what is done from
        there on.
    """

    def on_begin(self, event: BeginEvent) -> None:
        """Once, before the first step."""

    def on_step(self, event: StepEvent) -> bool | None:
        """After every step."""
        return None

    def on_probe(self, record: Mapping[str, Any]) -> None:
        """After a step that `Training(diagnose=True)` looked into, with what it found; see `training.diagnosing`."""

    def on_epoch(self, event: EpochEvent) -> bool | None:
        """After every epoch and its scores."""
        return None

    def on_end(self) -> None:
        """Once, when training ends for whatever reason, errors included."""
