"""What subnormal numbers cost: the same work on normal and on subnormal inputs, states or weights, and torch's.

    python benchmarks/subnormals.py

A state that decays, a feature that was scaled down or a weight that a penalty shrinks ends as a number below 1e-38,
on which many processors take far longer. Our threads count such numbers as zero while they work, and
leave the caller's setting alone; torch does so only where `torch.set_flush_denormal(True)` was called, which its
other threads do not see. Forward passes are of one layer of 128 units over 32 sequences of 100 steps of 128 inputs,
one thread; steps are of one sequence. Turns are interleaved; the figures are medians of the thread's processor time
in microseconds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from recurra import kernels
from recurra.kernels import RecurWeights

UNITS, ROWS, STEPS, TURNS = 128, 32, 100, 15
TINY = 1e-40
KINDS = ("normal", "subnormal inputs", "subnormal states", "subnormal weights")


def arrays(cell: str, kind: str) -> tuple[RecurWeights, np.ndarray, np.ndarray]:
    """Weights, inputs (ROWS * STEPS, UNITS) and initial states (ROWS, UNITS)."""
    random = np.random.default_rng(0)

    def draw(small: bool, *shape: int) -> np.ndarray:
        values = random.uniform(-1, 1, shape) / np.sqrt(UNITS)
        return (np.sign(values) * TINY if small else values).astype(np.float32)

    gates, small = kernels.GATES[cell] * UNITS, kind == "subnormal weights"
    zeros = np.zeros(gates, np.float32)  # nothing lifts what is subnormal
    weights = RecurWeights(
        cell=cell, w_ih=draw(small, gates, UNITS), w_hh=draw(small, gates, UNITS), b_ih=zeros, b_hh=zeros
    )
    return (
        weights,
        draw(kind == "subnormal inputs", ROWS * STEPS, UNITS),
        draw(kind == "subnormal states", ROWS, UNITS),
    )


def peer(weights: RecurWeights) -> torch.nn.RNNBase:
    """torch.nn's layer with these weights."""
    module = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[weights.cell](
        UNITS, UNITS, batch_first=True
    )
    with torch.no_grad():
        for name, value in zip(("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"),
                               (weights.w_ih, weights.w_hh, weights.b_ih, weights.b_hh), strict=True):  # fmt: skip
            getattr(module, name).copy_(torch.from_numpy(value))
    return module


def works(cell: str, kind: str) -> dict[str, Callable[[], Any]]:
    """The four pieces of work by name; our answers are compared with torch's first."""
    weights, x, h = arrays(cell, kind)
    offsets = np.arange(ROWS + 1) * STEPS
    c = h if cell == "lstm" else None
    module, stepper = peer(weights), kernels.Stepper([weights])
    padded, first = torch.from_numpy(x).view(ROWS, STEPS, UNITS), torch.from_numpy(h)[None]
    state: Any = (first, first) if cell == "lstm" else first
    one, alone = padded[:1, :1], (first[:, :1], first[:, :1]) if cell == "lstm" else first[:, :1]

    def step() -> np.ndarray:
        stepper.load(np.stack([h[:1]] * (2 if cell == "lstm" else 1))[None])
        return stepper.step(x[:1])

    made = {
        "forward": lambda: kernels.recur(weights, x, offsets, h0=h, c0=c).y,
        "forward, torch": lambda: module(padded, state)[0],
        "step": step,
        "step, torch": lambda: module(one, alone)[0],
    }
    with torch.inference_mode():
        for name in ("forward", "step"):
            ours, theirs = np.asarray(made[name]()), made[f"{name}, torch"]().numpy()
            gap = np.abs(ours.ravel() - theirs.ravel()).max()
            if gap > 1e-5:
                raise SystemExit(f"{cell}, {kind}, {name}: our answer differs from torch's by {gap:.1e}")
    return made


def main() -> None:
    torch.set_num_threads(1)
    kernels.set_num_threads(1)
    cases = {
        (cell, kind, name): work
        for cell in ("lstm", "gru", "rnn")
        for kind in KINDS
        for name, work in works(cell, kind).items()
    }
    taken: dict[Any, list[float]] = {case: [] for case in cases}
    with torch.inference_mode():
        for _ in range(TURNS):
            for case, work in cases.items():
                count = 20 if case[2].startswith("step") else 1
                begin = time.thread_time()
                for _ in range(count):
                    work()
                taken[case].append((time.thread_time() - begin) / count * 1e6)
    print("| cell, work | " + " | ".join(KINDS) + " | slowest / normal |")
    print("|---" * (len(KINDS) + 2) + "|")
    for cell in ("lstm", "gru", "rnn"):
        for name in ("forward", "forward, torch", "step", "step, torch"):
            row = [statistics.median(taken[cell, kind, name]) for kind in KINDS]
            figures = " | ".join(f"{t:.1f}" if t < 100 else f"{t:.0f}" for t in row)
            print(f"| {cell} {name} | {figures} | {max(row) / row[0]:.2f} |")


if __name__ == "__main__":
    main()
