"""torch.nn on padded tensors.

Where lengths differ and both directions are read, `bidirectional=True` would read the padding first and answer
something else, so each direction is a module of its own, the reverse one over rows turned round by `gather`.
"""

from __future__ import annotations

from typing import Any

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
    if case.mode == "step":
        return _step(torch, problem)
    if case.bidirectional and problem.ragged:
        net, names = _both(torch, problem)
    else:
        net = in_precision(torch, module(torch, problem.layers), case)
        names = list(parameter_names(problem).values())
    x = values(torch, problem.padded(problem.x), case)
    return _train(torch, problem, net, names, x) if case.mode == "train" else _forward(torch, problem, net, x)


def _forward(torch: Any, problem: Problem, net: Any, x: Any) -> Prepared:
    net.eval()

    def run() -> Any:
        with torch.inference_mode():
            return net(x)

    def answer(result: Any) -> Answer:
        y, last = result
        found = {"y": problem.tokens(y.float().numpy())}
        # On padded rows the last state is that after the padding.
        return found if problem.ragged else found | states(problem, last)

    return Prepared(run=run, answer=answer)


def _train(torch: Any, problem: Problem, net: Any, names: list[str], x: Any) -> Prepared:
    x = x.requires_grad_()
    leaves = [*net.parameters(), x]
    dy = values(torch, problem.padded(problem.dy), problem.case)

    def run() -> Any:
        y, _ = net(x)
        return y, torch.autograd.grad(y, leaves, dy)

    def answer(result: Any) -> Answer:
        y, found = result
        return gradients(names, found, problem, y, lambda t: problem.tokens(t.detach().float().numpy()))

    return Prepared(run=run, answer=answer)


def _step(torch: Any, problem: Problem) -> Prepared:
    net = in_precision(torch, module(torch, problem.layers), problem.case).eval()
    tokens = list(values(torch, problem.x, problem.case)[:, None, None])

    def walk(keep: list[Any] | None) -> Any:
        state = None
        with torch.inference_mode():
            for token in tokens:
                y, state = net(token, state)
                if keep is not None:
                    keep.append(y)
        return state

    def answer(_: Any) -> Answer:
        kept: list[Any] = []
        last = walk(kept)
        y = torch.cat(kept).float().numpy().reshape(len(tokens), -1)
        return {"y": y, **states(problem, last)}

    return Prepared(run=lambda: walk(None), answer=answer, per_run=len(tokens))


def _both(torch: Any, problem: Problem) -> tuple[Any, list[str]]:
    """Every direction of every layer as a module of its own, and the names of their parameters in order."""
    case = problem.case
    turned = torch.from_numpy(problem.turned)[:, :, None]

    class Turned(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.ModuleList(
                torch.nn.ModuleList(in_precision(torch, module(torch, [[w]]), case) for w in layer)
                for layer in problem.layers
            )

        def forward(self, x: Any) -> tuple[Any, None]:
            for onward, backward in self.layers:
                y = onward(x)[0]
                z = backward(x.gather(0, turned.expand(-1, -1, x.shape[2])))[0]
                x = torch.cat([y, z.gather(0, turned.expand(-1, -1, z.shape[2]))], dim=2)
            return x, None

    return Turned(), list(parameter_names(problem).values())
