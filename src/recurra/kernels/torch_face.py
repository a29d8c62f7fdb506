"""The operators on torch tensors, already checked, with gradients.

Loaded when the first tensor arrives. Where the native engine is absent, and for tensors that are not on the
CPU, torch runs the reference under its own autograd.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from recurra.kernels import engines, reference, reference_operators
from recurra.kernels.namespace import namespace
from recurra.kernels.reference import Options
from recurra.kernels.weights import Recurred, RecurWeights


def _index(index: np.ndarray, like: Tensor) -> Tensor:
    return torch.as_tensor(index, device=like.device)


def recur(weights: RecurWeights, x: Tensor | None, offsets: np.ndarray, h0: Tensor | None, c0: Tensor | None,
          options: Options, preprojected: Tensor | None) -> Recurred:  # fmt: skip
    """Run one layer."""
    engines.native()
    given = x if preprojected is None else preprojected
    pre = preprojected if preprojected is not None else reference.input_part(namespace(given), weights, x)
    return reference.recur(weights, pre, offsets, h0, c0, options)


def fold_embedding(weights: RecurWeights, table: Tensor) -> Tensor:
    """Input part of every word."""
    return reference.input_part(namespace(table), weights, table)


def dense(x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
    """b + x W^T."""
    return functional.linear(x, w, b)


def embed(ids: np.ndarray, table: Tensor) -> Tensor:
    """Rows of the table."""
    return functional.embedding(_index(ids, table), table)


def gather_rows(x: Tensor, index: np.ndarray) -> Tensor:
    """Rows of x."""
    return x.index_select(0, _index(index, x))


def pool_mean(x: Tensor, offsets: np.ndarray) -> Tensor:
    """Mean over tokens."""
    return reference_operators.pool_mean(x, offsets)


def pool_max(x: Tensor, offsets: np.ndarray) -> Tensor:
    """Maximum over tokens."""
    return reference_operators.pool_max(x, offsets)


def pool_attention(x: Tensor, offsets: np.ndarray, scores: Tensor) -> Tensor:
    """Attention over tokens."""
    return reference_operators.pool_attention(x, offsets, scores)


def layer_norm(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Layer norm."""
    return functional.layer_norm(x, (x.shape[1],), gain, bias, eps)


def activation(name: str, x: Tensor) -> Tensor:
    """sigmoid, tanh, relu, exp or softplus."""
    if name == "softplus":
        return reference_operators.softplus(x)
    result: Tensor = getattr(torch, name)(x)
    return result


def softmax(x: Tensor) -> Tensor:
    """Softmax."""
    return torch.softmax(x, dim=-1)


def log_softmax(x: Tensor) -> Tensor:
    """Log softmax."""
    return torch.log_softmax(x, dim=-1)


def logsumexp(x: Tensor) -> Tensor:
    """Log of the sum of exp."""
    return torch.logsumexp(x, dim=-1)


def cross_entropy(logits: Tensor, targets: np.ndarray, weight: Tensor | None, smoothing: float) -> Tensor:
    """Cross entropy per row."""
    return functional.cross_entropy(
        logits, _index(targets, logits), weight=weight, reduction="none", label_smoothing=smoothing
    )


def binary_cross_entropy(logits: Tensor, targets: Tensor, pos_weight: Tensor | None) -> Tensor:
    """Binary cross entropy per element."""
    return functional.binary_cross_entropy_with_logits(
        logits, targets, pos_weight=pos_weight, reduction="none"
    )


def error_loss(kind: str, predictions: Tensor, targets: Tensor, delta: float) -> Tensor:
    """Squared, absolute or Huber loss per element."""
    if kind == "squared":
        return functional.mse_loss(predictions, targets, reduction="none")
    if kind == "absolute":
        return functional.l1_loss(predictions, targets, reduction="none")
    return functional.huber_loss(predictions, targets, reduction="none", delta=delta)


def block_sum(x: Tensor) -> Tensor:
    """Sum over the first axis in blocks."""
    return reference_operators.block_sum(x)


def weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Mean."""
    return reference_operators.weighted_mean(values, weights)


def dropout(x: Tensor, rate: float, seed: int) -> Tensor:
    """Dropout."""
    kept = _index(reference_operators.dropout_kept(x.numel(), rate, seed), x).reshape(x.shape)
    return torch.where(kept, x * (1.0 / (1.0 - rate)), 0.0)


def concat_features(parts: list[Tensor]) -> Tensor:
    """Side by side."""
    return torch.cat(parts, dim=1)


def add(a: Tensor, b: Tensor) -> Tensor:
    """a + b."""
    return a + b


def mul(a: Tensor, b: Tensor) -> Tensor:
    """a * b."""
    return a * b


def scale(x: Tensor, factor: float) -> Tensor:
    """x times a number."""
    return x * factor
