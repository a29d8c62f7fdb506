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


def pool_mean(x: Array, offsets: np.ndarray) -> Array:
    """Mean of every row's tokens: sum in order, one division."""
    xp = namespace(x)
    total = _pooled(xp, x, offsets, lambda old, new: old + new)
    counts = np.maximum(np.diff(offsets), 1).astype(np.float64)
    return total / xp.column(x, counts)


def pool_max(x: Array, offsets: np.ndarray) -> Array:
    """Largest value of every feature over a row's tokens, the first of equals; NaN wins."""
    xp = namespace(x)
    return _pooled(xp, x, offsets, lambda old, new: xp.where((new > old) | xp.isnan(new), new, old))


def _pooled(xp: Any, x: Array, offsets: np.ndarray, join: Any) -> Array:
    way = walk(offsets)
    packed = xp.take(x, way.tokens)
    if not way.counts:
        return xp.zeros(x, (len(way.order), x.shape[1]))
    state = packed[: way.counts[0]]
    begin = way.counts[0]
    done = [xp.zeros(x, (len(way.order) - begin, x.shape[1]))]
    for count in way.counts[1:]:
        if count < len(state):
            done.append(state[count:])
            state = state[:count]
        state = join(state, packed[begin : begin + count])
        begin += count
    done.append(state)
    return xp.take(xp.cat(done[::-1]), np.argsort(way.order, kind="stable"))


def pool_attention(x: Array, offsets: np.ndarray, scores: Array) -> Array:
    """Sum of every row's tokens weighted by the softmax of its scores, in one pass (online softmax)."""
    xp = namespace(x)
    way = walk(offsets)
    packed = xp.take(x, way.tokens)
    shares = xp.take(scores.reshape(-1, 1), way.tokens)
    count = way.counts[0] if way.counts else 0
    peak, total, state = shares[:count], xp.zeros(x, (count, 1)) + 1, packed[:count]
    done = [xp.zeros(x, (len(way.order) - count, x.shape[1]))]
    begin = count
    for count in way.counts[1:]:
        if count < len(state):
            done.append(state[count:] / total[count:])
            peak, total, state = peak[:count], total[:count], state[:count]
        score, row = shares[begin : begin + count], packed[begin : begin + count]
        peak, total, state = attend(xp, peak, total, state, score, row)
        begin += count
    done.append(state / total)
    return xp.take(xp.cat(done[::-1]), np.argsort(way.order, kind="stable"))


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
