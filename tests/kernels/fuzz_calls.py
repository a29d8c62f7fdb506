"""One valid call of every function of the native module, drawn from a seed: what the fuzzer spoils.

No torch here: these run in the fuzzer's worker, beside nothing but NumPy and the module under test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Arguments = dict[str, Any]
GATES = {"rnn": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}


class Draw:
    """Sizes, numbers and objects of one call; equal seeds draw equal ones."""

    def __init__(self, native: Any, seed: int) -> None:
        self.native = native
        self.rng = np.random.default_rng(seed)
        self.dtype = self.pick(np.float32, np.float32, np.float64)

    def pick(self, *choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def maybe(self, value: Any) -> Any:
        return self.pick(value, None)

    def size(self, least: int = 0) -> int:
        return int(self.rng.integers(least, self.pick(4, 9, 40)))

    def real(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape).astype(self.dtype)

    def below(self, end: int, *shape: int) -> np.ndarray:
        return self.rng.integers(0, max(1, end), shape) if end else np.zeros((0,) * len(shape), np.int64)

    def offsets(self, tokens: int) -> np.ndarray:
        inside = np.sort(self.rng.integers(0, tokens + 1, self.size(0)))
        return np.concatenate([[0], inside, [tokens]]).astype(np.int64)

    def shape(self) -> tuple[int, ...]:
        return tuple(self.size() for _ in range(int(self.rng.integers(0, 5))))[: self.pick(1, 2, 2, 4)]

    def packed(self, **wanted: Any) -> Any:
        """A Packed and its (cell, I, H)."""
        cell = self.pick(*GATES)
        inputs, units = self.size(1), self.size(1)
        rows = GATES[cell] * units
        if self.dtype == np.float64:
            wanted.pop("precision", None)
        weights = self.real(rows, inputs), self.real(rows, units), self.real(rows), self.real(rows)
        if wanted.get("precision", "float32") == "float32" and self.pick(True, False):
            wanted |= self.gains(cell, units)
        return self.native.Packed(cell, *weights, **wanted), cell, inputs, units

    def gains(self, cell: str, units: int) -> Arguments:
        """Of a layer-normalised cell."""
        found = {"gain_x": self.real(GATES[cell] * units), "gain_h": self.real(GATES[cell] * units)}
        return found | ({"gain_c": self.real(units), "bias_c": self.real(units)} if cell == "lstm" else {})

    def zones(self, cell: str, units: int, tokens: int, full: bool = True) -> Arguments:
        """Zoneout or none, where the precision is full; a mask takes the place of the rate."""
        mask = (
            self.real(tokens, units * (2 if cell == "lstm" else 1))
            if full and self.pick(True, False)
            else None
        )
        return {"zoneout": self.pick(0.0, 0.2) if full else 0.0, "zoneout_mask": mask}

    def recurrence(self, **wanted: Any) -> tuple[Arguments, str, int, int, int]:
        """packed, x, offsets; and cell, units, tokens, sequences."""
        packed, cell, inputs, units = self.packed(**wanted)
        tokens = self.size()
        offsets = self.offsets(tokens)
        given = {"packed": packed, "x": self.real(tokens, inputs), "offsets": offsets}
        return given, cell, units, tokens, len(offsets) - 1


def _recur_forward(d: Draw) -> Arguments:
    precision = d.pick("float32", "bfloat16", "int8")
    given, cell, units, tokens, rows = d.recurrence(precision=precision)
    plain = precision == "int8" and d.dtype == np.float32
    preprojected = not plain and d.pick(True, False, False)
    if preprojected:
        given["x"] = d.real(tokens, GATES[cell] * units)
    lstm = cell == "lstm"
    return given | {
        "h0": d.maybe(d.real(rows, units)),
        "c0": d.maybe(d.real(rows, units)) if lstm else None,
        "reverse": d.pick(True, False),
        "cell_clip": d.maybe(0.5) if lstm else None,
        "recurrent_mask": None if plain else d.maybe(d.real(rows, units)),
        "save": not plain and d.pick(True, False),
        "preprojected": preprojected,
        **d.zones(cell, units, tokens, precision == "float32" or d.dtype == np.float64),
    }


def _recur_backward(d: Draw) -> Arguments:
    precision = d.pick("float32", "bfloat16")
    given, cell, units, tokens, rows = d.recurrence(backward=True, precision=precision)
    lstm = cell == "lstm"
    zones = d.zones(cell, units, tokens, precision == "float32" or d.dtype == np.float64)
    saved = d.native.recur_forward(given["packed"], given["x"], given["offsets"], save=True, **zones)
    gates, cells, extra = saved[3:]
    return (
        given
        | zones
        | {
            "y": d.real(tokens, units),
            "gates": gates,
            "cells": cells,
            "extra": extra,
            "dy": d.maybe(d.real(tokens, units)),
            "dh": d.maybe(d.real(rows, units)),
            "dc": d.maybe(d.real(rows, units)) if lstm else None,
            "h0": d.maybe(d.real(rows, units)),
            "c0": d.maybe(d.real(rows, units)) if lstm else None,
            "reverse": d.pick(True, False),
            "cell_clip": d.maybe(0.5) if lstm else None,
            "recurrent_mask": d.maybe(d.real(rows, units)),
            "need_dx": d.pick(True, False),
            "need_weights": d.pick(True, False),
            "steps": d.pick(True, False),
        }
    )


def _recur_project(d: Draw) -> Arguments:
    given = d.recurrence(precision=d.pick("float32", "bfloat16"))[0]
    return {"packed": given["packed"], "x": given["x"]}


def _packed(d: Draw) -> Arguments:
    cell = d.pick(*GATES)
    inputs, units = d.size(1), d.size(1)
    rows = GATES[cell] * units
    precision = "float32" if d.dtype == np.float64 else d.pick("float32", "bfloat16", "int8")
    return {
        "cell": cell,
        "w_ih": d.real(rows, inputs),
        "w_hh": d.real(rows, units),
        "b_ih": d.maybe(d.real(rows)),
        "b_hh": d.maybe(d.real(rows)),
        "forward": d.pick(True, False),
        "backward": precision != "int8" and d.pick(True, False),
        "precision": precision,
        **(d.gains(cell, units) if precision == "float32" and d.pick(True, False) else {}),
    }


def _stack(d: Draw) -> tuple[list[Any], str, int, int]:
    precision = d.pick("float32", "bfloat16", "int8") if d.dtype == np.float32 else "float32"
    first, cell, inputs, units = d.packed(precision=precision)
    rows = GATES[cell] * units
    gains = d.gains(cell, units) if first.normalised else {}
    above = [
        d.native.Packed(cell, d.real(rows, units), d.real(rows, units), precision=precision, **gains)
        for _ in range(d.pick(0, 1, 2))
    ]
    return [first, *above], cell, inputs, units


def _stepper(d: Draw) -> Arguments:
    stack, cell, _, _ = _stack(d)
    clip = d.maybe(0.5) if cell == "lstm" else None
    full = stack[0].precision in ("float32", "float64")
    return {
        "stack": stack,
        "rows": d.size(1),
        "cell_clip": clip,
        "zoneout": d.pick(0.0, 0.2) if full else 0.0,
    }


def _with_stepper(d: Draw, wanted: str) -> Arguments:
    """A stepper with states in it, `self`, and the argument wanted: x, state or none; and perhaps an index."""
    stack, cell, inputs, units = _stack(d)
    rows = d.size(1)
    kinds = 2 if cell == "lstm" else 1
    stepper = d.native.Stepper(stack, rows)
    stepper.load(d.real(len(stack), kinds, rows, units))
    index = d.maybe(d.rng.permutation(rows)[: d.size()].astype(np.int64))
    count = rows if index is None else len(index)
    more: Arguments = {"index": index}
    if wanted == "x":
        more = {"x": d.real(count, inputs)} | more
    if wanted == "state":
        more = {"state": d.real(len(stack), kinds, count, units)} | more
    return {"self": stepper} | more


def _scaler(d: Draw) -> Arguments:
    n = d.size()
    d.dtype = np.float64
    return {
        "center": d.real(n), "scale": d.real(n), "fill": d.real(n),
        "masked": sorted({int(i) for i in d.below(n, min(n, 3))}), "missing": d.pick(True, False),
    }  # fmt: skip


def _with_scaler(d: Draw, *rows: int) -> Arguments:
    given = _scaler(d)
    d.dtype = d.pick(np.float32, np.float64)
    features = len(given["center"])
    return {"self": d.native.RowScaler(**given), "x": d.real(*rows, features)}


def _dense(d: Draw) -> Arguments:
    n, i, o = d.size(), d.size(), d.size()
    return {"x": d.real(n, i), "w": d.real(o, i), "b": d.maybe(d.real(o))}


def _dense_dx(d: Draw) -> Arguments:
    n, i, o = d.size(), d.size(), d.size()
    return {"dy": d.real(n, o), "w": d.real(o, i)}


def _dense_dw(d: Draw) -> Arguments:
    n, i, o = d.size(), d.size(), d.size()
    return {"dy": d.real(n, o), "x": d.real(n, i), "bias": d.pick(True, False)}


def _gather(d: Draw) -> Arguments:
    rows = d.size(1)
    return {"x": d.real(rows, d.size()), "index": d.below(rows, d.size())}


def _scatter(d: Draw) -> Arguments:
    rows, n = d.size(1), d.size()
    return {"dy": d.real(n, d.size()), "index": d.below(rows, n), "rows": rows}


def _concat(d: Draw) -> Arguments:
    n = d.size()
    return {"parts": [d.real(n, d.size()) for _ in range(d.pick(1, 2, 3))]}


def _take_columns(d: Draw) -> Arguments:
    width = d.size()
    begin, end = sorted(int(i) for i in d.rng.integers(0, width + 1, 2))
    return {"x": d.real(d.size(), width), "begin": begin, "end": end}


def _binary(d: Draw) -> Arguments:
    shape = d.shape()
    a = d.real(*shape)
    return {
        "op": d.pick("add", "mul"),
        "a": a,
        "b": d.real(*(shape if len(shape) != 2 else d.pick(shape, shape[1:]))),
    }


def _unary_grad(d: Draw) -> Arguments:
    shape = d.shape()
    op = d.pick("sigmoid", "tanh", "relu", "exp", "softplus")
    return {"op": op, "held": d.real(*shape), "dy": d.real(*shape)}


def _bce(d: Draw) -> Arguments:
    n, c = d.size(), d.size()
    return {"logits": d.real(n, c), "targets": d.real(n, c), "pos_weight": d.maybe(d.real(c)),
            "dloss": d.maybe(d.real(n, c))}  # fmt: skip


def _error_loss(d: Draw) -> Arguments:
    shape = d.shape()
    kind = d.pick("squared", "absolute", "huber")
    return {"kind": kind, "predictions": d.real(*shape), "targets": d.real(*shape), "delta": 0.7,
            "dloss": d.maybe(d.real(*shape))}  # fmt: skip


def _soft(d: Draw) -> Arguments:
    return {"op": d.pick("softmax", "log_softmax", "logsumexp"), "x": d.real(d.size(), d.size(1))}


def _soft_grad(d: Draw) -> Arguments:
    op, n, c = d.pick("softmax", "log_softmax", "logsumexp"), d.size(), d.size(1)
    per_row = op == "logsumexp"
    return {"op": op, "held": d.real(n, c), "dy": d.real(n) if per_row else d.real(n, c),
            "lse": d.real(n) if per_row else None}  # fmt: skip


def _cross_entropy(d: Draw) -> Arguments:
    n, c = d.size(), d.size(1)
    return {
        "logits": d.real(n, c),
        "targets": d.below(c, n),
        "weight": d.maybe(d.real(c)),
        "label_smoothing": 0.1,
    }


def _cross_entropy_grad(d: Draw) -> Arguments:
    given = _cross_entropy(d)
    n = len(given["logits"])
    return given | {"kept": d.real(n, 2), "dloss": d.real(n)}


def _layer_norm(d: Draw) -> Arguments:
    c = d.size()
    return {"x": d.real(d.size(), c), "gain": d.real(c), "bias": d.real(c), "eps": 1e-5}


def _layer_norm_grad(d: Draw) -> Arguments:
    n, c = d.size(), d.size()
    return {"x": d.real(n, c), "gain": d.real(c), "kept": d.real(n, 2), "dy": d.real(n, c)}


def _pool(d: Draw) -> Arguments:
    op, n, f = d.pick("mean", "max", "attention"), d.size(), d.size()
    offsets = d.offsets(n)
    state = d.real(len(offsets) - 1, f + (3 if op == "attention" else 1))
    return {"op": op, "x": d.real(n, f), "offsets": offsets, "scores": d.real(n) if op == "attention" else None,
            "initial": d.maybe(state), "carry": d.pick(True, False)}  # fmt: skip


def _pool_grad(d: Draw) -> Arguments:
    given = _pool(d)
    op, x, rows = given["op"], given["x"], len(given["offsets"]) - 1
    features = x.shape[1]
    kept = d.real(rows, {"mean": 1, "max": features, "attention": 2}[op])
    return {"op": op, "x": x, "offsets": given["offsets"], "scores": given["scores"], "y": d.real(rows, features),
            "kept": kept, "dy": d.real(rows, features)}  # fmt: skip


def _pool_push(d: Draw) -> Arguments:
    op, rows, f = d.pick("mean", "max", "attention"), d.size(1), d.size()
    index = d.maybe(d.below(rows, d.size()))
    count = rows if index is None else len(index)
    return {"op": op, "state": d.real(rows, f + (3 if op == "attention" else 1)), "x": d.real(count, f),
            "scores": d.real(count) if op == "attention" else None, "index": index}  # fmt: skip


def _pool_result(d: Draw) -> Arguments:
    op = d.pick("mean", "max", "attention")
    return {"op": op, "state": d.real(d.size(), d.size() + (3 if op == "attention" else 1))}


def _chain(d: Draw) -> Arguments:
    n, labels = d.size(), d.size(1)
    return {"emissions": d.real(n, labels), "offsets": d.offsets(n), "transitions": d.real(labels, labels),
            "start": d.real(labels), "end": d.real(labels)}  # fmt: skip


def _crf_loss(d: Draw) -> Arguments:
    c = _chain(d)
    n, labels = c["emissions"].shape
    return c | {"tags": d.below(labels, n) - d.pick(0, 1)}


def _crf_grad(d: Draw) -> Arguments:
    c = _crf_loss(d)
    n, labels = c["emissions"].shape
    return c | {"all": d.real(n, labels), "truth": d.real(n, labels), "dloss": d.real(len(c["offsets"]) - 1)}


def _adam(d: Draw) -> Arguments:
    shape = d.shape()
    return {"parameter": d.real(*shape), "gradient": d.real(*shape), "first": d.real(*shape),
            "second": np.asarray(np.abs(d.real(*shape))), "rate": 0.1, "beta1": 0.9,
            "beta2": 0.99, "epsilon": 1e-8, "step": 3, "decay": 0.01,
            "decoupled": d.pick(True, False), "scale": 0.5}  # fmt: skip


def _weighted_mean(d: Draw) -> Arguments:
    shape = d.shape()
    return {"values": d.real(*shape), "weights": d.maybe(d.real(*shape)), "dmean": d.maybe(d.real())}


CALLS: dict[str, Callable[[Draw], Arguments]] = {
    "Packed": _packed,
    "recur_project": _recur_project,
    "recur_forward": _recur_forward,
    "recur_backward": _recur_backward,
    "Stepper": _stepper,
    "Stepper.step": lambda d: _with_stepper(d, "x"),
    "Stepper.load": lambda d: _with_stepper(d, "state"),
    "Stepper.state": lambda d: _with_stepper(d, ""),
    "Stepper.reset": lambda d: _with_stepper(d, ""),
    "RowScaler": _scaler,
    "RowScaler.row": _with_scaler,
    "RowScaler.rows": lambda d: _with_scaler(d, d.size()),
    "dense": _dense,
    "dense_dx": _dense_dx,
    "dense_dw": _dense_dw,
    "column_sums": lambda d: {"x": d.real(d.size(), d.size())},
    "gather_rows": _gather,
    "scatter_rows": _scatter,
    "concat_features": _concat,
    "take_columns": _take_columns,
    "unary": lambda d: {"op": d.pick("sigmoid", "tanh", "relu", "exp", "softplus"), "x": d.real(*d.shape())},
    "unary_grad": _unary_grad,
    "binary": _binary,
    "scale": lambda d: {"x": d.real(*d.shape()), "factor": 0.3},
    "dropout": lambda d: {"x": d.real(*d.shape()), "rate": 0.4, "seed": 11},
    "binary_cross_entropy": _bce,
    "error_loss": _error_loss,
    "soft": _soft,
    "soft_grad": _soft_grad,
    "cross_entropy": _cross_entropy,
    "cross_entropy_grad": _cross_entropy_grad,
    "layer_norm": _layer_norm,
    "layer_norm_grad": _layer_norm_grad,
    "pool": _pool,
    "pool_grad": _pool_grad,
    "pool_push": _pool_push,
    "pool_result": _pool_result,
    "crf_loss": _crf_loss,
    "crf_grad": _crf_grad,
    "crf_marginals": _chain,
    "viterbi": _chain,
    "sums_of_squares": lambda d: {"arrays": [d.real(*d.shape()) for _ in range(d.pick(0, 1, 3))]},
    "adam": _adam,
    "weighted_mean": _weighted_mean,
    "set_num_threads": lambda d: {"n": d.pick(1, 2, 3)},
    "set_isa": lambda d: {"isa": d.pick(*d.native.engine()["available"])},
    "fma_peak": lambda d: {"seconds": 1e-6, "threads": d.pick(None, 1, 2)},
}

NO_ARGUMENTS = {"engine", "get_num_threads", "default_num_threads", "drop_buffers"}
