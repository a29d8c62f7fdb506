"""The two graphs of a predictor: a padded batch with its lengths, and one step with the states in and out.

Both read what the encoder gives (ids; scaled features) and end in the numbers that the task answers with.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.errors import SpecError
from recurra.graph.onnx_build import Build, Shape
from recurra.graph.onnx_nodes import WORD_LENGTHS, trace
from recurra.graph.onnx_padded import Traced, batch_first, lengths_of, time_first
from recurra.graph.run import STATIC
from recurra.runtime.export.answers import Answer, answer_of, decoded_outside
from recurra.runtime.predictor import Predictor

OUTSIDE = "outside of the graph: Viterbi over the scores, with the transitions in decoding.json"
"""What a graph says of tags that depend on their neighbours."""

OUT = "_out"
"""Follows the name of a state where the step graph hands it on."""


CHARACTERS, MASK = "characters", "mask"
"""The input that holds the characters of words; the output that tells real steps from padding."""


def input_names(predictor: Predictor) -> dict[str, str]:
    """Input of a graph -> column of an encoded batch (see `probes.columns_of`); "" stands for its values."""
    encoder = predictor.encoder
    if encoder.kind == "tokens":
        return {"ids": ""}
    if encoder.kind == "spelt":
        beside = {name: name for name in encoder.vocabularies if name != CHARACTERS}
        return {CHARACTERS: "", **beside, WORD_LENGTHS: WORD_LENGTHS}
    columns = {f"ids.{column}": column for column in encoder.vocabularies}
    return {**({"features": ""} if encoder.width else {}), **columns}


def step_refused(predictor: Predictor) -> str | None:
    """Why a model can have no step graph; None where it can."""
    if predictor.network.bidirectional:
        return "a bidirectional model reads from the end of a sequence, which a single step cannot know"
    return None


def batch_graph(predictor: Predictor) -> Any:
    """The ONNX model over a padded batch.

    Inputs: `ids` (batch, time) int64, or `features` (batch, time, F) float32, or that and one `ids.<column>`
    per categorical column, or for words that are spelt `words` (batch, time), `characters` (batch, time, letters),
    `word_lengths` (batch, time) and the ids of their beginnings and endings, int64; `lengths` (batch,) int64;
    `static` (batch, K) float32 where the model has some. Outputs: `probabilities` and `logits`, or `values`
    (float64) and `standardised`; where tags are decoded outside, `emissions` (of a chain) or `logits` alone. A model
    with an answer per step gives (batch, time, ...), zeros in the padding, and `mask` (batch, time) bool.
    """
    g = Build()
    lead = ["batch", "time"]
    values, columns = _inputs(g, predictor, lead)
    lengths = g.input("lengths", np.int64, lead[:1])
    flow = Traced(
        values=values and _turned(g, values),
        columns={name: _turned(g, column) for name, column in columns.items()},
        lengths=lengths_of(g, next(iter(columns.values()), values), lengths),
    )
    _with_static(g, predictor, flow)
    outputs = trace(g, predictor.model, predictor.parameters, flow, step=False)
    answer = answer_of(predictor)
    if answer.per_step:
        assert flow.lengths is not None
        _answer(g, answer, outputs, lead, flow.lengths.real)
        g.output(g.op("Squeeze", batch_first(g, flow.lengths.real), g.ints(2)), MASK, np.bool_, lead)
    else:
        _answer(g, answer, outputs, lead[:1])
    return g.model("batch", _facts(predictor))


def step_graph(predictor: Predictor) -> Any:
    """The ONNX model of one step for each row of a batch.

    Inputs: `ids` (batch,), or `features` (batch, F), ...; `count` (batch,) int64, the steps so far; the states
    `h_l0`, `c_l0`, ... (batch, H) and what the pooling gathered (`pool`, ...). Each state comes out again with
    `_out` behind its name. All of them 0 begins a sequence, learnt initial states included.
    Raises SpecError for a bidirectional model.
    """
    reason = step_refused(predictor)
    if reason is not None:
        raise SpecError(f"there is no step graph of this model: {reason}; train with bidirectional=False")
    g = Build()
    values, columns = _inputs(g, predictor, ["batch"])
    count = g.input("count", np.int64, ["batch"])
    first = g.op("Unsqueeze", g.op("Equal", count, g.number(0, np.int64)), g.ints(1))
    counts = g.op("Add", count, g.number(1, np.int64))
    flow = Traced(values=values, columns=columns, first=first, counts=counts)
    _with_static(g, predictor, flow)
    _answer(
        g, answer_of(predictor), trace(g, predictor.model, predictor.parameters, flow, step=True), ["batch"]
    )
    g.output(counts, f"count{OUT}", np.int64, ["batch"])
    for name, value in flow.carried.items():
        g.output(value, f"{name}{OUT}", np.float32, ["batch", _size_of(g, name)])
    return g.model("step", _facts(predictor))


def _inputs(g: Build, predictor: Predictor, lead: list[str]) -> tuple[str, dict[str, str]]:
    """The declared inputs: that of the values ("" without), and those of the columns by name."""
    values, columns, encoder = "", {}, predictor.encoder
    for name, column in input_names(predictor).items():
        ids = name != "features"
        more: list[int | str] = ["letters"] if name == CHARACTERS else [] if ids else [encoder.width]
        made = g.input(name, np.int64 if ids else np.float32, [*lead, *more])
        if column:
            columns[column] = made
        else:
            values = made
    return values, columns


def _with_static(g: Build, predictor: Predictor, flow: Traced) -> None:
    if predictor.head.static is not None:
        width = len(predictor.head.static.names)
        flow.columns = {**flow.columns, STATIC: g.input("static", np.float32, ["batch", width])}


def _turned(g: Build, name: str) -> str:
    """An input of a padded batch with its steps first."""
    kind = next(given for given in g.inputs if given.name == name).type.tensor_type
    return time_first(g, name, len(kind.shape.dim), np.float32 if name == "features" else np.int64)


def _answer(g: Build, answer: Answer, outputs: str, lead: Shape, real: str = "") -> None:
    """From what leaves the model to the answer of the task. real: which steps are, where there is one per step."""

    def leave(value: str, name: str, dtype: Any, sizes: Shape) -> None:
        if real:
            value = batch_first(g, g.op("Where", real, value, g.number(0.0, dtype)))
        if not sizes:
            value = g.op("Squeeze", value, g.ints(len(lead)))
        g.output(value, name, dtype, [*lead, *sizes])

    if answer.name is not None:
        leave(answer.on_graph(g, outputs), answer.name, answer.dtype, answer.sizes())
    leave(outputs, answer.before, np.float32, [answer.predictor.head.outputs])


def _size_of(g: Build, name: str) -> int:
    """Features of a state, as its input was declared."""
    found = next(given for given in g.inputs if given.name == name)
    return int(found.type.tensor_type.shape.dim[-1].dim_value)


def _facts(predictor: Predictor) -> dict[str, str]:
    """What stands in the file itself; the rest is in `export.json` beside it."""
    facts = {"recurra.task": predictor.task, "recurra.input": predictor.encoder.kind}
    if decoded_outside(predictor):
        facts["recurra.decoding"] = OUTSIDE
    if predictor.model_id:
        facts["recurra.model_id"] = predictor.model_id
    return facts
