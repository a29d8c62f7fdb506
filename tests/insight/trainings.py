"""Trainings made to go wrong in one way each, and a healthy one; small enough to run in a second or two."""

from __future__ import annotations

from typing import Any

import numpy as np

import recurra as rc
from recurra.errors import DivergedError
from recurra.insight.diagnosis import Diagnosis, diagnose

Data = tuple[list[np.ndarray], list[str]]


def first_step(count: int, length: int, seed: int) -> Data:
    """The label is the sign of the first step; noise follows."""
    random = np.random.default_rng(seed)
    made = [random.standard_normal((length, 1)).astype(np.float32) * 0.5 for _ in range(count)]
    labels = random.random(count) < 0.5
    for signal, up in zip(made, labels, strict=True):
        signal[0] = 2.0 if up else -2.0
    return made, ["up" if up else "down" for up in labels]


def last_steps(count: int, length: int, seed: int, noise: float = 0.5) -> Data:
    """The label is the sign of the mean of the last five steps, which lie about 1 or -1."""
    random = np.random.default_rng(seed)
    made = [random.standard_normal((length, 1)).astype(np.float32) * noise for _ in range(count)]
    labels = random.random(count) < 0.5
    for signal, up in zip(made, labels, strict=True):
        signal[-5:] += 1.0 if up else -1.0
    return made, ["up" if up else "down" for up in labels]


def by_chance(count: int, length: int, seed: int) -> Data:
    """The label has nothing to do with the signal."""
    random = np.random.default_rng(seed)
    made = [random.standard_normal((length, 2)).astype(np.float32) for _ in range(count)]
    return made, ["up" if up else "down" for up in random.random(count) < 0.5]


def diagnosed(
    data: Data, network: dict[str, Any], training: dict[str, Any], *, seed: int, pooling: str = "last",
    scaling: str = "standard",
) -> Diagnosis:  # fmt: skip
    """Train and diagnose, also where training breaks off."""
    model = rc.Classifier(
        rc.Network(**{"hidden_size": 16, "num_layers": 1, **network}),
        rc.Training(**{"batch_size": 16, "learning_rate": 0.01, "diagnose": True, "seed": seed, **training}),
        rc.Signal(scaling=scaling),
        pooling=pooling,
    )
    try:
        return diagnose(model.fit(*data))
    except DivergedError as error:
        return diagnose(error.fitted, model.training_)


def vanishing(seed: int) -> Diagnosis:
    """A vanilla RNN with small recurrent weights has to remember the first of 60 steps."""
    network = {"cell": "rnn", "recurrent_init": "uniform"}
    return diagnosed(first_step(160, 60, seed), network, {"epochs": 8, "learning_rate": 0.001}, seed=seed)


def exploding(seed: int) -> Diagnosis:
    """A linear-rectified RNN reads numbers up to 10, without clipping and at a large learning rate."""
    random = np.random.default_rng(seed)
    inputs = [random.random((100, 1)).astype(np.float32) * 10 for _ in range(160)]
    labels = ["up" if signal[0] > 5 else "down" for signal in inputs]
    training = {"epochs": 2, "learning_rate": 0.3, "gradient_clip": None}
    network = {"cell": "rnn_relu", "hidden_size": 32}
    return diagnosed((inputs, labels), network, training, seed=seed, scaling="none")


def saturated(seed: int) -> Diagnosis:
    """An LSTM whose inputs are not scaled and lie about 1000."""
    inputs, labels = last_steps(160, 20, seed)
    large = [signal * 1000 for signal in inputs]
    return diagnosed((large, labels), {"cell": "lstm"}, {"epochs": 6}, seed=seed, scaling="none")


def converged(seed: int) -> Diagnosis:
    """An easy task, trained for long."""
    return diagnosed(last_steps(160, 20, seed, noise=0.1), {"cell": "gru"}, {"epochs": 15}, seed=seed)


def overfitting(seed: int) -> Diagnosis:
    """Labels that mean nothing, learnt by heart."""
    network = {"cell": "gru", "hidden_size": 48}
    return diagnosed(by_chance(80, 10, seed), network, {"epochs": 40, "learning_rate": 0.02}, seed=seed)


def healthy(seed: int, cell: str = "lstm", **network: Any) -> Diagnosis:
    """A task that the network learns, stopped while it still gains."""
    return diagnosed(last_steps(240, 20, seed), {"cell": cell, **network}, {"epochs": 4}, seed=seed)
