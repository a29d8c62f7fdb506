"""Models with random weights for every row of the table of exports, and graphs that are wrong on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from contracts.models import TEXTS, sequences
from recurra.data.events import Events
from recurra.data.signal import Signal
from recurra.data.target_encoders import LabelEncoder, MultiLabelEncoder, NumberEncoder
from recurra.data.text import Words
from recurra.graph import onnx_nodes, onnx_recur
from recurra.runtime.export import graphs
from recurra.runtime.export.table import Row
from recurra.runtime.predictor import (
    ClassifierPredictor,
    Head,
    Predictor,
    RegressorPredictor,
    StaticScaler,
    build_model,
)
from recurra.spec import Network


def encoder_of(kind: str) -> Any:
    if kind == "tokens":
        return Words(min_count=1).fit(TEXTS[:5])
    if kind == "signal":
        return Signal().fit(sequences(3))
    steps = [{"shop": shop, "day of week": day, "price": float(i)} for i, (shop, day) in enumerate(PAIRS)]
    return Events(min_count=1).fit([steps, steps[:2]])


PAIRS = [("a", "mon"), ("b", "tue"), ("a", "wed"), ("c", "mon")]


def predictor_of(row: Row, **network: Any) -> Predictor:
    net = Network(**{"hidden_size": 9, "num_layers": 2, **row.network, **network})
    target, outputs = target_of(row.task)
    static = StaticScaler.fit(np.random.default_rng(0).standard_normal((6, 2))) if row.static else None
    head, encoder = Head(outputs=outputs, pooling=row.pooling, static=static), encoder_of(row.kind)
    parameters = {
        name: (1.5 * value if value.any() else value)
        for name, value in build_model(net, encoder, head).initial(3).items()
    }
    made = ClassifierPredictor if row.task in ("classifier", "multilabel") else RegressorPredictor
    config = {"multilabel": row.task == "multilabel", "threshold": None}
    return made(network=net, encoder=encoder, head=head, target=target, parameters=parameters, config=config)


def target_of(task: str) -> tuple[Any, int]:
    if task == "classifier":
        return LabelEncoder.fit(["a", "b", "c"]), 3
    if task == "multilabel":
        return MultiLabelEncoder.fit([("a",), ("b", "c")]), 3
    if task == "number":
        return NumberEncoder(mean=(1e9,), scale=(2.5,), vector=False), 1
    return NumberEncoder(mean=(0.0, -1e6), scale=(1e-3, 1e3), vector=True), 2


@contextmanager
def swapped(module: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def lengths_dropped() -> Any:
    """Every row is as long as the padded batch."""

    def full(g: Any, padded: str, lengths: str, honest: Any = graphs.lengths_of) -> Any:
        steps = g.op("Shape", padded, start=1, end=2)
        return honest(g, padded, g.op("Expand", steps, g.op("Shape", lengths)))

    return swapped(graphs, "lengths_of", full)


def lengths_unknown_to_the_operator() -> Any:
    """What exporters do: the recurrence reads the padding, the rest knows the lengths."""

    def ignoring(*arguments: Any, honest: Any = onnx_recur._run) -> Any:
        return honest(*arguments[:-1], "")

    return swapped(onnx_recur, "_run", ignoring)


def gates_in_our_order() -> Any:
    same = {cell: tuple(range(len(order))) for cell, order in onnx_recur.GATE_ORDER.items()}
    return swapped(onnx_recur, "GATE_ORDER", same)


def reset_before_product() -> Any:
    """The other variant of the GRU."""

    def other(g: Any, *arguments: Any, honest: Any = onnx_recur._run) -> Any:
        before = len(g.nodes)
        done = honest(g, *arguments)
        for node in g.nodes[before:]:
            kept = [each for each in node.attribute if each.name != "linear_before_reset"]
            del node.attribute[:]
            node.attribute.extend(kept)
        return done

    return swapped(onnx_recur, "_run", other)


def start_of_empty_rows_lost() -> Any:
    """What ONNX's operators answer by themselves for a row of length 0."""

    def lost(*arguments: Any, honest: Any = onnx_recur._operator) -> Any:
        g = arguments[0]
        y, final = honest(*arguments)
        return y, g.op("Where", arguments[-1].empty, g.number(0.0), final)

    return swapped(onnx_recur, "_operator", lost)


def mask_forgotten_by_attention() -> Any:
    def unmasked(g: Any, node: Any, parameters: Any, flow: Any, honest: Any = onnx_nodes._pool) -> None:
        real = g.op("Or", flow.lengths.real, g.op("Not", flow.lengths.real))
        other = replace(flow, lengths=replace(flow.lengths, real=real))
        honest(g, node, parameters, other)
        flow.values = other.values

    forms = {**onnx_nodes.BATCH, onnx_nodes.Pool: unmasked}
    return swapped(onnx_nodes, "BATCH", forms)


def clip_of_the_gates() -> Any:
    """ONNX's own `clip`, which bounds something else."""

    def clipping(g: Any, place: Any, weights: Any, *arguments: Any, honest: Any = onnx_recur._run) -> Any:
        before = len(g.nodes)
        done = honest(g, place, weights, *arguments)
        for node in g.nodes[before:]:
            node.attribute.append(g.onnx.helper.make_attribute("clip", 0.1))
        return done

    both = swapped(onnx_recur, "_run", clipping)

    @contextmanager
    def together() -> Iterator[None]:
        with both, swapped(onnx_recur, "native", lambda network: True):
            yield

    return together()


def states_not_handed_on() -> Any:
    """The step graph gives back the states as they came in."""

    def stuck(g: Any, node: Any, parameters: Any, flow: Any, honest: Any = onnx_nodes.recur_step) -> None:
        honest(g, node, parameters, flow)
        flow.carried = {name: name for name in flow.carried}

    return swapped(onnx_nodes, "STEP", {**onnx_nodes.STEP, onnx_nodes.Recur: stuck})
