"""Who learns the lesson: Recurra by its own training loop, and torch and Flair as is usual for each task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from recurra.evaluation.bench.lesson import Lesson
from recurra.evaluation.bench.usual import usual_rounds
from recurra.evaluation.bench.usual_flair import flair_round
from recurra.runtime.bench.engines.engine import LeftOutError
from recurra.runtime.bench.models import flair_tagger
from recurra.training.callbacks import Callback, StepEvent
from recurra.training.device import one_torch_thread
from recurra.training.loop import Loop


@dataclass(frozen=True, kw_only=True)
class Trainee:
    """round: takes all steps of the lesson once more and tells the loss before each of them."""

    engine: str
    round: Callable[[], list[float]]


def trainees(lesson: Lesson, notes: list[str]) -> Iterator[Trainee]:
    """Recurra first; notes: told who is left out, and why."""
    yield Trainee(engine="recurra", round=ours(lesson))
    try:
        for engine, usual in usual_rounds(lesson).items():
            yield Trainee(engine=engine, round=usual)
    except LeftOutError as error:
        notes.append(f"left out: torch: {error}")
    if not flair_tagger.plays(lesson.predictor):
        return
    try:
        yield Trainee(engine="flair", round=flair_round(lesson))
    except LeftOutError as error:
        notes.append(f"left out: flair: {error}")


class _Losses(Callback):
    """The loss of every step."""

    def __init__(self) -> None:
        self.told: list[float] = []

    def on_step(self, event: StepEvent) -> bool | None:
        self.told.append(event.loss)
        return None


def ours(lesson: Lesson) -> Callable[[], list[float]]:
    """The loop of `fit`, with its history, norms per layer and copies of good weights, without scoring."""
    losses = _Losses()
    loop = Loop(lesson.problem, lesson.training, device="cpu", callbacks=[losses])
    steps: Any = lesson.steps

    def once() -> list[float]:
        losses.told = []
        with one_torch_thread():
            while loop.state.step < len(steps):
                loop.take(steps[loop.state.step], len(steps))
        loop.state.next_epoch()
        return losses.told

    return once
