"""What a language model hands to the training loop: windows of streams, losses per token, scores per epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from recurra.graph.model import Model
from recurra.graph.run import CONDITION, Flow, Run
from recurra.ragged import Array, Ragged
from recurra.runtime.predictor import chunks
from recurra.runtime.walking import Walking
from recurra.spec import Training
from recurra.tasks.penalties import Penalties
from recurra.tasks.sources import Source
from recurra.tasks.streams import Streams, Window, handed_over, taken_over

RECUR = "recur"
"""Name of the node whose states go from window to window."""


TOGETHER = 1 << 18
"""Steps whose losses are held at a time outside of training (those of one piece at least)."""


@dataclass(kw_only=True)
class LanguageProblem:
    """The `training.problem.Problem` of a language model over tokens or frames.

    scorer: parameters and split name -> scores in evaluation mode.
    precision: of the recurrent layers' products while training.
    """

    model: Model
    source: Source
    streams: Streams
    scorer: Callable[[Mapping[str, Array], str], dict[str, float]]
    parameters: dict[str, Array]
    monitor: str
    fingerprint: str
    label_smoothing: float = 0.0
    penalties: Penalties = field(default_factory=Penalties)
    notes: tuple[str, ...] = ()
    device: str = "cpu"
    precision: str = "float32"

    higher_is_better = False

    @classmethod
    def of(
        cls,
        model: Model,
        training: Training,
        source: Source,
        held: Source | None,
        score: Callable[[Mapping[str, Array], Any], dict[str, float]],
        **told: Any,
    ) -> LanguageProblem:
        """As many streams as a batch has sequences, and what else a training asks for.

        held: what is set aside, None for nothing; score: parameters and a source -> scores. told: further fields.
        """
        splits = {"train": source, "validation": held}

        def scorer(parameters: Mapping[str, Array], split: str) -> dict[str, float]:
            chosen = splits[split]
            return {} if chosen is None else score(parameters, chosen)

        count = training.batch_size * training.accumulate
        return cls(
            model=model,
            source=source,
            streams=Streams.over(source.steps, count=count, window=training.sequence_length),
            scorer=scorer,
            penalties=Penalties.of(training),
            precision=training.precision,
            **told,
        )

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
        """Losses per step (N,) of one window of some streams, their weights (N,), and what goes on after it.

        An end of a document that is not predicted weighs nothing.
        """
        begin = int(state["place"]) if window else 0
        end = self.streams.end_of(window, seed)
        cut = self.streams.cut(index, begin, end, self.source.begins)
        watched: list[Any] | None = [] if self.penalties else None
        run = Run(training=True, precision=self.precision, seed=seed, keep_states=True, outputs=watched)
        if window:
            run.states = {RECUR: taken_over(state["states"], cut)}
            run.fresh = cut.fresh
        flow = self._flow(cut)
        following = self._tensor(self.source.following(cut.index))
        smoothing = self.label_smoothing
        losses = self.model.losses(parameters, flow, run, following, self._loss, smoothing=smoothing)
        if watched:
            losses = self.penalties.added(losses, watched[0], cut.offsets)
        counted = self.source.counted(cut.index).astype(np.float32)
        carried = {"place": end, "states": handed_over(run.carried[RECUR], cut)}
        return losses, self._tensor(counted), carried

    def probe_flow(self, index: Array) -> Flow:
        """What the model reads of the first window of some streams, for `Training(diagnose=True)`."""
        return self._flow(self._first(index))

    def _flow(self, cut: Window) -> Flow:
        """What the model reads of a window."""
        given = self.source.conditions(cut.index[cut.offsets[:-1]])
        columns = {} if given is None else {CONDITION: self._tensor(given)}
        read = self._tensor(self.source.read(cut.index))
        return Flow(values=read, offsets=cut.offsets, columns=columns)

    def probe_losses(
        self, parameters: Mapping[str, torch.Tensor], outputs: torch.Tensor, index: Array
    ) -> torch.Tensor:
        """Losses per token of that window."""
        following = self._tensor(self.source.following(self._first(index).index))
        losses: torch.Tensor = self._loss(outputs, following)
        return losses

    def _loss(self, outputs: Any, following: Any) -> Any:
        return self.source.losses(outputs, following, self.label_smoothing)

    def _first(self, index: Array) -> Window:
        return self.streams.cut(index, 0, self.streams.end_of(0, 0), self.source.begins)

    def _tensor(self, values: Array) -> torch.Tensor:
        return torch.from_numpy(values).to(self.device)

    def evaluate(self, parameters: Mapping[str, Array], split: str) -> dict[str, float]:
        """Scores of a split in evaluation mode, with its loss."""
        return self.scorer(parameters, split)

    def bytes_per_token(self) -> int:
        """Rough memory of one token in training: saved activations and their gradients, float32."""
        widths = sum(node.held() for node in self.model.nodes)
        gates = sum(p.shape[0] for p in self.model.parameters().values() if p.role == "recurrent")
        return 4 * (3 * widths + 3 * gates)


def nats_side_by_side(source: Source, predictor: Walking, pieces: int) -> tuple[float, int]:
    """The nats of all that counts, and how much that is, for steps that are read in some pieces side by side.

    The pieces begin without what stands before them, so the nats are a little more than those of whole documents.
    """
    streams = Streams.over(source.steps, count=pieces, window=None)
    nats, count = 0.0, 0
    for rows in chunks(np.full(streams.count, streams.length), TOGETHER):
        cut = streams.cut(rows, 0, streams.length, source.begins)
        batch = Ragged(values=source.read(cut.index), offsets=cut.offsets)
        condition = source.conditions(cut.index[cut.offsets[:-1]])
        following = source.following(cut.index)
        found = list(predictor.losses(batch, following, source.losses, condition=condition))
        counted = np.concatenate(found)[source.counted(cut.index)]
        nats, count = nats + float(np.sum(counted, dtype=np.float64)), count + len(counted)
    return nats, count
