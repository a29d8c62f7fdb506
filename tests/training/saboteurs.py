"""Switches that break a promise of training, so that its test can be seen to fail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from recurra.training import diagnosing, gradients, keeper, loop, optimizers


@contextmanager
def shallow_best_weights() -> Iterator[None]:
    """Keep views of the weights instead of copies, as the copied tutorials of the field do."""

    def views(parameters: Any) -> dict[str, np.ndarray]:
        return {name: tensor.detach().numpy() for name, tensor in parameters.items()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "snapshot", views)
        yield


@contextmanager
def forgotten(*names: str) -> Iterator[None]:
    """Resume without some of the saved state: names of counters, "tally", "monitor" or "slots"."""
    unpack = keeper.unpack

    def without(arrays: Any, record: Any, parameters: Any, optimizer: Any) -> Any:
        if "slots" in names:
            fresh = {"updates": 0}
            kept = {
                name: np.zeros_like(value) if name.startswith("slot/") else value
                for name, value in arrays.items()
            }
        else:
            fresh, kept = {}, arrays
        state = unpack(kept, {**record, **fresh}, parameters, optimizer)
        if "monitor" in names:
            state.monitor.score, state.monitor.stale, state.monitor.plateau, state.monitor.cuts = (
                None,
                0,
                0,
                0,
            )
        if "tally" in names:
            state.tally = type(state.tally)()
        for name in set(names) & {"step", "epoch", "total", "bad_in_row", "window"}:
            setattr(state, name, 0)
        if "carried" in names:
            state.carried = []
        if "average" in names:
            assert state.average is not None
            state.average.means, state.average.count = {}, 0
        if "scores" in names:
            assert state.average is not None
            state.average.scores = []
        return state

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeper, "unpack", without)
        yield


@contextmanager
def mean_over_batches() -> Iterator[None]:
    """Average accumulated batches as if all were of one size."""
    fsum = gradients.math.fsum

    class Wrong:
        isfinite, sqrt, nan = gradients.math.isfinite, gradients.math.sqrt, gradients.math.nan

        @staticmethod
        def fsum(values: Any) -> float:
            values = list(values)
            return 1.0 if values and all(value == 1.0 for value in values) else fsum(values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradients, "math", Wrong)
        yield


@contextmanager
def decaying_biases() -> Iterator[None]:
    """Let every parameter decay."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optimizers, "UNDECAYED", ())
        yield


@contextmanager
def unchecked_steps() -> Iterator[None]:
    """Apply every step, finite or not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "is_good", lambda loss, norm: True)
        yield


@contextmanager
def meddling_probe() -> Iterator[None]:
    """Let the diagnosis leave the gradient of its own loss behind."""
    before = diagnosing.Collector.before

    def wrong(self: Any, parameters: Any, batches: Any) -> dict[str, Any]:
        found = before(self, parameters, batches)
        for parameter in parameters.values():
            if parameter.grad is not None:
                parameter.grad.mul_(1.0 + 1e-6)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diagnosing.Collector, "before", wrong)
        yield
