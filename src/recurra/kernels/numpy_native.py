"""The operators on NumPy arrays by the native engine; `recurra._native` checks shapes, indices and
offsets."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from recurra.errors import KernelError
from recurra.kernels import checks, engines, reference
from recurra.kernels.namespace import NUMPY, Composing
from recurra.kernels.reference import Options
from recurra.kernels.weights import NORM_NAMES, Array, Recurred, RecurWeights

F = TypeVar("F", bound=Callable[..., Any])


def refusing(function: F) -> F:
    """The same function with the native module's ValueError turned into KernelError."""

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (ValueError, OverflowError) as error:
            raise KernelError(str(error)) from None
        except TypeError as error:
            if "incompatible function arguments" not in str(error):
                raise
            raise KernelError(f"{function.__name__} was given arguments of a wrong kind: {error}") from None

    return guarded  # type: ignore[return-value]


def module() -> ModuleType:
    """The native module, which is known to be there."""
    native = engines.native()
    assert native is not None
    return native


def _tight(x: Array | None) -> Any:
    if x is None:
        return None
    laid = np.ascontiguousarray(x)
    return laid if laid.flags.aligned else laid.copy()


def packed(weights: RecurWeights) -> Any:
    """The weights in the layout of the native engine, made once per record."""
    held = weights.packed.get("native")
    if held is None:
        held = weights.packed["native"] = pack(weights)
    return held


def pack(weights: RecurWeights) -> Any:
    """The weights in the layout of the native engine."""
    main = (_tight(w) for w in (weights.w_ih, weights.w_hh, weights.b_ih, weights.b_hh))
    rounded = {} if weights.precision == "float32" else {"precision": weights.precision}
    gains = {} if weights.norm is None else {k: _tight(getattr(weights.norm, k)) for k in NORM_NAMES}
    return module().Packed(weights.cell, *main, **rounded, **gains)


def fused(weights: RecurWeights, options: Options) -> bool:
    """Whether the native engine has this cell with these options; else it is composed of other operators: zoneout in
    fewer bits."""
    return weights.precision == "float32" or not zoned(options)


def zoned(options: Options) -> bool:
    """Whether units keep a part of their old state."""
    return options.zoneout != 0.0 or options.zoneout_mask is not None


@refusing
def recur(weights: RecurWeights, x: Array | None, offsets: np.ndarray, h0: Array | None, c0: Array | None,
          options: Options, preprojected: Array | None) -> Recurred:  # fmt: skip
    """Run one layer."""
    if not fused(weights, options):
        return composed(weights, x, offsets, h0, c0, options, preprojected)
    y, h, c, gates, cells, extra = module().recur_forward(
        packed(weights),
        _tight(x if preprojected is None else preprojected),
        _tight(offsets),
        _tight(h0),
        _tight(c0),
        reverse=options.reverse,
        cell_clip=options.cell_clip,
        recurrent_mask=_tight(options.recurrent_mask),
        save=options.gates,
        preprojected=preprojected is not None,
        zoneout=options.zoneout,
        zoneout_mask=_tight(options.zoneout_mask),
    )
    return recurred(weights, y, h, c, gates, cells, extra) if options.gates else Recurred(y=y, h=h, c=c)


def composed(weights: RecurWeights, x: Array | None, offsets: np.ndarray, h0: Array | None, c0: Array | None,
             options: Options, preprojected: Array | None) -> Recurred:  # fmt: skip
    """Run one layer step by step on the other operators."""
    xp = Composing(NUMPY, sys.modules[__name__])
    given = x if preprojected is None else preprojected
    places = checks.offsets(offsets, given.shape[0])  # type: ignore[union-attr]
    with np.errstate(all="ignore"):
        pre = reference.input_part(xp, weights, x) if preprojected is None else preprojected
        return reference.recur(weights, pre, places, h0, c0, options, xp=xp)


def recurred(weights: RecurWeights, y: Array, h: Array, c: Array | None, gates: Array | None,
             cells: Array | None, extra: Array | None) -> Recurred:  # fmt: skip
    """The record with gates: a plain rnn's gate is y; `linear` of a gru is the first that `extra` holds."""
    linear = extra[:, : weights.hidden_size] if weights.cell == "gru" and extra is not None else None
    return Recurred(y=y, h=h, c=c, gates=y if gates is None else gates, cells=cells, linear=linear)


@refusing
def fold_embedding(weights: RecurWeights, table: Array) -> Array:
    """Input part of every word."""
    return module().recur_project(packed(weights), _tight(table))


@refusing
def dense(x: Array, w: Array, b: Array | None) -> Array:
    """b + x W^T."""
    return module().dense(_tight(x), _tight(w), _tight(b))


@refusing
def gather_rows(x: Array, index: np.ndarray) -> Array:
    """Rows of x."""
    return module().gather_rows(_tight(x), _tight(index))


