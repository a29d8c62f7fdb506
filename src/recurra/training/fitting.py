"""`fit`: the door to training; sets the stage for the loop and puts everything back afterwards."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from recurra.errors import DataError, SpecError
from recurra.spec import Training
from recurra.training.callbacks import BeginEvent, Callback, EpochEvent
from recurra.training.checkpoint import CheckpointStore
from recurra.training.device import describe_device, one_torch_thread, resolve_device
from recurra.training.finder import find_learning_rate
from recurra.training.fitted import Fitted
from recurra.training.keeper import Keeper
from recurra.training.loop import Loop
from recurra.training.memory import available_memory, check_memory, clear_memory_errors, estimate_memory
from recurra.training.problem import ROLES, Problem
from recurra.training.progress import make_progress
from recurra.training.recorders import FILE, HistoryFile
from recurra.training.signals import Signals

CHECKPOINTS = "checkpoints"
"""Name of the folder, inside of the run's folder, that holds the checkpoints."""


def fit(
    problem: Problem,
    training: Training,
    *,
    callbacks: Sequence[Callback] = (),
    folder: str | Path | None = None,
    resume: bool = False,
    progress: str | Callback | None = None,
    on_history: Callable[[Mapping[str, Any]], None] | None = None,
    checkpoint_seconds: float = 60.0,
    checkpoint_steps: int | None = None,
) -> Fitted:
    """Train a problem; return the best weights and everything that was recorded.

    callbacks: told of every step and epoch; they may ask to stop.
    folder: of the run: `history.jsonl` and `checkpoints/` are kept there; None: nothing is written.
    resume: go on from the newest checkpoint in `folder`, to the same bits as without the interruption;
        without one training starts from the beginning. False starts anew; checkpoints of earlier runs
        there are removed.
    progress: None, "auto" (a bar on a terminal, lines elsewhere), "bar", "lines" or a callback; on
        standard error.
    on_history: called with the record of every epoch.
    checkpoint_seconds, checkpoint_steps: at least so often a checkpoint is written, besides at the end of
        epochs.

    Inside, torch has one intra-op thread; that and the signal handlers are as before afterwards. No
    global random state is used. SIGINT and SIGTERM finish the step, save and raise Interrupted.

    Raises SpecError (an unknown monitor, a checkpoint of another run), DataError (nothing to train on),
    MemoryBudgetError, DivergedError, Interrupted, LockedError (another process works in `folder`),
    StorageError. The `fitted` of an Interrupted and a DivergedError is what was learnt until then.
    """
    _check(problem, training, folder, resume)
    with ExitStack() as stack:
        stack.enter_context(one_torch_thread())
        signals = stack.enter_context(Signals())
        device = resolve_device(training.device)
        estimate = estimate_memory(problem, training)
        check_memory(estimate, available_memory(device))
        stack.enter_context(clear_memory_errors(estimate))
        store = None if folder is None else stack.enter_context(CheckpointStore(Path(folder) / CHECKPOINTS))
        told = _listeners(callbacks, progress, on_history)
        loop = Loop(problem, training, device=device, callbacks=told)
        keeper = Keeper(
            loop,
            store,
            signals,
            given=training,
            every_seconds=checkpoint_seconds,
            every_steps=checkpoint_steps,
        )
        resumed = resume and keeper.load()
        if not resumed:
            _check_monitor(loop)
        _find_rate(loop, keeper)
        if folder is not None:
            keeper.lines = HistoryFile(Path(folder) / FILE, loop.state.history)
            loop.callbacks = (keeper.lines, *loop.callbacks)
        stack.enter_context(_ended(loop.callbacks))
        begin = _begin_event(loop)
        for callback in loop.callbacks:
            callback.on_begin(begin)
        if not resumed:
            keeper.save()
        stop = loop.run(keeper.watch)
        return loop.fitted(stop)


def _check(problem: Problem, training: Training, folder: str | Path | None, resume: bool) -> None:
    if resume and folder is None:
        raise SpecError("resume needs the folder of the run; give folder (on the command line -o)")
    if len(problem.lengths) == 0:
        raise DataError(
            "the training split must hold at least one sequence, got none; check how the data is split"
        )
    for name, value in problem.parameters.items():
        if name not in problem.layers or problem.roles.get(name) not in ROLES:
            raise SpecError(f"parameter {name!r} must have a layer and one of the roles {', '.join(ROLES)}")
        if not np.isfinite(value).all():
            raise DataError(
                f"the initial value of parameter {name!r} must be finite, and holds NaN or infinity"
            )


def _listeners(
    callbacks: Sequence[Callback],
    progress: str | Callback | None,
    on_history: Callable[[Mapping[str, Any]], None] | None,
) -> list[Callback]:
    shown = make_progress(progress, sys.stderr)
    told = [*callbacks] + ([_Forward(on_history)] if on_history is not None else [])
    return told + ([shown] if shown is not None else [])


class _Forward(Callback):
    """Hands the record of every epoch to a function."""

    def __init__(self, receive: Callable[[Mapping[str, Any]], None]) -> None:
        self._receive = receive

    def on_epoch(self, event: EpochEvent) -> bool | None:
        self._receive(event.record)
        return None


def _check_monitor(loop: Loop) -> None:
    """Refuse a misspelt monitor now, not after the first epoch; that takes one round of scores."""
    if loop.training.monitor not in (None, "loss"):
        loop.state.monitor.read(loop.scores(loop.state.good)[1])


def _find_rate(loop: Loop, keeper: Keeper) -> None:
    if loop.training.passes and math.isnan(loop.state.base_rate):
        found = find_learning_rate(loop.problem, loop.training, device=loop.device, watch=keeper.heed)
        loop.state.base_rate = found.rate


def _begin_event(loop: Loop) -> BeginEvent:
    return BeginEvent(
        monitor=loop.state.monitor.name,
        epochs=loop.training.passes,
        done=loop.state.epoch,
        sequences=len(loop.problem.lengths),
        parameters=sum(tensor.numel() for tensor in loop.parameters.values()),
        device=describe_device(loop.device),
        learning_rate=loop.state.base_rate,
        notes=tuple(loop.problem.notes),
    )


@contextmanager
def _ended(callbacks: Sequence[Callback]) -> Iterator[None]:
    """Tell every callback of the end, whatever the end is."""
    try:
        yield
    finally:
        for callback in callbacks:
            callback.on_end()
