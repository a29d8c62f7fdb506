"""What training returns."""

from __future__ import annotations

from dataclasses import dataclass

from recurra.training.history import History
from recurra.training.problem import FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """The outcome of `fit`.

    parameters: the weights to use: those of the best epoch, or the last ones with `restore_best=False`.
    last_parameters: the weights after the last step, or their average as it was then.
    best_epoch: from 1; 0 where no epoch was finished with finite weights and a finite score: `parameters`
        are then the last ones known to be good. best_score: of `monitor` in that epoch; None with epoch
        0.
    stopped_by: "epochs", "patience", "max_seconds", "callback", or in the `fitted` of an error "diverged"
        or "signal".
    learning_rate: the highest used, as given or found. seconds: in all sittings; steps: done, skipped
        ones included.
    """

    parameters: dict[str, FloatArray]
    last_parameters: dict[str, FloatArray]
    history: History
    monitor: str
    best_epoch: int
    best_score: float | None
    stopped_by: str
    learning_rate: float
    device: str
    seconds: float
    steps: int
    skipped_steps: int
    notes: tuple[str, ...] = ()
