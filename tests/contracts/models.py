"""Small models of every cell, direction, depth and pooling, with random weights: what the contracts are held by."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from recurra.data.signal import Signal
from recurra.data.target_encoders import LabelEncoder
from recurra.data.text import Words
from recurra.graph.pool import POOLINGS
from recurra.runtime.predictor import ClassifierPredictor, Head, build_model
from recurra.spec import CELLS, Network

TEXTS = [
    "one two three four five six seven",
    "two",
    "",
    "three three two one zzz five",
    "six seven one two three four five six seven one two",
    "nothing known here",
]
LABELS = ["a", "b", "c", "a", "b", "c"]

GRID = list(itertools.product(CELLS, (False, True), (1, 2), POOLINGS))
OPTIONS = [
    {"layer_norm": True},
    {"zoneout": 0.1},
    {"initial_state": "learnt"},
    {"cell": "gru", "layer_norm": True, "bidirectional": True},
    {"cell": "rnn", "zoneout": 0.2},
    {"cell_clip": 0.1},
    {"hidden_size": 17},
]


def network(cell: str, bidirectional: bool, num_layers: int) -> Network:
    return Network(cell=cell, hidden_size=9, num_layers=num_layers, bidirectional=bidirectional)


def predictor(
    net: Network, pooling: str = "last", *, signal: bool = False, seed: int = 3
) -> ClassifierPredictor:
    """A classifier with random weights; larger than at the start, so that the cells are not all near zero."""
    encoder: Any
    encoder = Signal().fit(sequences(seed)) if signal else Words(min_count=1).fit(TEXTS[:5])
    target = LabelEncoder.fit(LABELS)
    head = Head(outputs=len(target.classes), pooling=pooling)
    model = build_model(net, encoder, head)
    parameters = {name: 1.5 * value for name, value in model.initial(seed).items()}
    return ClassifierPredictor(
        network=net,
        encoder=encoder,
        head=head,
        target=target,
        parameters=parameters,
        config={"multilabel": False, "threshold": None},
    )


def sequences(seed: int = 0) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.standard_normal((length, 3)) for length in (5, 1, 0, 33, 12, 2)]
