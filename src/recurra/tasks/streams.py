"""Stateful truncated backpropagation through time as a property of the loader: streams, windows, marks.

The steps of all documents lie end to end. They are read as S contiguous streams side by side; each step of training
is a window of all of them, whose state goes on into the next window without its gradients. Where a document begins
inside a window, the stream is cut there, and what follows begins anew: no state leaks from one document into
another, and a window is a `Ragged` batch of the pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from recurra.errors import DataError, SpecError
from recurra.ragged import Array, Offsets
from recurra.spec import Network, Training
from recurra.training.batches import mixed_seed

SHORT = 0.05
"""Share of the windows that end half a window early, and ..."""
SPREAD = 5.0
"""... the deviation, in steps, of where the others end; both after Merity et al. 2018."""
WINDOWS, FEWEST_EPOCHS, MOST_EPOCHS = 4000, 3, 20
"""Windows that "auto" epochs are about, and how often everything is read: more often, and it is learnt by heart."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """One window of all streams as pieces that lie end to end.

    index: (N,) positions of the steps. offsets: (P + 1,) where the pieces begin. first, last: (S,) the first and
    the last piece of each stream. fresh: (P,) pieces that begin a document.
    """

    index: Array
    offsets: Offsets
    first: Array
    last: Array
    fresh: Array


@dataclass(frozen=True, kw_only=True)
class Streams:
    """How N steps are read by `count` contiguous streams in windows of about `window` steps.

    The streams have one length and together cover all steps; neighbours may share one step.
    """

    steps: int
    count: int
    window: int

    @classmethod
    def over(cls, steps: int, *, count: int, window: int | None) -> Streams:
        """As many streams as asked for, but none shorter than one step. Raises DataError for no steps."""
        if steps < 1:
            raise DataError("a corpus must hold at least two tokens to learn from; give a longer text")
        count = min(count, steps)
        length = -(-steps // count)
        return cls(steps=steps, count=count, window=length if window is None else min(window, length))

    @property
    def length(self) -> int:
        """Steps of each stream."""
        return -(-self.steps // self.count)

    @property
    def windows(self) -> int:
        """Windows that a stream is read in."""
        return -(-self.length // self.window)

    def begins(self, index: Array) -> Array:
        """First position of each of some streams."""
        if self.count == 1:
            return np.zeros(len(index), dtype=np.int64)
        return np.asarray(index, dtype=np.int64) * (self.steps - self.length) // (self.count - 1)

    def end_of(self, window: int, seed: int) -> int:
        """How far into the streams a window reaches: to its place on the grid, moved a little by `seed`."""
        if window + 1 >= self.windows:
            return self.length
        place = (window + 1) * self.length // self.windows
        usual = self.length // self.windows
        generator = np.random.Generator(np.random.Philox(mixed_seed(seed, window)))
        early, moved = generator.random() < SHORT, round(float(generator.normal(0.0, SPREAD)))
        # Neighbouring windows keep a quarter of their length, however both of their ends are moved.
        return place + (-(usual // 2) if early else int(np.clip(moved, -(usual // 2), usual // 4)))

    def cut(self, index: Array, begin: int, end: int, begins: Callable[[Array], Array]) -> Window:
        """The steps from `begin` to `end` of some streams; `begins` tells which positions begin a document."""
        size = end - begin
        starts = self.begins(index) + begin
        rows = (starts[:, None] + np.arange(size)).reshape(-1)
        fresh_steps = np.asarray(begins(rows), dtype=bool)
        heads = np.arange(len(index)) * size
        cuts = fresh_steps.copy()
        cuts[heads] = True
        pieces = np.flatnonzero(cuts)
        first = np.searchsorted(pieces, heads)
        return Window(
            index=rows,
            offsets=np.append(pieces, len(rows)).astype(np.int64),
            first=first,
            last=np.append(first[1:], len(pieces)) - 1,
            fresh=fresh_steps[pieces],
        )


def handed_over(carried: Mapping[str, Any], window: Window) -> dict[str, Any]:
    """Of the states after all pieces those of each stream's last one, for the next window."""
    last = torch.from_numpy(window.last)
    return {
        suffix: tuple(None if part is None else part.detach()[last] for part in pair)
        for suffix, pair in carried.items()
    }


def taken_over(held: Mapping[str, Any], window: Window) -> dict[str, Any]:
    """The states that the pieces begin with: what the streams hand over, zeros for what begins anew."""
    rows = len(window.fresh)
    goes_on = ~window.fresh[window.first]
    first = torch.from_numpy(window.first[goes_on])
    kept = torch.from_numpy(np.flatnonzero(goes_on))
    return {suffix: tuple(_placed(part, rows, first, kept) for part in pair) for suffix, pair in held.items()}


def _placed(part: Any, rows: int, first: torch.Tensor, kept: torch.Tensor) -> Any:
    if part is None:
        return None
    made = part.new_zeros((rows, part.shape[1]))
    made[first] = part[kept]
    return made


def planned_in_windows(training: Training, steps: int) -> Training:
    """The training with "auto" epochs turned into a number, for so many steps to be foretold."""
    sequences = max(1, steps // (training.sequence_length or max(1, steps)))
    return training.planned(sequences, steps=WINDOWS, fewest=FEWEST_EPOCHS, most=MOST_EPOCHS)


def check_streamed(network: Network, training: Training) -> None:
    """Refuse what has no meaning, or no effect, where steps are foretold in streams."""
    if network.bidirectional:
        raise SpecError(
            "a language model must not see what it is to predict, got bidirectional=True; use bidirectional=False"
        )
    plain = {"batch_tokens": None, "bucket": True, "average": "sequences", "class_weight": None}
    for name, usual in plain.items():
        if getattr(training, name) != usual:
            raise SpecError(
                f"{name} has no effect on a language model, which is read in streams; leave it out"
            )
