"""The numbers that the rules of a diagnosis judge, read from a history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from recurra.ragged import Array
from recurra.spec import Training
from recurra.training.history import History

REACHED = 0.01
"""Share of the largest gradient below which a lag counts as out of reach."""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How far back gradients go in one layer, over the probes of the later half.

    layer: its suffix; lags: steps before the final state; norms: mean gradient norm there. memory: the first lag from
    which on the norm stays below `REACHED` times the largest; None where that never happens. mean_lag: mean of the
    lags weighted by norm. growth: largest norm beside that at lag 0.
    """

    layer: str
    lags: Array
    norms: Array
    memory: int | None
    mean_lag: float
    growth: float


class Evidence:
    """A history as the rules see it. Medians are taken over the later half of the probes: the state it came to."""

    def __init__(self, history: History, training: Training) -> None:
        self.history, self.training = history, training
        self.probes: Sequence[Mapping[str, Any]] = history.probes

    @cached_property
    def late(self) -> Sequence[Mapping[str, Any]]:
        """The later half of the probes."""
        return self.probes[len(self.probes) // 2 :]

    @property
    def cell(self) -> str | None:
        """The cell, where the model could be looked into."""
        return self.late[-1].get("cell") if self.late else None

    @property
    def reads(self) -> str | None:
        """How the states are read: the pooling, or "tokens"."""
        return self.late[-1].get("reads") if self.late else None

    @cached_property
    def length(self) -> float:
        """Median length of the sequences probed."""
        found = [probe["length"] for probe in self.probes if "length" in probe]
        return float(np.median(found)) if found else 0.0

    def column(self, name: str) -> Array:
        """(epochs,) one entry of every whole epoch's record; NaN where there is none."""
        kept = [record for record in self.history.epochs if not record.get("partial")]
        return np.array([np.nan if record.get(name) is None else record[name] for record in kept], np.float64)

    @cached_property
    def train(self) -> Array:
        """(epochs,) training losses."""
        return self.column("train_loss")

    @cached_property
    def held(self) -> Array:
        """(epochs,) validation losses."""
        return self.column("validation_loss")

    @cached_property
    def start(self) -> float:
        """The loss at the beginning: mean over the first steps, a tenth of an epoch and at least one step."""
        losses = np.array(self.history.steps["loss"])
        finite = losses[np.isfinite(losses)]
        first = self.history.epochs[0]["step"] if self.history.epochs else len(losses)
        return float(np.mean(finite[: max(1, first // 10)])) if len(finite) else float("nan")

    @cached_property
    def remaining(self) -> float:
        """Share of the first loss that the training loss of the last epoch still is; 1 where no epoch was done."""
        if not len(self.train) or not np.isfinite(self.train[-1]) or not self.start > 0:
            return 1.0
        return float(self.train[-1] / self.start)

    @cached_property
    def norms(self) -> Array:
        """(steps,) gradient norms before clipping."""
        return np.array(self.history.steps["gradient_norm"])

    @cached_property
    def clip_rate(self) -> float | None:
        """Share of the steps of the later half that were clipped; None without clipping."""
        limit = self.training.gradient_clip
        if limit is None or not len(self.norms):
            return None
        if self.training.clip_by == "value":
            found = [probe["clipped"] > 0 for probe in self.late if probe.get("clipped") is not None]
            return float(np.mean(found)) if found else None
        late = self.norms[len(self.norms) // 2 :]
        return float(np.mean(late[np.isfinite(late)] > limit)) if np.isfinite(late).any() else None

    @cached_property
    def skipped(self) -> int:
        """Steps whose loss or gradient was not finite."""
        return int(sum(self.history.steps["skipped"]))

    def of_layers(self, measure: Callable[[Mapping[str, Any]], float | None]) -> dict[str, float]:
        """Median of a measure over the late probes, by layer; layers without one are left out."""
        found: dict[str, list[float]] = {}
        for probe in self.late:
            for name, layer in probe.get("layers", {}).items():
                value = measure(layer)
                if value is not None:
                    found.setdefault(name, []).append(value)
        return {name: float(np.median(values)) for name, values in found.items()}

    @cached_property
    def dead(self) -> dict[str, float]:
        """Share of dead units by layer."""
        return self.of_layers(lambda layer: layer["dead"])

    @cached_property
    def radius(self) -> dict[str, float]:
        """Median spectral radius of the Jacobian of a step, by layer."""
        return self.of_layers(lambda layer: (layer["radius"] or [None])[0])

    @cached_property
    def saturated(self) -> dict[tuple[str, str], tuple[float, float]]:
        """(layer, gate) -> shares near the low and the high end."""
        places = {
            (name, gate)
            for probe in self.late
            for name, layer in probe.get("layers", {}).items()
            for gate in layer["saturated"]
        }
        return {(name, gate): self._shares(name, gate) for name, gate in sorted(places)}

    def _shares(self, name: str, gate: str) -> tuple[float, float]:
        pairs = [probe["layers"][name]["saturated"][gate] for probe in self.late if "layers" in probe]
        low, high = np.median(np.array(pairs, np.float64), axis=0)
        return float(low), float(high)

    @cached_property
    def updates(self) -> dict[str, float]:
        """Median ratio of update to weights over the late probes, by layer."""
        found: dict[str, list[float]] = {}
        for probe in self.late:
            for name, ratio in probe["updates"].items():
                if ratio is not None:
                    found.setdefault(name, []).append(ratio)
        return {name: float(np.median(values)) for name, values in found.items()}

    @cached_property
    def reach(self) -> dict[str, Reach]:
        """How far back gradients go, by layer."""
        names = dict.fromkeys(name for probe in self.late for name in probe.get("layers", {}))
        found = {name: _reach_of(name, [probe["layers"][name] for probe in self.late]) for name in names}
        return {name: reach for name, reach in found.items() if reach is not None}


def _reach_of(name: str, layers: Sequence[Mapping[str, Any]]) -> Reach | None:
    """Geometric means over the probes at the lags that the longest of them kept."""
    known = [layer for layer in layers if layer.get("lags") and None not in layer["reach"]]
    if not known:
        return None
    lags = np.array(max((layer["lags"] for layer in known), key=lambda kept: kept[-1]))
    rows = np.full((len(known), len(lags)), np.nan)
    for row, layer in zip(rows, known, strict=True):
        inside = lags <= layer["lags"][-1]
        logs = np.log(np.maximum(np.array(layer["reach"], np.float64), 1e-30))
        row[inside] = np.interp(lags[inside], layer["lags"], logs)
    norms = np.exp(np.nanmean(rows, axis=0))
    heard = np.flatnonzero(norms >= REACHED * norms.max())
    memory = None if heard[-1] == len(lags) - 1 else int(lags[heard[-1] + 1])
    widths = np.gradient(lags.astype(np.float64)) if len(lags) > 1 else np.ones(1)
    mean_lag = float(np.sum(lags * norms * widths) / np.sum(norms * widths))
    growth = float(norms.max() / norms[0]) if norms[0] > 0 else float("inf")
    return Reach(layer=name, lags=lags, norms=norms, memory=memory, mean_lag=mean_lag, growth=growth)
