"""What `fit` returns and how it ends."""

from __future__ import annotations

import json
import math
import random
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recurra import kernels
from recurra.errors import DataError, DivergedError, SpecError
from recurra.spec import Training
from recurra.training import Callback, EpochEvent, Fitted, fit, loop
from training.saboteurs import shallow_best_weights, unchecked_steps
from training.toy import StopAfter, Toy, fitted_to_compare, same_bits

BASE = Training(epochs=3, batch_size=8, learning_rate=0.02)


class Scripted(Toy):
    """Scores that follow a script, so that the best epoch is known; remembers the weights it was shown."""

    def __init__(self, scores: list[float], **options: Any) -> None:
        super().__init__(**options)
        self.script, self.shown = list(scores), []  # type: ignore[var-annotated]

    def evaluate(self, parameters: Any, split: str) -> dict[str, float]:
        self.shown.append({name: value.tobytes() for name, value in parameters.items()})
        return {"accuracy": self.script[len(self.shown) - 1], "loss": 1.0}


def test_training_learns() -> None:
    fitted = fit(Toy(count=200), Training(epochs=12, batch_size=16, learning_rate=0.02))
    assert fitted.history.epochs[-1]["train_loss"] < 0.6 * fitted.history.epochs[0]["train_loss"]
    assert fitted.best_score is not None
    assert fitted.best_score > 0.75
    assert (fitted.stopped_by, fitted.steps, fitted.skipped_steps) == ("epochs", 12 * 13, 0)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    first, again, other = fit(Toy(), BASE), fit(Toy(), BASE), fit(Toy(), BASE.replace(seed=1))
    assert fitted_to_compare(first) == fitted_to_compare(again)
    assert not same_bits(first.last_parameters, other.last_parameters)


def test_bits_do_not_depend_on_the_number_of_threads() -> None:
    before, torch_before = kernels.get_num_threads(), torch.get_num_threads()
    outcomes = []
    try:
        for count in (1, 2, 3):
            kernels.set_num_threads(count)
            torch.set_num_threads(count)
            outcomes.append(fitted_to_compare(fit(Toy(units=33), BASE)))
            assert torch.get_num_threads() == count
    finally:
        kernels.set_num_threads(before)
        torch.set_num_threads(torch_before)
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_the_problem_and_the_global_state_are_left_as_they_were() -> None:
    problem = Toy()
    before = {name: value.copy() for name, value in problem.parameters.items()}
    random.seed(3)
    np.random.seed(3)
    torch.manual_seed(3)
    states = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().tolist()
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    threads = torch.get_num_threads()
    fit(problem, BASE)
    with pytest.raises(SpecError, match="monitor"):
        fit(problem, BASE.replace(monitor="f1"))
    now = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().tolist()
    assert now == states
    assert same_bits(problem.parameters, before)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert torch.get_num_threads() == threads


def check_best_weights_are_restored() -> None:
    problem = Scripted([0.5, 0.9, 0.7, 0.8])
    fitted = fit(problem, BASE.replace(epochs=4))
    assert (fitted.best_epoch, fitted.best_score) == (2, 0.9)
    assert {name: value.tobytes() for name, value in fitted.parameters.items()} == problem.shown[1]
    assert {name: value.tobytes() for name, value in fitted.last_parameters.items()} == problem.shown[3]


def test_the_weights_of_the_best_epoch_are_restored() -> None:
    check_best_weights_are_restored()


def test_the_best_weights_test_fails_for_shallow_copies() -> None:
    with shallow_best_weights(), pytest.raises(AssertionError):
        check_best_weights_are_restored()


def test_without_restore_best_the_last_weights_are_returned() -> None:
    fitted = fit(Scripted([0.5, 0.9, 0.7]), BASE.replace(restore_best=False))
    assert same_bits(fitted.parameters, fitted.last_parameters)
    assert fitted.best_epoch == 2


def test_of_equal_scores_the_first_is_the_best() -> None:
    assert fit(Scripted([0.5, 0.7, 0.7]), BASE).best_epoch == 2


def test_returned_weights_share_no_memory_with_anything() -> None:
    fitted = fit(Toy(), BASE)
    for name, value in fitted.parameters.items():
        value[...] = 0
        assert fitted.last_parameters[name].any()


def test_patience_stops_after_so_many_epochs_without_improvement() -> None:
    fitted = fit(Scripted([0.5, 0.9, 0.9, 0.8, 0.95, 0.1]), BASE.replace(epochs=6, patience=2))
    assert (fitted.stopped_by, len(fitted.history), fitted.best_epoch) == ("patience", 4, 2)


