"""`fit`: the door to training; sets the stage for the loop and puts everything back afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra.spec import Training
from recurra.training.callbacks import Callback
from recurra.training.device import one_torch_thread, resolve_device
from recurra.training.fitted import Fitted
from recurra.training.loop import Loop
from recurra.training.problem import Problem


def fit(
    problem: Problem,
    training: Training,
    *,
    callbacks: Sequence[Callback] = (),
    folder: str | Path | None = None,
    resume: bool = False,
    progress: Any = None,
    on_history: Callable[[Mapping[str, Any]], None] | None = None,
) -> Fitted:
    """Train."""
    with one_torch_thread():
        loop = Loop(problem, training, device=resolve_device(training.device), callbacks=callbacks)
        return loop.fitted(loop.run(lambda _: None))
