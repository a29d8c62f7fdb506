"""Layer-normalised cells and zoneout: their kernels beside the same cells composed of operators, step by step.

    python benchmarks/norm_cells.py

Composed is what runs where there is no kernel for a cell: native products, norms and activations, Python walking
through time. Both are first asserted to answer alike. Beside them the plain cell's kernel. One layer of 128 units
over 32 sequences of 100 steps of 128 inputs, forward and as a training step (all gradients); one step of one stream.
One thread, medians of its processor time in microseconds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from recurra import kernels
from recurra.kernels import NormWeights, RecurWeights, numpy_native, torch_native, torch_reference
from recurra.kernels.reference import Options

UNITS, ROWS, STEPS, TURNS = 128, 32, 100, 9
OFFSETS = np.arange(ROWS + 1) * STEPS
GAINS = ("gain_x", "gain_h", "gain_c", "bias_c")
MAIN = ("w_ih", "w_hh", "b_ih", "b_hh")
KINDS = [(cell, True, 0.0) for cell in ("lstm", "gru", "rnn")] + [("lstm", False, 0.1), ("gru", False, 0.1)]


def weights(cell: str, norm: bool) -> RecurWeights:
    """A layer-normalised or a plain cell."""
    random = np.random.default_rng(0)
    rows = kernels.GATES[cell] * UNITS

    def draw(*shape: int) -> np.ndarray:
        return (random.uniform(-1, 1, shape) / np.sqrt(UNITS)).astype(np.float32)

    ones = np.ones(rows, np.float32)
    inner = {"gain_c": ones[:UNITS], "bias_c": ones[:UNITS]} if cell == "lstm" else {}
    gains = NormWeights(gain_x=ones, gain_h=ones, **inner) if norm else None
    return RecurWeights(
        cell=cell,
        w_ih=draw(rows, UNITS),
        w_hh=draw(rows, UNITS),
        b_ih=draw(rows),
        b_hh=draw(rows),
        norm=gains,
    )


def learnt(made: RecurWeights) -> RecurWeights:
    """The same weights as tensors that want gradients."""

    def turned(x: Any) -> Any:
        return None if x is None else torch.tensor(x, requires_grad=True)

    norm = made.norm and NormWeights(**{name: turned(getattr(made.norm, name)) for name in GAINS})
    return RecurWeights(cell=made.cell, norm=norm, **{name: turned(getattr(made, name)) for name in MAIN})


def trained(made: RecurWeights, x: np.ndarray, rate: float, composed: bool) -> Callable[[], Any]:
    """Forward and backward of one layer, as a call."""
    held, given = learnt(made), torch.tensor(x, requires_grad=True)
    offsets, how = torch.from_numpy(OFFSETS), Options(zoneout=rate)
    leaves = [given, *(getattr(held, name) for name in MAIN)]
    leaves += [g for g in vars(held.norm).values() if g is not None] if held.norm else []
    slope = torch.ones(len(x), UNITS)

    def run() -> Any:
        if composed:
            done = torch_reference.composed(held, given, offsets, None, None, how, None, torch_native)
        else:
            done = kernels.recur(held, given, offsets, zoneout=rate)
        return torch.autograd.grad(done.y, leaves, slope)

    return run


def composed_step(made: RecurWeights, token: np.ndarray, rate: float) -> Callable[[], Any]:
    """One composed step of one stream, as a call."""
    state = [np.zeros((1, UNITS), np.float32) for _ in range(2)]
    one, how = np.array([0, 1]), Options(zoneout=rate)

    def run() -> Any:
        cells = state[1] if made.cell == "lstm" else None
        done = numpy_native.composed(made, token[None], one, state[0], cells, how, None)
        state[0] = done.h
        if done.c is not None:
            state[1] = done.c
        return done.y

    return run


def step(made: RecurWeights, token: np.ndarray, rate: float = 0.0) -> Callable[[], Any]:
    """One step of one stream, as a call."""
    stepper = kernels.Stepper([made], zoneout=rate)
    return lambda: stepper.step(token)


def taken(work: Callable[[], Any], calls: int = 1) -> float:
    """Median microseconds of a call."""
    found = []
    for _ in range(TURNS):
        begin = time.thread_time()
        for _ in range(calls):
            work()
        found.append((time.thread_time() - begin) / calls * 1e6)
    return statistics.median(found)


def alike(a: Any, b: Any) -> None:
    """Fail where two answers differ by more than rounding."""
    pairs = zip(a, b, strict=True) if isinstance(a, tuple) else [(a, b)]
    for x, y in pairs:
        x, y = np.asarray(x), np.asarray(y)
        assert np.abs(x - y).max() <= 1e-4 * max(1.0, np.abs(y).max())


def works(
    cell: str, norm: bool, rate: float, x: np.ndarray
) -> dict[str, tuple[Callable[[], Any], Callable[[], Any], Callable[[], Any]]]:
    """What is timed: composed, native, and of the plain cell."""
    made, how = weights(cell, norm), Options(zoneout=rate)
    plain = replace(made, norm=None)
    return {
        "forward": (
            lambda: numpy_native.composed(made, x, OFFSETS, None, None, how, None).y,
            lambda: kernels.recur(made, x, OFFSETS, zoneout=rate).y,
            lambda: kernels.recur(plain, x, OFFSETS).y,
        ),
        "training step": (
            trained(made, x, rate, True),
            trained(made, x, rate, False),
            trained(plain, x, 0.0, False),
        ),
        "one step of one stream": (
            composed_step(made, x[0], rate),
            step(made, x[0], rate),
            step(plain, x[0]),
        ),
    }


def main() -> None:
    kernels.set_num_threads(1)
    torch.set_num_threads(1)
    x = np.random.default_rng(1).standard_normal((ROWS * STEPS, UNITS)).astype(np.float32)
    print("| work | composed | native | times as fast | plain cell |")
    print("|---|---|---|---|---|")
    for cell, norm, rate in KINDS:
        name = cell.upper() + (", layer-normalised" if norm else ", zoneout")
        for what, (composed, native, plain) in works(cell, norm, rate, x).items():
            alike(native(), composed())
            calls = 50 if "stream" in what else 1
            slow, quick, base = taken(composed, calls), taken(native, calls), taken(plain, calls)
            print(f"| {name}, {what} | {slow:.0f} | {quick:.1f} | {slow / quick:.1f} | {base:.1f} |")


if __name__ == "__main__":
    main()
