"""The few array functions that the reference needs, once for NumPy and once for torch."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any


def normalised(xp: Any, x: Array, gain: Array, eps: float) -> Array:
    """Rows of x with mean 0 and variance 1 (eps added), times gain."""
    size = xp.scalar(x, x.shape[-1])
    centred = x - xp.row_sum(x) / size
    variance = xp.row_sum(centred * centred) / size
    return centred / xp.sqrt(variance + xp.scalar(x, eps)) * gain


class NumpyNamespace:
    """NumPy, with products whose answer for a row does not depend on the other rows."""

    where = staticmethod(np.where)
    exp = staticmethod(np.exp)
    log = staticmethod(np.log)
    log1p = staticmethod(np.log1p)
    tanh = staticmethod(np.tanh)
    sqrt = staticmethod(np.sqrt)
    abs = staticmethod(np.abs)
    isnan = staticmethod(np.isnan)
    zeros_like = staticmethod(np.zeros_like)

    def normalise(self, x: Array, gain: Array, eps: float) -> Array:
        """Rows of x with mean 0 and variance 1 (eps added), times gain."""
        return normalised(self, x, gain, eps)

    def dot(self, x: Array, w: Array) -> Array:
        """x (N, K) times w (O, K) transposed; BLAS is avoided because its bits depend on N."""
        return np.einsum("nk,ok->no", np.ascontiguousarray(x), np.ascontiguousarray(w), optimize=False)

    def halved(self, x: Array) -> Array:
        """x rounded to the nearest bfloat16, ties to even, in its own dtype; NaN stays NaN."""
        bits = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.uint64)
        kept = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16).astype(np.uint32).view(np.float32)
        return np.where(np.isnan(x), x, kept.astype(x.dtype))

    def sigmoid(self, x: Array) -> Array:
        """1 / (1 + exp(-x)), saturating without a warning."""
        one = x.dtype.type(1)
        return one / (one + np.exp(np.minimum(-x, x.dtype.type(88))))

    def relu(self, x: Array) -> Array:
        """max(x, 0), keeping NaN."""
        return np.maximum(x, x.dtype.type(0))

    def clip(self, x: Array, low: float, high: float) -> Array:
        """x limited to [low, high], keeping NaN."""
        return np.clip(x, x.dtype.type(low), x.dtype.type(high))

    def cat(self, parts: list[Array], axis: int = 0) -> Array:
        """Parts joined along an axis."""
        return np.concatenate(parts, axis=axis)

    def take(self, x: Array, index: np.ndarray) -> Array:
        """Rows of x by an index array."""
        return x[index]

    def zeros(self, like: Array, shape: tuple[int, ...]) -> Array:
        """Zeros of the kind of `like`."""
        return np.zeros(shape, like.dtype)

    def scalar(self, like: Array, value: float) -> Array:
        """A number in the dtype of `like`, so that nothing is promoted."""
        return like.dtype.type(value)

    def row_max(self, x: Array) -> Array:
        """Maximum over the last axis, axis kept."""
        return x.max(axis=-1, keepdims=True)

    def row_sum(self, x: Array) -> Array:
        """Sum over the last axis, axis kept."""
        return x.sum(axis=-1, keepdims=True)

    def cumsum(self, x: Array, axis: int) -> Array:
        """Running sum: NumPy's is one strict chain in index order."""
        return np.cumsum(x, axis=axis, dtype=x.dtype)

    def column(self, like: Array, numbers: np.ndarray) -> Array:
        """Numbers as a column (S, 1) in the dtype of `like`."""
        return numbers.astype(like.dtype)[:, None]

    def pick(self, x: Array, index: Array) -> Array:
        """One element of every row."""
        return x[np.arange(len(x)), index]


