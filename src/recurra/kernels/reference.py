"""The recurrences as one would write them on a board: oracle of the native engine, and its stand-in.

Written once over NumPy or torch arrays (torch: differentiable). All rows walk together, one time step after
the other, longest first; no arithmetic ever joins two rows, so with NumPy the answer for a row does not
depend on its neighbours in the batch.

With s the logistic function, * element by element and m the zoneout mask (0 without zoneout):

  rnn     h~ = tanh(W x + b_ih + b_hh + U h')          (rnn_relu: relu)
  lstm    i, f, o = s(...), g = tanh(...) of W x + b_ih + b_hh + U h'
          c~ = f * c + i * g, limited to [-cell_clip, cell_clip];  h~ = o * tanh(c~)
  gru     r, z = s(W x + b_ih + b_hh + U h')
          n = tanh(W x + b_in + r * (U h' + b_hn));  h~ = (1 - z) * n + z * h
  h' = recurrent_mask * h  (variational dropout, Gal and Ghahramani 2016: in the recurrent product only)
  zoneout (Krueger et al. 2016): h = m * h + (1 - m) * h~;  lstm: c = m_c * c + (1 - m_c) * c~
  bfloat16: both factors of every product with W and U are rounded to it first
  layer norm (Ba et al. 2016): LN(W x) gain_x and LN(U h') gain_h, over the whole G*H vector, stand for
          W x and U h', biases are added after; lstm: h~ = o * tanh(LN(c~) gain_c + bias_c)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.kernels.namespace import namespace
from recurra.kernels.weights import Array, Recurred, RecurWeights

NORM_EPS = 1e-5


@dataclass(frozen=True, kw_only=True)
class Walk:
    """How a ragged batch is walked: rows longest first, tokens by time step.

    order: (S,) rows by falling length; counts: rows that have a token at each time step;
    tokens: (N,) token indices in walking order; places: (N,) where each token stands in that order.
    """

    order: np.ndarray
    counts: list[int]
    tokens: np.ndarray
    places: np.ndarray


def walk(offsets: np.ndarray, reverse: bool = False) -> Walk:
    """The walk through a ragged batch with these offsets."""
    lengths = np.diff(offsets)
    order = np.argsort(-lengths, kind="stable")
    steps = int(lengths.max(initial=0))
    counts = [int(n) for n in np.searchsorted(-lengths[order], -np.arange(steps), side="left")]
    first = offsets[1:][order] - 1 if reverse else offsets[:-1][order]
    stride = -1 if reverse else 1
    parts = [first[:count] + stride * t for t, count in enumerate(counts)]
    tokens = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    places = np.empty(len(tokens), np.int64)
    places[tokens - int(offsets[0])] = np.arange(len(tokens))
    return Walk(order=order, counts=counts, tokens=tokens, places=places)


def _product(xp: Any, weights: RecurWeights, x: Array, w: Array) -> Array:
    """x W^T, of numbers rounded to bfloat16 where that is the precision of the weights."""
    return xp.dot(xp.halved(x), xp.halved(w)) if weights.precision == "bfloat16" else xp.dot(x, w)


def input_part(xp: Any, weights: RecurWeights, x: Array) -> Array:
    """The part of the gates that does not need the past, (N, G*H): bias and input product.

    The bias is b_ih + b_hh; a GRU's candidate takes b_in alone, since b_hn stands inside the reset.
    """
    product = _product(xp, weights, x, weights.w_ih)
    if weights.norm is not None:
        product = xp.normalise(product, weights.norm.gain_x, NORM_EPS)
    if weights.cell != "gru":
        return (weights.b_ih + weights.b_hh) + product
    both = 2 * weights.hidden_size
    bias = xp.cat([weights.b_ih[:both] + weights.b_hh[:both], weights.b_ih[both:]])
    return bias + product


def recurrent_part(xp: Any, weights: RecurWeights, h: Array) -> Array:
    """The part of the gates that comes from the past, (rows, G*H)."""
    product = _product(xp, weights, h, weights.w_hh)
    return product if weights.norm is None else xp.normalise(product, weights.norm.gain_h, NORM_EPS)


@dataclass(frozen=True, kw_only=True)
class Stepped:
    """One time step: new states before zoneout, and the gates on the way (None where a cell has none)."""

    h: Array
    c: Array | None
    gates: Array
    linear: Array | None = None


def step(xp: Any, weights: RecurWeights, pre: Array, h: Array, c: Array | None, mask: Array | None,
         cell_clip: float | None) -> Stepped:  # fmt: skip
    """One time step of rows whose input part is `pre` (rows, G*H)."""
    past = recurrent_part(xp, weights, h if mask is None else h * mask)
    if weights.cell == "lstm":
        return _lstm_step(xp, weights, pre + past, c, cell_clip)
    if weights.cell == "gru":
        return _gru_step(xp, weights, pre, past, h)
    y = xp.relu(pre + past) if weights.cell == "rnn_relu" else xp.tanh(pre + past)
    return Stepped(h=y, c=None, gates=y)


def _lstm_step(xp: Any, weights: RecurWeights, pre: Array, c: Array, cell_clip: float | None) -> Stepped:
    units = weights.hidden_size
    i = xp.sigmoid(pre[:, :units])
    f = xp.sigmoid(pre[:, units : 2 * units])
    g = xp.tanh(pre[:, 2 * units : 3 * units])
    o = xp.sigmoid(pre[:, 3 * units :])
    c = f * c + i * g
    if cell_clip is not None:
        c = xp.clip(c, -cell_clip, cell_clip)
    shown = c
    if weights.norm is not None:
        shown = xp.normalise(c, weights.norm.gain_c, NORM_EPS) + weights.norm.bias_c
    return Stepped(h=o * xp.tanh(shown), c=c, gates=xp.cat([i, f, g, o], axis=1))


def _gru_step(xp: Any, weights: RecurWeights, pre: Array, past: Array, h: Array) -> Stepped:
    both = 2 * weights.hidden_size
    rz = xp.sigmoid(pre[:, :both] + past[:, :both])
    r, z = rz[:, : weights.hidden_size], rz[:, weights.hidden_size :]
    linear = past[:, both:] + weights.b_hh[both:]
    n = xp.tanh(pre[:, both:] + r * linear)
    y = n + z * (h - n)
    return Stepped(h=y, c=None, gates=xp.cat([rz, n], axis=1), linear=linear)


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a layer is run, beside its weights; see `recurra.kernels.recur`."""

    reverse: bool = False
    cell_clip: float | None = None
    recurrent_mask: Array | None = None
    zoneout: float = 0.0
    zoneout_mask: Array | None = None
    gates: bool = False


