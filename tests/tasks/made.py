"""Small made data that a small network learns in a second."""

from __future__ import annotations

from typing import Any

import numpy as np

import recurra as rc

WORDS = ("good", "bad", "not", "film", "the", "very", "plot", "cast")


def texts(count: int = 120, seed: int = 0) -> tuple[list[str], list[str]]:
    """The class is decided by which of two words comes first."""
    generator = np.random.default_rng(seed)
    made, labels = [], []
    for _ in range(count):
        words = generator.choice(WORDS[2:], size=generator.integers(2, 9)).tolist()
        first, second = ("good", "bad") if generator.random() < 0.5 else ("bad", "good")
        spot = sorted(generator.choice(len(words) + 1, size=2))
        words.insert(spot[0], first)
        words.insert(spot[1] + 1, second)
        made.append(" ".join(words))
        labels.append("pos" if first == "good" else "neg")
    return made, labels


def signals(count: int = 60, seed: int = 0, width: int = 2) -> tuple[list[np.ndarray], list[str]]:
    """The class is the direction of the trend."""
    generator = np.random.default_rng(seed)
    made, labels = [], []
    for _ in range(count):
        rises = generator.random() < 0.5
        length = int(generator.integers(5, 20))
        trend = np.linspace(-1, 1, length) * (1 if rises else -1)
        made.append(trend[:, None] + 0.2 * generator.standard_normal((length, width)))
        labels.append("up" if rises else "down")
    return made, labels


def small(cell: str = "lstm", *, epochs: int = 3, seed: int = 0, **options: Any) -> rc.Classifier:
    """A classifier that trains in well under a second."""
    network = rc.Network(cell=cell, hidden_size=8, num_layers=1, embedding_size=8)
    training = rc.Training(epochs=epochs, learning_rate=0.02, batch_size=16, seed=seed)
    return rc.Classifier(network, training, rc.Words(min_count=1), **options)
