"""History as it grows: JSON lines in the run's folder, TensorBoard on request."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recurra.errors import StorageError, missing_extra
from recurra.storage import JsonLines
from recurra.training.callbacks import BeginEvent, Callback, EpochEvent, StepEvent
from recurra.training.history import History

FILE = "history.jsonl"


class HistoryFile(Callback):
    """`history.jsonl`: one line per step ({"kind": "step", ...}), per epoch ("epoch") and per probe ("probe").

    path: of the file. history: the run's own, which on resume already holds what the checkpoint knew:
    lines that the killed process wrote after that checkpoint are cut off, missing ones written again.
    """

    def __init__(self, path: Path, history: History) -> None:
        self._path, self._history = path, history
        self._lines: JsonLines | None = None

    def on_begin(self, event: BeginEvent) -> None:
        self._catch_up()

    def on_step(self, event: StepEvent) -> bool | None:
        self._append(self._history.step_record(len(self._history.steps["loss"]) - 1))
        return None

    def on_probe(self, record: Mapping[str, Any]) -> None:
        self._append({"kind": "probe", **record})

    def on_epoch(self, event: EpochEvent) -> bool | None:
        if self._lines is None:
            self._catch_up()
        else:
            self._append({"kind": "epoch", **event.record})
        return None

    def on_end(self) -> None:
        if self._lines is not None:
            self._lines.close()

    def sync(self) -> None:
        """Make the lines durable, before a checkpoint that counts on them."""
        if self._lines is not None:
            with self._tolerant():
                self._lines.sync()

    def _catch_up(self) -> None:
        """Bring the file to what the history holds, whatever it holds now."""
        known = list(_records(self._history))
        with self._tolerant():
            self._lines = JsonLines(self._path, keep=len(known))
            for record in known[self._lines.count :]:
                self._lines.append(record)

    def _append(self, record: dict[str, Any]) -> None:
        if self._lines is not None:
            with self._tolerant():
                self._lines.append(record)

    @contextmanager
    def _tolerant(self) -> Iterator[None]:
        """A full disk must not end training: warn, and try again after the epoch."""
        try:
            yield
        except StorageError as error:
            warnings.warn(f"history not written for now: {error}", RuntimeWarning, stacklevel=4)
            if self._lines is not None:
                self._lines.close()
            self._lines = None


def _records(history: History) -> Iterator[dict[str, Any]]:
    """All records in the order in which they were made."""
    begin = 0
    probes = {record["step"]: record for record in history.probes}
    for epoch in [*history.epochs, None]:
        end = len(history.steps["loss"]) if epoch is None else epoch["step"]
        for place in range(begin, end):
            yield from _step_records(history, place, probes)
        begin = end
        if epoch is not None:
            yield {"kind": "epoch", **epoch}


def _step_records(
    history: History, place: int, probes: Mapping[int, dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """A step after the probe around it."""
    if place + 1 in probes:
        yield {"kind": "probe", **probes[place + 1]}
    yield history.step_record(place)


class TensorBoard(Callback):
    """Writes losses, scores, gradient norms (whole and per layer) and learning rates for TensorBoard.

    folder: where the event files go. every: write only every so many steps (1). Raises MissingExtraError
    where tensorboard is not installed.
    """

    def __init__(self, folder: str | Path, *, every: int = 1) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise missing_extra("tensorboard", "train", "the TensorBoard history") from error
        self._every = max(1, every)
        self._writer = SummaryWriter(str(folder))

    def on_step(self, event: StepEvent) -> bool | None:
        if event.total % self._every:
            return None
        values = {"step/loss": event.loss, "step/gradient_norm": event.gradient_norm}
        values |= {"step/learning_rate": event.learning_rate}
        values |= {f"gradient_norm/{layer}": norm for layer, norm in event.layers.items()}
        self._write(values, event.total)
        return None

    def on_probe(self, record: Mapping[str, Any]) -> None:
        values = {f"update/{layer}": ratio for layer, ratio in record["updates"].items()}
        for name, layer in record.get("layers", {}).items():
            values |= {f"dead/{name}": layer["dead"], f"radius/{name}": (layer["radius"] or [None])[0]}
            for gate, shares in layer["saturated"].items():
                values[f"saturated/{name}.{gate}"] = sum(shares)
        self._write({name: value for name, value in values.items() if value is not None}, record["step"])

    def on_epoch(self, event: EpochEvent) -> bool | None:
        kept = itertools.filterfalse(
            lambda item: item[0] in ("epoch", "step", "best", "partial"), event.record.items()
        )
        self._write({f"epoch/{name}": value for name, value in kept if value is not None}, event.epoch)
        return None

    def on_end(self) -> None:
        self._writer.close()

    def _write(self, values: dict[str, float], place: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, place)
