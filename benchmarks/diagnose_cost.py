"""What `Training(diagnose=True)` costs: the same training without and with it, in turns, in one process.

`python benchmarks/diagnose_cost.py [--turns 5]`. Two shapes: reviews (LSTM, 2 layers, 128 units, 100 inputs,
batches of 32 sequences of about 270 tokens) and names (GRU, 1 layer, 64 units, about 8 tokens). Weights must be the
same bits in both before anything is told. Processor time of one thread is counted, which other work on the machine
hardly moves. Exit code 1 where the median of the extra time is above a tenth.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass

import numpy as np

import recurra as rc
from recurra import kernels
from recurra.training import BeginEvent, Callback

LIMIT = 0.10


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One kind of data and the network for it. steps: of the one epoch that is timed."""

    name: str
    network: rc.Network
    mean: int
    steps: int

    def data(self) -> tuple[list[str], list[str]]:
        """Texts of made words, in 32 sequences a step, with labels that follow no rule."""
        random = np.random.default_rng(0)
        count = 32 * self.steps
        lengths = random.integers(self.mean // 2, self.mean * 3 // 2, count)
        words = np.array([f"w{number}" for number in range(2000)])
        texts = [" ".join(words[random.integers(0, len(words), length)]) for length in lengths]
        return texts, random.choice(["a", "b"], count).tolist()


SHAPES = (
    Shape(name="reviews", network=rc.Network(), mean=270, steps=52),
    Shape(name="names", network=rc.Network(cell="gru", hidden_size=64, num_layers=1), mean=8, steps=402),
)


class Clock(Callback):
    """Processor time from the first step to the end."""

    def on_begin(self, event: BeginEvent) -> None:
        self._begin = time.process_time()

    def on_end(self) -> None:
        self.seconds = time.process_time() - self._begin


def trained(shape: Shape, data: tuple[list[str], list[str]], diagnose: bool) -> tuple[float, rc.Classifier]:
    """Seconds of the training alone, and the model."""
    training = rc.Training(epochs=1, sequence_length=None, bucket=False, diagnose=diagnose)
    model = rc.Classifier(shape.network, training, rc.Words(min_count=1))
    few = ([text[:40] for text in data[0][:8]], ["a", "b"] * 4)
    clock = Clock()
    model.fit(*data, validation_data=few, callbacks=[clock])
    return clock.seconds, model


def measure(shape: Shape, turns: int) -> list[float]:
    """Extra time of each turn, as a share."""
    data = shape.data()
    shares = []
    for turn in range(turns + 1):
        order = (False, True) if turn % 2 else (True, False)
        found = {diagnose: trained(shape, data, diagnose) for diagnose in order}
        plain, watched = found[False][1].parameters_, found[True][1].parameters_
        assert all(plain[name].tobytes() == watched[name].tobytes() for name in plain)
        if turn:  # the first one warms up
            shares.append(found[True][0] / found[False][0] - 1)
        probes = len(found[True][1].history_.probes)
    listed = ", ".join(f"{share:+.1%}" for share in shares)
    print(
        f"{shape.name}: median {np.median(shares):+.1%} of {found[False][0]:.2f} s, {probes} probes ({listed})"
    )
    return shares


def main() -> int:
    """Measure all shapes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5)
    turns = parser.parse_args().turns
    kernels.set_num_threads(1)
    medians = [float(np.median(measure(shape, turns))) for shape in SHAPES]
    return int(max(medians) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
