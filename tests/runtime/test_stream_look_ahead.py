"""Bidirectional models in a stream: what a declared look-ahead means, against a direct computation of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recurra import kernels
from recurra.errors import StateError
from recurra.graph.pool import POOLINGS, Pool
from recurra.graph.recur import Recur
from recurra.spec import CELLS
from runtime.streaming import assert_same_bits, model_of, numbers, plain_signal, words

SIGNAL = plain_signal()


def directly(model: Any, x: np.ndarray, k: int) -> np.ndarray:
    """Outputs after all of x (n, I), from nothing but the definition: for every n a run over the last k steps."""
    node: Recur = model.model.node(Recur)
    layers = range(node.network.num_layers)
    places = {(p.layer, p.reverse): p for p in node.places()}
    forward = [node.start(model.parameters, places[layer, False], 1) for layer in layers]
    stood: list[np.ndarray] = []
    for end in range(len(x) + 1):
        begin = max(0, end - k)
        values, offsets = x[begin:end], np.array([0, end - begin])
        after = []
        for layer in layers:
            runs = {}
            for reverse in (False, True):
                place = places[layer, reverse]
                start = node.start(model.parameters, place, 1) if reverse else forward[layer]
                runs[reverse] = kernels.recur(
                    node.weights(model.parameters, place), values, offsets, h0=start[0], c0=start[1],
                    reverse=reverse, cell_clip=node.network.cell_clip, zoneout=node.network.zoneout, gates=True,
                )  # fmt: skip
            ahead = runs[False]
            after.append((ahead.y[:1], None if ahead.cells is None else ahead.cells[:1]))
            final = np.concatenate([ahead.h, runs[True].h], axis=1)
            values = np.concatenate([ahead.y, runs[True].y], axis=1)
        if end < len(x) and end - begin == k:
            stood.append(values[0])
            forward = after
    tokens = np.concatenate([np.reshape(stood, (-1, values.shape[1])).astype(np.float32), values])
    return _answer(model, tokens, final)


def _answer(model: Any, tokens: np.ndarray, final: np.ndarray) -> np.ndarray:
    pool, offsets = model.model.node(Pool), np.array([0, len(tokens)])
    if pool.how == "last":
        pooled = final
    elif pool.how == "attention":
        pooled = kernels.pool_attention(tokens, offsets, pool.scores(model.parameters, tokens).reshape(-1))
    else:
        pooled = (kernels.pool_mean if pool.how == "mean" else kernels.pool_max)(tokens, offsets)
    return kernels.dense(pooled, model.parameters["head.weight"], model.parameters["head.bias"])[0]


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_look_ahead_is_what_it_says(cell, pooling):
    for options in ({}, {"num_layers": 1, "initial_state": "learnt"}):
        model = model_of(SIGNAL, pooling, cell=cell, bidirectional=True, **options)
        sequence = numbers(6, 4)
        x = np.asarray(model.encode([sequence]).values)
        for k in (1, 3):
            stream = model.stream(look_ahead=k)
            for n, row in enumerate(sequence, 1):
                stream.push(row)
                if n in (1, 4, 6):
                    assert_same_bits(stream.outputs(), directly(model, x[:n], k))


@pytest.mark.parametrize(
    ("options", "pooling"),
    [
        *[({}, pooling) for pooling in POOLINGS],
        ({"layer_norm": True}, "mean"),
        ({"zoneout": 0.1}, "last"),
        ({"cell_clip": 0.2}, "max"),
    ],
    ids=str,
)
def test_within_the_look_ahead_the_answer_is_that_of_predict(options, pooling):
    model = model_of(words(), pooling, bidirectional=True, **options)
    text = "one two three été five zzz seven"
    stream = model.stream(look_ahead=7)
    assert_same_bits(stream.outputs(), model.outputs([""])[0])
    for n, word in enumerate(text.split(), 1):
        stream.push(word)
        assert_same_bits(stream.outputs(), model.outputs([" ".join(text.split()[:n])])[0])
    stream.push("one")
    assert not np.array_equal(stream.outputs(), model.outputs([text + " one"])[0])


def test_a_window_goes_on_from_its_state():
    model = model_of(SIGNAL, "attention", bidirectional=True)
    first, second = model.stream(look_ahead=3), model.stream(look_ahead=3)
    first.push(numbers(8, 1))
    second.restore(first.snapshot())
    for stream in (first, second):
        stream.push(numbers(5, 2))
    assert_same_bits(first.outputs(), second.outputs())
    with pytest.raises(StateError, match="look_ahead=3"):
        model.stream(look_ahead=4).restore(first.state)
    long = first.state
    window = long["arrays"]["window"]
    long["arrays"]["window"] = {"shape": [400, 3], "data": window["data"]}
    with pytest.raises(StateError, match="window must have shape"):
        second.restore(long)
    first.reset()
    assert_same_bits(first.outputs(), model.outputs([numbers(0, 1)])[0])
