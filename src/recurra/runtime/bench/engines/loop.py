"""A plain loop over time with torch's products, as people write a recurrence by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from recurra.runtime.bench.answer import Answer
from recurra.runtime.bench.engines.engine import LeftOutError, Prepared
from recurra.runtime.bench.engines.torch_modules import PARTS, gradients, plain, torch_for, values
from recurra.runtime.bench.problem import Problem

Step = Callable[[Any, Any, Any, list[Any]], tuple[Any, Any]]


def prepare(problem: Problem) -> Prepared:
    """The loop for this case."""
    case = problem.case
    if case.dtype == "int8":
        raise LeftOutError("a plain loop has no int8 product in torch")
    torch = torch_for(case)
    weights = [[[values(torch, getattr(w, name), case) for name in PARTS] for w in layer]
               for layer in problem.layers]  # fmt: skip
    if case.mode == "step":
        return _stepwise(torch, problem, weights)
    x = values(torch, problem.padded(problem.x), case)
    walk = _walk(torch, problem)
    if case.mode == "train":
        return _train(torch, problem, weights, x, walk)

    def run() -> Any:
        with torch.inference_mode():
            return walk(x, weights)

    def answer(result: Any) -> Answer:
        y, states = result
        return {"y": problem.tokens(plain(y)), **_states(states)}

    return Prepared(run=run, answer=answer)


def step_of(torch: Any, cell: str) -> Step:
    """One time step: (x, h, c, weights) to the new h and c."""

    def lstm(x: Any, h: Any, c: Any, w: list[Any]) -> tuple[Any, Any]:
        i, f, g, o = (x @ w[0].T + w[2] + h @ w[1].T + w[3]).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def gru(x: Any, h: Any, c: Any, w: list[Any]) -> tuple[Any, Any]:
        xr, xz, xn = (x @ w[0].T + w[2]).chunk(3, dim=-1)
        hr, hz, hn = (h @ w[1].T + w[3]).chunk(3, dim=-1)
        r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
        return (1 - z) * torch.tanh(xn + r * hn) + z * h, c

    def rnn(x: Any, h: Any, c: Any, w: list[Any]) -> tuple[Any, Any]:
        return squash(x @ w[0].T + w[2] + h @ w[1].T + w[3]), c

    squash = torch.relu if cell == "rnn_relu" else torch.tanh
    return {"lstm": lstm, "gru": gru}.get(cell, rnn)


def _walk(torch: Any, problem: Problem) -> Callable[[Any, Any], Any]:
    step, units = step_of(torch, problem.case.cell), problem.case.hidden_size
    masks = torch.from_numpy(problem.mask)[:, :, None].unbind(0) if problem.ragged else None

    def one(x: Any, w: list[Any], backward: bool) -> Any:
        h = c = x.new_zeros(x.shape[1], units)
        out: list[Any] = [None] * x.shape[0]
        for t in reversed(range(x.shape[0])) if backward else range(x.shape[0]):
            new = step(x[t], h, c, w)
            if masks is None:
                h, c = new
            else:
                h, c = (torch.where(masks[t], a, b) for a, b in zip(new, (h, c), strict=True))
            out[t] = h
        return torch.stack(out), h, c

    def walk(x: Any, layers: Any) -> Any:
        states = []
        for layer in layers:
            done = [one(x, w, bool(place)) for place, w in enumerate(layer)]
            states.append([each[1:] if problem.case.cell == "lstm" else each[1:2] for each in done])
            x = done[0][0] if len(done) == 1 else torch.cat([each[0] for each in done], dim=-1)
        return x, states

    return walk


def _states(states: Any) -> dict[str, np.ndarray]:
    names = ("h", "c")[: len(states[0][0])]
    return {
        name: np.stack([np.stack([plain(each[place]) for each in layer]) for layer in states])
        for place, name in enumerate(names)
    }


def _train(torch: Any, problem: Problem, weights: Any, x: Any, walk: Callable[[Any, Any], Any]) -> Prepared:
    names = [f"{level}.{place}.{name}" for level, layer in enumerate(problem.layers)
             for place in range(len(layer)) for name in PARTS]  # fmt: skip
    weights = [[[part.clone().requires_grad_() for part in w] for w in layer] for layer in weights]
    leaves = [part for layer in weights for w in layer for part in w]
    x = x.requires_grad_()
    dy = values(torch, problem.padded(problem.dy), problem.case)

    def run() -> Any:
        y, _ = walk(x, weights)
        return y, torch.autograd.grad(y, [*leaves, x], dy)

    def answer(result: Any) -> Answer:
        return gradients(names, result[1], problem, result[0], lambda t: problem.tokens(plain(t)))

    return Prepared(run=run, answer=answer)


def _stepwise(torch: Any, problem: Problem, weights: Any) -> Prepared:
    step = step_of(torch, problem.case.cell)
    tokens = list(values(torch, problem.x, problem.case)[:, None])
    zero = tokens[0].new_zeros(1, problem.case.hidden_size)

    def walk(keep: list[Any] | None) -> Any:
        held = [(zero, zero)] * len(weights)
        with torch.inference_mode():
            for token in tokens:
                for level, (w,) in enumerate(weights):
                    held[level] = step(token, *held[level], w)
                    token = held[level][0]
                if keep is not None:
                    keep.append(token)
        return held

    def answer(_: Any) -> Answer:
        kept: list[Any] = []
        held = walk(kept)
        kind = slice(None) if problem.case.cell == "lstm" else slice(1)
        return {"y": plain(torch.cat(kept)), **_states([[each[kind]] for each in held])}

    return Prepared(run=lambda: walk(None), answer=answer, per_run=len(tokens))
