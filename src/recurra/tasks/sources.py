"""What streams are made of: steps that a model reads, each with what follows it and what that costs to foretell."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from recurra import kernels
from recurra.data.token_file import TokenFile
from recurra.ragged import Array, Ragged
from recurra.runtime.frame_model import frame_losses


class Source(Protocol):
    """Steps end to end, by position; documents begin where `begins` says so."""

    @property
    def steps(self) -> int:
        """How many there are."""
        ...

    def begins(self, rows: Array) -> Array:
        """Which of some steps begin a document."""
        ...

    def read(self, rows: Array) -> Array:
        """What the model reads at some steps."""
        ...

    def following(self, rows: Array) -> Array:
        """What comes after each of some steps."""
        ...

    def counted(self, rows: Array) -> Array:
        """After which of some steps what follows counts: ends of documents may not."""
        ...

    def conditions(self, rows: Array) -> Array | None:
        """(n, K) what the documents that some steps belong to are given to begin with; None where nothing is."""
        ...

    def losses(self, outputs: Any, following: Any, smoothing: float = 0.0) -> Any:
        """(N,) nats of what follows, for what leaves the model, of either face."""
        ...


@dataclass(frozen=True, kw_only=True)
class TokenSource:
    """A file of tokens: what follows is the next token, or the boundary. given: (documents, K) conditions, if any."""

    tokens: TokenFile
    given: Array | None = None

    @cached_property
    def _heads(self) -> Array:
        """Positions where documents begin."""
        return np.flatnonzero(self.tokens.ids[:-1] == self.tokens.boundary)

    @property
    def steps(self) -> int:
        return len(self.tokens.ids) - 1

    def begins(self, rows: Array) -> Array:
        marks: Array = self.tokens.ids[rows] == self.tokens.boundary
        return marks

    def read(self, rows: Array) -> Array:
        return np.asarray(self.tokens.ids[rows], dtype=np.int64)

    def following(self, rows: Array) -> Array:
        return np.asarray(self.tokens.ids[rows + 1], dtype=np.int64)

    def counted(self, rows: Array) -> Array:
        counted: Array = (self.tokens.ids[rows + 1] != self.tokens.boundary) | self.tokens.ends
        return counted

    def conditions(self, rows: Array) -> Array | None:
        if self.given is None:
            return None
        found: Array = self.given[np.searchsorted(self._heads, rows, side="right") - 1]
        return found

    def losses(self, outputs: Any, following: Any, smoothing: float = 0.0) -> Any:
        return kernels.cross_entropy(outputs, following, label_smoothing=smoothing)


class FrameSource:
    """Sequences of frames, K yes/no's per step, each after a frame of nothing: what follows is the next frame.

    frames: (N + S, K) float32, the empty first frames among them, as a predictor encodes them.
    """

    def __init__(self, frames: Ragged) -> None:
        self._frames: Array = np.asarray(frames.values)
        self._heads = np.zeros(len(self._frames) + 1, dtype=bool)
        self._heads[frames.offsets] = True

    @property
    def steps(self) -> int:
        return len(self._frames)

    def begins(self, rows: Array) -> Array:
        return np.asarray(self._heads[rows])

    def read(self, rows: Array) -> Array:
        return np.asarray(self._frames[rows])

    def following(self, rows: Array) -> Array:
        return np.asarray(self._frames[np.minimum(rows + 1, len(self._frames) - 1)])

    def counted(self, rows: Array) -> Array:
        return np.asarray(np.logical_not(self._heads[rows + 1]))

    def conditions(self, rows: Array) -> Array | None:
        return None

    def losses(self, outputs: Any, following: Any, smoothing: float = 0.0) -> Any:
        """Of all K yes/no's together."""
        return frame_losses(outputs, following)
