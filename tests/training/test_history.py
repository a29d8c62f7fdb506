"""What is recorded."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from recurra.spec import Training
from recurra.training import History, TensorBoard, fit
from training.toy import Toy

BASE = Training(epochs=3, batch_size=8, learning_rate=0.02)


def test_every_epoch_and_every_step_is_recorded() -> None:
    history = fit(Toy(), BASE).history
    assert [record["epoch"] for record in history.epochs] == [1, 2, 3]
    assert len(history) == 3
    assert set(history.epochs[0]) == {
        "epoch", "step", "train_loss", "gradient_norm", "gradient_norm_max", "learning_rate", "skipped", "sequences",
        "validation_loss", "validation_accuracy", "seconds", "best", "partial",
    }  # fmt: skip
    assert all(len(column) == 21 for column in (*history.steps.values(), *history.layers.values()))
    assert set(history.layers) == {"embed", "recur", "head"}
    first = history.steps["gradient_norm"][:7]
    assert history.epochs[0]["gradient_norm"] == pytest.approx(sum(first) / 7)
    assert history.epochs[0]["gradient_norm_max"] == max(first)
    assert history.column("learning_rate") == [0.02] * 3


def test_gradient_norms_are_recorded_before_clipping() -> None:
    free = fit(Toy(), BASE.replace(gradient_clip=None, epochs=1)).history
    clipped = fit(Toy(), BASE.replace(gradient_clip=1e-3, epochs=1)).history
    assert clipped.steps["gradient_norm"][0] == free.steps["gradient_norm"][0] > 1e-2
    assert clipped.layers["head"][0] == free.layers["head"][0]


def test_epoch_loss_is_the_mean_over_all_its_sequences() -> None:
    history = fit(Toy(), BASE.replace(epochs=1)).history
    sizes = [8] * 6 + [2]
    losses = history.steps["loss"]
    small = min(
        range(7), key=lambda place: abs(_mean(losses, sizes, place) - history.epochs[0]["train_loss"])
    )
    assert _mean(losses, sizes, small) == pytest.approx(history.epochs[0]["train_loss"], rel=1e-6)


def _mean(losses: list[float], sizes: list[int], small: int) -> float:
    """The mean where the batch of two came at place `small`."""
    order = sizes[:-1]
    order.insert(small, sizes[-1])
    return sum(loss * size for loss, size in zip(losses, order, strict=True)) / sum(order)


def test_what_is_not_finite_is_none_in_plain_records() -> None:
    history = History()
    assert history.add_epoch({"epoch": 1, "train_loss": math.nan, "x": math.inf})["train_loss"] is None
    json.dumps(history.to_dict(), allow_nan=False)


def test_the_history_file_holds_steps_and_epochs_in_order(tmp_path: Path) -> None:
    problem = Toy(count=9)
    problem.poisoned = {2}
    fitted = fit(problem, BASE, folder=tmp_path)
    records = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [record["kind"] for record in records] == ["step", "step", "epoch"] * 3
    assert records[1]["loss"] is None
    assert records[1]["skipped"] is True
    assert records[0]["layers"]["head"] == fitted.history.layers["head"][0]
    assert {**records[2], "kind": None} == {**fitted.history.epochs[0], "kind": None}


def test_a_full_disk_does_not_end_training_and_lines_come_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recurra.errors import StorageError
    from recurra.storage import JsonLines

    append, fails = JsonLines.append, [False, True]

    def sometimes(self: JsonLines, record: object) -> None:
        if fails and fails.pop(0):
            raise StorageError(28, "No space left on device")
        append(self, record)  # type: ignore[arg-type]

    monkeypatch.setattr(JsonLines, "append", sometimes)
    with pytest.warns(RuntimeWarning, match="history not written for now"):
        fitted = fit(Toy(count=9), BASE, folder=tmp_path)
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == fitted.steps + 3


def test_tensorboard_receives_losses_scores_norms_and_rates(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fit(Toy(), BASE, callbacks=[TensorBoard(tmp_path)])
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert {"step/loss", "step/gradient_norm", "step/learning_rate", "gradient_norm/recur"} <= tags
    assert {"epoch/train_loss", "epoch/validation_accuracy"} <= tags
    assert [event.step for event in events.Scalars("epoch/train_loss")] == [1, 2, 3]
    assert len(events.Scalars("step/loss")) == 21
