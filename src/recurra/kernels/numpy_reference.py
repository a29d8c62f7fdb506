"""The operators on NumPy arrays by the reference, where the native engine was not built."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from recurra.errors import KernelError
from recurra.kernels import checks, reference, reference_chain, reference_operators
from recurra.kernels.namespace import NUMPY
from recurra.kernels.reference import Options
from recurra.kernels.weights import Array, Recurred, RecurWeights

F = TypeVar("F", bound=Callable[..., Any])


def quiet(function: F) -> F:
    """The same function without NumPy's warnings: infinities and NaN are answers here, as in the native
    engine."""

    @functools.wraps(function)
    def silent(*args: Any, **kwargs: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*args, **kwargs)

    return silent  # type: ignore[return-value]


@quiet
def recur(weights: RecurWeights, x: Array | None, offsets: np.ndarray, h0: Array | None, c0: Array | None,
          options: Options, preprojected: Array | None) -> Recurred:  # fmt: skip
    """Run one layer."""
    given = x if preprojected is None else preprojected
    places = checks.offsets(offsets, given.shape[0])  # type: ignore[union-attr]
    pre = reference.input_part(NUMPY, weights, x) if preprojected is None else preprojected
    return reference.recur(weights, pre, places, h0, c0, options)


@quiet
def fold_embedding(weights: RecurWeights, table: Array) -> Array:
    """Input part of every word."""
    return reference.input_part(NUMPY, weights, table)


@quiet
def dense(x: Array, w: Array, b: Array | None) -> Array:
    """b + x W^T."""
    return reference_operators.dense(x, w, b)


def gather_rows(x: Array, index: np.ndarray) -> Array:
    """Rows of x."""
    return x[checks.indices("index", index, x.shape[0])]


@quiet
def pool(kind: str, x: Array, offsets: np.ndarray, scores: Array | None,
         initial: Array | None = None) -> tuple[Array, Array]:  # fmt: skip
    """mean, max or attention over the tokens of every row, and the state since."""
    return reference_operators.pool(kind, x, checks.offsets(offsets, x.shape[0]), scores, initial)


@quiet
def layer_norm(x: Array, gain: Array, bias: Array, eps: float) -> Array:
    """Layer norm."""
    return reference_operators.layer_norm(np.ascontiguousarray(x), gain, bias, eps)


@quiet
def activation(name: str, x: Array) -> Array:
    """sigmoid, tanh, relu, exp or softplus."""
    if name == "softplus":
        return reference_operators.softplus(np.ascontiguousarray(x))
    return getattr(NUMPY, name)(np.ascontiguousarray(x))


@quiet
def soft(kind: str, x: Array) -> Array:
    """softmax, log_softmax or logsumexp along the last axis."""
    return getattr(reference_operators, kind)(np.ascontiguousarray(x))


@quiet
def cross_entropy(logits: Array, targets: np.ndarray, weight: Array | None, smoothing: float) -> Array:
    """Cross entropy per row."""
    classes = checks.indices("targets", targets, logits.shape[1], logits.shape[0])
    return reference_operators.cross_entropy(np.ascontiguousarray(logits), classes, weight, smoothing)


@quiet
def binary_cross_entropy(logits: Array, targets: Array, pos_weight: Array | None) -> Array:
    """Binary cross entropy per element."""
    return reference_operators.binary_cross_entropy(logits, targets, pos_weight)


@quiet
def error_loss(kind: str, predictions: Array, targets: Array, delta: float) -> Array:
    """squared, absolute or huber loss per element."""
    if kind == "huber":
        return reference_operators.huber(predictions, targets, delta)
    gap = predictions - targets
    return gap * gap if kind == "squared" else np.abs(gap)


@quiet
def crf_loss(emissions: Array, offsets: np.ndarray, tags: np.ndarray, *chain: Array) -> Array:
    """-log p(tags) of every row."""
    places = checks.offsets(offsets, emissions.shape[0])
    checks.indices("tags + 1", np.asarray(tags) + 1, emissions.shape[1] + 1)
    return reference_chain.crf_loss(emissions, places, tags, *chain)


@quiet
def crf_marginals(emissions: Array, offsets: np.ndarray, *chain: Array) -> Array:
    """The probability of each tag at each token."""
    return reference_chain.crf_marginals(emissions, checks.offsets(offsets, emissions.shape[0]), *chain)


@quiet
def viterbi(emissions: Array, offsets: np.ndarray, *chain: Array) -> tuple[Array, Array]:
    """The best path of every row and its score."""
    return reference_chain.viterbi(emissions, checks.offsets(offsets, emissions.shape[0]), *chain)


@quiet
def block_sum(x: Array) -> Array:
    """Sum over the first axis in blocks."""
    return np.asarray(reference_operators.block_sum(x))


@quiet
def weighted_mean(values: Array, weights: Array | None) -> Array:
    """Mean."""
    return np.asarray(reference_operators.weighted_mean(values, weights))


@quiet
def dropout(x: Array, rate: float, seed: int) -> Array:
    """Dropout."""
    kept = reference_operators.dropout_kept(x.size, rate, seed).reshape(x.shape)
    return np.where(kept, x * x.dtype.type(1.0 / (1.0 - rate)), x.dtype.type(0))


def concat_features(parts: list[Array]) -> Array:
    """Side by side."""
    return np.concatenate(parts, axis=1)


@quiet
def binary(kind: str, a: Array, b: Array) -> Array:
    """add or mul; b of the shape of a or of its rows."""
    return np.asarray(a + b if kind == "add" else a * b)


@quiet
def scale(x: Array, factor: float) -> Array:
    """x times a number."""
    return np.asarray(x * x.dtype.type(factor))


@quiet
def push(kind: str, state: Array, x: Array, scores: Array | None, rows: np.ndarray | None) -> None:
    """One more token of a stepwise pooling; changes the state in place."""
    if rows is not None:
        checks.indices("rows", rows, len(state))
    count = len(state) if rows is None else len(rows)
    features = state.shape[1] - (3 if kind == "attention" else 1)
    if x.shape != (count, features) or (scores is not None and scores.shape != (count,)):
        raise KernelError(f"x must have shape ({count}, {features}) and one score a row, got {x.shape}")
    where: Array = slice(None) if rows is None else rows
    column = None if scores is None else scores[:, None]
    state[where] = reference_operators.joined(NUMPY, kind, state[where], x, column)


def extend(kind: str, state: Array, x: Array, scores: Array | None, row: int) -> None:
    """Several tokens, one after the other, into one row of a stepwise pooling."""
    rows = np.array([row])
    for t in range(len(x)):
        push(kind, state, x[t : t + 1], None if scores is None else scores[t : t + 1], rows)


@quiet
def pushed(kind: str, state: Array) -> Array:
    """What a stepwise pooling has come to."""
    return np.array(reference_operators.pooled(kind, state))


def norms(arrays: list[Array]) -> np.ndarray:
    """Euclidean norm of each array in double."""
    return np.array([np.sqrt(np.sum(np.square(a, dtype=np.float64))) for a in arrays], np.float64)
