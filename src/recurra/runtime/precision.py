"""Weights in fewer bits: how matrices are rounded, how they are stored, and what is read back.

| precision | matrices on disk | in memory, as parameters |
|---|---|---|
| float32 | float32 | as stored |
| bfloat16 | bfloat16, rounded to nearest even | float32, the same numbers |
| int8 | int8, and one float32 scale per row (`<name>.scale`) | float32: integer times scale, exactly |

Everything that is not a matrix (biases, gains, initial states) stays in float32. The scale of a row is its
greatest magnitude / 127, rounded up to 17 significant bits: so an integer times its scale is exact in float32, and
the kernels, which quantise the parameters anew, come to the very integers and scales that are stored.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recurra.errors import CorruptBundleError, SpecError, nearest
from recurra.graph.model import Model
from recurra.kernels.weights import PRECISIONS
from recurra.ragged import Array
from recurra.runtime.weights import ArraySpec

SCALE = ".scale"
_LARGEST = 127
_SCALE_BITS = np.uint32(0x7F)
"""Bits of a float32's fraction that a scale leaves zero: 7, as many as an integer up to 127 takes."""

_SMALLEST = np.float32(2.0**-100)
"""A row whose greatest magnitude is below is stored as zeros: its scale would leave the normal numbers."""


def checked_precision(precision: object) -> str:
    """The name of a precision; raises SpecError for another."""
    if not isinstance(precision, str) or precision not in PRECISIONS:
        hint = nearest(str(precision), PRECISIONS)
        raise SpecError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}{hint}")
    return precision


def is_narrowed(shape: tuple[int, ...]) -> bool:
    """Whether an array of this shape is stored in fewer bits: matrices are."""
    return len(shape) == 2


def to_bfloat16(values: Array) -> Array:
    """float32 numbers rounded to the nearest bfloat16 (ties to even), as float32; NaN stays NaN."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    raised = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    kept = np.where(np.isnan(values), bits | np.uint32(0x400000), raised) & np.uint32(0xFFFF0000)
    rounded: Array = kept.view(np.float32)
    return rounded


def to_int8(matrix: Array) -> tuple[Array, Array]:
    """int8 (rows, columns) and the float32 scale of every row; the numbers must be finite."""
    most = np.abs(matrix).max(axis=1, initial=0.0).astype(np.float32)
    most = np.where(most < _SMALLEST, np.float32(0), most)
    bits = (most / np.float32(_LARGEST)).view(np.uint32)
    scale = ((bits + _SCALE_BITS) & ~_SCALE_BITS).view(np.float32)
    divisor = np.where(scale > 0, scale, np.float32(1))[:, None]
    whole = np.where(scale[:, None] > 0, np.rint(matrix / divisor), np.float32(0))
    return np.clip(whole, -_LARGEST, _LARGEST).astype(np.int8), scale


def from_int8(whole: Array, scale: Array) -> Array:
    """The float32 numbers that integers and their rows' scales stand for, exactly."""
    return whole.astype(np.float32) * scale[:, None]


def rounded(parameters: Mapping[str, Array], precision: str) -> dict[str, Array]:
    """The parameters with their matrices rounded to what a precision can hold; raises SpecError for infinite ones."""
    if precision == "float32":
        return dict(parameters)
    for name, array in parameters.items():
        if not np.all(np.isfinite(array)):
            raise SpecError(f"the weights must be finite to be stored in {precision}, {name!r} is not")
    narrow = to_bfloat16 if precision == "bfloat16" else _through_int8
    return {name: narrow(array) if is_narrowed(array.shape) else array for name, array in parameters.items()}


def _through_int8(matrix: Array) -> Array:
    return from_int8(*to_int8(matrix))


def stored_arrays(parameters: Mapping[str, Array], precision: str) -> dict[str, Array]:
    """The arrays of a bundle for rounded parameters; bfloat16 is a matter of `Bundle.save`."""
    found: dict[str, Array] = {}
    for name, array in parameters.items():
        if precision == "int8" and is_narrowed(array.shape):
            found[name], found[name + SCALE] = to_int8(array)
        else:
            found[name] = array
    return found


def stored_specs(model: Model, precision: str) -> dict[str, ArraySpec]:
    """What a bundle of this model must hold."""
    found: dict[str, ArraySpec] = {}
    for name, parameter in model.parameters().items():
        if precision == "int8" and is_narrowed(parameter.shape):
            found[name] = ArraySpec(shape=parameter.shape, dtype="int8")
            found[name + SCALE] = ArraySpec(shape=parameter.shape[:1])
        else:
            found[name] = ArraySpec(shape=parameter.shape)
    return found


def read_parameters(arrays: Mapping[str, Array], precision: str, file: str) -> dict[str, Array]:
    """The float32 parameters for the arrays of a bundle; raises CorruptBundleError for a scale that cannot be."""
    if precision != "int8":
        return dict(arrays)
    found: dict[str, Array] = {}
    for name, array in arrays.items():
        if array.dtype == np.int8:
            found[name] = from_int8(array, _checked_scale(arrays[name + SCALE], name, file))
        elif not (name.endswith(SCALE) and arrays.get(name.removesuffix(SCALE), array).dtype == np.int8):
            found[name] = array
    return found


def _checked_scale(scale: Array, name: str, file: str) -> Array:
    if not np.all(np.isfinite(scale)) or np.any(scale < 0):
        raise CorruptBundleError(f"{file}: the scales of {name!r} must be finite and not negative")
    return scale
