"""What happened during training: a record per epoch, and columns of numbers per step."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recurra.ragged import Array
from recurra.training.callbacks import StepEvent

COLUMNS = ("epoch", "loss", "learning_rate", "gradient_norm", "skipped", "seconds")


@dataclass(kw_only=True)
class History:
    """Everything that training recorded.

    epochs: one plain dictionary per epoch: "epoch" (from 1), "step" (steps since the start), "train_loss"
        (mean over the epoch, dropout on), "train_..." or "validation_..." scores in evaluation mode,
        "gradient_norm" (mean) and "gradient_norm_max", both before clipping, "learning_rate" (of the last
        step), "skipped" steps, "sequences", "seconds" (since the start), "best" (whether it became the
        best), "partial" (cut short). What is not finite is None.
    steps: columns over all steps, as arrays of float64 ("d"), which a million steps need: "epoch",
        "loss", "learning_rate", "gradient_norm", "skipped", "seconds".
    layers: name of a part of the model -> its gradient norm at every step, before clipping.
    probes: what `Training(diagnose=True)` measured on a sample of the steps; see `training.diagnosing`.
    """

    epochs: list[dict[str, Any]] = field(default_factory=list)
    steps: dict[str, array[float]] = field(default_factory=lambda: {name: array("d") for name in COLUMNS})
    layers: dict[str, array[float]] = field(default_factory=dict)
    probes: list[dict[str, Any]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.epochs)

    def _repr_html_(self) -> str:
        from recurra.report.figures import training_curves
        from recurra.report.html import notebook_frame
        from recurra.report.items import Report, Section, Text

        drawn = training_curves({"training": self.epochs}) if self.epochs else ()
        items = drawn or [Text(body="No epoch was recorded.", tone="missing")]
        return notebook_frame(Report(title="Training", sections=[Section(title="Curves", items=items)]))

    def column(self, name: str) -> list[Any]:
        """Return one entry of every epoch's record (None where an epoch has none)."""
        return [record.get(name) for record in self.epochs]

    def add_step(self, event: StepEvent) -> None:
        """Keep one step."""
        for name in COLUMNS:
            self.steps[name].append(float(getattr(event, name)))
        for layer, norm in event.layers.items():
            self.layers.setdefault(layer, array("d")).append(norm)

    def step_record(self, place: int) -> dict[str, Any]:
        """Return one step as a plain record."""
        record = {name: _plain(self.steps[name][place]) for name in COLUMNS}
        record |= {"epoch": int(self.steps["epoch"][place]), "skipped": bool(self.steps["skipped"][place])}
        norms = {layer: _plain(column[place]) for layer, column in self.layers.items()}
        return {"kind": "step", "step": place + 1, **record, "layers": norms}

    def add_epoch(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Keep the record of one epoch, made plain; return it."""
        self.epochs.append({name: _plain(value) for name, value in record.items()})
        return self.epochs[-1]

    def add_probe(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Keep what was measured around one step, made plain; return it."""
        plain: dict[str, Any] = _plain_tree(record)
        self.probes.append(plain)
        return plain

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain lists and dictionaries."""
        steps = {name: [_plain(value) for value in column] for name, column in self.steps.items()}
        layers = {name: [_plain(value) for value in column] for name, column in self.layers.items()}
        epochs, probes = ([dict(record) for record in kept] for kept in (self.epochs, self.probes))
        return {"epochs": epochs, "steps": steps, "layers": layers, "probes": probes}

    def arrays(self) -> dict[str, Array]:
        """Return the step columns as float64 arrays, for a checkpoint."""
        named = {f"steps.{name}": column for name, column in self.steps.items()}
        named |= {f"layers.{name}": column for name, column in self.layers.items()}
        return {name: np.asarray(column, dtype=np.float64) for name, column in named.items()}

    @classmethod
    def restored(
        cls,
        epochs: Sequence[Mapping[str, Any]],
        layers: Sequence[str],
        arrays: Mapping[str, Array],
        probes: Sequence[Mapping[str, Any]] = (),
    ) -> History:
        """Rebuild what `arrays`, `epochs`, `probes` and the names of the `layers` were taken from."""
        return cls(
            epochs=[dict(record) for record in epochs],
            steps={name: array("d", arrays[f"steps.{name}"].tobytes()) for name in COLUMNS},
            layers={name: array("d", arrays[f"layers.{name}"].tobytes()) for name in layers},
            probes=[dict(record) for record in probes],
        )


def _plain(value: Any) -> Any:
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def _plain_tree(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain_tree(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain_tree(part) for part in value]
    return _plain(value)
