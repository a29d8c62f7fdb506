"""Layer-normalised cells, composed of operators step by step: what a form of their own in C++ would gain.

    python benchmarks/norm_cells.py

Beside the composed cell: the plain cell's kernel, and the plain kernel plus its layer norms at the speed that our
layer-norm kernel has over many rows at once. No kernel for the whole cell can be much quicker than that sum, so
composed / sum is the most that one would gain. One layer of 128 units over 32 sequences of 100 steps of 128 inputs;
one step of one stream. One thread, medians of its processor time in microseconds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from recurra import kernels
from recurra.kernels import NormWeights, RecurWeights

UNITS, ROWS, STEPS, TURNS = 128, 32, 100, 9


def weights(cell: str) -> RecurWeights:
    """A layer-normalised cell; without `norm` it is the plain one."""
    random = np.random.default_rng(0)
    rows = kernels.GATES[cell] * UNITS

    def draw(*shape: int) -> np.ndarray:
        return (random.uniform(-1, 1, shape) / np.sqrt(UNITS)).astype(np.float32)

    ones = np.ones(rows, np.float32)
    inner = {"gain_c": ones[:UNITS], "bias_c": ones[:UNITS]} if cell == "lstm" else {}
    norm = NormWeights(gain_x=ones, gain_h=ones, **inner)
    return RecurWeights(
        cell=cell, w_ih=draw(rows, UNITS), w_hh=draw(rows, UNITS), b_ih=draw(rows), b_hh=draw(rows), norm=norm
    )


def norms(cell: str, tokens: int) -> Callable[[], Any]:
    """The layer norms of so many tokens, each kind in one call."""
    widths = [kernels.GATES[cell] * UNITS] * 2 + [UNITS] * (cell == "lstm")
    given = [
        (np.ones((tokens, w), np.float32), np.ones(w, np.float32), np.zeros(w, np.float32)) for w in widths
    ]
    return lambda: [kernels.layer_norm(*each) for each in given]


def taken(work: Callable[[], Any], calls: int = 1) -> float:
    """Median microseconds of a call."""
    found = []
    for _ in range(TURNS):
        begin = time.thread_time()
        for _ in range(calls):
            work()
        found.append((time.thread_time() - begin) / calls * 1e6)
    return statistics.median(found)


def main() -> None:
    kernels.set_num_threads(1)
    offsets, x = np.arange(ROWS + 1) * STEPS, np.ones((ROWS * STEPS, UNITS), np.float32)
    x *= np.random.default_rng(1).standard_normal(x.shape).astype(np.float32)
    print("| work | composed | plain kernel | with its norms | a kernel of its own: at most, times |")
    print("|---|---|---|---|---|")
    for cell in ("lstm", "gru", "rnn"):
        made = weights(cell)
        plain = replace(made, norm=None)
        one, other = kernels.Stepper([made]), kernels.Stepper([plain])
        many = taken(norms(cell, ROWS * STEPS))
        for name, composed, fused, extra, calls in (
            (
                "forward",
                lambda w=made: kernels.recur(w, x, offsets),
                lambda w=plain: kernels.recur(w, x, offsets),
                many,
                1,
            ),
            ("step", lambda s=one: s.step(x[0]), lambda s=other: s.step(x[0]), many / (ROWS * STEPS), 50),
        ):
            slow, quick = taken(composed, calls), taken(fused, calls)
            limit = quick + extra
            print(f"| {cell} {name} | {slow:.0f} | {quick:.1f} | {limit:.1f} | {slow / limit:.1f} |")


if __name__ == "__main__":
    main()