def test_a_score_that_is_not_a_number_is_never_the_best() -> None:
    fitted = fit(Scripted([0.5, math.nan, math.inf]), BASE)
    assert fitted.best_epoch == 1


def test_a_lower_loss_is_better() -> None:
    class Losses(Scripted):
        def evaluate(self, parameters: Any, split: str) -> dict[str, float]:
            return {"loss": super().evaluate(parameters, split)["accuracy"], "accuracy": 0.0}

    assert fit(Losses([0.5, 0.2, 0.9]), BASE.replace(monitor="loss")).best_epoch == 2


def test_plateau_cuts_the_rate_after_epochs_without_improvement() -> None:
    training = BASE.replace(epochs=6, schedule="plateau", decay_every=2, decay_factor=0.5)
    fitted = fit(Scripted([0.5, 0.4, 0.4, 0.4, 0.4, 0.9]), training)
    assert fitted.history.column("learning_rate") == pytest.approx([0.02, 0.02, 0.02, 0.01, 0.01, 0.005])


def test_without_validation_the_training_score_decides() -> None:
    fitted = fit(Toy(validation=False), BASE)
    assert fitted.best_score is not None
    assert "train_accuracy" in fitted.history.epochs[0]


def test_no_epochs_return_the_initial_weights() -> None:
    problem = Toy()
    fitted = fit(problem, BASE.replace(epochs=0))
    assert same_bits(fitted.parameters, problem.parameters)
    assert (fitted.best_epoch, fitted.best_score, fitted.stopped_by, fitted.steps) == (0, None, "epochs", 0)


@pytest.mark.parametrize("count", [1, 9])
def test_a_last_batch_of_one_is_trained_on(count: int) -> None:
    fitted = fit(Toy(count=count), BASE)
    assert fitted.history.epochs[0]["sequences"] == count


def test_batch_size_may_be_larger_than_the_data() -> None:
    assert fit(Toy(count=5), BASE.replace(batch_size=1000)).steps == 3


def test_nothing_to_train_on_is_refused() -> None:
    problem = Toy()
    problem.lengths = problem.lengths[:0]
    with pytest.raises(DataError, match="at least one sequence, got none"):
        fit(problem, BASE)


def test_weights_that_are_not_finite_are_refused() -> None:
    problem = Toy()
    problem.parameters["head"][0, 0] = np.nan
    with pytest.raises(DataError, match="'head' must be finite"):
        fit(problem, BASE)


def test_a_misspelt_monitor_is_refused_before_the_first_step() -> None:
    problem = Toy()
    with pytest.raises(SpecError, match="got 'acuracy'; did you mean 'accuracy'"):
        fit(problem, BASE.replace(monitor="acuracy"))
    assert problem.calls == 0


def test_resume_without_a_folder_is_refused() -> None:
    with pytest.raises(SpecError, match="resume needs the folder"):
        fit(Toy(), BASE, resume=True)


def test_accumulated_batches_make_the_steps_of_one_large_batch() -> None:
    large = fit(Toy(dropout=0.0), BASE.replace(batch_size=16))
    small = fit(Toy(dropout=0.0), BASE.replace(batch_size=8, accumulate=2))
    assert small.steps == large.steps
    for name, value in large.last_parameters.items():
        assert np.allclose(value, small.last_parameters[name], rtol=1e-3, atol=1e-4), name


@pytest.mark.parametrize("accumulate", [1, 2])
def test_windows_carry_their_state(accumulate: int) -> None:
    carried = fit(Toy(window=3), BASE.replace(accumulate=accumulate))

    class Forgetful(Toy):
        def loss(self, *args: Any, state: Any, **more: Any) -> Any:
            return super().loss(*args, state=None, **more)

    forgotten = fit(Forgetful(window=3), BASE.replace(accumulate=accumulate))
    assert carried.steps == forgotten.steps > 3 * 7 / accumulate
    assert not same_bits(carried.last_parameters, forgotten.last_parameters)


def check_one_bad_step_is_skipped() -> None:
    problem = Toy()
    problem.poisoned = {4}
    fitted = fit(problem, BASE)
    assert fitted.skipped_steps == 1
    assert fitted.history.steps["skipped"][3] == 1.0
    assert fitted.history.epochs[0]["skipped"] == 1
    assert math.isfinite(fitted.history.epochs[0]["train_loss"])
    assert all(np.isfinite(value).all() for value in fitted.last_parameters.values())


def test_a_step_that_is_not_finite_is_skipped_and_counted() -> None:
    check_one_bad_step_is_skipped()


def test_the_skipping_test_fails_where_every_step_is_applied() -> None:
    with unchecked_steps(), pytest.raises(AssertionError):
        check_one_bad_step_is_skipped()


