"""What a language model hands to the training loop: windows of streams, losses per token, scores per epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from recurra import kernels
from recurra.data.token_file import TokenFile
from recurra.graph.model import Model
from recurra.graph.run import Flow, Run
from recurra.ragged import Array
from recurra.tasks.penalties import Penalties
from recurra.tasks.streams import Streams, Window, handed_over, taken_over

RECUR = "recur"
"""Name of the node whose states go from window to window."""


@dataclass(kw_only=True)
class LanguageProblem:
    """The `training.problem.Problem` of a language model over a file of tokens.

    scorer: parameters and split name -> scores in evaluation mode.
    """

    model: Model
    tokens: TokenFile
    streams: Streams
    scorer: Callable[[Mapping[str, Array], str], dict[str, float]]
    parameters: dict[str, Array]
    monitor: str
    fingerprint: str
    label_smoothing: float = 0.0
    penalties: Penalties = field(default_factory=Penalties)
    notes: tuple[str, ...] = ()
    device: str = "cpu"

    higher_is_better = False

    def __post_init__(self) -> None:
        described = self.model.parameters()
        self.roles = {name: parameter.role for name, parameter in described.items()}
        self.layers = self.model.layers()
        self.lengths = np.full(self.streams.count, self.streams.length, dtype=np.int64)

    def windows(self, index: Array) -> int:
        """Consecutive windows with carried state that the streams are trained in."""
        return self.streams.windows

    def loss(
        self, parameters: Mapping[str, torch.Tensor], index: Array, *, seed: int, window: int, state: Any
    ) -> tuple[torch.Tensor, torch.Tensor, Any]:
        """Losses per token (N,) of one window of some streams, their weights (N,), and what goes on after it.

        An end of a document that is not predicted weighs nothing.
        """
        begin = int(state["place"]) if window else 0
        end = self.streams.end_of(window, seed)
        ids = self.tokens.ids
        cut = self.streams.cut(index, begin, end, lambda rows: ids[rows] == self.tokens.boundary)
        watched: list[Any] | None = [] if self.penalties else None
        run = Run(training=True, seed=seed, keep_states=True, outputs=watched)
        if window:
            run.states = {RECUR: taken_over(state["states"], cut)}
            run.fresh = cut.fresh
        logits = self.model.forward(parameters, self._flow(cut), run)
        following = ids[cut.index + 1].astype(np.int64)
        losses = kernels.cross_entropy(
            logits, torch.from_numpy(following).to(self.device), label_smoothing=self.label_smoothing
        )
        if watched:
            losses = self.penalties.added(losses, watched[0], cut.offsets)
        counted = np.ones(len(following), np.float32)
        if not self.tokens.ends:
            counted[following == self.tokens.boundary] = 0.0
        carried = {"place": end, "states": handed_over(run.carried[RECUR], cut)}
        return losses, torch.from_numpy(counted).to(self.device), carried

    def _flow(self, cut: Window) -> Flow:
        read = self.tokens.ids[cut.index].astype(np.int64)
        return Flow(values=torch.from_numpy(read).to(self.device), offsets=cut.offsets)

    def evaluate(self, parameters: Mapping[str, Array], split: str) -> dict[str, float]:
        """Scores of a split in evaluation mode, with its loss."""
        return self.scorer(parameters, split)

    def bytes_per_token(self) -> int:
        """Rough memory of one token in training: saved activations and their gradients, float32."""
        widths = sum(node.width for node in self.model.nodes)
        gates = sum(p.shape[0] for p in self.model.parameters().values() if p.role == "recurrent")
        return 4 * (3 * widths + 3 * gates)
