"""The same lesson the usual way in torch: padded or packed `torch.nn` layers, autograd, clipping, Adam."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recurra import kernels
from recurra.evaluation.bench.lesson import Lesson
from recurra.evaluation.bench.usual_losses import Loss, usual_loss
from recurra.ragged import Ragged
from recurra.runtime.bench.models import torch_eager
from recurra.runtime.export.probes import Probe, batch_feed
from recurra.tasks.language_problem import LanguageProblem
from recurra.tasks.problem import Examples
from recurra.training.batches import mixed_seed

Round = Callable[[], list[float]]


def usual_rounds(lesson: Lesson) -> Mapping[str, Round]:
    """A round of each usual way by its name; raises LeftOutError where torch.nn cannot be this model."""
    torch_eager.torch_for(lesson.predictor)
    if isinstance(lesson.problem, LanguageProblem):
        return {"torch": _language(lesson)}
    loss, names = usual_loss(lesson)
    batches = [collated(lesson, index) for step in lesson.steps for index in step]
    return {
        f"torch-{reading}": _supervised(lesson, reading, batches, loss, names)
        for reading in ("padded", "packed")
    }


class Steps:
    """A network with its optimizer: backward, clip, step."""

    def __init__(
        self, lesson: Lesson, network: nn.Module, more: Mapping[str, nn.Parameter] | None = None
    ) -> None:
        self._parameters = [*network.parameters(), *(more or {}).values()]
        self._clip = lesson.training.gradient_clip
        self._optimizer = torch.optim.Adam(self._parameters, lr=float(lesson.training.learning_rate))
        torch.set_num_threads(kernels.get_num_threads())

    def take(self, loss: Tensor) -> float:
        """One step down a loss; returns it."""
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self._clip is not None:
            nn.utils.clip_grad_norm_(self._parameters, self._clip)
        self._optimizer.step()
        return loss.item()


def _supervised(
    lesson: Lesson,
    reading: str,
    batches: list[tuple[dict[str, Tensor], Any]],
    loss: Loss,
    names: tuple[str, ...],
) -> Round:
    network = torch_eager.network(torch, lesson.predictor, reading).train()
    chain = {name: nn.Parameter(torch.tensor(lesson.predictor.parameters[name])) for name in names}
    steps = Steps(lesson, network, chain)

    def once() -> list[float]:
        return [steps.take(loss(network(feed), feed, targets, chain)) for feed, targets in batches]

    return once


def collated(lesson: Lesson, index: Any) -> tuple[dict[str, Tensor], Any]:
    """A batch, padded beforehand, and its targets."""
    part: Examples = lesson.problem.train.select(index)
    feed = batch_feed(lesson.predictor, Probe(batch=part.batch, static=part.static))
    targets = part.targets.to_padded()[0] if isinstance(part.targets, Ragged) else part.targets
    return torch_eager.tensors(torch, feed), torch.from_numpy(np.ascontiguousarray(targets))


def _language(lesson: Lesson) -> Round:
    """Blocks of ids (streams, window), the state handed on detached from window to window."""
    network = torch_eager.network(torch, lesson.predictor).train()
    problem, steps = lesson.problem, Steps(lesson, network)
    (index,) = lesson.steps[0]
    streams = problem.streams
    rows = streams.begins(index)[:, None] + np.arange(streams.length)
    read, following = (
        torch.from_numpy(part(rows)) for part in (problem.source.read, problem.source.following)
    )
    epoch = -1

    def once() -> list[float]:
        nonlocal epoch
        epoch, begin, state, losses = epoch + 1, 0, network.begun(len(index)), []
        seed = mixed_seed(lesson.training.seed, epoch, 0)
        for window in range(streams.windows):
            end = streams.end_of(window, mixed_seed(seed, 0, window))
            y, state = network.stack(network.entered({"ids": read[:, begin:end]}), state)
            state = tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()
            logits = network.answered(y, {})
            targets = following[:, begin:end].reshape(-1)
            losses.append(steps.take(nn.functional.cross_entropy(logits.flatten(0, 1), targets)))
            begin = end
        return losses

    return once
