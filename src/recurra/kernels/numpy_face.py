"""The operators on NumPy arrays, already checked: native where built, else the reference."""

from __future__ import annotations

import numpy as np

from recurra.kernels import engines, reference, reference_operators
from recurra.kernels.namespace import NUMPY
from recurra.kernels.reference import Options
from recurra.kernels.weights import Array, Recurred, RecurWeights


def _quiet() -> np.errstate:
    return np.errstate(over="ignore", invalid="ignore", under="ignore", divide="ignore")


def recur(weights: RecurWeights, x: Array | None, offsets: np.ndarray, h0: Array | None, c0: Array | None,
          options: Options, preprojected: Array | None) -> Recurred:  # fmt: skip
    """Run one layer."""
    engines.native()
    with _quiet():
        pre = reference.input_part(NUMPY, weights, x) if preprojected is None else preprojected
        return reference.recur(weights, pre, offsets, h0, c0, options)


def fold_embedding(weights: RecurWeights, table: Array) -> Array:
    """Input part of every word."""
    with _quiet():
        return reference.input_part(NUMPY, weights, table)


def dense(x: Array, w: Array, b: Array | None) -> Array:
    """b + x W^T."""
    with _quiet():
        return reference_operators.dense(x, w, b)


def embed(ids: np.ndarray, table: Array) -> Array:
    """Rows of the table."""
    return table[ids]


def gather_rows(x: Array, index: np.ndarray) -> Array:
    """Rows of x."""
    return x[index]


def pool_mean(x: Array, offsets: np.ndarray) -> Array:
    """Mean over tokens."""
    with _quiet():
        return reference_operators.pool_mean(x, offsets)


def pool_max(x: Array, offsets: np.ndarray) -> Array:
    """Maximum over tokens."""
    with _quiet():
        return reference_operators.pool_max(x, offsets)


def pool_attention(x: Array, offsets: np.ndarray, scores: Array) -> Array:
    """Attention over tokens."""
    with _quiet():
        return reference_operators.pool_attention(x, offsets, scores)


def layer_norm(x: Array, gain: Array, bias: Array, eps: float) -> Array:
    """Layer norm."""
    with _quiet():
        return reference_operators.layer_norm(np.ascontiguousarray(x), gain, bias, eps)


def activation(name: str, x: Array) -> Array:
    """sigmoid, tanh, relu, exp or softplus."""
    with _quiet():
        if name == "softplus":
            return reference_operators.softplus(np.ascontiguousarray(x))
        return getattr(NUMPY, name)(np.ascontiguousarray(x))


def softmax(x: Array) -> Array:
    """Softmax."""
    with _quiet():
        return reference_operators.softmax(np.ascontiguousarray(x))


def log_softmax(x: Array) -> Array:
    """Log softmax."""
    with _quiet():
        return reference_operators.log_softmax(np.ascontiguousarray(x))


def logsumexp(x: Array) -> Array:
    """Log of the sum of exp."""
    with _quiet():
        return reference_operators.logsumexp(np.ascontiguousarray(x))


def cross_entropy(logits: Array, targets: np.ndarray, weight: Array | None, smoothing: float) -> Array:
    """Cross entropy per row."""
    with _quiet():
        return reference_operators.cross_entropy(np.ascontiguousarray(logits), targets, weight, smoothing)


def binary_cross_entropy(logits: Array, targets: Array, pos_weight: Array | None) -> Array:
    """Binary cross entropy per element."""
    with _quiet():
        return reference_operators.binary_cross_entropy(logits, targets, pos_weight)


def error_loss(kind: str, predictions: Array, targets: Array, delta: float) -> Array:
    """Squared, absolute or Huber loss per element."""
    with _quiet():
        if kind == "squared":
            gap = predictions - targets
            return gap * gap
        if kind == "absolute":
            return np.abs(predictions - targets)
        return reference_operators.huber(predictions, targets, delta)


def block_sum(x: Array) -> Array:
    """Sum over the first axis in blocks."""
    with _quiet():
        return np.asarray(reference_operators.block_sum(x))


def weighted_mean(values: Array, weights: Array | None) -> Array:
    """Mean."""
    with _quiet():
        return np.asarray(reference_operators.weighted_mean(values, weights))


def dropout(x: Array, rate: float, seed: int) -> Array:
    """Dropout."""
    kept = reference_operators.dropout_kept(x.size, rate, seed).reshape(x.shape)
    return np.where(kept, x * x.dtype.type(1.0 / (1.0 - rate)), x.dtype.type(0))


def concat_features(parts: list[Array]) -> Array:
    """Side by side."""
    return np.concatenate(parts, axis=1)


def add(a: Array, b: Array) -> Array:
    """a + b."""
    with _quiet():
        return a + b


def mul(a: Array, b: Array) -> Array:
    """a * b."""
    with _quiet():
        return a * b


def scale(x: Array, factor: float) -> Array:
    """x times a number."""
    with _quiet():
        return x * x.dtype.type(factor)
