"""Small shapings out of the operators: repeated rows, means over columns, and masks for either face."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.kernels import operators


def repeat_row(row: Any, count: int) -> Any:
    """(H,) -> (count, H), every row the same; the gradient is the sum over the rows, in order."""
    column = _ones(count, like=row)
    return operators.dense(column, row.reshape(-1, 1))


def row_mean(x: Any) -> Any:
    """(S, K) -> (S,) the mean of each row; a one-dimensional array is returned as it is."""
    if x.ndim == 1:
        return x
    weight = _ones(x.shape[1], like=x).reshape(1, -1)
    return operators.scale(operators.dense(x, weight), 1.0 / x.shape[1]).reshape(-1)


def dropout_mask_like(shape: tuple[int, ...], rate: float, seed: int, like: Any) -> Any:
    """`dropout_mask` as the same kind of array as `like`, on its device."""
    return _as(operators.dropout_mask(shape, rate, seed), like)


def locked_dropout(values: Any, lengths: Any, rate: float, seed: int) -> Any:
    """Dropout of (N, F) with one mask per sequence for all its steps; lengths: (S,) steps of each."""
    mask = operators.dropout_mask((len(lengths), values.shape[1]), rate, seed)
    return operators.mul(values, _as(np.repeat(mask, lengths, axis=0), values))


def keep_mask_like(shape: tuple[int, ...], rate: float, seed: int, like: Any) -> Any:
    """1 with probability `rate`, else 0 (zoneout): where `dropout_mask` drops."""
    dropped = operators.dropout_mask(shape, rate, seed) == 0
    return _as(dropped.astype(np.float32), like)


def column_like(factors: Any, like: Any) -> Any:
    """Factors (S,) repeated over the columns of `like` (S, F)."""
    column = np.asarray(factors, dtype=np.float32)[:, None]
    return _as(np.ascontiguousarray(np.broadcast_to(column, (len(column), like.shape[1]))), like)


def _ones(count: int, *, like: Any) -> Any:
    if isinstance(like, np.ndarray):
        return np.ones((count, 1), dtype=like.dtype)
    return like.new_ones((count, 1))


def _as(array: Any, like: Any) -> Any:
    if isinstance(like, np.ndarray):
        return array.astype(like.dtype, copy=False)
    import torch

    return torch.from_numpy(array).to(device=like.device, dtype=like.dtype)
