"""Tokens per second in training a language model, beside the same model written the usual way over `nn.LSTM`.

    python benchmarks/language_training.py [--hidden-size 512] [--layers 1] [--streams 32] [--window 100] [--steps 20]
    python benchmarks/language_training.py --vocabulary 50000 --adaptive --steps 5

The usual way: a padded (T, B) block of ids, `nn.Embedding`, `nn.LSTM` with the state handed on detached, `nn.Linear`,
`cross_entropy`, `clip_grad_norm_`, `torch.optim.Adam`. First both compute the loss of one window from the same
weights, which must agree; then both take the same steps in turns. Dropout is off, and each has all threads. The ids
follow Zipf's law. --adaptive adds our model with an adaptive softmax at the usual cutoffs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from recurra import kernels
from recurra.graph.adaptive import usual_cutoffs
from recurra.graph.model import InputShape, sequence_model
from recurra.graph.run import Flow, Run
from recurra.spec import Network, Training
from recurra.training.device import one_torch_thread
from recurra.training.gradients import clip_gradients, make_leaves, norms_by_layer
from recurra.training.optimizers import make_optimizer

TOLERANCE = 1e-5


class Usual(torch.nn.Module):
    """Embedding, `nn.LSTM`, linear."""

    def __init__(self, vocabulary: int, embedding: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(vocabulary, embedding)
        self.recur = torch.nn.LSTM(embedding, hidden, layers)
        self.head = torch.nn.Linear(hidden, vocabulary)

    def forward(self, ids: torch.Tensor, state: Any) -> Any:
        y, state = self.recur(self.embed(ids), state)
        return self.head(y), state


def usual_step(model: Usual, ids: Any) -> Callable[[], float]:
    """One window the usual way."""
    optimizer, state = torch.optim.Adam(model.parameters(), lr=1e-3), None
    inputs, targets = torch.from_numpy(ids[:, :-1].T.copy()), torch.from_numpy(ids[:, 1:].T.copy())

    def step() -> float:
        nonlocal state
        optimizer.zero_grad()
        logits, state = model(inputs, state)
        state = tuple(part.detach() for part in state)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.reshape(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        return float(loss.detach())

    return step


def our_step(model: Any, values: dict[str, Any], ids: Any) -> Callable[[], float]:
    """One window on our operators, as the training loop does it."""
    parameters = make_leaves(values, "cpu")
    roles = {name: made.role for name, made in model.parameters().items()}
    optimizer = make_optimizer(Training(learning_rate=1e-3), parameters, roles)
    rows, steps = ids.shape[0], ids.shape[1] - 1
    flow = Flow(values=torch.from_numpy(ids[:, :-1].reshape(-1).copy()), offsets=np.arange(rows + 1) * steps)
    targets, states = torch.from_numpy(ids[:, 1:].reshape(-1).copy()), {}

    def step() -> float:
        nonlocal states
        with one_torch_thread():
            optimizer.clear()
            run = Run(training=True, states=states, keep_states=True)
            losses = model.losses(parameters, flow, run, targets, kernels.cross_entropy)
            loss = kernels.weighted_mean(losses)
            loss.backward()
            norm, _ = norms_by_layer(parameters, model.layers())
            optimizer.step(1e-3, clip_gradients(parameters, 5.0, "norm", norm))
            states = {
                node: {place: tuple(part.detach() for part in pair) for place, pair in held.items()}
                for node, held in run.carried.items()
            }
        return float(loss.detach())

    return step


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, value in (("hidden-size", 512), ("layers", 1), ("embedding-size", 128), ("streams", 32)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--window", type=int, default=100)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--vocabulary", type=int, default=66)
    parser.add_argument("--adaptive", action="store_true")
    chosen = parser.parse_args()
    network = Network(
        hidden_size=chosen.hidden_size,
        num_layers=chosen.layers,
        embedding_size=chosen.embedding_size,
        dropout=0.0,
    )
    count = chosen.vocabulary
    shape = InputShape(kind="tokens", vocabularies={"tokens": count})
    model = sequence_model(network, shape, outputs=count, pooling=None)
    values = model.initial(0)
    usual = Usual(count, chosen.embedding_size, chosen.hidden_size, chosen.layers)
    usual.load_state_dict(
        {
            name.replace("embed.table", "embed.weight"): torch.from_numpy(v.copy())
            for name, v in values.items()
        }
    )
    share = 1.0 / np.arange(1, count + 1)
    size = (chosen.streams, chosen.window + 1)
    ids = np.random.default_rng(0).choice(count, size, p=share / share.sum())
    steps = {"recurra": our_step(model, values, ids), "nn.LSTM": usual_step(usual, ids)}
    first = {name: step() for name, step in steps.items()}
    assert abs(first["recurra"] - first["nn.LSTM"]) < TOLERANCE * first["nn.LSTM"], first
    if chosen.adaptive:
        smaller = sequence_model(
            network, shape, outputs=count, pooling=None, cutoffs=usual_cutoffs(count - 1)
        )
        steps["recurra, adaptive"] = our_step(smaller, smaller.initial(0), ids)
        steps["recurra, adaptive"]()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(chosen.steps):
        for name, step in steps.items():
            begin = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - begin)
    tokens = chosen.streams * chosen.window
    for name, found in times.items():
        middle = statistics.median(found)
        print(
            json.dumps(
                {"engine": name, "tokens_per_second": round(tokens / middle), "ms": round(1e3 * middle, 1)}
            )
        )


if __name__ == "__main__":
    main()
