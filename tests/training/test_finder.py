"""The learning-rate finder."""

from __future__ import annotations

import pytest

from recurra.spec import OPTIMIZERS, Training
from recurra.training import find_learning_rate, fit
from training.toy import Toy, same_bits

USUAL = {"adam": (1e-3, 0.02), "adamw": (1e-3, 0.02), "rmsprop": (1e-3, 0.02), "sgd": (0.02, 5.0)}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_advice_is_a_usual_rate_that_learns(optimizer: str) -> None:
    problem = Toy(count=60, dropout=0.0)
    before = {name: value.copy() for name, value in problem.parameters.items()}
    training = Training(optimizer=optimizer, batch_size=16, epochs=6)
    found = find_learning_rate(problem, training)
    low, high = USUAL[optimizer]
    assert low <= found.rate <= high
    assert same_bits(problem.parameters, before)
    assert list(found.rates) == sorted(found.rates)
    assert len(found.rates) == len(found.gains)
    history = fit(problem, training.replace(learning_rate=found.rate)).history
    assert history.epochs[-1]["train_loss"] < history.epochs[0]["train_loss"]


def test_the_advice_follows_from_problem_and_seed() -> None:
    training = Training(batch_size=16)
    first = find_learning_rate(Toy(), training, steps=20)
    assert first == find_learning_rate(Toy(), training, steps=20)
    assert first.gains != find_learning_rate(Toy(), training.replace(seed=1), steps=20).gains


def test_a_loss_that_is_never_finite_gives_the_usual_rate() -> None:
    problem = Toy()
    problem.poisoned = set(range(99))
    assert find_learning_rate(problem, Training()).rate == 1e-3
    assert find_learning_rate(problem, Training(optimizer="sgd")).rate == 0.1


def test_the_rate_that_was_found_is_used_and_told() -> None:
    training = Training(epochs=1, learning_rate="auto", batch_size=50)
    fitted = fit(Toy(), training)
    assert fitted.learning_rate == find_learning_rate(Toy(), training).rate
    assert fitted.history.epochs[0]["learning_rate"] == fitted.learning_rate
