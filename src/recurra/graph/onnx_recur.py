"""The ONNX form of `Recur`: ONNX's own operators where they compute the same, a `Scan` of ours where not.

ONNX keeps the gates in another order, its `clip` bounds what enters the gates and not the cell, and it knows
neither layer norm nor zoneout. Its operators answer 0 for a row of length 0 and ignore the initial state.
"""

from __future__ import annotations

import numpy as np

from recurra.graph.onnx_build import Build
from recurra.graph.onnx_padded import Lengths, Traced
from recurra.graph.recur import Place, Recur
from recurra.graph.run import Parameters
from recurra.kernels import RecurWeights
from recurra.kernels.reference import NORM_EPS
from recurra.ragged import Array
from recurra.spec import Network

OPERATORS = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN", "rnn_relu": "RNN"}
"""ONNX's operator of each cell."""

GATE_ORDER = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn": (0,), "rnn_relu": (0,)}
"""Where ONNX's gates (LSTM i, o, f, c; GRU z, r, h) stand among ours (i, f, g, o; r, z, n)."""


def native(network: Network) -> bool:
    """Whether ONNX's own operator computes this cell; otherwise its steps are written out."""
    return network.cell_clip is None and not network.layer_norm and network.zoneout == 0.0


def recur_over_time(g: Build, node: Recur, parameters: Parameters, flow: Traced) -> None:
    """All layers over a padded batch: `flow.values` (T, B, I) becomes (T, B, width), `flow.final` (B, width)."""
    assert flow.lengths is not None
    for layer in range(node.network.num_layers):
        done = [
            _walk(g, node, parameters, place, flow.values, flow.lengths)
            for place in node.places()
            if place.layer == layer
        ]
        flow.values, flow.final = (_joined(g, [pair[part] for pair in done]) for part in (0, 1))


def recur_step(g: Build, node: Recur, parameters: Parameters, flow: Traced) -> None:
    """All layers over one token (B, I) of each row; the states are inputs `h_l0`, `c_l0`, ... of the graph."""
    for place in node.places():
        weights = node.weights(parameters, place)
        held = [_state(g, node, parameters, place, kind, flow) for kind in _kinds(node)]
        if native(node.network):
            after = _operator_step(g, node, place, weights, flow.values, held)
        else:
            entering = _input_part(g, node, weights, place, flow.values)
            after = _cell(g, node, weights, place, entering, held)
        for kind, value in zip(_kinds(node), after, strict=True):
            flow.carried[f"{kind}_{place.suffix}"] = value
        flow.values = after[0]
    flow.final = flow.values


def _kinds(node: Recur) -> tuple[str, ...]:
    return ("h", "c") if node.has_cells else ("h",)


