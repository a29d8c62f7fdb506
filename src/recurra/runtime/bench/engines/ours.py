"""Recurra itself: NumPy in and out for inference, torch with gradients for training, the stepper for streams."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from recurra import kernels
from recurra.kernels import RecurWeights, numpy_native
from recurra.runtime.bench.answer import Answer
from recurra.runtime.bench.engines.engine import LeftOutError, Prepared, needed
from recurra.runtime.bench.problem import Problem


def prepare(problem: Problem) -> Prepared:
    """Recurra for this case."""
    kernels.set_num_threads(problem.case.threads)
    if problem.case.mode == "train":
        return _train(problem)
    layers = [[_precise(weights, problem.case.dtype) for weights in layer] for layer in problem.layers]
    return _step(problem, layers) if problem.case.mode == "step" else _forward(problem, layers)


def _precise(weights: RecurWeights, dtype: str) -> RecurWeights:
    """The same weights in the precision asked for, packed."""
    if dtype != "float32" and not kernels.engine()["native"]:
        raise LeftOutError(f"{dtype} needs the native kernels, which were not built")
    made = replace(weights, precision=dtype)
    if dtype != "float32":
        try:
            numpy_native.packed(made)
        except (ValueError, TypeError) as error:
            raise LeftOutError(f"recurra has no {dtype} here: {error}") from None
    return made


def _note(layers: list[list[RecurWeights]]) -> str:
    """Which path runs in lower precision, and what the weights take."""
    every = [weights for layer in layers for weights in layer]
    packs = [weights.packed.get("native") for weights in every]
    if every[0].precision == "float32" or None in packs:
        return ""
    taken = sum(held.nbytes for held in packs if held is not None)
    full = sum(part.nbytes for w in every for part in (w.w_ih, w.w_hh, w.b_ih, w.b_hh))
    engine = packs[0].engine if packs[0] is not None else ""
    return f"{engine}; the weights take {taken:,} bytes, {taken / full:.2f} of what they take in float32"


def _forward(problem: Problem, layers: list[list[RecurWeights]]) -> Prepared:
    offsets = problem.offsets

    def run() -> Any:
        x, states = problem.x, []
        for layer in layers:
            done = [kernels.recur(w, x, offsets, reverse=bool(place)) for place, w in enumerate(layer)]
            states.append(done)
            x = done[0].y if len(done) == 1 else kernels.concat_features([each.y for each in done])
        return x, states

    return Prepared(run=run, answer=_answer, note=_note(layers))


def _answer(result: Any) -> Answer:
    y, states = result
    found = {"y": y, "h": np.stack([np.stack([each.h for each in layer]) for layer in states])}
    if states[0][0].c is not None:
        found["c"] = np.stack([np.stack([each.c for each in layer]) for layer in states])
    return found


def _step(problem: Problem, layers: list[list[RecurWeights]]) -> Prepared:
    stepper = kernels.Stepper([layer[0] for layer in layers])
    tokens = list(problem.x)
    outputs = np.empty((len(tokens), stepper.hidden_size), np.float32)

    def run() -> Any:
        stepper.reset()
        step = stepper.step
        for token in tokens:
            step(token)

    def answer(_: Any) -> Answer:
        stepper.reset()
        for place, token in enumerate(tokens):
            outputs[place] = stepper.step(token)
        state = stepper.state
        found = {"y": outputs, "h": state[:, :1]}
        return found | {"c": state[:, 1:]} if problem.case.cell == "lstm" else found

    return Prepared(run=run, answer=answer, per_run=len(tokens), note=_note(layers))


def _train(problem: Problem) -> Prepared:
    precision = problem.case.dtype
    if precision == "int8":
        raise LeftOutError("recurra does not train in int8")
    if precision != "float32" and not kernels.engine()["native"]:
        raise LeftOutError(f"{precision} needs the native kernels, which were not built")
    torch = needed("torch", "pip install 'recurra[train]'")
    names = ("w_ih", "w_hh", "b_ih", "b_hh")
    leaves: dict[str, Any] = {}
    layers = []
    for level, layer in enumerate(problem.layers):
        for place, weights in enumerate(layer):
            for name in names:
                leaf = torch.from_numpy(getattr(weights, name).copy()).requires_grad_()
                leaves[f"{level}.{place}.{name}"] = leaf
        layers.append([
            RecurWeights(cell=weights.cell, precision=precision,
                         **{name: leaves[f"{level}.{place}.{name}"] for name in names})
            for place, weights in enumerate(layer)
        ])  # fmt: skip
    leaves["dx"] = torch.from_numpy(problem.x.copy()).requires_grad_()
    offsets, dy = torch.from_numpy(problem.offsets), torch.from_numpy(problem.dy)

    def run() -> Any:
        x = leaves["dx"]
        for layer in layers:
            ys = [kernels.recur(w, x, offsets, reverse=bool(place)).y for place, w in enumerate(layer)]
            x = ys[0] if len(ys) == 1 else kernels.concat_features(ys)
        return x, torch.autograd.grad(x, list(leaves.values()), dy)

    def answer(result: Any) -> Answer:
        y, gradients = result
        found = {name: g.numpy() for name, g in zip(leaves, gradients, strict=True)}
        return {"y": y.detach().numpy(), **found}

    return Prepared(run=run, answer=answer)
