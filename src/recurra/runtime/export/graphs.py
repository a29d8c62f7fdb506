"""The two graphs of a predictor: a padded batch with its lengths, and one step with the states in and out.

Both read what the encoder gives (ids; scaled features) and end in the numbers that the task answers with.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.errors import SpecError
from recurra.graph.onnx_build import Build, Shape
from recurra.graph.onnx_nodes import trace
from recurra.graph.onnx_recur import Lengths, Traced
from recurra.graph.run import STATIC
from recurra.runtime.continuation import Continuation
from recurra.runtime.predictor import ClassifierPredictor, Predictor, RegressorPredictor

PROBABLE = (ClassifierPredictor, Continuation)
"""Predictors whose answer is a probability per class."""

OUT = "_out"
"""Follows the name of a state where the step graph hands it on."""


def answer_names(predictor: Predictor) -> tuple[str, str]:
    """What a graph calls its answer, and the numbers before it."""
    if isinstance(predictor, PROBABLE):
        return "probabilities", "logits"
    if isinstance(predictor, RegressorPredictor):
        return "values", "standardised"
    raise SpecError(
        f"a {predictor.task} has no exported form yet; classifier, regressor and language_model have"
    )


def input_names(predictor: Predictor) -> dict[str, str]:
    """Input of a graph -> column of an encoded batch; "" stands for its values."""
    if predictor.encoder.kind == "tokens":
        return {"ids": ""}
    columns = {f"ids.{column}": column for column in predictor.encoder.vocabularies}
    return {**({"features": ""} if predictor.encoder.width else {}), **columns}


def step_refused(predictor: Predictor) -> str | None:
    """Why a model can have no step graph; None where it can."""
    if predictor.network.bidirectional:
        return "a bidirectional model reads from the end of a sequence, which a single step cannot know"
    return None


def batch_graph(predictor: Predictor) -> Any:
    """The ONNX model over a padded batch.

    Inputs: `ids` (batch, time) int64, or `features` (batch, time, F) float32, or that and one `ids.<column>`
    per categorical column; `lengths` (batch,) int64; `static` (batch, K) float32 where the model has some.
    Outputs: `probabilities` and `logits`, or `values` (float64) and `standardised`.
    """
    g = Build()
    lead = ["batch", "time"]
    values, columns = _inputs(g, predictor, lead)
    lengths = g.input("lengths", np.int64, lead[:1])
    any_input = values or next(iter(columns.values()))
    known = _lengths(g, any_input, lengths)
    flow = Traced(
        values=values and _time_first(g, values, 3 if predictor.encoder.width else 2),
        columns={name: _time_first(g, column, 2) for name, column in columns.items()},
        lengths=known,
    )
    _with_static(g, predictor, flow)
    _answer(g, predictor, trace(g, predictor.model, predictor.parameters, flow, step=False))
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
    _answer(g, predictor, trace(g, predictor.model, predictor.parameters, flow, step=True))
    g.output(counts, f"count{OUT}", np.int64, ["batch"])
    for name, value in flow.carried.items():
        g.output(value, f"{name}{OUT}", np.float32, ["batch", _size_of(g, name)])
    return g.model("step", _facts(predictor))


def _inputs(g: Build, predictor: Predictor, lead: list[str]) -> tuple[str, dict[str, str]]:
    """The declared inputs: that of the values ("" without), and those of the columns by name."""
    values, columns, encoder = "", {}, predictor.encoder
    for name, column in input_names(predictor).items():
        ids = name != "features"
        shape: Shape = lead if ids else [*lead, encoder.width]
        made = g.input(name, np.int64 if ids else np.float32, shape)
        if column:
            columns[column] = made
        else:
            values = made
    return values, columns


def _with_static(g: Build, predictor: Predictor, flow: Traced) -> None:
    if predictor.head.static is not None:
        width = len(predictor.head.static.names)
        flow.columns = {**flow.columns, STATIC: g.input("static", np.float32, ["batch", width])}


def _time_first(g: Build, padded: str, rank: int) -> str:
    """(B, T, …) to (T + 1, B, …): one empty step more, so that a batch of empty rows alone has a step, too."""
    turned = g.op("Transpose", padded, perm=[1, 0, *range(2, rank)])
    ends = g.ints(*[0] * rank, 1, *[0] * (rank - 1))
    return g.op("Pad", turned, ends, g.number(0, np.int64) if rank == 2 else g.number(0.0))


def _lengths(g: Build, padded: str, lengths: str) -> Lengths:
    """What is known of the real tokens; a length below 0 or above T is made an index that does not exist."""
    steps = g.op("Squeeze", g.op("Shape", padded, start=1, end=2), g.ints(0))
    beyond = g.op("Add", steps, g.number(1, np.int64))
    times = g.op("Range", g.number(0, np.int64), beyond, g.number(1, np.int64))
    index = g.op("Where", g.op("Less", lengths, g.number(0, np.int64)), beyond, lengths)
    checked = g.op("Gather", times, index, axis=0)
    real = g.op("Less", g.op("Unsqueeze", times, g.ints(1)), g.op("Unsqueeze", checked, g.ints(0)))
    return Lengths(
        lengths=checked,
        short=g.op("Cast", checked, to=g.onnx.TensorProto.INT32),
        real=g.op("Unsqueeze", real, g.ints(2)),
        empty=g.op("Unsqueeze", g.op("Equal", checked, g.number(0, np.int64)), g.ints(1)),
        rows=g.op("Shape", lengths),
    )


def _answer(g: Build, predictor: Predictor, outputs: str) -> None:
    """From what leaves the model to the answer of the task."""
    answer, before = answer_names(predictor)
    if isinstance(predictor, PROBABLE):
        made = g.op("Sigmoid", outputs) if predictor.multilabel else g.op("Softmax", outputs, axis=-1)
        g.output(made, answer, np.float32, ["batch", predictor.head.outputs])
    else:
        _values(g, predictor, outputs, answer)
    g.output(outputs, before, np.float32, ["batch", predictor.head.outputs])


def _values(g: Build, predictor: Predictor, outputs: str, name: str) -> None:
    """In the units of the training targets: in float64, as the predictor does."""
    target = predictor.target
    scale = g.weight("target.scale", np.asarray(target.scale, np.float64))
    mean = g.weight("target.mean", np.asarray(target.mean, np.float64))
    made = g.op("Cast", outputs, to=g.onnx.TensorProto.DOUBLE)
    made = g.op("Add", g.op("Mul", made, scale), mean)
    if target.vector:
        g.output(made, name, np.float64, ["batch", target.width])
    else:
        g.output(g.op("Squeeze", made, g.ints(1)), name, np.float64, ["batch"])


def _size_of(g: Build, name: str) -> int:
    """Features of a state, as its input was declared."""
    found = next(given for given in g.inputs if given.name == name)
    return int(found.type.tensor_type.shape.dim[-1].dim_value)


def _facts(predictor: Predictor) -> dict[str, str]:
    """What stands in the file itself; the rest is in `export.json` beside it."""
    facts = {"recurra.task": predictor.task, "recurra.input": predictor.encoder.kind}
    if predictor.model_id:
        facts["recurra.model_id"] = predictor.model_id
    return facts
