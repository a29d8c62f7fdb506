"""One step of a stream: `stream.push` of a feature vector against the step graph in ONNX Runtime, through Python.

    python benchmarks/stream_push.py [features]

An LSTM of 2 layers of 128 units with random weights. ONNX Runtime runs the exported step graph on one thread,
which is quicker for it, with its arrays ready; it answers with every step, so `push` and `push` + `outputs` are both
told. Answers are compared first. Turns are interleaved; the figures are medians of single calls in microseconds.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from recurra import Signal
from recurra.data.target_encoders import LabelEncoder
from recurra.runtime.bench.models.onnx_session import _Session
from recurra.runtime.export.graphs import OUT, step_graph
from recurra.runtime.predictor import ClassifierPredictor, Head, build_model
from recurra.runtime.quantize import quantized
from recurra.spec import Network

TURNS, CALLS = 20, 300


def model(features: int) -> ClassifierPredictor:
    """An LSTM 2x128 over feature vectors, untrained."""
    generator = np.random.default_rng(0)
    encoder = Signal().fit([generator.standard_normal((50, features))])
    network, head = Network(cell="lstm", hidden_size=128, num_layers=2), Head(outputs=2, pooling="last")
    return ClassifierPredictor(
        network=network,
        encoder=encoder,
        head=head,
        target=LabelEncoder.fit(["a", "b"]),
        parameters=build_model(network, encoder, head).initial(0),
        config={"multilabel": False, "threshold": None},
    )


def onnx_step(made: ClassifierPredictor, x: np.ndarray) -> Callable[[], Any]:
    """A call that takes one step in ONNX Runtime, its states going round."""
    session = _Session(step_graph(made).SerializeToString(), threads=1)
    states = session.states()
    wanted = ["logits", *(name + OUT for name in states)]

    def step() -> Any:
        found = session.held.run(wanted, {"features": x, **states})
        states.update(zip(states, found[1:], strict=True))
        return found[0]

    return step


def medians(calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Microseconds of single calls, in turns."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(TURNS):
        for name, call in calls.items():
            call()
            for _ in range(CALLS):
                begin = time.perf_counter()
                call()
                found[name].append(time.perf_counter() - begin)
    return {name: statistics.median(seconds) * 1e6 for name, seconds in found.items()}


def main(features: int) -> None:
    """Compare, time, print."""
    made = model(features)
    item = np.random.default_rng(1).standard_normal(features)
    encoded = np.asarray(made.encode([item[None]]).values)
    theirs, stream = onnx_step(made, encoded), made.stream()
    for _ in range(20):
        stream.push(item)
        np.testing.assert_allclose(stream.outputs(), theirs()[0], atol=1e-5)
    calls: dict[str, Callable[[], Any]] = {"onnxruntime step": theirs}
    for precision in ("float32", "bfloat16", "int8"):
        other = quantized(made, precision).stream()
        calls[f"recurra {precision} push"] = lambda other=other: other.push(item)
        calls[f"recurra {precision} push + outputs"] = lambda other=other: (other.push(item), other.outputs())
    found = medians(calls)
    print(f"LSTM 2x128, {features} features; microseconds a step, medians of {TURNS * CALLS} calls")
    for name, value in found.items():
        print(
            f"{name:<32}{value:>8.1f}{found['onnxruntime step'] / value:>8.1f} times as fast as ONNX Runtime"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 128)
