"""Watching the gradients that arrive at the states of a recurrence, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from recurra.kernels.weights import Array


@dataclass(frozen=True, kw_only=True, eq=False)
class StepGradients:
    """What one backward pass of one layer and direction found.

    w_hh: the recurrent weights of the layer, to know it by; reverse: its direction; gradients: (N, H), of the
    loss with respect to the state after each token, by every way it has to the loss.
    """

    w_hh: Array
    reverse: bool
    gradients: Array


Watcher = Callable[[StepGradients], None]
WATCHERS: list[Watcher] = []


@contextmanager
def watch_steps() -> Iterator[list[StepGradients]]:
    """Within, every backward pass of a recurrence of torch tensors adds its StepGradients to the list
    given."""
    found: list[StepGradients] = []
    WATCHERS.append(found.append)
    try:
        yield found
    finally:
        WATCHERS.remove(found.append)


def report(w_hh: Array, reverse: bool, gradients: Array) -> None:
    """Tell all watchers."""
    for watcher in WATCHERS:
        watcher(StepGradients(w_hh=w_hh, reverse=reverse, gradients=gradients))
