"""When the run is saved, how it is taken up again, and what a signal does."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from recurra import kernels
from recurra.errors import Interrupted, SpecError
from recurra.ragged import Array
from recurra.spec import Training
from recurra.training.checkpoint import CheckpointStore
from recurra.training.loop import Loop
from recurra.training.recorders import HistoryFile
from recurra.training.signals import NAMES, Signals
from recurra.training.state import pack, unpack

FREE = ("max_seconds", "max_bad_steps", "patience", "restore_best", "diagnose", "device")
"""Options that may change on resume: none of them changes a step."""
EPOCH_SECONDS = 1.0
"""Epochs that are shorter than this are not saved one by one."""


class Keeper:
    """Saves a loop through a store: at epochs, every so many seconds or steps, and when training stops.

    store: None keeps nothing; a signal then ends training without a checkpoint.
    """

    def __init__(
        self,
        loop: Loop,
        store: CheckpointStore | None,
        signals: Signals,
        *,
        given: Training,
        lines: HistoryFile | None = None,
        every_seconds: float = 60.0,
        every_steps: int | None = None,
    ) -> None:
        self.loop, self.store, self.signals, self.given, self.lines = loop, store, signals, given, lines
        self.every_seconds, self.every_steps = every_seconds, every_steps
        self._saved_at = time.monotonic()
        self._saved: tuple[int, int] | None = None

    def watch(self, moment: str) -> None:
        """Save if it is time; raise Interrupted if a signal came. `moment` is "step", "epoch" or "stop"."""
        self.heed()
        if self._is_due(moment):
            self.save()

    def heed(self) -> None:
        """Raise Interrupted, after saving, if a signal came."""
        if self.signals.received is not None:
            self._interrupt()

    def _is_due(self, moment: str) -> bool:
        state = self.loop.state
        if self.store is None or self._saved == (state.total, state.epoch):
            return False
        if moment == "stop":
            return True
        if state.bad_in_row:
            return False
        waited = time.monotonic() - self._saved_at
        by_steps = (
            self.every_steps is not None and state.total - (self._saved or (0, 0))[0] >= self.every_steps
        )
        by_epoch = moment == "epoch" and waited >= min(EPOCH_SECONDS, self.every_seconds)
        return waited >= self.every_seconds or by_steps or by_epoch

    def save(self) -> bool:
        """Save the run as it is now; False without a store or where the disk did not take it."""
        if self.store is None:
            return False
        if self.lines is not None:
            self.lines.sync()
        loop = self.loop
        loop.seconds()
        arrays, record = pack(loop.state, loop.parameters, loop.optimizer)
        state = {
            "run": record,
            "training": self.given.to_dict(),
            "fingerprint": loop.problem.fingerprint,
            **self._place(),
            "threads": kernels.get_num_threads(),
        }
        done = self.store.save(loop.state.total, state, arrays)
        self._saved_at = time.monotonic()
        if done:
            self._saved = (loop.state.total, loop.state.epoch)
        return done

    def load(self) -> bool:
        """Take up the newest checkpoint; False where there is none.

        Raises SpecError where it belongs to other data, another network or another training, and what the
        store raises where no checkpoint can be used.
        """
        found = None if self.store is None else self.store.latest()
        if found is None or self.store is None:
            return False
        self._check(found.state)
        arrays: Mapping[str, Array] = {name: np.asarray(value) for name, value in found.arrays.items()}
        self.loop.state = unpack(arrays, found.state["run"], self.loop.parameters, self.loop.optimizer)
        self._saved = (self.loop.state.total, self.loop.state.epoch)
        return True

    def _place(self) -> dict[str, Any]:
        """What the bits depend on besides the problem: the device, and whether the native operators run."""
        return {"device": self.loop.device, "native": bool(kernels.engine()["native"])}

    def _check(self, state: Mapping[str, Any]) -> None:
        where = f"the checkpoint in {self.store.folder}" if self.store else "the checkpoint"
        anew = "start anew with resume=False, or in another folder"
        for name, value in self._place().items():
            if state[name] != value:
                text = f"{where} was made with {name}={state[name]}, now it is {value}: bits will differ"
                warnings.warn(text, RuntimeWarning, stacklevel=4)
        if state["fingerprint"] != self.loop.problem.fingerprint:
            raise SpecError(f"{where} was made with other data, another encoder or another network; {anew}")
        before, now = dict(state["training"]), self.given.to_dict()
        longer = before["epochs"] != now["epochs"]
        if longer and now["schedule"] in ("cosine", "one_cycle"):
            raise SpecError(
                f"{where} was made for epochs={before['epochs']}, which the {now['schedule']} schedule "
                f"counts on, got {now['epochs']}; {anew}"
            )
        if longer and now["warmup"]:
            raise SpecError(f"{where} was made for epochs={before['epochs']}, which warmup counts on; {anew}")
        for name, value in now.items():
            if name not in (*FREE, "epochs") and before.get(name) != value:
                raise SpecError(f"{where} was made with {name}={before.get(name)!r}, got {value!r}; {anew}")

    def _interrupt(self) -> None:
        assert self.signals.received is not None
        state = self.loop.state
        saved = self._saved == (state.total, state.epoch) or self.save()
        name = NAMES[self.signals.received]
        place = f"after step {state.total} (epoch {state.epoch + 1} of {self.loop.training.epochs})"
        if saved and self.store is not None:
            hint = f"the work is saved in {self.store.folder}; resume=True (--resume) goes on from there"
        elif self.store is None:
            hint = "nothing is saved, as no folder was given; give a folder (-o) to be able to resume"
        else:
            hint = (
                "the newest state could not be saved; resume=True (--resume) goes on from the last checkpoint"
            )
        error = Interrupted(f"training was stopped by {name} {place}; {hint}", self.signals.exit_code)
        error.fitted = self.loop.fitted("signal")
        raise error
