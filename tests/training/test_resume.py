"""A run that is interrupted and resumed ends in the bits of one that was not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recurra import kernels
from recurra.errors import CorruptBundleError, LockedError, SpecError
from recurra.spec import OPTIMIZERS, SCHEDULES, Training
from recurra.training import Callback, fit
from recurra.training.checkpoint import CheckpointStore
from recurra.training.fitting import CHECKPOINTS
from training.saboteurs import forgotten
from training.toy import StopAfter, Toy, fitted_to_compare

BASE = Training(epochs=3, batch_size=8, learning_rate=0.02, patience=50)
FAST: dict[str, Any] = {"checkpoint_seconds": 1e9}


def interrupted(
    folder: Path, training: Training, stops: list[int], problem: type[Toy] = Toy, **options: Any
) -> Any:
    """Train in sittings of so many steps each, then to the end."""
    for place, steps in enumerate(stops):
        part = fit(
            problem(**options),
            training,
            callbacks=[StopAfter(steps)],
            folder=folder,
            resume=place > 0,
            **FAST,
        )
        assert part.stopped_by == "callback"
    return fit(problem(**options), training, folder=folder, resume=True, **FAST)


def check_resumed(folder: Path, training: Training, stops: list[int], **options: Any) -> None:
    whole = fit(Toy(**options), training)
    assert fitted_to_compare(interrupted(folder, training, stops, **options)) == fitted_to_compare(whole)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_resume_equals_uninterrupted(tmp_path: Path, optimizer: str, schedule: str) -> None:
    training = BASE.replace(
        optimizer=optimizer,
        momentum=0.9 if optimizer in ("sgd", "rmsprop") else None,
        schedule=schedule,
        decay_every=1 if schedule in ("step", "plateau") else None,
        warmup=0.0 if schedule == "one_cycle" else 0.2,
        weight_decay=0.01,
    )
    check_resumed(tmp_path, training, [5], count=24)


OPTIONS: dict[str, dict[str, Any]] = {
    "accumulated": {"accumulate": 2},
    "by tokens": {"batch_tokens": 30, "bucket": False},
    "by loss": {"monitor": "loss", "clip_by": "value", "gradient_clip": 0.1},
    "rate found": {"learning_rate": "auto"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_resume_equals_uninterrupted_with_options(tmp_path: Path, name: str) -> None:
    check_resumed(tmp_path, BASE.replace(**OPTIONS[name]), [1, 3, 2, 1, 4])


@pytest.mark.parametrize("accumulate", [1, 2])
def test_resume_within_a_sequence_that_is_trained_in_windows(tmp_path: Path, accumulate: int) -> None:
    check_resumed(tmp_path, BASE.replace(accumulate=accumulate), [2, 3, 1, 1], window=2)


def test_resume_on_another_number_of_threads(tmp_path: Path) -> None:
    whole = fit(Toy(units=20), BASE)
    before = kernels.get_num_threads()
    try:
        for threads in (1, 2, 3):
            kernels.set_num_threads(threads)
            fit(Toy(units=20), BASE, callbacks=[StopAfter(7)], folder=tmp_path, resume=threads > 1, **FAST)
        kernels.set_num_threads(1)
        resumed = fit(Toy(units=20), BASE, folder=tmp_path, resume=True, **FAST)
    finally:
        kernels.set_num_threads(before)
    assert fitted_to_compare(resumed) == fitted_to_compare(whole)


def check_bad_steps_resume(folder: Path) -> None:
    """Three bad steps, an interruption, and one more: with the count kept, the run ends at the fourth."""
    from recurra.errors import DivergedError

    first, second = Toy(), Toy()
    first.poisoned, second.poisoned = {4, 5, 6}, {1}
    training = BASE.replace(max_bad_steps=4)
    fit(first, training, callbacks=[StopAfter(6)], folder=folder, **FAST)
    with pytest.raises(DivergedError) as caught:
        fit(second, training, folder=folder, resume=True, **FAST)
    assert caught.value.fitted.skipped_steps == 4


def test_bad_steps_in_a_row_are_counted_across_a_resume(tmp_path: Path) -> None:
    check_bad_steps_resume(tmp_path)


@pytest.mark.parametrize("name", ["slots", "tally", "monitor", "step", "epoch", "total"])
def test_the_resume_test_fails_where_something_is_not_restored(tmp_path: Path, name: str) -> None:
    training = BASE.replace(schedule="plateau", decay_every=1, learning_rate=1e-5)
    with forgotten(name), pytest.raises(AssertionError):
        check_resumed(tmp_path, training, [10])


def test_the_window_test_fails_where_the_carried_state_is_lost(tmp_path: Path) -> None:
    with forgotten("carried"), pytest.raises(AssertionError):
        check_resumed(tmp_path, BASE, [2, 3], window=2)


def test_the_bad_step_test_fails_where_the_count_is_lost(tmp_path: Path) -> None:
    with forgotten("bad_in_row"), pytest.raises(BaseException, match="DID NOT RAISE"):
        check_bad_steps_resume(tmp_path)


def test_a_finished_run_is_returned_as_it_is(tmp_path: Path) -> None:
    whole = fit(Toy(), BASE, folder=tmp_path)
    problem = Toy()
    again = fit(problem, BASE, folder=tmp_path, resume=True)
    assert problem.calls == 0
    assert fitted_to_compare(again) == fitted_to_compare(whole)


def test_a_run_stopped_by_patience_stays_stopped_until_it_gets_more(tmp_path: Path) -> None:
    training = BASE.replace(epochs=60, patience=3, learning_rate=1e-5)
    stopped = fit(Toy(), training, folder=tmp_path)
    assert stopped.stopped_by == "patience"
    assert fit(Toy(), training, folder=tmp_path, resume=True).steps == stopped.steps
    more = fit(Toy(), training.replace(patience=4), folder=tmp_path, resume=True)
    assert fitted_to_compare(more) == fitted_to_compare(fit(Toy(), training.replace(patience=4)))


def test_a_run_can_be_given_more_epochs(tmp_path: Path) -> None:
    fit(Toy(), BASE.replace(epochs=2), folder=tmp_path)
    longer = fit(Toy(), BASE, folder=tmp_path, resume=True)
    assert fitted_to_compare(longer) == fitted_to_compare(fit(Toy(), BASE))


def test_a_run_stopped_by_the_clock_goes_on_exactly(tmp_path: Path) -> None:
    fit(Toy(), BASE.replace(max_seconds=0.05), folder=tmp_path)
    resumed = fit(Toy(), BASE, folder=tmp_path, resume=True)
    assert fitted_to_compare(resumed) == fitted_to_compare(fit(Toy(), BASE))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 9}, "batch_size=8, got 9"),
        ({"optimizer": "adamw"}, "optimizer='adam', got 'adamw'"),
        ({"seed": 1}, "seed=0, got 1"),
        ({"schedule": "cosine", "epochs": 9}, "made for epochs=3, which the cosine schedule"),
        ({"warmup": 0.1, "epochs": 9}, "made for epochs=3, which warmup counts on"),
    ],
)
def test_another_training_is_refused_by_name(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    fit(Toy(), BASE, callbacks=[StopAfter(3)], folder=tmp_path)
    with pytest.raises(SpecError, match=message):
        fit(Toy(), BASE.replace(**change), folder=tmp_path, resume=True)


def test_other_data_are_refused(tmp_path: Path) -> None:
    fit(Toy(), BASE, callbacks=[StopAfter(3)], folder=tmp_path)
    with pytest.raises(SpecError, match="other data, another encoder or another network"):
        fit(Toy(count=60), BASE, folder=tmp_path, resume=True)


def test_resume_with_other_operators_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(Toy(), BASE, callbacks=[StopAfter(3)], folder=tmp_path)
    other = {**kernels.engine(), "native": not kernels.engine()["native"]}
    monkeypatch.setattr(kernels, "engine", lambda: other)
    with pytest.warns(RuntimeWarning, match="was made with native=.*: bits will differ"):
        fit(Toy(), BASE, folder=tmp_path, resume=True)


def test_resume_in_an_empty_folder_starts_from_the_beginning(tmp_path: Path) -> None:
    fitted = fit(Toy(), BASE, folder=tmp_path / "new", resume=True)
    assert fitted_to_compare(fitted) == fitted_to_compare(fit(Toy(), BASE))


def test_starting_anew_removes_the_checkpoints_of_the_run_before(tmp_path: Path) -> None:
    fit(Toy(), BASE.replace(epochs=20), folder=tmp_path)
    fit(Toy(), BASE, callbacks=[StopAfter(2)], folder=tmp_path)
    assert CheckpointStore(tmp_path / CHECKPOINTS).steps() == [0, 2]
    resumed = fit(Toy(), BASE, folder=tmp_path, resume=True)
    assert fitted_to_compare(resumed) == fitted_to_compare(fit(Toy(), BASE))


def test_a_corrupt_checkpoint_falls_back_to_the_one_before_and_ends_in_the_same_bits(tmp_path: Path) -> None:
    fit(Toy(), BASE, callbacks=[StopAfter(10)], folder=tmp_path, checkpoint_steps=3)
    store = CheckpointStore(tmp_path / CHECKPOINTS)
    assert store.steps() == [9, 10]
    arrays = tmp_path / CHECKPOINTS / "ckpt-10" / "arrays.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-1] + b"\x55")
    with pytest.warns(RuntimeWarning, match=r"ckpt-10\.corrupt"):
        resumed = fit(Toy(), BASE, folder=tmp_path, resume=True)
    assert fitted_to_compare(resumed) == fitted_to_compare(fit(Toy(), BASE))


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    fit(Toy(), BASE, callbacks=[StopAfter(3)], folder=tmp_path)
    store = CheckpointStore(tmp_path / CHECKPOINTS)
    found = store.latest()
    assert found is not None
    fewer = {name: value for name, value in found.arrays.items() if name != "parameter/head"}
    with store:
        store.save(99, found.state, fewer)
    with pytest.raises(CorruptBundleError, match="no fitting parameter 'head'"):
        fit(Toy(), BASE, folder=tmp_path, resume=True)


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    class Second(Callback):
        def on_step(self, event: Any) -> bool:
            with pytest.raises(LockedError, match="in use by"):
                fit(Toy(), BASE, folder=tmp_path)
            return True

    assert fit(Toy(), BASE, callbacks=[Second()], folder=tmp_path).steps == 1


def test_a_full_disk_is_warned_of_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recurra.errors import StorageError
    from recurra.training import checkpoint

    write, full = checkpoint.write_folder, [False, True, True, False]

    def sometimes(*args: Any, **options: Any) -> Any:
        if full and full.pop(0):
            raise StorageError(28, "No space left on device")
        return write(*args, **options)

    monkeypatch.setattr(checkpoint, "write_folder", sometimes)
    with pytest.warns(RuntimeWarning, match="checkpoint not saved"):
        fitted = fit(Toy(), BASE, folder=tmp_path, checkpoint_steps=3)
    assert fitted.stopped_by == "epochs"
    assert fit(Toy(), BASE, folder=tmp_path, resume=True).steps == fitted.steps


def test_history_lines_after_the_checkpoint_are_cut_and_written_again(tmp_path: Path) -> None:
    fit(Toy(), BASE, callbacks=[StopAfter(10)], folder=tmp_path, **FAST)
    path = tmp_path / "history.jsonl"
    path.write_text(path.read_text() + '{"kind": "step", "step": 11, "torn')
    whole = fit(Toy(), BASE, folder=tmp_path, resume=True)
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [record["step"] for record in records if record["kind"] == "step"] == list(
        range(1, whole.steps + 1)
    )
    assert [{**record, "kind": 0} for record in records if record["kind"] == "epoch"] == [
        {**record, "kind": 0} for record in whole.history.epochs
    ]


def test_a_lost_history_file_is_written_again(tmp_path: Path) -> None:
    fit(Toy(), BASE, callbacks=[StopAfter(10)], folder=tmp_path, **FAST)
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    (tmp_path / "history.jsonl").unlink()
    fit(Toy(), BASE, folder=tmp_path, resume=True)
    again = (tmp_path / "history.jsonl").read_text().splitlines()
    assert again[: len(lines) - 1] == lines[:-1]
