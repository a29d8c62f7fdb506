"""Everything beside the recurrences, as one would write it on a board: oracle and stand-in of the native
engine.

Written once over NumPy or torch arrays. Sums over tokens run in blocks of 256 in order and then over the
blocks in order; pooling walks the tokens of a row in order, so that whole and stepwise are the same chain
of operations.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.kernels.namespace import namespace
from recurra.kernels.reference import walk
from recurra.kernels.weights import Array

BLOCK = 256


def dense(x: Array, w: Array, b: Array | None) -> Array:
    """b + x W^T."""
    product = namespace(x).dot(x, w)
    return product if b is None else b + product


def pool(
    kind: str, x: Array, offsets: np.ndarray, scores: Array | None, initial: Array | None
) -> tuple[Array, Array]:
    """mean, max or attention over every row's tokens, after those that came to `initial`; and the state
    since.

    The state (S, F + 1), of an attention (S, F + 3): sums, largest values or weighted sums, (attention: sum
    of weights, largest score,) number of tokens. mean: a sum in order, one division; max: the first of
    equals, NaN wins; attention: softmax of the scores, in one pass (online softmax).
    """
    xp = namespace(x)
    way = walk(offsets)
    packed = xp.take(x, way.tokens)
    shares = None if scores is None else xp.take(scores.reshape(-1, 1), way.tokens)
    rows, size = len(way.order), x.shape[1] + (1 if scores is None else 3)
    state = xp.zeros(x, (rows, size)) if initial is None else xp.take(initial, way.order)
    done, begin = [], 0
    for count in way.counts:
        end = begin + count
        if count < len(state):
            done.append(state[count:])
            state = state[:count]
        state = joined(xp, kind, state, packed[begin:end], None if shares is None else shares[begin:end])
        begin = end
    done.append(state)
    whole = xp.take(xp.cat(done[::-1]), np.argsort(way.order, kind="stable"))
    return pooled(kind, whole), whole


def joined(xp: Any, kind: str, held: Array, x: Array, scores: Array | None) -> Array:
    """States of a pooling after one more token of every row; scores (rows, 1)."""
    features = x.shape[1]
    old, count = held[:, :features], held[:, -1:]
    middle: list[Array] = []
    if kind == "attention":
        total, peak = held[:, -3:-2], held[:, -2:-1]
        higher, sums, new = attend(xp, peak, total, old, scores, x)
        middle = [xp.where(count == 0, xp.zeros_like(sums) + 1, sums), xp.where(count == 0, scores, higher)]
    else:
        new = old + x if kind == "mean" else xp.where((x > old) | xp.isnan(x), x, old)
    return xp.cat([xp.where(count == 0, x, new), *middle, count + 1], axis=1)


def pooled(kind: str, state: Array) -> Array:
    """What the states of a pooling have come to, (S, F); zeros where no token was seen."""
    xp = namespace(state)
    features = state.shape[1] - (3 if kind == "attention" else 1)
    values, count = state[:, :features], state[:, -1:]
    if kind == "max":
        return xp.where(count == 0, xp.zeros_like(values), values)
    below = state[:, features : features + 1] if kind == "attention" else count
    return values / xp.where(count == 0, xp.zeros_like(below) + 1, below)


def attend(
    xp: Any, peak: Array, total: Array, state: Array, score: Array, row: Array
) -> tuple[Array, Array, Array]:
    """One step of the online softmax: largest score so far, sum of weights, weighted sum of rows."""
    higher = xp.where((score > peak) | xp.isnan(score), score, peak)
    fade, share = xp.exp(peak - higher), xp.exp(score - higher)
    return higher, total * fade + share, state * fade + share * row


def layer_norm(x: Array, gain: Array, bias: Array, eps: float) -> Array:
    """Rows of x with mean 0 and variance 1, times gain, plus bias."""
    return namespace(x).normalise(x, gain, eps) + bias


def softplus(x: Array) -> Array:
    """log(1 + exp(x)) without overflow."""
    xp = namespace(x)
    return xp.relu(x) + xp.log1p(xp.exp(-xp.abs(x)))


def logsumexp(x: Array) -> Array:
    """log of the sum of exp over the last axis."""
    xp = namespace(x)
    peak = _finite_peak(xp, x)
    return (xp.log(xp.row_sum(xp.exp(x - peak))) + peak)[..., 0]


def log_softmax(x: Array) -> Array:
    """x minus its logsumexp."""
    xp = namespace(x)
    shifted = x - xp.row_max(x)
    return shifted - xp.log(xp.row_sum(xp.exp(shifted)))


def softmax(x: Array) -> Array:
    """exp(x) over its sum along the last axis."""
    xp = namespace(x)
    weights = xp.exp(x - xp.row_max(x))
    return weights / xp.row_sum(weights)


def _finite_peak(xp: Any, x: Array) -> Array:
    peak = xp.row_max(x)
    return xp.where(xp.abs(peak) == float("inf"), xp.zeros_like(peak), peak)


def cross_entropy(logits: Array, targets: np.ndarray, weight: Array | None, smoothing: float) -> Array:
    """Loss per row: (1 - s) w_t (-log p_t) + s / C sum_c w_c (-log p_c)."""
    xp = namespace(logits)
    losses = -log_softmax(logits)
    if weight is not None:
        losses = losses * weight
    own = xp.pick(losses, targets)
    if smoothing == 0.0:
        return own
    classes = xp.scalar(logits, logits.shape[1])
    even = xp.row_sum(losses)[:, 0] / classes
    return own * xp.scalar(logits, 1.0 - smoothing) + even * xp.scalar(logits, smoothing)


def binary_cross_entropy(logits: Array, targets: Array, pos_weight: Array | None) -> Array:
    """Loss per element of a logit x for a target y: (1 - y) x + (1 + (w - 1) y) softplus(-x)."""
    if pos_weight is None:
        return (1 - targets) * logits + softplus(-logits)
    return (1 - targets) * logits + (1 + (pos_weight - 1) * targets) * softplus(-logits)


def huber(predictions: Array, targets: Array, delta: float) -> Array:
    """d^2 / 2 up to |d| = delta, delta (|d| - delta / 2) beyond."""
    xp = namespace(predictions)
    gap = xp.abs(predictions - targets)
    limit, half = xp.scalar(gap, delta), xp.scalar(gap, 0.5)
    return xp.where(gap <= limit, half * gap * gap, limit * (gap - half * limit))


def block_sum(x: Array) -> Array:
    """Sum over the first axis: blocks of 256 in order, then over the blocks in order."""
    xp = namespace(x)
    size = x.shape[0]
    if size == 0:
        return xp.zeros(x, tuple(x.shape[1:]))
    sums = [xp.cumsum(x[start : start + BLOCK], 0)[-1:] for start in range(0, size, BLOCK)]
    return xp.cumsum(xp.cat(sums), 0)[-1]


def weighted_mean(values: Array, weights: Array | None) -> Array:
    """Sum of weights * values over the sum of weights; 0 where the weights sum to 0."""
    xp = namespace(values)
    flat = values.reshape(-1)
    if weights is None:
        return block_sum(flat) / xp.scalar(flat, max(1, flat.shape[0]))
    shares = weights.reshape(-1)
    total = block_sum(shares)
    return block_sum(flat * shares) / xp.where(total == 0, xp.zeros_like(total) + 1, total)


def keys(seed: int, high: int) -> tuple[int, int]:
    """Two 32-bit keys from a seed and the high half of an index: splitmix64 (Steele et al. 2014)."""
    mask = (1 << 64) - 1
    z = (seed + (high + 1) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    z ^= z >> 31
    return z & 0xFFFFFFFF, z >> 32


def threshold(rate: float) -> int:
    """The 24-bit hash from which on an element is kept."""
    return round(rate * (1 << 24))


def dropout_kept(count: int, rate: float, seed: int) -> np.ndarray:
    """For each flat index whether it is kept: a pure function of seed and index.

    hash(seed, index) = a 32-bit finaliser (Wellons' lowbias32, keyed twice) of the index's low half.
    """
    kept = np.empty(count, bool)
    for high, start in enumerate(range(0, count, 1 << 32)):
        key0, key1 = keys(seed, high)
        x = np.arange(min(count - start, 1 << 32), dtype=np.uint32)
        x *= np.uint32(0x9E3779B1)
        x += np.uint32(key0)
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x7FEB352D)
        x ^= x >> np.uint32(15)
        x ^= np.uint32(key1)
        x *= np.uint32(0x846CA68B)
        x ^= x >> np.uint32(16)
        kept[start : start + len(x)] = (x >> np.uint32(8)) >= np.uint32(threshold(rate))
    return kept
