"""`Attribution`: signed shares of one explained number, step by step and channel by channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.insight.passage import Passage
from recurra.insight.question import Question
from recurra.insight.subject import Subject
from recurra.ragged import Array


@dataclass(frozen=True, kw_only=True)
class Share:
    """One part of a sequence and what it adds.

    text: the part in words. step: from 0, or None for a feature of the whole sequence. channel: its name.
    value: signed.
    """

    text: str
    step: int | None
    channel: str
    value: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Attribution:
    """What each part of one sequence adds to the explained number; above 0: it speaks for it.

    method: how it was found, a name of `METHODS`. of: the explained class, label or number. measure: what `values`
    are in: "log-odds" or "value" (the units of the targets).
    passage: the sequence. values: (T, C) float64, one share per step and channel of the passage.
    static: (K,) float64, shares of the features per sequence, named by `static_names`; empty where there are none.
    score: the explained number for the sequence as it is. baseline: the same for the sequence with nothing in it, as
    the method means it: all vectors (embeddings, scaled features) zero for "integrated", no step for "change"; None
    where the method has none ("gradient", "occlusion").
    evaluations: sequences that the model was run on.
    tolerance: difference up to which `complete` holds; None where the method promises no completeness.
    """

    method: str
    of: str
    measure: str
    passage: Passage
    values: Array
    static: Array
    static_names: tuple[str, ...]
    score: float
    baseline: float | None = None
    evaluations: int = 1
    tolerance: float | None = None

    @property
    def per_step(self) -> Array:
        """(T,) shares of the steps, all channels together."""
        made: Array = np.sum(self.values, axis=1)
        return made

    @property
    def per_channel(self) -> Array:
        """(C,) shares of the channels, all steps together."""
        made: Array = np.sum(self.values, axis=0)
        return made

    @property
    def total(self) -> float:
        """Sum of all shares."""
        return float(np.sum(self.values) + np.sum(self.static))

    @property
    def gap(self) -> float | None:
        """How far the shares are from adding up: their sum minus (score - baseline); None without a baseline."""
        return None if self.baseline is None else self.total - (self.score - self.baseline)

    @property
    def complete(self) -> bool | None:
        """Whether the shares add up to score - baseline within `tolerance`; None where that is not promised."""
        gap = self.gap
        return None if gap is None or self.tolerance is None else abs(gap) <= self.tolerance

    def top(self, count: int = 10) -> list[Share]:
        """The `count` parts with the largest shares by magnitude, largest first; of equals the earlier one."""
        flat = np.concatenate([self.values.reshape(-1), self.static])
        order = np.argsort(-np.abs(flat), kind="stable")[:count]
        return [self._share(int(place), float(flat[place])) for place in order]

    def _share(self, place: int, value: float) -> Share:
        channels = len(self.passage.channels)
        step, channel = divmod(place, channels)
        if step >= len(self.passage):
            name = self.static_names[place - self.values.size]
            return Share(text=name, step=None, channel=name, value=value)
        return Share(
            text=self.passage.cell(step, channel),
            step=step,
            channel=self.passage.channels[channel],
            value=value,
        )


def attribution_for(
    subject: Subject,
    question: Question,
    passage: Passage,
    *,
    method: str,
    static: Array | None = None,
    **parts: Any,
) -> Attribution:
    """The record for the only sequence of a question."""
    return Attribution(
        method=method,
        of=question.names[0],
        measure=question.measure,
        passage=passage,
        static=np.zeros(len(subject.static_names)) if static is None else static,
        static_names=subject.static_names,
        **parts,
    )
