"""What is learnt where every step has an answer: losses over the steps whose target is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from recurra import kernels
from recurra.data.step_targets import known_steps
from recurra.graph.chain import Chain
from recurra.kernels.shaping import row_mean
from recurra.ragged import Array, Ragged
from recurra.tasks.problem import Examples, SupervisedProblem
from recurra.training.problem import averaging_weights

StepLoss = Callable[[Any, Any, Ragged], Any]
"""Parameters, (N, outputs) and the targets of the steps -> (S,) mean loss over the known steps of each sequence."""


class StepProblem(SupervisedProblem):
    """A sequence's loss is the mean over its steps with a known target; one without any weighs nothing."""

    def _losses(
        self, parameters: Mapping[str, torch.Tensor], outputs: torch.Tensor, part: Examples
    ) -> tuple[torch.Tensor, Array]:
        step_loss: Any = self.loss_function
        return step_loss(parameters, outputs, part.targets), step_weights(part, self.average)


def step_weights(part: Examples, average: str) -> Array:
    """(S,) what the mean loss of each sequence weighs."""
    counts = known_counts(part.targets)
    given = (counts > 0).astype(np.float32)
    return averaging_weights(average, counts, given if part.weights is None else part.weights * given)


def known_counts(targets: Ragged) -> Array:
    """(S,) steps of each sequence whose target is known in every column."""
    return np.diff(_known(targets)[1])


def _known(targets: Ragged) -> tuple[Array, Array]:
    """Positions of the steps whose target is known, and (S + 1,) where those of each sequence begin among them."""
    values = np.asarray(targets.values)
    given = np.isfinite(values) if values.dtype.kind == "f" else values >= 0
    every: Any = given.all(axis=1)
    return known_steps(every, targets.offsets)


def balanced_tags(codes: Array, sizes: tuple[int, ...]) -> tuple[Array, ...]:
    """Per column of (N, K) codes a weight of each tag: its inverse frequency, 1 on average over the steps."""
    made = []
    for column, size in zip(codes.T, sizes, strict=True):
        counts = np.bincount(column[column >= 0], minlength=size)
        made.append((counts.sum() / (np.maximum(counts, 1) * np.sum(counts > 0))).astype(np.float32))
    return tuple(made)


def classes_loss(
    sizes: tuple[int, ...], label_smoothing: float, weights: tuple[Array, ...] | None = None
) -> StepLoss:
    """Cross-entropy of every column of tags, summed over the columns; weights: per column of each tag."""

    def loss(parameters: Any, outputs: Any, targets: Ragged) -> Any:
        rows, offsets = _known(targets)
        picked = kernels.gather_rows(outputs, _index(rows, outputs))
        truth = np.asarray(targets.values)[rows]
        total = None
        for place, part in enumerate(_columns(sizes)):
            tags = _index(np.ascontiguousarray(truth[:, place]), outputs)
            losses = kernels.cross_entropy(_part(picked, part), tags, label_smoothing=label_smoothing)
            if weights is not None:
                losses = kernels.mul(losses, _index(weights[place][truth[:, place]], outputs))
            total = losses if total is None else kernels.add(total, losses)
        return _means(total, offsets)

    return loss


def chain_loss(chain: Chain) -> StepLoss:
    """Minus the log-probability of the tags of a sequence by the linear chain, per known step; unknown tags are
    summed over."""

    def loss(parameters: Any, outputs: Any, targets: Ragged) -> Any:
        share = (1.0 / np.maximum(known_counts(targets), 1)).astype(np.float32)
        total = None
        for place, part in enumerate(chain.columns()):
            tags = np.maximum(np.asarray(targets.values)[:, place], kernels.UNKNOWN_TAG)
            losses = kernels.crf_loss(
                _part(outputs, part),
                targets.offsets,
                _index(np.ascontiguousarray(tags), outputs),
                *chain.scores(parameters, place),
            )
            total = losses if total is None else kernels.add(total, losses)
        return kernels.mul(total, _index(share, outputs))

    return loss


def numbers_loss(distance: Callable[[Any, Any], Any]) -> StepLoss:
    """A distance of numbers, averaged over the columns."""

    def loss(parameters: Any, outputs: Any, targets: Ragged) -> Any:
        rows, offsets = _known(targets)
        picked = kernels.gather_rows(outputs, _index(rows, outputs))
        truth = _index(np.ascontiguousarray(np.asarray(targets.values)[rows]), outputs)
        return _means(row_mean(distance(picked, truth)), offsets)

    return loss


def _columns(sizes: tuple[int, ...]) -> list[slice]:
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]


def _part(values: Any, part: slice) -> Any:
    if part.start == 0 and part.stop == values.shape[1]:
        return values
    chosen = values[:, part]
    return np.ascontiguousarray(chosen) if isinstance(chosen, np.ndarray) else chosen.contiguous()


def _means(losses: Any, offsets: Array) -> Any:
    return kernels.pool_mean(losses.reshape(-1, 1), offsets).reshape(-1)


def _index(array: Array, like: Any) -> Any:
    return array if isinstance(like, np.ndarray) else torch.from_numpy(array).to(like.device)
