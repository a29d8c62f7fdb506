"""What a supervised task hands to the training loop: batches, per-sequence losses, and scores per epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from recurra.data.encoder import truncated
from recurra.graph.model import Model
from recurra.graph.run import Flow, Run
from recurra.ragged import Array, Ragged
from recurra.tasks.penalties import Penalties
from recurra.training.problem import averaging_weights

Loss = Callable[[Any, Any], Any]
"""(S, outputs) tensor and the targets of those sequences -> (S,) loss per sequence."""


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Encoded sequences with their encoded targets and weights.

    batch: what the model reads; targets: (S,) ids, (S, C) or (S, K) numbers, or a `Ragged` of one per step;
    static: (S, K) scaled features; weights: (S,) weight of each sequence in the loss, or None.
    """

    batch: Ragged
    targets: Any
    static: Array | None = None
    weights: Array | None = None

    def __len__(self) -> int:
        return len(self.batch)

    def select(self, index: Array) -> Examples:
        """Some of the sequences."""
        return Examples(
            batch=self.batch.select(index),
            targets=_picked(self.targets, index),
            static=None if self.static is None else self.static[index],
            weights=None if self.weights is None else self.weights[index],
        )

    def truncated(self, limit: int, side: str) -> Examples:
        """Every sequence with at most `limit` steps, and its targets where there is one per step."""
        per_step = isinstance(self.targets, Ragged)
        return replace(
            self,
            batch=truncated(self.batch, limit, side),
            targets=truncated(self.targets, limit, side) if per_step else self.targets,
        )


def _picked(targets: Any, index: Array) -> Any:
    return targets.select(index) if isinstance(targets, Ragged) else targets[index]


@dataclass(kw_only=True)
class SupervisedProblem:
    """The `training.problem.Problem` of every task with one answer per sequence.

    scorer: parameters and split name -> scores in evaluation mode.
    precision: of the recurrent layers' products while training.
    window: steps per window for sequences that are trained in windows with carried state; None: whole.
    """

    model: Model
    train: Examples
    loss_function: Loss
    scorer: Callable[[Mapping[str, Array], str], dict[str, float]]
    parameters: dict[str, Array]
    monitor: str
    higher_is_better: bool
    fingerprint: str
    average: str = "sequences"
    window: int | None = None
    penalties: Penalties = field(default_factory=Penalties)
    notes: tuple[str, ...] = ()
    device: str = "cpu"
    precision: str = "float32"

    def __post_init__(self) -> None:
        described = self.model.parameters()
        self.roles = {name: parameter.role for name, parameter in described.items()}
        self.layers = self.model.layers()
        self.lengths = self.train.batch.lengths

    def windows(self, index: Array) -> int:
        """Consecutive windows with carried state that this batch is trained in."""
        if self.window is None or not len(index):
            return 1
        return max(1, int(np.ceil(self.lengths[index].max() / self.window)))

    def loss(
        self, parameters: Mapping[str, torch.Tensor], index: Array, *, seed: int, window: int, state: Any
    ) -> tuple[torch.Tensor, torch.Tensor, Any]:
        """Per-sequence losses (S,), their weights (S,), and the state to carry into the next window."""
        part = self.train.select(index)
        count = self.windows(index)
        part, share = (part, None) if count == 1 else _windowed(part, window, count)
        watched: list[Any] | None = [] if self.penalties else None
        run = Run(training=True, precision=self.precision, seed=seed, states=state or {}, keep_states=count > 1,
                  outputs=watched)  # fmt: skip
        flow = self._on_device(Flow.of(part.batch, part.static))
        losses, weights = self._losses(parameters, self.model.forward(parameters, flow, run), part)
        if watched:
            losses = self.penalties.added(losses, watched[0], part.batch.offsets)
        if share is not None and self.average == "sequences":
            weights = weights * share
        return losses, torch.from_numpy(weights).to(self.device), run.carried

    def _losses(
        self, parameters: Mapping[str, torch.Tensor], outputs: torch.Tensor, part: Examples
    ) -> tuple[torch.Tensor, Array]:
        """Per-sequence losses (S,) of what left the model, and what each of them weighs (S,)."""
        losses = self.loss_function(outputs, self._target(part.targets))
        return losses, averaging_weights(self.average, part.batch.lengths, part.weights)

    def probe_flow(self, index: Array) -> Flow:
        """What the model reads of some sequences, in their first window."""
        part = self._first(index)
        return self._on_device(Flow.of(part.batch, part.static))

    def probe_losses(
        self, parameters: Mapping[str, torch.Tensor], outputs: torch.Tensor, index: Array
    ) -> torch.Tensor:
        """The losses of these sequences in that window."""
        return self._losses(parameters, outputs, self._first(index))[0]

    def _first(self, index: Array) -> Examples:
        part, count = self.train.select(index), self.windows(index)
        return part if count == 1 else _windowed(part, 0, count)[0]

    def evaluate(self, parameters: Mapping[str, Array], split: str) -> dict[str, float]:
        """Scores of a split in evaluation mode, with its loss."""
        return self.scorer(parameters, split)

    def bytes_per_token(self) -> int:
        """Rough memory of one token in training: saved activations and their gradients, float32."""
        widths = sum(node.width for node in self.model.nodes)
        gates = sum(
            int(np.prod(p.shape[:1])) for p in self.model.parameters().values() if p.role == "recurrent"
        )
        return 4 * (3 * widths + 3 * gates)

    def _on_device(self, flow: Flow) -> Flow:
        columns = {name: torch.from_numpy(column).to(self.device) for name, column in flow.columns.items()}
        return replace(flow, values=torch.from_numpy(flow.values).to(self.device), columns=columns)

    def _target(self, targets: Array) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(targets)).to(self.device)


def _windowed(part: Examples, window: int, count: int) -> tuple[Examples, Array]:
    batch, share = _window(part.batch, window, count)
    targets = part.targets
    if isinstance(targets, Ragged):
        targets = _window(targets, window, count)[0]
    return replace(part, batch=batch, targets=targets), share


def _window(batch: Ragged, window: int, count: int) -> tuple[Ragged, Array]:
    """The `window`-th of `count` even parts of every sequence, and how much each part weighs (sum 1).

    Parts are even so that the last one is not a stump; a sequence has a part in every window, empty if short.
    """
    lengths = batch.lengths
    part = batch.cut(lengths * window // count, lengths * (window + 1) // count)
    share = np.where(lengths > 0, part.lengths / np.maximum(lengths, 1), 1.0 / count)
    return part, share.astype(np.float32)


def fingerprint(*parts: Any) -> str:
    """A hash of arrays, Ragged batches and plain values: the same data and options give the same text."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Ragged):
            digest.update(fingerprint(part.values, part.offsets, *part.columns.values()).encode())
        elif isinstance(part, np.ndarray):
            digest.update(str((part.dtype, part.shape)).encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            digest.update(repr(part).encode())
    return digest.hexdigest()
