"""Models of every kind of input with random weights, and what the promises of streams are checked with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np

from contracts.models import LABELS
from recurra.data.encoder import Encoder
from recurra.data.events import Events
from recurra.data.signal import Signal
from recurra.data.target_encoders import LabelEncoder, NumberEncoder
from recurra.data.text import BPE, Characters, Words
from recurra.graph.gathering import _Summed
from recurra.kernels import Stepper
from recurra.ragged import Ragged
from recurra.runtime.predictor import (
    ClassifierPredictor,
    Head,
    Predictor,
    RegressorPredictor,
    StaticScaler,
    build_model,
)
from recurra.spec import Network

SENTENCES = [
    "one two, three! four five don't six seven",
    "two été naïve 日本語 one",
    "three three <br /> two one zzz 😀 five",
    "six seven one two three four five six seven one two " * 2,
]


def model_of(
    encoder: Encoder,
    pooling: str = "last",
    *,
    task: str = "classifier",
    static: bool = False,
    seed: int = 3,
    **network: Any,
) -> Predictor:
    """A model with random weights, larger than at the start, so that the cells are not all near zero."""
    net = Network(**{"hidden_size": 7, "num_layers": 2, **network})
    scaler = StaticScaler.fit(np.arange(8.0).reshape(4, 2) ** 2, ("age", "mass")) if static else None
    target: Any = (
        LabelEncoder.fit(LABELS) if task == "classifier" else NumberEncoder.fit(np.arange(6.0) * 3 + 1)
    )
    head = Head(outputs=3 if task == "classifier" else 1, pooling=pooling, static=scaler)
    kind = ClassifierPredictor if task == "classifier" else RegressorPredictor
    return kind(
        network=net,
        encoder=encoder,
        head=head,
        target=target,
        parameters={k: 1.5 * v for k, v in build_model(net, encoder, head).initial(seed).items()},
        config={"multilabel": False, "threshold": None},
    )


def numbers(length: int, seed: int = 0, width: int = 3, missing: float = 0.0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    values = 5 + 3 * generator.standard_normal((length, width))
    values[generator.random(values.shape) < missing] = np.nan
    return values


def plain_signal(**options: Any) -> Encoder:
    return Signal(**options).fit([numbers(30, 1), numbers(20, 2)])


def gappy_signal(**options: Any) -> Encoder:
    return Signal(**options).fit([numbers(60, 1, missing=0.2), numbers(20, 2)])


def timed_steps(length: int, seed: int = 0) -> list[dict[str, Any]]:
    """Steps with an id, a number and a time, as a log has them."""
    generator = np.random.default_rng(seed)
    time = np.cumsum(generator.exponential(30.0, length))
    return [
        {
            "time": float(t),
            "amount": float(generator.normal(100, 20)),
            "kind": str(generator.choice(list("abcq"))),
        }
        for t in time
    ]


def events(**options: Any) -> Encoder:
    return Events(**{"elapsed_time": True, "min_count": 1, **options}).fit(
        [timed_steps(40, 1), timed_steps(5, 2)]
    )


def timed_signal() -> Encoder:
    values = np.concatenate([numbers(30, 1, 2), numbers(10, 2, 2)])
    time = np.concatenate([np.cumsum(np.arange(30.0)), np.arange(10.0)])
    return Signal(elapsed_time=True).fit(
        Ragged(values=values, offsets=np.array([0, 30, 40]), columns={"time": time})
    )


def words(**options: Any) -> Encoder:
    return Words(**{"min_count": 1, **options}).fit(SENTENCES)


def characters(**options: Any) -> Encoder:
    return Characters(**options).fit(SENTENCES)


def pieces(**options: Any) -> Encoder:
    return BPE(**{"vocab_size": 120, "min_count": 1, **options}).fit(SENTENCES)


def assert_same_bits(a: Any, b: Any) -> None:
    left, right = np.asarray(a), np.asarray(b)
    assert left.dtype == right.dtype
    assert left.shape == right.shape
    assert left.tobytes() == right.tobytes(), f"{left} is not {right}"


@contextmanager
def drops_a_step() -> Iterator[None]:
    """Every seventh step leaves the state as it was."""
    honest, seen = Stepper.step, [0]

    def step(self: Stepper, x: np.ndarray, rows: Any = None) -> np.ndarray:
        seen[0] += 1
        if seen[0] % 7:
            return honest(self, x, rows)
        before = self.state
        y = honest(self, x, rows).copy()
        self.load(before)
        return y

    with mock.patch.object(Stepper, "step", step):
        yield


@contextmanager
def shares_a_row() -> Iterator[None]:
    """All streams write what they gather into the row of the first, as a buffer shared between keys would."""
    honest = _Summed.push

    def push(self: _Summed, y: np.ndarray, rows: np.ndarray) -> None:
        for place in range(len(y)):
            honest(self, y[place : place + 1], np.zeros(1, np.int64))

    with mock.patch.object(_Summed, "push", push):
        yield
