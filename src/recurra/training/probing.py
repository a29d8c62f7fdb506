"""Looking into the recurrences of a model on a few sequences: how far gradients reach, gates, units, Jacobians.

Everything here reads copies or detached tensors: no parameter, gradient or random state of a training is touched.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from recurra import kernels
from recurra.graph.model import Model
from recurra.graph.pool import Pool
from recurra.graph.recur import Place, Recur
from recurra.graph.run import Flow, Run
from recurra.ragged import Array
from recurra.training.problem import IndexArray

SATURATED = 0.05
"""A gate nearer than this to its end is saturated; for what lies between -1 and 1, nearer to either end."""
CONSTANT = 1e-4
"""A unit whose state moves by less over all tokens says nothing: it is dead."""
STATES = 16
"""States at which the Jacobian is taken."""
ITERATIONS, WARM_UP = 16, 6
"""Power iterations, and how many of them are not counted."""
SIGMOID = {"lstm": ("input", "forget", "output"), "gru": ("reset", "update")}
"""The gates that lie between 0 and 1; all others lie between -1 and 1."""


@runtime_checkable
class Probed(Protocol):
    """What a problem offers besides `Problem` so that its recurrences can be looked into."""

    @property
    def model(self) -> Model:
        """The nodes, a `Recur` among them."""
        ...

    def probe_flow(self, index: IndexArray) -> Flow:
        """Return what the model reads of the sequences at `index`, in the first window, on the device."""
        ...

    def probe_losses(
        self, parameters: Mapping[str, torch.Tensor], outputs: torch.Tensor, index: IndexArray
    ) -> torch.Tensor:
        """Return the loss of each of these sequences (S,), or of each token (N,)."""
        ...


def probe(problem: Probed, parameters: Mapping[str, torch.Tensor], index: IndexArray) -> dict[str, Any]:
    """Measure the recurrences on the sequences at `index`, without dropout; see `training.diagnosing`."""
    held = {name: tensor.detach() for name, tensor in parameters.items()}
    recur: Recur = problem.model.node(Recur)
    place = problem.model.nodes.index(recur)
    flow = problem.probe_flow(index)
    for node in problem.model.nodes[:place]:
        flow = node.forward(held, flow, Run())
    run = Run(trace={})
    entered = flow.values.detach().requires_grad_()
    with kernels.watch_steps() as watched:
        passed = recur.forward(held, replace(flow, values=entered), run)
        slopes = _slopes(problem, held, passed, place, index)
        torch.autograd.grad(passed.final, entered, slopes, allow_unused=True)
    offsets = np.asarray(flow.offsets)
    reach = _reach(recur, held, watched, slopes, offsets)
    inside = _states(recur, held, entered.detach(), run.trace or {}, offsets)
    pools = [node.how for node in problem.model.nodes if isinstance(node, Pool)]
    return {
        "cell": recur.network.cell,
        "reads": pools[0] if pools else "tokens",
        "length": float(np.median(np.diff(offsets))) if len(offsets) > 1 else 0.0,
        "layers": {name: {**inside[name], **reach.get(name, {})} for name in inside},
    }


def _slopes(
    problem: Probed, held: Mapping[str, Any], passed: Flow, place: int, index: IndexArray
) -> torch.Tensor:
    """(S, F) all that the loss asks of the states of a sequence, summed over its steps, of length 1 (or 0).

    With `last` pooling that is the gradient of the loss at the final state; other poolings hand the same vector to
    several steps, and here the whole of it stands at the final one, so that its way back is by the recurrence alone.
    """
    values, final = passed.values.detach().requires_grad_(), passed.final.detach().requires_grad_()
    flow = replace(passed, values=values, final=final)
    for node in problem.model.nodes[place + 1 :]:
        flow = node.forward(held, flow, Run())
    losses = problem.probe_losses(held, flow.values, index)
    direct, last = torch.autograd.grad(losses, (values, final), torch.ones_like(losses), allow_unused=True)
    slopes = torch.zeros_like(final) if last is None else last.clone()
    if direct is not None:
        offsets = np.asarray(passed.offsets)
        for row, (begin, end) in enumerate(itertools.pairwise(offsets)):
            slopes[row] += direct[begin:end].sum(0)
    norms = slopes.norm(dim=1, keepdim=True)
    return torch.where(norms > 0, slopes / norms, torch.zeros_like(slopes))


def _reach(
    recur: Recur,
    held: Mapping[str, Any],
    watched: Sequence[kernels.StepGradients],
    slopes: torch.Tensor,
    offsets: Array,
) -> dict[str, dict[str, Any]]:
    """Norm of the gradient at the states of each layer by its distance from the final state."""
    by_weights = {(step.w_hh.data_ptr(), step.reverse): step.gradients for step in watched}
    counted = np.asarray(slopes.abs().sum(1).cpu() > 0)
    found = {}
    for place in recur.places():
        # A layer below a bidirectional one is reached from both ends, so that its steps have no one distance.
        if recur.network.bidirectional and place.layer + 1 < recur.network.num_layers:
            continue
        key = (held[f"{recur.name}.weight_hh_{place.suffix}"].data_ptr(), place.reverse)
        if key in by_weights:
            norms = np.linalg.norm(by_weights[key].detach().cpu().numpy().astype(np.float64), axis=1)
            found[place.suffix] = _by_lag(norms, offsets, counted, place.reverse)
    return found


def _by_lag(norms: Array, offsets: Array, counted: Array, reverse: bool) -> dict[str, Any]:
    """Means over the sequences that have such a lag; `lags` thin out from 32 on."""
    curves = [
        norms[begin:end] if reverse else norms[begin:end][::-1]
        for begin, end, counts in zip(offsets[:-1], offsets[1:], counted, strict=True)
        if counts
    ]
    longest = max((len(curve) for curve in curves), default=0)
    lags = thinned_lags(longest)
    means = [float(np.mean([curve[lag] for curve in curves if len(curve) > lag])) for lag in lags]
    return {"lags": lags, "reach": means}


def thinned_lags(longest: int) -> list[int]:
    """Return the lags below `longest` at which curves are kept: every one below 32, then each a tenth further."""
    lags = list(range(min(longest, 32)))
    while lags and (following := lags[-1] + max(1, lags[-1] // 10)) < longest:
        lags.append(following)
    if lags and lags[-1] != longest - 1:
        lags.append(longest - 1)
    return lags


def _states(
    recur: Recur, held: Mapping[str, Any], entered: torch.Tensor, trace: Mapping[str, Any], offsets: Array
) -> dict[str, dict[str, Any]]:
    """Gates, dead units and Jacobian of every layer and direction."""
    found: dict[str, dict[str, Any]] = {}
    values = entered
    for layer in range(recur.network.num_layers):
        places = [place for place in recur.places() if place.layer == layer]
        answers = [trace[f"{recur.name}.{place.suffix}"] for place in places]
        for place, answer in zip(places, answers, strict=True):
            found[place.suffix] = {
                "saturated": dict(_saturation(recur, answer)),
                "dead": _dead(answer.y.detach()),
                "radius": _radius(recur, held, place, values, answer, offsets),
            }
        values = torch.cat([answer.y.detach() for answer in answers], dim=1)
    return found


def _saturation(recur: Recur, answer: Any) -> Iterator[tuple[str, list[float]]]:
    """(gate, [share near its low end, share near its high end])."""
    cell, size = recur.network.cell, recur.network.hidden_size
    if cell == "rnn_relu" or not len(answer.y):
        return
    if cell not in SIGMOID:
        gates = {"h": answer.y.detach()}
    else:
        names = kernels.GATE_NAMES[cell]
        gates = {name: answer.gates[:, at * size : (at + 1) * size] for at, name in enumerate(names)}
    for name, gate in gates.items():
        low = SATURATED if name in SIGMOID.get(cell, ()) else SATURATED - 1.0
        yield name, [float((gate < low).float().mean()), float((gate > 1.0 - SATURATED).float().mean())]


def _dead(y: torch.Tensor) -> float | None:
    """Share of units whose state is the same on all tokens."""
    if len(y) < 2:
        return None
    return float(((y.amax(0) - y.amin(0)) < CONSTANT).float().mean())


def _radius(
    recur: Recur, held: Mapping[str, Any], place: Place, values: torch.Tensor, answer: Any, offsets: Array
) -> list[float] | None:
    """(median, largest) spectral radius of the Jacobian of one step, of (h, c) where there is a cell state."""
    step = 1 if place.reverse else -1
    tokens = np.arange(int(offsets[-1]))
    ends = offsets[1:] - 1 if place.reverse else offsets[:-1]
    inner = tokens[~np.isin(tokens, ends)]
    if not len(inner):
        return None
    chosen = inner[np.unique(np.linspace(0, len(inner) - 1, STATES).round().astype(np.int64))]
    hidden = answer.y.detach()[chosen + step].requires_grad_()
    started = [hidden]
    if recur.has_cells:
        started.append(answer.cells.detach()[chosen + step].requires_grad_())
    net = recur.network
    stepped = kernels.recur(
        recur.weights(held, place),
        values[chosen],
        np.arange(len(chosen) + 1, dtype=np.int64),
        h0=started[0],
        c0=started[1] if recur.has_cells else None,
        cell_clip=net.cell_clip,
        zoneout=net.zoneout,
    )
    reached = [stepped.h, stepped.c] if recur.has_cells else [stepped.h]

    def back(given: list[torch.Tensor]) -> list[torch.Tensor]:
        return list(torch.autograd.grad(reached, started, given, retain_graph=True))

    radii = _growth(back, started)
    return [float(np.median(radii)), float(np.max(radii))]


def _growth(back: Callable[[list[torch.Tensor]], list[torch.Tensor]], like: list[torch.Tensor]) -> Array:
    """Power iteration of a batch of linear maps: the geometric mean of their growth, row by row."""
    random = np.random.Generator(np.random.Philox(0))
    vectors = [
        torch.from_numpy(random.standard_normal(tuple(part.shape)).astype(np.float32)).to(part.device)
        for part in like
    ]
    logs = np.zeros(len(like[0]))
    for turn in range(ITERATIONS):
        vectors = back(vectors)
        norms = torch.stack([part.double().square().sum(1) for part in vectors]).sum(0).sqrt()
        kept = norms.clamp_min(1e-30)
        vectors = [(part / kept[:, None]).float() for part in vectors]
        if turn >= WARM_UP:
            logs += np.log(kept.cpu().numpy())
    grown: Array = np.exp(logs / (ITERATIONS - WARM_UP))
    return grown