@refusing
def pool(kind: str, x: Array, offsets: np.ndarray, scores: Array | None,
         initial: Array | None = None) -> tuple[Array, Array]:  # fmt: skip
    """mean, max or attention over the tokens of every row, and the state since."""
    given = (_tight(x), _tight(offsets), _tight(scores), _tight(initial))
    y, _, carried = module().pool(kind, *given, True)
    return y, carried


@refusing
def layer_norm(x: Array, gain: Array, bias: Array, eps: float) -> Array:
    """Layer norm."""
    return module().layer_norm(_tight(x), _tight(gain), _tight(bias), eps)[0]


@refusing
def activation(name: str, x: Array) -> Array:
    """sigmoid, tanh, relu, exp or softplus."""
    return _flat(lambda a: module().unary(name, a), x)


def _flat(run: Callable[..., Array], x: Array, *others: Array) -> Array:
    """run over arrays of one shape, laid out as one run of numbers."""
    return run(*(_tight(a).reshape(-1) for a in (x, *others))).reshape(x.shape)


@refusing
def soft(kind: str, x: Array) -> Array:
    """softmax, log_softmax or logsumexp along the last axis."""
    y = module().soft(kind, _tight(x).reshape(-1, x.shape[-1]))
    return y.reshape(x.shape[:-1] if kind == "logsumexp" else x.shape)


@refusing
def cross_entropy(logits: Array, targets: np.ndarray, weight: Array | None, smoothing: float) -> Array:
    """Cross entropy per row."""
    return module().cross_entropy(_tight(logits), _tight(targets), _tight(weight), smoothing)[0]


@refusing
def binary_cross_entropy(logits: Array, targets: Array, pos_weight: Array | None) -> Array:
    """Binary cross entropy per element."""
    return module().binary_cross_entropy(_tight(logits), _tight(targets), _tight(pos_weight))


@refusing
def error_loss(kind: str, predictions: Array, targets: Array, delta: float) -> Array:
    """squared, absolute or huber loss per element."""
    return _flat(lambda a, b: module().error_loss(kind, a, b, delta), predictions, targets)


@refusing
def crf_loss(emissions: Array, offsets: np.ndarray, tags: np.ndarray, *chain: Array) -> Array:
    """-log p(tags) of every row."""
    given = (_tight(x) for x in (emissions, offsets, tags, *chain))
    return module().crf_loss(*given)[0]


@refusing
def crf_marginals(emissions: Array, offsets: np.ndarray, *chain: Array) -> Array:
    """The probability of each tag at each token."""
    return module().crf_marginals(*(_tight(x) for x in (emissions, offsets, *chain)))


@refusing
def viterbi(emissions: Array, offsets: np.ndarray, *chain: Array) -> tuple[Array, Array]:
    """The best path of every row and its score."""
    path, score = module().viterbi(*(_tight(x) for x in (emissions, offsets, *chain)))
    return path, score


@refusing
def block_sum(x: Array) -> Array:
    """Sum over the first axis in blocks."""
    if x.ndim == 1:
        return module().column_sums(_tight(x)[:, None])[0:1].reshape(())
    return module().column_sums(_tight(x))


@refusing
def weighted_mean(values: Array, weights: Array | None) -> Array:
    """Mean."""
    flat = _tight(values).reshape(-1)
    return module().weighted_mean(flat, None if weights is None else _tight(weights).reshape(-1))


@refusing
def dropout(x: Array, rate: float, seed: int) -> Array:
    """Dropout."""
    return _flat(lambda a: module().dropout(a, rate, seed), x)


@refusing
def concat_features(parts: list[Array]) -> Array:
    """Side by side."""
    return module().concat_features([_tight(part) for part in parts])


@refusing
def binary(kind: str, a: Array, b: Array) -> Array:
    """add or mul; b of the shape of a or of its rows."""
    if a.ndim == 2 and b.ndim == 1:
        return module().binary(kind, _tight(a), _tight(b))
    return _flat(lambda x, y: module().binary(kind, x, y), a, b)


@refusing
def scale(x: Array, factor: float) -> Array:
    """x times a number."""
    return _flat(lambda a: module().scale(a, factor), x)


@refusing
def push(kind: str, state: Array, x: Array, scores: Array | None, rows: np.ndarray | None) -> None:
    """One more token of a stepwise pooling; changes the state in place."""
    module().pool_push(kind, state, _tight(x), _tight(scores), _tight(rows))


@refusing
def extend(kind: str, state: Array, x: Array, scores: Array | None, row: int) -> None:
    """Several tokens, one after the other, into one row of a stepwise pooling."""
    rows = np.full(len(x), row, np.int64)
    module().pool_push(kind, state, _tight(x), _tight(scores), rows)


@refusing
def pushed(kind: str, state: Array) -> Array:
    """What a stepwise pooling has come to."""
    return module().pool_result(kind, state)


@refusing
def norms(arrays: list[Array]) -> np.ndarray:
    """Euclidean norm of each array in double."""
    squares: np.ndarray = module().sums_of_squares([_tight(a).reshape(-1) for a in arrays])
    return np.asarray(np.sqrt(squares))
