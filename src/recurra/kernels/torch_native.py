"""The operators on CPU tensors by the native engine."""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import Tensor

from recurra.kernels import numpy_native, torch_chain, torch_losses, torch_operators, torch_recur
from recurra.kernels.reference import Options
from recurra.kernels.torch_library import array
from recurra.kernels.weights import Recurred, RecurWeights


def _index(x: Tensor | np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(x)) if isinstance(x, np.ndarray) else x


def recur(weights: RecurWeights, x: Tensor | None, offsets: Tensor, h0: Tensor | None, c0: Tensor | None,
          options: Options, preprojected: Tensor | None) -> Recurred:  # fmt: skip
    """Run one layer."""
    face = sys.modules[__name__]
    return torch_recur.recur(weights, x, _index(offsets), h0, c0, options, preprojected, face)


def fold_embedding(weights: RecurWeights, table: Tensor) -> Tensor:
    """Input part of every word; without gradient."""
    return torch_recur.project(weights, table)


def dense(x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
    """b + x W^T."""
    y: Tensor = torch_operators.dense(x, w, b)
    return y


def gather_rows(x: Tensor, index: Tensor) -> Tensor:
    """Rows of x."""
    y: Tensor = torch_operators.gather_rows(x, _index(index))
    return y


def pool(kind: str, x: Tensor, offsets: Tensor, scores: Tensor | None,
         initial: Tensor | None = None) -> tuple[Tensor, Tensor]:  # fmt: skip
    """mean, max or attention over the tokens of every row, and the state since, without its history."""
    held = None if initial is None else initial.detach()
    y, _, carried = torch_operators.pool(x, _index(offsets), scores, held, kind)
    return y, carried.detach()


def layer_norm(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Layer norm."""
    y: Tensor = torch_operators.layer_norm(x, gain, bias, eps)[0]
    return y


def activation(name: str, x: Tensor) -> Tensor:
    """sigmoid, tanh, relu, exp or softplus."""
    y: Tensor = torch_operators.unary(x, name)
    return y


def soft(kind: str, x: Tensor) -> Tensor:
    """softmax, log_softmax or logsumexp along the last axis."""
    y: Tensor = torch_operators.soft(x.reshape(-1, x.shape[-1]), kind)
    return y.reshape(x.shape[:-1] if kind == "logsumexp" else x.shape)


def cross_entropy(logits: Tensor, targets: Tensor, weight: Tensor | None, smoothing: float) -> Tensor:
    """Cross entropy per row."""
    losses: Tensor = torch_losses.cross_entropy(logits, _index(targets), weight, smoothing)[0]
    return losses


def binary_cross_entropy(logits: Tensor, targets: Tensor, pos_weight: Tensor | None) -> Tensor:
    """Binary cross entropy per element."""
    losses: Tensor = torch_losses.binary_cross_entropy(logits, targets, pos_weight, None)
    return losses


def error_loss(kind: str, predictions: Tensor, targets: Tensor, delta: float) -> Tensor:
    """squared, absolute or huber loss per element."""
    losses: Tensor = torch_losses.error_loss(predictions, targets, None, kind, delta)
    return losses


def crf_loss(emissions: Tensor, offsets: Tensor, tags: Tensor, *chain: Tensor) -> Tensor:
    """-log p(tags) of every row."""
    losses: Tensor = torch_chain.crf_loss(emissions, _index(offsets), _index(tags), *chain)[0]
    return losses


def crf_marginals(emissions: Tensor, offsets: Tensor, *chain: Tensor) -> Tensor:
    """The probability of each tag at each token; without gradient."""
    given = (array(_index(offsets)), *(array(x) for x in chain))
    return torch.from_numpy(numpy_native.crf_marginals(array(emissions), *given))


def viterbi(emissions: Tensor, offsets: Tensor, *chain: Tensor) -> tuple[Tensor, Tensor]:
    """The best path of every row and its score; without gradient."""
    given = (array(_index(offsets)), *(array(x) for x in chain))
    path, score = numpy_native.viterbi(array(emissions), *given)
    return torch.from_numpy(path), torch.from_numpy(score)


def block_sum(x: Tensor) -> Tensor:
    """Sum over the first axis in blocks."""
    sums: Tensor = torch_operators.column_sums(x if x.dim() == 2 else x[:, None])
    return sums if x.dim() == 2 else sums[0]


def weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Mean."""
    mean: Tensor = torch_losses.weighted_mean(values, weights, None)
    return mean


def dropout(x: Tensor, rate: float, seed: int) -> Tensor:
    """Dropout."""
    y: Tensor = torch_operators.dropout(x, rate, seed & 0xFFFFFFFF, seed >> 32)
    return y


def concat_features(parts: list[Tensor]) -> Tensor:
    """Side by side."""
    joined = parts[0]
    for part in parts[1:]:
        joined = torch_operators.concat_pair(joined, part)
    return joined


def binary(kind: str, a: Tensor, b: Tensor) -> Tensor:
    """add or mul; b of the shape of a or of its rows."""
    y: Tensor = torch_operators.binary(a, b, kind)
    return y


def scale(x: Tensor, factor: float) -> Tensor:
    """x times a number."""
    y: Tensor = torch_operators.scale(x, factor)
    return y


def norms(arrays: list[Tensor]) -> np.ndarray:
    """Euclidean norm of each tensor in double."""
    return numpy_native.norms([array(a) for a in arrays])
