"""What every score needs: one warning class, and the checking and coding of what is handed in."""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from recurra.errors import DataError, nearest

Array: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
Booleans: TypeAlias = npt.NDArray[np.bool_]
Labels: TypeAlias = Sequence[Hashable]


class MetricWarning(UserWarning):
    """A score is undefined for these rows; the documented stand-in (mostly `nan`) is returned instead.

    Undefined are for example every mean over no rows, ROC AUC where only one class occurs, precision of a
    class that was never predicted, and MAPE at targets of zero. The message names the score, the reason and
    the value returned. `nan` is never silent, and never stands for a bad score.
    """


def undefined(score: str, reason: str, value: float = math.nan) -> float:
    """Warn that `score` is undefined because of `reason`, and return the stand-in `value`."""
    warnings.warn(f"{score} is undefined: {reason}; {value} is returned", MetricWarning, stacklevel=3)
    return value


def as_array(name: str, values: Any) -> Array:
    """Return `values` as an array; a table with rows of unequal length is refused."""
    try:
        return np.asarray(values)
    except ValueError:
        raise DataError(f"{name} must have rows of equal length; make the rows equally long") from None


def as_column(name: str, values: Any) -> Array:
    """Return `values` as a 1-D array of any dtype."""
    array = as_array(name, values)
    if array.ndim != 1:
        raise DataError(f"{name} must be one value per row, shape (rows,), got shape {array.shape}")
    return array


def as_floats(name: str, values: Any, *, ndim: int | None = None) -> Floats:
    """Return `values` as finite float64, of `ndim` dimensions where that is given."""
    array = as_array(name, values)
    try:
        floats = array.astype(np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{name} must be numbers, got dtype {array.dtype}") from None
    if ndim is not None and floats.ndim != ndim:
        raise DataError(f"{name} must have {ndim} dimension(s), got shape {floats.shape}")
    if not np.isfinite(floats).all():
        bad = int(np.size(floats) - np.isfinite(floats).sum())
        raise DataError(f"{name} must be finite, got {bad} NaN or infinite values")
    return floats


def as_probabilities(name: str, values: Any, *, ndim: int | None = None) -> Floats:
    """Return `values` as float64 between 0 and 1 (a rounding error of 1e-6 beyond is clipped)."""
    floats = as_floats(name, values, ndim=ndim)
    if floats.size and (floats.min() < -1e-6 or floats.max() > 1 + 1e-6):
        raise DataError(
            f"{name} must lie between 0 and 1, got {floats.min():.6g} to {floats.max():.6g}; "
            "pass probabilities, not logits"
        )
    return np.clip(floats, 0.0, 1.0)


def as_outcomes(name: str, values: Any) -> Booleans:
    """Return 0/1, -1/1 free truth values as booleans: only False/True and 0/1 are taken."""
    array = as_array(name, values)
    if array.dtype == np.bool_:
        return array
    if array.size == 0:
        return array.astype(np.bool_)
    if array.dtype.kind not in "iuf" or not np.isin(array, (0, 1)).all():
        raise DataError(f"{name} must hold only 0 and 1 (or False and True), got dtype {array.dtype}")
    return array.astype(np.bool_)


def same_length(**named: Sequence[Any] | Array) -> int:
    """Return the common number of rows of all arguments, or say which one differs."""
    lengths = {name: len(values) for name, values in named.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise DataError(f"all arguments must have the same number of rows; {shown}")
    return next(iter(lengths.values()))


def _kind(array: Array) -> str:
    return {"U": "text", "S": "text", "O": "object"}.get(array.dtype.kind, "number")


def as_labels(name: str, values: Any) -> Array:
    """Return labels as a 1-D array that keeps Python's equality (a list of mixed types stays objects)."""
    if isinstance(values, np.ndarray):
        return as_column(name, values)
    items = list(values)
    array = as_column(name, items) if items else np.zeros(0, dtype=np.int64)
    if _kind(array) == "text" and not all(isinstance(item, str | bytes) for item in items):
        array = np.empty(len(items), dtype=object)
        array[:] = items
    return array


def encode(name: str, values: Any, labels: Labels) -> Integers:
    """Return the position of every value in `labels`; a value that is not among them is a `DataError`."""
    array = as_labels(name, values)
    position = {label: index for index, label in enumerate(_plain(labels))}
    if len(position) != len(labels):
        raise DataError(f"labels must all differ, got {len(labels)} with {len(position)} distinct")
    try:
        return np.fromiter((position[value] for value in array.tolist()), dtype=np.int64, count=len(array))
    except KeyError as error:
        unseen = error.args[0]
        raise DataError(
            f"{name} must hold only known labels, got {unseen!r}{nearest(unseen, map(str, position))}"
        ) from None


def _plain(labels: Labels) -> list[Hashable]:
    return [item.item() if isinstance(item, np.generic) else item for item in labels]


def shared_labels(y_true: Any, y_pred: Any) -> list[Hashable]:
    """Return the sorted labels that occur in the truth or in the predictions."""
    truth, predicted = as_labels("y_true", y_true), as_labels("y_pred", y_pred)
    if len(truth) and len(predicted) and _kind(truth) != _kind(predicted):
        raise DataError(
            f"y_true and y_pred must hold the same kind of labels, got {truth.dtype} and {predicted.dtype}"
        )
    found = set(truth.tolist()) | set(predicted.tolist())
    try:
        return sorted(found)
    except TypeError:
        return sorted(found, key=lambda label: (type(label).__name__, str(label)))


def as_weights(weights: Any, rows: int) -> Floats:
    """Return one weight per row, 1 where none are given; negative ones are refused."""
    if weights is None:
        return np.ones(rows)
    floats = as_floats("sample_weight", weights, ndim=1)
    same_length(sample_weight=floats, rows=range(rows))
    if (floats < 0).any():
        raise DataError(f"sample_weight must not be negative, got {floats.min():.6g}")
    return floats
