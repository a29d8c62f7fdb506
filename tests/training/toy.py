"""A small real problem: a GRU that tells which of two marks came last in a sequence of noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from recurra import kernels
from recurra.kernels import RecurWeights
from recurra.ragged import Ragged
from recurra.spec import Training
from recurra.training import Callback, Fitted, StepEvent, averaging_weights

ROLES = {
    "table": "embedding", "w_ih": "weight", "w_hh": "recurrent", "b_ih": "bias", "b_hh": "bias",
    "head": "weight", "head_bias": "bias",
}  # fmt: skip
LAYERS = dict.fromkeys(("w_ih", "w_hh", "b_ih", "b_hh"), "recur") | {
    "table": "embed", "head": "head", "head_bias": "head"
}  # fmt: skip


def made_data(count: int, seed: int) -> tuple[Ragged, np.ndarray]:
    """Sequences of ids 0..7 of length 0..9; the label says whether 1 or 2 came last (0: neither)."""
    random = np.random.default_rng(seed)
    rows = [random.integers(0, 8, random.integers(0, 10)) for _ in range(count)]
    marks = [[int(token) for token in row if token in (1, 2)] for row in rows]
    labels = np.asarray([mark[-1] if mark else 0 for mark in marks])
    return Ragged.from_lists(rows, np.int64), labels


class Toy:
    """See `Problem`. window: train in windows of so many steps; poisoned: calls of `loss` that give NaN."""

    def __init__(
        self,
        *,
        count: int = 50,
        units: int = 6,
        dropout: float = 0.2,
        window: int | None = None,
        average: str = "sequences",
        class_weight: str | None = None,
        label_smoothing: float = 0.0,
        sequence_length: int | None = 100,
        validation: bool = True,
    ) -> None:
        self.data, self.labels = made_data(count, 1)
        if sequence_length is not None:
            cut = [row[:sequence_length] for row in self.data]
            self.data = Ragged.from_lists(cut, np.int64) if cut else self.data
        self.held, self.held_labels = made_data(30, 2) if validation else (self.data, self.labels)
        self.validation, self.window, self.average, self.dropout = validation, window, average, dropout
        self.smoothing = label_smoothing
        counts = np.bincount(self.labels, minlength=3).clip(1)
        balanced = len(self.labels) / (3 * counts)
        self.sample_weight = balanced[self.labels] if class_weight == "balanced" else None
        self.roles, self.layers = dict(ROLES), dict(LAYERS)
        self.lengths = self.data.lengths
        self.monitor, self.higher_is_better = "accuracy", True
        self.notes: tuple[str, ...] = ()
        self.fingerprint = (
            f"toy-{count}-{units}-{dropout}-{window}-{average}-{class_weight}-{label_smoothing}"
        )
        self.poisoned: set[int] = set()
        self.calls = 0
        random = np.random.default_rng(3)
        shapes = {
            "table": (8, 4), "w_ih": (3 * units, 4), "w_hh": (3 * units, units), "b_ih": (3 * units,),
            "b_hh": (3 * units,), "head": (3, units), "head_bias": (3,),
        }  # fmt: skip
        self.parameters = {
            name: (random.normal(size=shape) * 0.3).astype(np.float32) for name, shape in shapes.items()
        }

    @classmethod
    def of(cls, training: Training, **options: Any) -> Toy:
        """The problem as a task makes it: the options of `training` that concern data and loss are its own."""
        names = ("average", "class_weight", "label_smoothing", "sequence_length")
        return cls(**{name: getattr(training, name) for name in names}, **options)

    def windows(self, index: np.ndarray) -> int:
        longest = int(self.lengths[index].max())
        return 1 if self.window is None else max(1, -(-longest // self.window))

    def loss(
        self, parameters: Mapping[str, torch.Tensor], index: np.ndarray, *, seed: int, window: int, state: Any
    ) -> tuple[torch.Tensor, torch.Tensor, Any]:
        batch = self.data.select(index)
        if self.window is not None:
            begin = window * self.window
            batch = Ragged.from_lists([row[begin : begin + self.window] for row in batch], np.int64)
        logits, state = self._logits(parameters, batch, seed=seed, h0=None if state is None else state["h"])
        losses = kernels.cross_entropy(logits, self.labels[index], label_smoothing=self.smoothing)
        self.calls += 1
        if self.calls in self.poisoned:
            losses = losses * float("nan")
        sample_weight = None if self.sample_weight is None else self.sample_weight[index]
        weights = averaging_weights(self.average, batch.lengths, sample_weight)
        return losses, torch.from_numpy(weights), {"h": state}

    def _logits(self, parameters: Mapping[str, Any], batch: Ragged, *, seed: int | None, h0: Any) -> Any:
        cell = RecurWeights(
            cell="gru", **{name: parameters[name] for name in ("w_ih", "w_hh", "b_ih", "b_hh")}
        )
        x = kernels.embed(batch.values, parameters["table"])
        h = kernels.recur(cell, x, batch.offsets, h0=h0).h
        hidden = h if seed is None else kernels.dropout(h, self.dropout, seed)
        return kernels.dense(hidden, parameters["head"], parameters["head_bias"]), h

    def evaluate(self, parameters: Mapping[str, np.ndarray], split: str) -> dict[str, float]:
        if split == "validation" and not self.validation:
            return {}
        data, labels = (self.data, self.labels) if split == "train" else (self.held, self.held_labels)
        logits, _ = self._logits(parameters, data, seed=None, h0=None)
        loss = float(kernels.weighted_mean(kernels.cross_entropy(logits, labels)))
        return {"loss": loss, "accuracy": float(np.mean(logits.argmax(1) == labels))}

    def bytes_per_token(self) -> int:
        return 1000


def same_bits(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> bool:
    """Tell whether two sets of parameters are equal bit for bit."""
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)


def fitted_to_compare(fitted: Fitted) -> dict[str, Any]:
    """Everything in an outcome that must be the same after an exact resume: all but the clock."""
    history = fitted.history.to_dict()
    for record in history["epochs"]:
        record.pop("seconds")
    history["steps"].pop("seconds")
    weights = {name: value.tobytes() for name, value in fitted.parameters.items()}
    last = {name: value.tobytes() for name, value in fitted.last_parameters.items()}
    counts = (fitted.best_epoch, fitted.best_score, fitted.stopped_by, fitted.steps, fitted.skipped_steps)
    return {"weights": weights, "last": last, "history": history, "counts": counts}


class StopAfter(Callback):
    """Asks to stop after so many steps of this sitting."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def on_step(self, event: StepEvent) -> bool | None:
        self.left -= 1
        return self.left == 0