class TorchNamespace:
    """torch, differentiable; no promise about bits is made for it."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        for name in (
            "where",
            "exp",
            "log",
            "log1p",
            "tanh",
            "sqrt",
            "abs",
            "isnan",
            "relu",
            "sigmoid",
            "zeros_like",
        ):
            setattr(self, name, getattr(torch, name))

    def normalise(self, x: Array, gain: Array, eps: float) -> Array:
        """Rows of x with mean 0 and variance 1 (eps added), times gain."""
        return normalised(self, x, gain, eps)

    def dot(self, x: Array, w: Array) -> Array:
        """x (N, K) times w (O, K) transposed."""
        return x @ w.t()

    def halved(self, x: Array) -> Array:
        """x rounded to the nearest bfloat16, in its own dtype; the gradient passes as it is."""
        plain, inf = x.detach(), float("inf")
        apart = plain.to(self.torch.bfloat16).to(x.dtype) - plain  # exact; NaN where x is infinite
        return x + self.torch.nan_to_num(apart, nan=0.0, posinf=inf, neginf=-inf)

    def clip(self, x: Array, low: float, high: float) -> Array:
        """x limited to [low, high]; the gradient is zero where it was limited."""
        return self.torch.clamp(x, low, high)

    def cat(self, parts: list[Array], axis: int = 0) -> Array:
        """Parts joined along an axis."""
        return self.torch.cat(parts, dim=axis)

    def take(self, x: Array, index: np.ndarray) -> Array:
        """Rows of x by an index array."""
        return x.index_select(0, self.index(x, index))

    def zeros(self, like: Array, shape: tuple[int, ...]) -> Array:
        """Zeros of the kind of `like`."""
        return self.torch.zeros(shape, dtype=like.dtype, device=like.device)

    def scalar(self, like: Array, value: float) -> Array:
        """A number; torch does not promote by Python numbers."""
        return value

    def row_max(self, x: Array) -> Array:
        """Maximum over the last axis, axis kept."""
        return x.amax(dim=-1, keepdim=True)

    def row_sum(self, x: Array) -> Array:
        """Sum over the last axis, axis kept."""
        return x.sum(dim=-1, keepdim=True)

    def cumsum(self, x: Array, axis: int) -> Array:
        """Running sum."""
        return self.torch.cumsum(x, dim=axis)

    def column(self, like: Array, numbers: np.ndarray) -> Array:
        """Numbers as a column (S, 1) beside `like`."""
        return self.torch.as_tensor(numbers, dtype=like.dtype, device=like.device)[:, None]

    def pick(self, x: Array, index: Array) -> Array:
        """One element of every row."""
        return x.gather(1, index[:, None])[:, 0]

    def index(self, like: Array, index: np.ndarray) -> Array:
        """An int64 index tensor beside `like`."""
        return self.torch.as_tensor(index, dtype=self.torch.int64, device=like.device)


NUMPY = NumpyNamespace()


@lru_cache(maxsize=1)
def _torch_namespace() -> TorchNamespace:
    return TorchNamespace(sys.modules["torch"])


def namespace(x: Array) -> Any:
    """The namespace that `x` belongs to."""
    return NUMPY if isinstance(x, np.ndarray) else _torch_namespace()


class Composing:
    """Makes a namespace whose products, activations and norms are the operators of a face: for cells that
    have no native form of their own and are composed, step by step, of native operators.

    What remains (sums, products and choices element by element) is rounded exactly by NumPy and torch alike.
    """

    def __init__(self, plain: Any, face: Any) -> None:
        self.plain, self.face = plain, face

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)

    def dot(self, x: Array, w: Array) -> Array:
        """x (N, K) times w (O, K) transposed."""
        return self.face.dense(x, w, None)

    def sigmoid(self, x: Array) -> Array:
        """1 / (1 + exp(-x))."""
        return self.face.activation("sigmoid", x)

    def tanh(self, x: Array) -> Array:
        """Hyperbolic tangent."""
        return self.face.activation("tanh", x)

    def normalise(self, x: Array, gain: Array, eps: float) -> Array:
        """Rows of x with mean 0 and variance 1 (eps added), times gain."""
        return self.face.layer_norm(x, gain, self.plain.zeros_like(gain), eps)
