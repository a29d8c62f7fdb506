"""Characters written per second, one text at a time: Recurra beside PyTorch and ONNX Runtime.

    python benchmarks/generation.py [hidden_size]

An LSTM of 2 layers over 65 characters with random weights, 300 characters a turn, turns interleaved, the median of 9.
All write greedily, and their texts must be equal before anything is timed (after some 400 characters the rounding of
an untrained model tells); then Recurra and PyTorch also draw at a
temperature of 0.8 (each by its own generator), and Recurra searches with a beam of 4. PyTorch and ONNX Runtime
run on the number of threads that is quickest for them, which is one.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import onnxruntime
import torch

from recurra import Characters, Network
from recurra.graph.onnx_build import Build
from recurra.graph.onnx_nodes import trace
from recurra.graph.onnx_recur import Traced
from recurra.runtime.export.graphs import OUT
from recurra.runtime.language_model import LanguageModelPredictor
from recurra.runtime.predictor import Head, build_model

TURNS, LENGTH, LETTERS = 9, 300, 64
Write = Callable[[], list[int]]


def language_model(hidden_size: int) -> LanguageModelPredictor:
    """Untrained, with weights large enough that its greedy text does not stand still."""
    encoder = Characters().fit(["".join(chr(0x41 + number) for number in range(LETTERS))])
    network = Network(hidden_size=hidden_size, num_layers=2, embedding_size=64)
    head = Head(outputs=LETTERS + 2, pooling=None, boundary=True)
    drawn = build_model(network, encoder, head).initial(0)
    return LanguageModelPredictor(
        network=network,
        encoder=encoder,
        head=head,
        target=None,
        parameters={name: np.float32(1.5) * part for name, part in drawn.items()},
        config={"ends": False},
    )


def ours(model: LanguageModelPredictor, **options: float) -> Write:
    """`generate`, as everybody calls it, and its text back as ids."""

    def write() -> list[int]:
        found: list[int] = model.encoder.encode(
            [model.generate("", length=LENGTH, **options)]
        ).values.tolist()
        return found

    return write


def in_torch(model: LanguageModelPredictor, temperature: float = 0.0) -> Write:
    """The usual loop: Embedding, LSTM over one step, Linear, argmax or multinomial."""
    parts = {name: torch.tensor(part) for name, part in model.parameters.items()}
    embed = torch.nn.Embedding.from_pretrained(parts["embed.table"])
    lstm = torch.nn.LSTM(embed.embedding_dim, model.network.hidden_size, 2, batch_first=True)
    lstm.load_state_dict({name: parts[f"recur.{name}"] for name in lstm.state_dict()})
    head = torch.nn.Linear(model.network.hidden_size, model.head.outputs)
    head.load_state_dict({"weight": parts["head.weight"], "bias": parts["head.bias"]})
    never = torch.tensor([0, model.boundary])

    @torch.inference_mode()
    def write() -> list[int]:
        token, state, made = torch.tensor([[model.boundary]]), None, []
        for _ in range(LENGTH):
            y, state = lstm(embed(token), state)
            logits = head(y[0])
            logits[0, never] = -torch.inf
            if temperature:
                token = torch.multinomial(torch.softmax(logits / temperature, dim=1), 1)
            else:
                token = logits.argmax(dim=1, keepdim=True)
            made.append(int(token))
        return made

    return write


def in_onnx(model: LanguageModelPredictor) -> Write:
    """The step graph of the same weights on one thread, states going round, argmax in NumPy."""
    g = Build()
    count = g.input("count", np.int64, ["batch"])
    ids = g.input("ids", np.int64, ["batch"])
    first = g.op("Unsqueeze", g.op("Equal", count, g.number(0, np.int64)), g.ints(1))
    counts = g.op("Add", count, g.number(1, np.int64))
    flow = Traced(values=ids, columns={}, first=first, counts=counts)
    g.output(
        trace(g, model.model, model.parameters, flow, step=True), "logits", np.float32, ["batch", LETTERS + 2]
    )
    for name, value in flow.carried.items():
        g.output(value, f"{name}{OUT}", np.float32, ["batch", model.network.hidden_size])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        g.model("step", {}).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = list(flow.carried)
    wanted = ["logits", *(name + OUT for name in names)]

    def write() -> list[int]:
        states = {name: np.zeros((1, model.network.hidden_size), np.float32) for name in names}
        token, made = np.array([model.boundary]), []
        for step in range(LENGTH):
            logits, *after = session.run(wanted, {"ids": token, "count": np.array([step]), **states})
            states = dict(zip(names, after, strict=True))
            logits[0, [0, model.boundary]] = -np.inf
            token = logits.argmax(axis=1)
            made.append(int(token[0]))
        return made

    return write


def main(hidden_size: int) -> None:
    """Compare, time, print."""
    torch.set_num_threads(1)
    model = language_model(hidden_size)
    ways: dict[str, Write] = {
        "recurra greedy": ours(model, temperature=0),
        "torch greedy": in_torch(model),
        "onnxruntime greedy": in_onnx(model),
        "recurra drawn": ours(model, temperature=0.8),
        "torch drawn": in_torch(model, 0.8),
        "recurra beam 4": ours(model, beam=4),
    }
    texts = [ways[name]() for name in list(ways)[:3]]
    assert texts[0] == texts[1] == texts[2], "the greedy texts differ"
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, write in ways.items():
            begin = time.perf_counter()
            write()
            found[name].append(LENGTH / (time.perf_counter() - begin))
    print(f"LSTM 2x{hidden_size}, {len(set(texts[0]))} different characters; characters per second, one text")
    for name, rates in found.items():
        print(f"{name:<22}{statistics.median(rates):>10,.0f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 256)