def recur(weights: RecurWeights, pre: Array, offsets: np.ndarray, h0: Array | None, c0: Array | None,
          options: Options, watch: Callable[[list[Array], Walk], None] | None = None,
          xp: Any = None) -> Recurred:  # fmt: skip
    """Run one layer over a ragged batch whose input part `pre` (N, G*H) is known.

    watch is called with the states of the rows that walk at each step, and the walk, before they are joined.
    xp: the namespace to compute in, that of `pre` by default.
    """
    xp = xp or namespace(pre)
    way = walk(offsets, options.reverse)
    state = _Rows(xp, weights, way, h0, c0, options, pre)
    packed = xp.take(pre, way.tokens)
    zone = None if options.zoneout_mask is None else xp.take(options.zoneout_mask, way.tokens)
    begin = 0
    for count in way.counts:
        end = begin + count
        state.advance(count, packed[begin:end], None if zone is None else zone[begin:end])
        begin = end
    if watch is not None and way.counts:
        watch(state.ys[1:], way)
    return state.result()


class _Rows:
    """The states of the rows still walking, and what the finished ones left."""

    def __init__(self, xp: Any, weights: RecurWeights, way: Walk, h0: Array | None, c0: Array | None,
                 options: Options, like: Array) -> None:  # fmt: skip
        zeros = xp.zeros(like, (len(way.order), weights.hidden_size))
        self.xp, self.weights, self.way, self.options = xp, weights, way, options
        self.h = zeros if h0 is None else xp.take(h0, way.order)
        self.c = None
        if weights.cell == "lstm":
            self.c = zeros if c0 is None else xp.take(c0, way.order)
        mask = options.recurrent_mask
        self.mask = None if mask is None else xp.take(mask, way.order)
        self.done_h: list[Array] = []
        self.done_c: list[Array] = []
        self.steps: list[Stepped] = []
        self.ys: list[Array] = [xp.zeros(like, (0, weights.hidden_size))]

    def advance(self, count: int, pre: Array, zone: Array | None) -> None:
        self._finish(count)
        stepped = step(self.xp, self.weights, pre, self.h, self.c, self.mask, self.options.cell_clip)
        self.h, self.c = zoned(self.weights, stepped, self.h, self.c, self.options.zoneout, zone)
        self.ys.append(self.h)
        if self.options.gates:
            self.steps.append(Stepped(h=self.h, c=self.c, gates=stepped.gates, linear=stepped.linear))

    def _finish(self, count: int) -> None:
        if count == len(self.h):
            return
        self.done_h.append(self.h[count:])
        self.h = self.h[:count]
        if self.c is not None:
            self.done_c.append(self.c[count:])
            self.c = self.c[:count]
        if self.mask is not None:
            self.mask = self.mask[:count]

    def result(self) -> Recurred:
        self._finish(0)
        rows = np.argsort(self.way.order, kind="stable")
        xp = self.xp
        asked = self.options.gates
        return Recurred(
            y=self._tokens(self.ys),
            h=xp.take(xp.cat(self.done_h[::-1]) if self.done_h else self.h, rows),
            c=None if self.c is None else xp.take(xp.cat(self.done_c[::-1]) if self.done_c else self.c, rows),
            gates=self._asked([s.gates for s in self.steps], self.weights.gates) if asked else None,
            cells=self._asked([s.c for s in self.steps], 1) if asked and self.c is not None else None,
            linear=self._asked([s.linear for s in self.steps], 1)
            if asked and self.weights.cell == "gru"
            else None,
        )

    def _asked(self, parts: list[Array], gates: int) -> Array:
        empty = self.xp.zeros(self.h, (0, gates * self.weights.hidden_size))
        return self._tokens([empty, *parts])

    def _tokens(self, parts: list[Array]) -> Array:
        return self.xp.take(self.xp.cat(parts), self.way.places)


def zoned(weights: RecurWeights, new: Stepped, h: Array, c: Array | None, rate: float,
          mask: Array | None) -> tuple[Array, Array | None]:  # fmt: skip
    """States after zoneout: a unit keeps its old value where the mask is 1, or by the rate without a mask."""
    if mask is None and rate == 0.0:
        return new.h, new.c
    units = weights.hidden_size
    keep_h: Any = h.dtype.type(rate) if mask is None and isinstance(h, np.ndarray) else rate
    keep_c = keep_h
    if mask is not None:
        keep_h, keep_c = mask[:, :units], mask[:, units:]
    mixed = keep_h * h + (1 - keep_h) * new.h
    return mixed, (None if c is None else keep_c * c + (1 - keep_c) * new.c)
