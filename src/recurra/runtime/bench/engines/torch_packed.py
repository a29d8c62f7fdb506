"""torch.nn on a `PackedSequence`, which is made outside the time."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.runtime.bench.answer import Answer
from recurra.runtime.bench.engines.engine import Prepared
from recurra.runtime.bench.engines.torch_modules import (
    gradients,
    in_precision,
    module,
    parameter_names,
    states,
    torch_for,
    values,
)
from recurra.runtime.bench.problem import Problem


def prepare(problem: Problem) -> Prepared:
    """torch.nn for this case."""
    case = problem.case
    torch = torch_for(case)
    net = in_precision(torch, module(torch, problem.layers), case)
    x = _packed(torch, problem, problem.x)
    return _train(torch, problem, net, x) if case.mode == "train" else _forward(torch, problem, net, x)


def _packed(torch: Any, problem: Problem, tokens: np.ndarray) -> Any:
    padded = values(torch, problem.padded(tokens), problem.case)
    lengths = torch.from_numpy(problem.lengths)
    return torch.nn.utils.rnn.pack_padded_sequence(padded, lengths, enforce_sorted=False)


def _tokens(torch: Any, problem: Problem, packed: Any) -> np.ndarray:
    padded, _ = torch.nn.utils.rnn.pad_packed_sequence(packed)
    return problem.tokens(padded.detach().float().numpy())


def _forward(torch: Any, problem: Problem, net: Any, x: Any) -> Prepared:
    net.eval()

    def run() -> Any:
        with torch.inference_mode():
            return net(x)

    def answer(result: Any) -> Answer:
        y, last = result
        return {"y": _tokens(torch, problem, y), **states(problem, last)}

    return Prepared(run=run, answer=answer)


def _train(torch: Any, problem: Problem, net: Any, x: Any) -> Prepared:
    x.data.requires_grad_()
    leaves = [*net.parameters(), x.data]
    dy = _packed(torch, problem, problem.dy).data

    def run() -> Any:
        y, _ = net(x)
        return y, torch.autograd.grad(y.data, leaves, dy)

    def answer(result: Any) -> Answer:
        y, found = result

        def tokens(part: Any) -> np.ndarray:
            return _tokens(torch, problem, part if part is y else y._replace(data=part))

        return gradients(list(parameter_names(problem).values()), found, problem, y, tokens)

    return Prepared(run=run, answer=answer)
