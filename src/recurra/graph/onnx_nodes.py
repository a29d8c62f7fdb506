"""The ONNX form of every node, in a graph over a padded batch and in a graph of one step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from recurra.errors import SpecError
from recurra.graph.adaptive import AdaptiveDense
from recurra.graph.chain import Chain
from recurra.graph.embed import Embed, EmbedColumns
from recurra.graph.head import Dense, Dropout, JoinStatic, TiedDense
from recurra.graph.model import Model
from recurra.graph.node import Node
from recurra.graph.onnx_build import Build
from recurra.graph.onnx_padded import Traced, lengths_of, time_first
from recurra.graph.onnx_recur import recur_over_time, recur_step
from recurra.graph.pool import Pool
from recurra.graph.recur import Recur
from recurra.graph.run import STATIC, Parameters
from recurra.graph.spell import WORDS, Spell

WORD_LENGTHS = "word_lengths"
"""Name of the column that holds how many characters each word has."""

LOWEST = float(np.finfo(np.float32).min)
"""What stands for a token that is not there: below every score and every state."""

Form = Callable[[Build, Any, Parameters, Traced], None]


def trace(g: Build, model: Model, parameters: Parameters, flow: Traced, *, step: bool) -> str:
    """Write all nodes of a model into a graph and return the value that leaves the last one."""
    forms = STEP if step else BATCH
    for node in model.nodes:
        if type(node) not in forms:
            raise SpecError(f"{type(node).__name__} has no ONNX form; this model cannot be exported")
        forms[type(node)](g, node, parameters, flow)
    return flow.values


def _embed(g: Build, node: Embed, parameters: Parameters, flow: Traced) -> None:
    table = g.weight(f"{node.name}.table", node.take(parameters, "table"))
    flow.values = g.op("Gather", table, flow.values, axis=0)


def _embed_columns(g: Build, node: EmbedColumns, parameters: Parameters, flow: Traced) -> None:
    parts = [flow.values] if node.features else []
    for column in node.vocabularies:
        name = f"table.{column}"
        table = g.weight(f"{node.name}.{name}", node.take(parameters, name))
        parts.append(g.op("Gather", table, flow.columns[column], axis=0))
    flow.values = parts[0] if len(parts) == 1 else g.op("Concat", *parts, axis=-1)


def _spell(g: Build, node: Spell, parameters: Parameters, flow: Traced) -> None:
    """Characters (…, L) of words: all words become the rows of a padded batch of their own, whatever holds them."""
    words, counts = flow.columns[WORDS], flow.columns[WORD_LENGTHS]
    if flow.lengths is not None:
        # What stands in the padding is no word, whatever length it claims.
        real = g.op("Squeeze", flow.lengths.real, g.ints(2))
        counts = g.op("Where", real, counts, g.number(0, np.int64))
    shape = g.op("Shape", words)
    rows = g.op("ReduceProd", shape, keepdims=1)
    flat = g.op("Concat", rows, g.op("Shape", flow.values, start=-1), axis=0)
    letters = g.op("Reshape", flow.values, flat, allowzero=1)
    known = lengths_of(g, letters, g.op("Reshape", counts, rows, allowzero=1))
    spelt = Traced(values=time_first(g, letters, 2, np.int64), lengths=known)
    _embed(g, node.characters, parameters, spelt)
    recur_over_time(g, node.reader, parameters, spelt)
    wide = g.op("Concat", shape, g.ints(node.reader.width), axis=0)
    looked_up, affixes = Traced(values=words), Traced(values="", columns=flow.columns)
    _embed(g, node.words, parameters, looked_up)
    parts = [looked_up.values]
    if node.affixes.vocabularies:
        _embed_columns(g, node.affixes, parameters, affixes)
        parts.append(affixes.values)
    flow.values = g.op("Concat", *parts, g.op("Reshape", spelt.final, wide, allowzero=1), axis=-1)


def _chain(g: Build, node: Chain, parameters: Parameters, flow: Traced) -> None:
    """Nothing: the emissions leave the graph, and their decoding stands outside of it."""


def _dropout(g: Build, node: Dropout, parameters: Parameters, flow: Traced) -> None:
    """Nothing outside of training."""


def _join_static(g: Build, node: JoinStatic, parameters: Parameters, flow: Traced) -> None:
    flow.values = g.op("Concat", flow.values, flow.columns[STATIC], axis=-1)


def _dense(g: Build, node: Dense, parameters: Parameters, flow: Traced) -> None:
    flow.values = _affine(g, node, parameters, flow.values)


def _affine(g: Build, node: Node, parameters: Parameters, x: str) -> str:
    weight = g.weight(f"{node.name}.weight", np.asarray(node.take(parameters, "weight")).T)
    return g.op(
        "Add", g.op("MatMul", x, weight), g.weight(f"{node.name}.bias", node.take(parameters, "bias"))
    )


def _tied(g: Build, node: TiedDense, parameters: Parameters, flow: Traced) -> None:
    weight = g.weight(f"{node.name}.weight", np.asarray(parameters[node.table]).T)
    bias = g.weight(f"{node.name}.bias", node.take(parameters, "bias"))
    flow.values = g.op("Add", g.op("MatMul", flow.values, weight), bias)


def _adaptive(g: Build, node: AdaptiveDense, parameters: Parameters, flow: Traced) -> None:
    """The logarithms of all probabilities."""
    x, frequent = flow.values, node.frequent
    first = g.op("LogSoftmax", _affine(g, node, parameters, x), axis=-1)

    def entries(begin: int, end: int) -> str:
        return g.op("Slice", first, g.ints(begin), g.ints(end), g.ints(-1))

    parts = [entries(0, frequent)]
    for tail in node.tails:
        made = x
        for part in ("reduce", "weight"):
            name = f"{part}_{tail.place}"
            weight = g.weight(f"{node.name}.{name}", np.asarray(node.take(parameters, name)).T)
            made = g.op("MatMul", made, weight)
        name = f"bias_{tail.place}"
        made = g.op("Add", made, g.weight(f"{node.name}.{name}", node.take(parameters, name)))
        entry = frequent + 1 + tail.place
        parts.append(g.op("Add", g.op("LogSoftmax", made, axis=-1), entries(entry, entry + 1)))
    flow.values = g.op("Concat", *parts, entries(frequent, frequent + 1), axis=-1)


def _scores(g: Build, node: Pool, parameters: Parameters, y: str) -> str:
    """(…, 1) attention scores."""
    query = g.weight(f"{node.name}.query", np.asarray(node.take(parameters, "query")).T)
    return g.op("MatMul", g.op("Tanh", _affine(g, node, parameters, y)), query)


def _pool(g: Build, node: Pool, parameters: Parameters, flow: Traced) -> None:
    """Over the real tokens of each row; zeros for a row without (`last`: what it began with)."""
    assert flow.lengths is not None
    known, y, zero = flow.lengths, flow.values, g.number(0.0)
    if node.how == "last":
        flow.values = flow.final
        return
    if node.how == "max":
        highest = g.op("ReduceMax", g.op("Where", known.real, y, g.number(LOWEST)), axes=[0], keepdims=0)
        flow.values = g.op("Where", known.empty, zero, highest)
        return
    real = g.op("Where", known.real, y, zero)
    if node.how == "attention":
        scores = g.op("Where", known.real, _scores(g, node, parameters, y), g.number(LOWEST))
        real = g.op("Mul", real, g.op("Softmax", scores, axis=0))
    total = g.op("ReduceSum", real, g.ints(0), keepdims=0)
    flow.values = total if node.how == "attention" else g.op("Div", total, _divisor(g, known.lengths))


def _divisor(g: Build, counts: str) -> str:
    """(B, 1) float32: the counts, at least 1."""
    some = g.op("Max", counts, g.ints(1))
    return g.op("Unsqueeze", g.op("Cast", some, to=g.onnx.TensorProto.FLOAT), g.ints(1))


def _pool_step(g: Build, node: Pool, parameters: Parameters, flow: Traced) -> None:
    """What was gathered so far is an input `pool` (B, F); of attention also `pool_peak`, `pool_total` (B, 1)."""
    if node.how == "last":
        flow.values = flow.final
        return
    y, size = flow.values, node.inputs
    if node.how == "attention":
        flow.values = _attend(g, flow, y, _scores(g, node, parameters, y), size)
        return
    held = g.input("pool", np.float32, ["batch", size])
    if node.how == "max":
        flow.values = g.op("Where", flow.first, y, g.op("Max", held, y))
        flow.carried["pool"] = flow.values
        return
    flow.carried["pool"] = g.op("Where", flow.first, y, g.op("Add", held, y))
    flow.values = g.op("Div", flow.carried["pool"], _divisor(g, flow.counts))


def _attend(g: Build, flow: Traced, y: str, score: str, size: int) -> str:
    """One step of the online softmax: largest score so far, sum of weights, weighted sum."""
    held = g.input("pool", np.float32, ["batch", size])
    peak = g.input("pool_peak", np.float32, ["batch", 1])
    total = g.input("pool_total", np.float32, ["batch", 1])
    higher = g.op("Where", flow.first, score, g.op("Max", peak, score))
    fade = g.op("Where", flow.first, g.number(0.0), g.op("Exp", g.op("Sub", peak, higher)))
    share = g.op("Exp", g.op("Sub", score, higher))
    total = g.op("Add", g.op("Mul", total, fade), share)
    summed = g.op("Add", g.op("Mul", held, fade), g.op("Mul", share, y))
    flow.carried.update({"pool": summed, "pool_peak": higher, "pool_total": total})
    return g.op("Div", summed, total)


_ALIKE: dict[type[Node], Form] = {
    Embed: _embed,
    EmbedColumns: _embed_columns,
    Spell: _spell,
    Dropout: _dropout,
    JoinStatic: _join_static,
    Dense: _dense,
    TiedDense: _tied,
    AdaptiveDense: _adaptive,
    Chain: _chain,
}
BATCH: dict[type[Node], Form] = {**_ALIKE, Recur: recur_over_time, Pool: _pool}
STEP: dict[type[Node], Form] = {**_ALIKE, Recur: recur_step, Pool: _pool_step}
