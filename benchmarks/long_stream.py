"""One sequence of a million steps: what a step costs and what the process holds at 1e4, 1e5 and 1e6 steps.

    python benchmarks/long_stream.py [steps]

A GRU of 64 units with random weights over 8 features: `push` step by step, `push` of chunks of 1,000 steps, and
`predict` on the whole sequence at once. All three end in the same bits. Exit code 1 where the memory of the pushed
streams grows by more than 2 MB after the first 1e4 steps.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from keyed_streams import resident

from recurra import Signal
from recurra.data.target_encoders import NumberEncoder
from recurra.runtime.predictor import Head, RegressorPredictor, build_model
from recurra.spec import Network

FEATURES, CHUNK, GROWTH = 8, 1_000, 2.0


def model() -> RegressorPredictor:
    """A GRU with mean pooling, untrained."""
    encoder = Signal().fit([np.random.default_rng(0).standard_normal((50, FEATURES))])
    network, head = (
        Network(cell="gru", hidden_size=64, num_layers=1, dropout=0.0),
        Head(outputs=1, pooling="mean"),
    )
    return RegressorPredictor(
        network=network,
        encoder=encoder,
        head=head,
        target=NumberEncoder.fit(np.arange(4.0)),
        parameters=build_model(network, encoder, head).initial(0),
    )


def piece(begin: int, count: int) -> np.ndarray:
    """Steps of the sequence, made when they are needed, so that the sequence itself takes no memory."""
    t = np.arange(begin, begin + count)[:, None]
    return np.sin(t * (1 + np.arange(FEATURES)) * 0.01)


def walk(steps: int, chunk: int) -> tuple[np.ndarray, list[tuple[int, float, float]]]:
    """Push a sequence; the outputs at its end, and (steps, megabytes, microseconds a step) at powers of ten."""
    stream, marks, taken = model().stream(), [], 0
    begin, since = time.perf_counter(), 0
    goals = [goal for goal in (10_000, 100_000, 1_000_000) if goal <= steps] or [steps]
    while taken < goals[-1]:
        rows = piece(taken, CHUNK)
        if chunk == 1:
            for row in rows:
                stream.push(row)
        else:
            stream.push(rows)
        taken += CHUNK
        if taken in goals:
            now = time.perf_counter()
            marks.append((taken, resident(), (now - begin) / (taken - since) * 1e6))
            begin, since = now, taken
    return stream.outputs(), marks


def main(steps: int) -> int:
    """Walk both ways, predict the whole, compare, print."""
    grown = 0.0
    answers = []
    for name, chunk in (("step by step", 1), (f"chunks of {CHUNK:,}", CHUNK)):
        answer, marks = walk(steps, chunk)
        answers.append(answer)
        for taken, memory, cost in marks:
            print(f"{name:<18}{taken:>10,} steps  {memory:8.2f} MB  {cost:6.2f} us a step")
        grown = max(grown, marks[-1][1] - marks[0][1])
    begin, count = time.perf_counter(), marks[-1][0]
    whole = model().outputs([piece(0, count)])[0]
    cost = (time.perf_counter() - begin) / count * 1e6
    print(f"{'predict, whole':<18}{count:>10,} steps  {resident():8.2f} MB  {cost:6.2f} us a step")
    same = all(np.array_equal(answer, whole) for answer in answers)
    print(f"the same bits: {'yes' if same else 'NO'}; grown by {grown:.2f} MB while pushing")
    return 0 if same and grown <= GROWTH else 1


if __name__ == "__main__":
    sys.exit(main(int(float(sys.argv[1])) if len(sys.argv) > 1 else 1_000_000))
