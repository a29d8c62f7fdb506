"""Keras 3 on JAX: a functional model, called without state inside one jitted function, masked where ragged.

XLA takes its threads from the machine, so this engine takes part only where all of them are asked for.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from recurra.kernels import GATES, RecurWeights
from recurra.runtime.bench.answer import Answer
from recurra.runtime.bench.case import Case
from recurra.runtime.bench.engines.engine import LeftOutError, Prepared, needed
from recurra.runtime.bench.problem import Problem

_GRU = [1, 0, 2]
"""Keras keeps z, r, h; an LSTM's i, f, c, o is our order already."""


def prepare(problem: Problem) -> Prepared:
    """Keras on JAX for this case."""
    case = problem.case
    if case.dtype != "float32":
        raise LeftOutError(f"keras-jax is measured in float32, not in {case.dtype}")
    if case.threads != len(os.sched_getaffinity(0)):
        raise LeftOutError("keras-jax cannot be told its number of threads; it uses all processors")
    jax, keras = _loaded()
    jax.config.update("jax_platforms", "cpu")
    model = _model(keras, problem)
    return _train(jax, model, problem) if case.mode == "train" else _forward(jax, model, problem)


def _loaded() -> tuple[Any, Any]:
    how = "pip install keras jax"
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "jax"
    jax, keras = needed("jax", how), needed("keras", how)
    if keras.backend.backend() != "jax":
        raise LeftOutError(f"keras is already running on {keras.backend.backend()} in this process")
    return jax, keras


def _model(keras: Any, problem: Problem) -> Any:
    """x (S, T, I), and a mask (S, T) where ragged, to y and the states of every layer."""
    case = problem.case
    x = tokens = keras.Input(batch_shape=(case.batch, int(problem.lengths.max()), case.inputs))
    mask = keras.Input(batch_shape=x.shape[:2], dtype="bool") if problem.ragged else None
    layers, states = [], []
    for _ in problem.layers:
        layers.append(_layer(keras, case))
        x, *last = layers[-1](x, mask=mask)
        states += last
    model = keras.Model([tokens] if mask is None else [tokens, mask], [x, *states])
    for made, layer in zip(layers, problem.layers, strict=True):
        made.set_weights([part for weights in layer for part in _arranged(weights)])
    return model


def _layer(keras: Any, case: Case) -> Any:
    kinds = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}
    extra = {"activation": "relu"} if case.cell == "rnn_relu" else {}
    layer = kinds.get(case.cell, keras.layers.SimpleRNN)(
        case.hidden_size, return_sequences=True, return_state=True, **extra
    )
    return keras.layers.Bidirectional(layer) if case.bidirectional else layer


def _arranged(weights: RecurWeights) -> list[np.ndarray]:
    """kernel (I, G*H), recurrent kernel (H, G*H) and bias in Keras' order of gates."""
    w_ih, w_hh, b_ih, b_hh = (
        _turned(part, weights.cell) for part in (weights.w_ih, weights.w_hh, weights.b_ih, weights.b_hh)
    )
    return [w_ih.T, w_hh.T, np.stack([b_ih, b_hh]) if weights.cell == "gru" else b_ih + b_hh]


def _turned(part: np.ndarray, cell: str) -> np.ndarray:
    """Rows by gate, in Keras' order, or back: the exchange of the first two is its own reverse."""
    if cell != "gru":
        return part
    return part.reshape(GATES[cell], -1, *part.shape[1:])[_GRU].reshape(part.shape)


def _inputs(jax: Any, problem: Problem) -> list[Any]:
    x = [jax.numpy.asarray(problem.padded(problem.x).swapaxes(0, 1))]
    return [*x, jax.numpy.asarray(problem.mask.T)] if problem.ragged else x


def _values(model: Any) -> tuple[list[Any], list[Any]]:
    return [v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables]


def _tokens(problem: Problem, batch_first: Any) -> np.ndarray:
    return problem.tokens(np.asarray(batch_first).swapaxes(0, 1))


def _forward(jax: Any, model: Any, problem: Problem) -> Prepared:
    weights, rest = _values(model)
    inputs = _inputs(jax, problem)

    def forward(weights: Any, inputs: Any) -> Any:
        return model.stateless_call(weights, rest, inputs, training=False)[0]

    def answer(result: Any) -> Answer:
        case, (y, *states) = problem.case, result
        parts = ("h", "c") if case.cell == "lstm" else ("h",)
        shape = (case.num_layers, case.directions, len(parts), case.batch, case.hidden_size)
        last = np.stack([np.asarray(state) for state in states]).reshape(shape)
        return {"y": _tokens(problem, y), **{name: last[:, :, at] for at, name in enumerate(parts)}}

    jitted = jax.jit(forward)
    return Prepared(run=lambda: jax.block_until_ready(jitted(weights, inputs)), answer=answer)


def _train(jax: Any, model: Any, problem: Problem) -> Prepared:
    weights, rest = _values(model)
    x, *mask = _inputs(jax, problem)
    dy = jax.numpy.asarray(problem.padded(problem.dy).swapaxes(0, 1))

    def gradient(weights: Any, x: Any) -> Any:
        def loss(weights: Any, x: Any) -> Any:
            y = model.stateless_call(weights, rest, [x, *mask], training=True)[0][0]
            return (y * dy).sum(), y

        return jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(weights, x)

    def answer(result: Any) -> Answer:
        (_, y), (found, dx) = result
        names = _gradients(problem, [np.asarray(g) for g in found])
        return {"y": _tokens(problem, y), "dx": _tokens(problem, dx), **names}

    jitted = jax.jit(gradient)
    return Prepared(run=lambda: jax.block_until_ready(jitted(weights, x)), answer=answer)


def _gradients(problem: Problem, found: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Our names and layout; Keras has one bias where ours are two with the same gradient."""
    places = [(level, place) for level, layer in enumerate(problem.layers) for place in range(len(layer))]
    named: dict[str, np.ndarray] = {}
    cell = problem.case.cell
    for index, (level, place) in enumerate(places):
        kernel, recurrent, bias = found[3 * index : 3 * index + 3]
        parts = {"w_ih": kernel.T, "w_hh": recurrent.T}
        parts |= {"b_ih": bias[0], "b_hh": bias[1]} if cell == "gru" else {"b_ih": bias}
        named |= {f"{level}.{place}.{name}": _turned(part, cell) for name, part in parts.items()}
    return named
