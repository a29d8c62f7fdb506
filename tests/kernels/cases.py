"""Arrays and weights that the kernel tests share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from recurra import kernels
from recurra.kernels import NormWeights, RecurWeights, engines

CELLS = tuple(kernels.GATES)
TORCH_NAMES = {"w_ih": "weight_ih_l0", "w_hh": "weight_hh_l0", "b_ih": "bias_ih_l0", "b_hh": "bias_hh_l0"}
NATIVE = engines.engine()["native"]


def numbers(seed: int, *shape: int, dtype: str = "float32", scale: float = 1.0) -> np.ndarray:
    """Normal numbers that depend on the seed alone."""
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(dtype)


def offsets_of(lengths: Sequence[int]) -> np.ndarray:
    """Offsets of rows with these lengths."""
    return np.concatenate([[0], np.cumsum(np.asarray(lengths, np.int64))]).astype(np.int64)


def weights_of(
    cell: str, inputs: int, units: int, *, seed: int = 0, dtype: str = "float32", norm: bool = False
) -> RecurWeights:
    """Random weights of one layer."""
    rows = kernels.GATES[cell] * units
    scale = 1.0 / np.sqrt(units)
    made = {
        "w_ih": numbers(seed, rows, inputs, dtype=dtype, scale=scale),
        "w_hh": numbers(seed + 1, rows, units, dtype=dtype, scale=scale),
        "b_ih": numbers(seed + 2, rows, dtype=dtype, scale=scale),
        "b_hh": numbers(seed + 3, rows, dtype=dtype, scale=scale),
    }
    gains = None
    if norm:
        cells = {"gain_c": (units,), "bias_c": (units,)} if cell == "lstm" else {}
        shapes = {"gain_x": (rows,), "gain_h": (rows,)} | cells
        gains = NormWeights(**{k: 1 + numbers(9, *s, dtype=dtype, scale=0.1) for k, s in shapes.items()})
    return RecurWeights(cell=cell, norm=gains, **made)


def as_tensors(weights: RecurWeights, learn: bool = False) -> RecurWeights:
    """The same weights as torch tensors of their own memory."""

    def turned(x: np.ndarray | None) -> torch.Tensor | None:
        return None if x is None else torch.tensor(x, requires_grad=learn)

    norm = weights.norm
    if norm is not None:
        norm = NormWeights(**{k: turned(getattr(norm, k)) for k in ("gain_x", "gain_h", "gain_c", "bias_c")})
    main = {name: turned(getattr(weights, name)) for name in TORCH_NAMES}
    return RecurWeights(cell=weights.cell, norm=norm, **main)


def torch_module(weights: RecurWeights) -> torch.nn.RNNBase:
    """torch.nn's layer with these weights, in float64."""
    options = {"nonlinearity": "relu"} if weights.cell == "rnn_relu" else {}
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}.get(weights.cell, torch.nn.RNN)
    module = kind(weights.input_size, weights.hidden_size, **options).double()
    module.load_state_dict({TORCH_NAMES[k]: torch.tensor(getattr(weights, k)).double() for k in TORCH_NAMES})
    return module


def gap(a: object, b: object, floor: float = 1e-12) -> float:
    """max|a - b| / max|b|, in float64; b is the oracle.

    floor: least denominator, for arrays so small that their one number may be a difference of larger ones.
    """
    x, y = (np.asarray(v.detach() if isinstance(v, torch.Tensor) else v, np.float64) for v in (a, b))
    assert x.shape == y.shape, (x.shape, y.shape)
    if x.size == 0:
        return 0.0
    return float(np.max(np.abs(x - y)) / max(floor, float(np.max(np.abs(y)))))


TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
