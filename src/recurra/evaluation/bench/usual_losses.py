"""The mean loss of a padded batch, as it is usually written for each task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from recurra.evaluation.bench.lesson import Lesson
from recurra.evaluation.bench.usual_chain import chain_losses
from recurra.graph.chain import Chain
from recurra.runtime.bench.engines.engine import LeftOutError

Feed: TypeAlias = Mapping[str, Tensor]
Scores: TypeAlias = Mapping[str, nn.Parameter]
"""The parameters of the chain, if there is one: per column transitions, start and end."""

Loss: TypeAlias = Callable[[Tensor, Feed, Any, Scores], Tensor]
"""What leaves the network, what it was fed, the targets, and the chain's scores -> the mean loss."""

DISTANCES: Mapping[str, Any] = {
    "squared": nn.functional.mse_loss,
    "absolute": nn.functional.l1_loss,
    "huber": nn.functional.huber_loss,
}
PARTS = ("transitions", "start", "end")


def usual_loss(lesson: Lesson) -> tuple[Loss, tuple[str, ...]]:
    """The loss, and the names of the chain's parameters; raises LeftOutError for steps without a target."""
    predictor = lesson.predictor
    if predictor.task == "classifier":
        labels = nn.functional.binary_cross_entropy_with_logits
        return _of_sequences(labels if predictor.multilabel else nn.functional.cross_entropy), ()
    if predictor.task == "regressor":
        return _of_sequences(DISTANCES[predictor.config["loss"]]), ()
    every_step_has_a_target(lesson)
    if predictor.numeric:
        return _of_steps(DISTANCES[predictor.config["loss"] or "squared"]), ()
    sizes = list(predictor.target.sizes)
    if not predictor.head.chain:
        return _of_steps(lambda outputs, tags: _entropies(sizes, outputs, tags)), ()
    node: Chain = predictor.model.node(Chain)
    names = tuple(f"{node.name}.{part}.{place}" for place in range(len(sizes)) for part in PARTS)
    return lambda *given: _chains(sizes, *given), names


def every_step_has_a_target(lesson: Lesson) -> None:
    """Raises LeftOutError where some have none."""
    targets = np.asarray(lesson.problem.train.targets.values)
    if not (np.isfinite(targets) if lesson.predictor.numeric else targets >= 0).all():
        raise LeftOutError("the usual loops know no steps without a target, and some here have none")


def _of_sequences(distance: Any) -> Loss:
    def loss(outputs: Tensor, feed: Feed, targets: Tensor, chain: Scores) -> Tensor:
        made: Tensor = distance(outputs, targets)
        return made

    return loss


def _of_steps(distance: Any) -> Loss:
    """Over the steps that are no padding."""

    def loss(outputs: Tensor, feed: Feed, targets: Tensor, chain: Scores) -> Tensor:
        lengths = feed["lengths"]
        real = torch.arange(int(lengths.max()))[None, :] < lengths[:, None]
        made: Tensor = distance(outputs[real], targets[real])
        return made

    return loss


def _entropies(sizes: list[int], outputs: Tensor, tags: Tensor) -> Tensor:
    """The cross entropies of all columns of tags."""
    pairs = zip(torch.split(outputs, sizes, dim=-1), tags.unbind(-1), strict=True)
    return torch.stack([nn.functional.cross_entropy(part, tag) for part, tag in pairs]).sum()


def _chains(sizes: list[int], outputs: Tensor, feed: Feed, tags: Tensor, chain: Scores) -> Tensor:
    """Minus the log-probability of all tags, per word."""
    scores, lengths = list(chain.values()), feed["lengths"]
    columns = [
        chain_losses(emissions, tags[..., place], lengths, *scores[3 * place : 3 * place + 3]).sum()
        for place, emissions in enumerate(torch.split(outputs, sizes, dim=-1))
    ]
    return torch.stack(columns).sum() / lengths.sum()
