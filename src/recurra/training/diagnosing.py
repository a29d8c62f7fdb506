"""What `Training(diagnose=True)` collects on a sample of steps, in `History.probes`.

A probe is a plain record: "step" (from 1) and "epoch"; "updates" {layer: norm of the update / norm of its
weights}, empty where the step was skipped; "clipped" (share of gradient numbers beyond the bound, with
`clip_by="value"` only); and, for problems that can be looked into (`probing.Probed`), "cell", "reads" (the
pooling, or "tokens" for an answer per token), "length" (median of the sequences probed) and "layers"
{suffix: {...}} with

- "lags", "reach": mean norm of the gradient at the state `lag` steps before the final one, where the gradient
  that the loss has at the final state is scaled to 1;
- "saturated" {gate: [share near its low end, share near its high end]}; "dead": share of units that never move;
- "radius": [median, largest] spectral radius of the Jacobian of one step, at states of the data.

The training takes the same steps, bit for bit, with and without it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from recurra.kernels import norms
from recurra.spec import Training
from recurra.training.gradients import Parameters
from recurra.training.probing import Probed, probe
from recurra.training.problem import IndexArray, Problem
from recurra.training.state import State

SECOND, EVERY = 10, 40
"""Steps from the first probe to the second, and between two later ones."""
SEQUENCES = 8
"""Sequences probed at most; never more than a quarter of the batch, or one."""


class Collector:
    """Takes a probe around a step, where one is due."""

    def __init__(self, problem: Problem, training: Training) -> None:
        self.problem, self.training = problem, training

    def is_due(self, state: State) -> bool:
        """Tell whether the coming step is to be probed; follows from what was recorded, so that resuming keeps it."""
        if not self.training.diagnose or state.window:
            return False
        probes = state.history.probes
        if not probes:
            return True
        return bool(state.total + 1 - probes[-1]["step"] >= (SECOND if len(probes) == 1 else EVERY))

    def before(self, parameters: Parameters, batches: Sequence[IndexArray]) -> dict[str, Any]:
        """Look into the model, and at the gradients that wait in it, before the update."""
        record: dict[str, Any] = {}
        if self.training.clip_by == "value":
            record["clipped"] = _share_beyond(parameters, self.training.gradient_clip)
        index = batches[0]
        count = min(SEQUENCES, -(-len(index) // 4))
        if isinstance(self.problem, Probed) and count:
            chosen = index[np.linspace(0, len(index) - 1, count).round().astype(np.int64)]
            record |= probe(self.problem, parameters, chosen)
        return record

    def updates(self, before: Parameters, after: Parameters) -> dict[str, float]:
        """Return by layer how large the update is beside the weights."""
        names = list(before)
        changes = norms([after[name].detach() - before[name] for name in names])
        sizes = norms([before[name] for name in names])
        return _by_layer(self.problem.layers, names, changes.tolist(), sizes.tolist())


def copies(parameters: Parameters) -> dict[str, torch.Tensor]:
    """Return the weights as they are now."""
    return {name: tensor.detach().clone() for name, tensor in parameters.items()}


def _by_layer(
    layers: Mapping[str, str], names: Sequence[str], changes: Sequence[float], sizes: Sequence[float]
) -> dict[str, float]:
    found = {}
    for layer in dict.fromkeys(layers[name] for name in names):
        mine = [place for place, name in enumerate(names) if layers[name] == layer]
        size = math.hypot(*(sizes[place] for place in mine))
        if size > 0:
            found[layer] = math.hypot(*(changes[place] for place in mine)) / size
    return found


def _share_beyond(parameters: Parameters, limit: float | None) -> float:
    gradients = [parameter.grad for parameter in parameters.values() if parameter.grad is not None]
    count = sum(gradient.numel() for gradient in gradients)
    if limit is None or not count:
        return 0.0
    return sum(int((gradient.abs() > limit).sum()) for gradient in gradients) / count
