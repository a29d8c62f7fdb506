"""Many streams by key: stepped together by `push_many` against one by one by `push`.

    python benchmarks/keyed_streams.py [streams]

An LSTM of 2 layers of 128 units with random weights over 16 features. The answers are compared bit for bit first.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from stream_push import model

from recurra import kernels
from recurra.runtime.predictor import Predictor
from recurra.runtime.quantize import quantized

FEATURES, ROUNDS = 16, 5


def resident() -> float:
    """Resident memory of this process in megabytes."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) * 1024 / 1e6


def seconds(run: Callable[[], None]) -> float:
    """The median of a few rounds."""
    run()
    found = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        run()
        found.append(time.perf_counter() - begin)
    return statistics.median(found)


def one_round(made: Predictor, items: dict[str, np.ndarray]) -> tuple[float, float, float]:
    """Seconds in which every stream takes a step: together, one by one; and of their answers together."""
    together, single = made.streams(max_streams=len(items)), made.streams(max_streams=len(items))

    def one_by_one() -> None:
        for key, item in items.items():
            single.push(key, item)

    times = seconds(lambda: together.push_many(items) and None), seconds(one_by_one)
    keys = list(items)
    np.testing.assert_array_equal(together.outputs(keys), single.outputs(keys))
    return *times, seconds(lambda: together.outputs(keys) is None)


def main(count: int) -> None:
    """Time every precision."""
    generator = np.random.default_rng(0)
    items = {f"device {i}": generator.standard_normal(FEATURES) for i in range(count)}
    print(f"LSTM 2x128, {FEATURES} features, {count:,} streams, {kernels.get_num_threads()} threads")
    print(f"{'precision':<11}{'together':>16}{'one by one':>16}{'ratio':>8}{'all answers':>14}{'memory':>11}")
    for precision in ("float32", "bfloat16", "int8"):
        before = resident()
        together, single, answers = one_round(quantized(model(FEATURES), precision), items)
        print(
            f"{precision:<11}{count / together:>12,.0f} /s{count / single:>13,.0f} /s{single / together:>7.1f}x"
            f"{answers * 1e3:>11.1f} ms{resident() - before:>8.0f} MB"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
