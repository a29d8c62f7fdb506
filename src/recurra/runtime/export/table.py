"""Every option that shapes a graph, and the ONNX operators that compute it: the table that the tests sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Row:
    """One option. network: what `Network` is given; batch, step: operators that compute it (step None: refused).

    kind: "tokens", "signal" or "events"; task: "classifier", "multilabel", "number" or "vector".
    """

    option: str
    network: Mapping[str, Any] = field(default_factory=dict)
    pooling: str = "last"
    kind: str = "tokens"
    task: str = "classifier"
    static: bool = False
    batch: tuple[str, ...]
    step: tuple[str, ...] | None

    def to_markdown(self) -> str:
        """As a line of the table in the documentation."""
        step = "refused" if self.step is None else _listed(self.step)
        return f"| {self.option} | {_listed(self.batch)} | {step} |"


def _listed(operators: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in operators) or "nothing"


_GATED = ("Scan", "MatMul", "Split", "Sigmoid", "Tanh")
_NORMED = ("LayerNormalization",)

TABLE = (
    Row(option="cell lstm", network={"cell": "lstm"}, batch=("LSTM",), step=("LSTM",)),
    Row(option="cell gru", network={"cell": "gru"}, batch=("GRU",), step=("GRU",)),
    Row(option="cell rnn", network={"cell": "rnn"}, batch=("RNN",), step=("RNN",)),
    Row(option="cell rnn_relu", network={"cell": "rnn_relu"}, batch=("RNN",), step=("RNN",)),
    Row(option="hidden_size, num_layers", network={"hidden_size": 17, "num_layers": 3}, batch=("LSTM",),
        step=("LSTM",)),
    Row(option="bidirectional", network={"bidirectional": True}, batch=("LSTM", "Concat"), step=None),
    Row(option="embedding_size", network={"embedding_size": 5}, batch=("Gather",), step=("Gather",)),
    Row(option="initial_state learnt", network={"initial_state": "learnt"}, batch=("Expand", "LSTM", "Where"),
        step=("Where", "LSTM")),
    Row(option="cell_clip", network={"cell_clip": 0.1}, batch=(*_GATED, "Clip"), step=(*_GATED[1:], "Clip")),
    Row(option="layer_norm, lstm", network={"layer_norm": True}, batch=_GATED + _NORMED,
        step=_GATED[1:] + _NORMED),
    Row(option="layer_norm, gru", network={"cell": "gru", "layer_norm": True}, batch=_GATED + _NORMED,
        step=_GATED[1:] + _NORMED),
    Row(option="layer_norm, rnn", network={"cell": "rnn", "layer_norm": True},
        batch=("Scan", "MatMul", "Tanh", *_NORMED), step=("MatMul", "Tanh", *_NORMED)),
    Row(option="zoneout, lstm", network={"zoneout": 0.1}, batch=_GATED, step=_GATED[1:]),
    Row(option="zoneout, gru", network={"cell": "gru", "zoneout": 0.3}, batch=_GATED, step=_GATED[1:]),
    Row(option="zoneout, rnn_relu", network={"cell": "rnn_relu", "zoneout": 0.2}, batch=("Scan", "MatMul", "Relu"),
        step=("MatMul", "Relu")),
    Row(option="all of them, both directions", network={
        "layer_norm": True, "zoneout": 0.1, "cell_clip": 0.5, "initial_state": "learnt", "bidirectional": True},
        batch=(*_GATED, *_NORMED, "Clip", "Expand"), step=None),
    Row(option="pooling last", batch=("LSTM",), step=("LSTM",)),
    Row(option="pooling mean", pooling="mean", batch=("Where", "ReduceSum", "Div"), step=("Add", "Div")),
    Row(option="pooling max", pooling="max", batch=("Where", "ReduceMax"), step=("Max",)),
    Row(option="pooling attention", pooling="attention", batch=("Where", "MatMul", "Tanh", "Softmax", "ReduceSum"),
        step=("MatMul", "Tanh", "Max", "Exp", "Div")),
    Row(option="input Words, Characters, BPE", batch=("Gather",), step=("Gather",)),
    Row(option="input Signal", kind="signal", batch=("Transpose", "LSTM"), step=("LSTM",)),
    Row(option="input Events", kind="events", pooling="mean", batch=("Gather", "Concat"),
        step=("Gather", "Concat")),
    Row(option="static features", static=True, batch=("Concat",), step=("Concat",)),
    Row(option="one class of several", batch=("MatMul", "Softmax"), step=("MatMul", "Softmax")),
    Row(option="several labels", task="multilabel", batch=("Sigmoid",), step=("Sigmoid",)),
    Row(option="a number", task="number", kind="signal", batch=("Cast", "Mul", "Add", "Squeeze"),
        step=("Cast", "Mul", "Add", "Squeeze")),
    Row(option="a vector of numbers", task="vector", kind="signal", pooling="max", batch=("Cast", "Mul", "Add"),
        step=("Cast", "Mul", "Add")),
)  # fmt: skip

WITHOUT_TRACE = (
    "dropout",
    "input_dropout",
    "recurrent_dropout",
    "output_dropout",
    "embedding_dropout",
    "locked_dropout",
    "weight_dropout",
    "forget_bias",
    "chrono_steps",
    "recurrent_init",
)
"""Options of a network that act in training alone, or on what the weights start from."""

OF_LANGUAGE_MODELS = ("tied_embedding",)
"""Options that language models alone have; their graphs are those of what comes next after a text."""