def test_bad_steps_in_a_row_end_training_with_the_last_good_weights() -> None:
    problem = Toy()
    problem.poisoned = set(range(9, 99))
    with pytest.raises(DivergedError, match=r"4 steps in a row .* lower learning_rate than 0\.02") as caught:
        fit(problem, BASE.replace(max_bad_steps=4))
    fitted = caught.value.fitted
    assert isinstance(fitted, Fitted)
    assert (fitted.stopped_by, fitted.steps, fitted.skipped_steps) == ("diverged", 12, 4)
    assert fitted.best_epoch == 1
    for value in (*fitted.parameters.values(), *fitted.last_parameters.values()):
        assert np.isfinite(value).all()


def test_weights_ruined_by_a_huge_rate_are_never_the_best_and_never_scored() -> None:
    class Ruined(Toy):
        def loss(self, *args: Any, **more: Any) -> Any:
            losses, weights, state = super().loss(*args, **more)
            return losses * 100.0, weights, state

        def evaluate(self, parameters: Any, split: str) -> dict[str, float]:
            assert all(np.isfinite(value).all() for value in parameters.values())
            return super().evaluate(parameters, split)

    problem = Ruined()
    training = BASE.replace(
        learning_rate=3e38, optimizer="sgd", gradient_clip=None, max_bad_steps=50, epochs=2
    )
    fitted = fit(problem, training)
    assert fitted.best_epoch == 0
    assert all(np.isfinite(value).all() for value in fitted.parameters.values())
    with pytest.raises(DivergedError):
        fit(problem, training.replace(max_bad_steps=3))


class Clock:
    """A clock that goes on by a second whenever it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


def test_max_seconds_scores_the_unfinished_epoch_and_returns_its_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "time", Clock())
    fitted = fit(Toy(), BASE.replace(max_seconds=20.0))
    assert fitted.stopped_by == "max_seconds"
    assert 7 < fitted.steps < 14
    assert [record["partial"] for record in fitted.history.epochs] == [False, True]
    assert fitted.best_epoch >= 1
    short = fit(Toy(), BASE.replace(max_seconds=1e-9))
    assert (short.stopped_by, short.steps, short.best_epoch) == ("max_seconds", 0, 0)


def test_a_callback_can_stop_within_and_after_an_epoch() -> None:
    within = fit(Toy(), BASE, callbacks=[StopAfter(10)])
    assert (within.stopped_by, within.steps) == ("callback", 10)
    assert [record["partial"] for record in within.history.epochs] == [False, True]

    class StopAfterEpoch(Callback):
        def on_epoch(self, event: EpochEvent) -> bool | None:
            return event.epoch == 2

    after = fit(Toy(), BASE, callbacks=[StopAfterEpoch()])
    assert (after.stopped_by, after.steps) == ("callback", 14)
    assert [record["partial"] for record in after.history.epochs] == [False, False]


def test_callbacks_hear_of_everything_and_of_the_end_even_after_an_error() -> None:
    heard: list[str] = []

    class Listener(Callback):
        def on_begin(self, event: Any) -> None:
            heard.append(f"begin {event.sequences} {event.device.split()[0]}")

        def on_step(self, event: Any) -> None:
            assert set(event.layers) == {"embed", "recur", "head"}
            heard.append(f"step {event.epoch}.{event.step}/{event.steps}")

        def on_epoch(self, event: EpochEvent) -> None:
            heard.append(f"epoch {event.epoch}/{event.epochs}")
            assert event.scores.keys() == {"loss", "accuracy"}
            if event.epoch == 2:
                raise KeyError("mine")

        def on_end(self) -> None:
            heard.append("end")

    with pytest.raises(KeyError, match="mine"):
        fit(Toy(count=9), BASE, callbacks=[Listener()])
    assert heard == [
        "begin 9 cpu", "step 1.1/2", "step 1.2/2", "epoch 1/3", "step 2.1/2", "step 2.2/2", "epoch 2/3", "end",
    ]  # fmt: skip


def test_on_history_receives_every_epoch() -> None:
    records: list[Any] = []
    fitted = fit(Toy(), BASE, on_history=records.append)
    assert records == fitted.history.epochs
    json.dumps(records, allow_nan=False)


def test_training_works_outside_of_the_main_thread(tmp_path: Path) -> None:
    outcomes: list[Fitted] = []
    threads = [threading.Thread(target=lambda: outcomes.append(fit(Toy(), BASE))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (
        fitted_to_compare(outcomes[0])
        == fitted_to_compare(outcomes[1])
        == fitted_to_compare(fit(Toy(), BASE))
    )
