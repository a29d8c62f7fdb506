"""Small shapings out of the operators: repeated rows, means over columns, and masks for either face."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.kernels import operators


def repeat_row(row: Any, count: int) -> Any:
    """(H,) -> (count, H), every row the same; the gradient is the sum over the rows, in order."""
    column = _ones(count, like=row)
    return operators.dense(column, row.reshape(-1, 1))


def repeat_column(column: Any, count: int) -> Any:
    """(N, 1) -> (N, count), every column the same."""
    return operators.dense(column, _ones(count, like=column))


def columns(x: Any, begin: int, end: int) -> Any:
    """(N, K) -> (N, end - begin), a copy of neighbouring columns."""
    if isinstance(x, np.ndarray):
        return np.ascontiguousarray(x[:, begin:end])
    import torch

    # A clone, as `contiguous` asks whether it has to copy, which freezes the number of rows for a tracer.
    return x[:, begin:end].clone(memory_format=torch.contiguous_format)


def spread(values: Any, rows: Any, count: int) -> Any:
    """Values (n,) at their rows, each at most once, of (count,); zero at the others."""
    index, there = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.float32)
    index[rows], there[rows] = np.arange(len(rows)), 1.0
    placed = operators.gather_rows(values.reshape(-1, 1), index_like(index, values)).reshape(-1)
    return operators.mul(placed, _as(there, values))


def index_like(index: Any, like: Any) -> Any:
    """Whole numbers (n,) as int64 of the same kind of array as `like`, on its device."""
    whole = np.ascontiguousarray(index, dtype=np.int64)
    if isinstance(like, np.ndarray):
        return whole
    import torch

    return torch.from_numpy(whole).to(like.device)


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
