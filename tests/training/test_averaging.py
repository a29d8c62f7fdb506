"""Averages of the weights: what they are, when they begin, and that a resumed run goes on with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recurra.errors import SpecError
from recurra.spec import Training
from recurra.training import Callback, fit
from recurra.training.averaging import Average
from recurra.training.memory import estimate_memory
from training.saboteurs import forgotten
from training.test_resume import check_resumed
from training.toy import Toy, same_bits

EXPONENTIAL = Training(epochs=3, batch_size=8, learning_rate=0.02, average_weights="exponential")
SGD = Training(epochs=9, batch_size=8, learning_rate=3.0, optimizer="sgd", monitor="loss", restore_best=False)
TAIL = SGD.replace(average_weights="tail", average_after=1)
TAIL_OF_ADAM = TAIL.replace(optimizer="adam", learning_rate=0.3)


class Weights(Callback):
    """Keeps the raw weights after each step (which `fit` changes in place), and what each epoch scored."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[dict[str, np.ndarray]] = []
        self.scored: list[dict[str, np.ndarray]] = []
        add = Average.add

        def seen(average: Average, parameters: Any) -> None:
            self.steps.append({name: value.detach().numpy().copy() for name, value in parameters.items()})
            add(average, parameters)

        monkeypatch.setattr(Average, "add", seen)

    def on_epoch(self, event: Any) -> None:
        self.scored.append(dict(event.parameters))


def check_exponential(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Weights(monkeypatch)
    fitted = fit(Toy(), EXPONENTIAL.replace(average_decay=0.9, restore_best=False), callbacks=[seen])
    for name in seen.steps[0]:
        mean = np.zeros_like(seen.steps[0][name], dtype=np.float64)
        for count, weights in enumerate(seen.steps, start=1):
            mean += (weights[name] - mean) * max(1.0 / count, 0.1)
        np.testing.assert_allclose(fitted.parameters[name], mean, atol=1e-6)


def test_the_exponential_average_is_the_formula_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    check_exponential(monkeypatch)


def test_the_formula_test_fails_for_an_average_that_skips_the_first_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add, calls = Average.add, [0]

    def late(average: Average, parameters: Any) -> None:
        calls[0] += 1
        if calls[0] > 2:
            add(average, parameters)

    monkeypatch.setattr(Average, "add", late)
    with pytest.raises(AssertionError):
        check_exponential(monkeypatch)


def test_the_tail_is_the_plain_mean_of_the_steps_after_the_trigger(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Weights(monkeypatch)
    fitted = fit(Toy(), TAIL, callbacks=[seen])
    losses = [record["validation_loss"] for record in fitted.history.epochs]
    begun = next(
        epoch for epoch in range(2, len(losses)) if losses[epoch] > min(losses[: epoch - 1])
    )  # from 0: the first that is worse than the best of more than one epoch before
    per_epoch = len(seen.steps) // TAIL.epochs
    assert 0 < begun < TAIL.epochs - 1
    for epoch in range(begun + 1):
        assert same_bits(seen.scored[epoch], seen.steps[per_epoch * (epoch + 1) - 1])
    for name, value in fitted.parameters.items():
        tail = np.mean([step[name] for step in seen.steps[per_epoch * (begun + 1) :]], axis=0, dtype=float)
        np.testing.assert_allclose(value, tail, atol=1e-6)


@pytest.mark.parametrize("training", [TAIL, EXPONENTIAL])
def test_averaging_changes_no_step(training: Training) -> None:
    plain = training.replace(average_weights=None, average_after=None, average_decay=None)
    assert fit(Toy(), training).history.steps["loss"] == fit(Toy(), plain).history.steps["loss"]


def test_what_is_averaged_is_what_is_scored_and_chosen() -> None:
    problem = Toy()
    fitted = fit(problem, EXPONENTIAL)
    best = fitted.history.epochs[fitted.best_epoch - 1]
    assert problem.evaluate(fitted.parameters, "validation")["loss"] == best["validation_loss"]


@pytest.mark.parametrize(
    ("scores", "higher", "begins"),
    [
        ([3.0, 2.0, 1.0, 0.5], False, None),
        ([3.0, 1.0, 2.0, 2.0], False, 3),
        ([3.0, 1.0, 0.5, 2.0, 1.5], False, 3),
        ([1.0, 3.0, 2.0, 2.0], True, 3),
        ([1.0, 2.0, float("nan")], False, 2),
        ([1.0], False, None),
    ],
)
def test_the_trigger_is_a_score_worse_than_the_best_of_long_ago(
    scores: list[float], higher: bool, begins: int | None
) -> None:
    average, begun = Average(after=1), None
    for place, score in enumerate(scores):
        average.heed(score, higher=higher)
        if average.after is None and begun is None:
            begun = place
    assert begun == begins


@pytest.mark.parametrize(
    ("training", "stops"),
    [(TAIL, [5]), (TAIL, [30, 2, 2]), (EXPONENTIAL, [5, 1, 1]), (TAIL_OF_ADAM, [10, 25])],
)
def test_resume_equals_uninterrupted_with_averaged_weights(
    tmp_path: Path, training: Training, stops: list[int]
) -> None:
    check_resumed(tmp_path, training, stops)


def test_resume_between_the_windows_of_a_sequence_with_averaged_weights(tmp_path: Path) -> None:
    check_resumed(tmp_path, EXPONENTIAL, [2, 3, 1], window=2)


@pytest.mark.parametrize(("lost", "stops"), [("average", [45]), ("scores", [12])])
def test_the_resume_test_fails_where_the_average_is_not_restored(
    tmp_path: Path, lost: str, stops: list[int]
) -> None:
    with forgotten(lost), pytest.raises(AssertionError):
        check_resumed(tmp_path, TAIL, stops)


def test_a_step_that_is_skipped_is_not_averaged() -> None:
    problem = Toy()
    problem.poisoned = {3, 4}
    average: list[int] = []

    class Count(Callback):
        def on_step(self, event: Any) -> None:
            average.append(event.skipped)

    fitted = fit(problem, EXPONENTIAL, callbacks=[Count()])
    assert sum(average) == 2
    assert all(np.isfinite(value).all() for value in fitted.last_parameters.values())


def test_the_average_is_counted_in_the_memory_that_is_needed() -> None:
    copies = 6  # values, gradients, good, best, scored, and the one slot of sgd
    plain, averaged = (estimate_memory(Toy(), training).parameters for training in (SGD, TAIL))
    assert averaged * copies == plain * (copies + 1)


def test_options_that_would_have_no_effect_are_refused() -> None:
    with pytest.raises(SpecError, match="average_after has no effect with average_weights=None; use 'tail'"):
        Training(average_after=3)
    with pytest.raises(SpecError, match="average_decay has no effect with average_weights='tail'"):
        Training(average_weights="tail", average_decay=0.9)
    assert Training(average_weights="tail").resolved().average_after == 5
    assert Training(average_weights="exponential").resolved().average_decay == 0.999


def test_float32_means_of_many_steps_stay_close() -> None:
    average, random = Average(after=None), np.random.default_rng(0)
    values = random.normal(size=(4000, 3)).astype(np.float32)
    for row in values:
        average.add({"w": torch.from_numpy(row)})
    np.testing.assert_allclose(average.means["w"].numpy(), values.mean(0, dtype=np.float64), atol=1e-5)