def _joined(g: Build, parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else g.op("Concat", *parts, axis=-1)


def _state(g: Build, node: Recur, parameters: Parameters, place: Place, kind: str, flow: Traced) -> str:
    """(B, H) a state that comes in; at the first step what a sequence begins with."""
    held = g.input(f"{kind}_{place.suffix}", np.float32, ["batch", node.network.hidden_size])
    if node.network.initial_state == "zero":
        return held
    return g.op("Where", flow.first, _learnt(g, node, parameters, place, kind), held)


def _learnt(g: Build, node: Recur, parameters: Parameters, place: Place, kind: str) -> str:
    name = f"{kind}0_{place.suffix}"
    return g.weight(f"{node.name}.{name}", np.asarray(node.take(parameters, name))[None])


def _walk(
    g: Build, node: Recur, parameters: Parameters, place: Place, x: str, lengths: Lengths
) -> tuple[str, str]:
    """One layer in one direction over a padded batch: (T, B, H) all and (B, H) the last states."""
    weights = node.weights(parameters, place)
    start = _start(g, node, parameters, place, lengths)
    if native(node.network):
        return _operator(g, node, place, weights, x, start, lengths)
    return _scan(g, node, place, weights, x, start, lengths)


def _start(g: Build, node: Recur, parameters: Parameters, place: Place, lengths: Lengths) -> list[str]:
    """(B, H) what each row begins with, per kind of state; empty where zeros and the operator knows so."""
    units = node.network.hidden_size
    learnt = node.network.initial_state == "learnt"
    if not learnt and native(node.network):
        return []
    shape = g.op("Concat", lengths.rows, g.ints(units), axis=0)
    if learnt:
        return [g.op("Expand", _learnt(g, node, parameters, place, kind), shape) for kind in _kinds(node)]
    return [g.op("Expand", g.number(0.0), shape) for _ in _kinds(node)]


def arranged(weights: RecurWeights) -> tuple[Array, Array, Array]:
    """W (1, G*H, I), R (1, G*H, H) and B (1, 2*G*H) of one direction, with the gates in ONNX's order."""
    order = list(GATE_ORDER[weights.cell])

    def turned(part: Array) -> Array:
        blocks = part.reshape(weights.gates, weights.hidden_size, *part.shape[1:])
        return blocks[order].reshape(1, *part.shape)

    both = np.concatenate([turned(weights.b_ih), turned(weights.b_hh)], axis=1)
    return turned(weights.w_ih), turned(weights.w_hh), both


def _run(
    g: Build, node: Recur, place: Place, weights: RecurWeights, x: str, start: list[str], short: str
) -> tuple[str, list[str]]:
    """ONNX's operator: all states (T, 1, B, H), and the last of each kind (1, B, H)."""
    attributes: dict[str, object] = {"hidden_size": weights.hidden_size}
    if place.reverse:
        attributes["direction"] = "reverse"
    if weights.cell == "gru":
        attributes["linear_before_reset"] = 1
    if weights.cell == "rnn_relu":
        attributes["activations"] = ["Relu"]
    parts = zip("WRB", arranged(weights), strict=True)
    held = [g.weight(f"{node.name}.{place.suffix}.{name}", part) for name, part in parts]
    inputs = [x, *held, short, *start]
    y, *last = g.ops(OPERATORS[weights.cell], *_trimmed(inputs), outputs=3 if weights.cell == "lstm" else 2,
                     **attributes)  # fmt: skip
    return y, last


def _trimmed(inputs: list[str]) -> list[str]:
    while not inputs[-1]:
        inputs.pop()
    return inputs


def _operator(
    g: Build, node: Recur, place: Place, weights: RecurWeights, x: str, start: list[str], lengths: Lengths
) -> tuple[str, str]:
    deep = [g.op("Unsqueeze", part, g.ints(0)) for part in start]
    y, last = _run(g, node, place, weights, x, deep, lengths.short)
    final = g.op("Squeeze", last[0], g.ints(0))
    if start:
        # A row without tokens leaves ONNX's operator as 0; it has to stay where it began.
        final = g.op("Where", lengths.empty, start[0], final)
    return g.op("Squeeze", y, g.ints(1)), final


def _operator_step(
    g: Build, node: Recur, place: Place, weights: RecurWeights, x: str, held: list[str]
) -> list[str]:
    deep = [g.op("Unsqueeze", part, g.ints(0)) for part in held]
    _, last = _run(g, node, place, weights, g.op("Unsqueeze", x, g.ints(0)), deep, "")
    return [g.op("Squeeze", part, g.ints(0)) for part in last]


def _scan(
    g: Build, node: Recur, place: Place, weights: RecurWeights, x: str, start: list[str], lengths: Lengths
) -> tuple[str, str]:
    """Our own loop over the steps, in either direction; a row stays as it is where it has no token."""
    units, count = node.network.hidden_size, len(start)
    entering = _input_part(g, node, weights, place, x)
    body = g.body()
    tag = f"{place.suffix}_in"
    held = [body.input(f"{kind}_{tag}", np.float32, ["batch", units]) for kind in _kinds(node)]
    token = body.input(f"x_{tag}", np.float32, ["batch", weights.gates * units])
    real = body.input(f"real_{tag}", np.bool_, ["batch", 1])
    after = _cell(body, node, weights, place, token, held)
    kept = [body.op("Where", real, new, old) for new, old in zip(after, held, strict=True)]
    for kind, value in zip(_kinds(node), kept, strict=True):
        body.output(value, f"{kind}_{place.suffix}", np.float32, ["batch", units])
    body.output(kept[0], f"y_{place.suffix}", np.float32, ["batch", units])
    way = 1 if place.reverse else 0
    found = g.ops("Scan", *start, entering, lengths.real, outputs=count + 1, num_scan_inputs=2,
                  scan_input_directions=[way, way], scan_output_directions=[way],
                  body=body.graph(f"step_{place.suffix}"))  # fmt: skip
    return found[-1], found[0]


def _product(g: Build, name: str, x: str, weight: Array, gain: Array | None) -> str:
    """x Wᵀ, layer-normalised where the cell is."""
    product = g.op("MatMul", x, g.weight(name, np.asarray(weight).T))
    if gain is None:
        return product
    scale = g.weight(f"{name}.gain", gain)
    return g.op("LayerNormalization", product, scale, axis=-1, epsilon=NORM_EPS)


def _input_part(g: Build, node: Recur, weights: RecurWeights, place: Place, x: str) -> str:
    """What enters the gates without the past: (…, G*H). A GRU's b_hn stands inside the reset, not here."""
    gain = None if weights.norm is None else weights.norm.gain_x
    product = _product(g, f"{node.name}.{place.suffix}.input", x, weights.w_ih, gain)
    bias = np.array(weights.b_ih + weights.b_hh)
    if weights.cell == "gru":
        both = 2 * weights.hidden_size
        bias[both:] = weights.b_ih[both:]
    return g.op("Add", product, g.weight(f"{node.name}.{place.suffix}.bias", bias))


def _cell(
    g: Build, node: Recur, weights: RecurWeights, place: Place, entering: str, held: list[str]
) -> list[str]:
    """One step written out: entering (B, G*H) and the states (B, H) to the new states."""
    network = node.network
    gain = None if weights.norm is None else weights.norm.gain_h
    past = _product(g, f"{node.name}.{place.suffix}.past", held[0], weights.w_hh, gain)
    if weights.cell == "lstm":
        new = _lstm(g, node, weights, place, g.op("Add", entering, past), held[1])
    elif weights.cell == "gru":
        new = [_gru(g, node, weights, place, entering, past, held[0])]
    else:
        new = [g.op("Relu" if weights.cell == "rnn_relu" else "Tanh", g.op("Add", entering, past))]
    if not network.zoneout:
        return new
    return [_zoned(g, network.zoneout, old, after) for old, after in zip(held, new, strict=True)]


def _lstm(g: Build, node: Recur, weights: RecurWeights, place: Place, gates: str, c: str) -> list[str]:
    parts = g.ops("Split", gates, outputs=4, axis=-1)
    i, f, o = (g.op("Sigmoid", parts[k]) for k in (0, 1, 3))
    new = g.op("Add", g.op("Mul", f, c), g.op("Mul", i, g.op("Tanh", parts[2])))
    clip = node.network.cell_clip
    if clip is not None:
        new = g.op("Clip", new, g.number(-clip), g.number(clip))
    shown = new
    if weights.norm is not None:
        scale = g.weight(f"{node.name}.{place.suffix}.cell.gain", np.asarray(weights.norm.gain_c))
        shift = g.weight(f"{node.name}.{place.suffix}.cell.bias", np.asarray(weights.norm.bias_c))
        shown = g.op("LayerNormalization", new, scale, shift, axis=-1, epsilon=NORM_EPS)
    return [g.op("Mul", o, g.op("Tanh", shown)), new]


def _gru(g: Build, node: Recur, weights: RecurWeights, place: Place, entering: str, past: str, h: str) -> str:
    r, z, n = g.ops("Split", entering, outputs=3, axis=-1)
    past_r, past_z, past_n = g.ops("Split", past, outputs=3, axis=-1)
    r, z = g.op("Sigmoid", g.op("Add", r, past_r)), g.op("Sigmoid", g.op("Add", z, past_z))
    inner = g.weight(f"{node.name}.{place.suffix}.reset.bias", weights.b_hh[2 * weights.hidden_size :])
    n = g.op("Tanh", g.op("Add", n, g.op("Mul", r, g.op("Add", past_n, inner))))
    return g.op("Add", n, g.op("Mul", z, g.op("Sub", h, n)))


def _zoned(g: Build, rate: float, old: str, new: str) -> str:
    return g.op("Add", g.op("Mul", g.number(rate), old), g.op("Mul", g.number(1 - rate), new))
