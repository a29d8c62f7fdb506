"""Learning rates over the course of training."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

from recurra.spec import SCHEDULES, Training
from recurra.training.schedules import Place, rate_at

STEPS = 20


def course(training: Training, cuts: int = 0) -> list[float]:
    """The rate of every step with STEPS steps per epoch."""
    places = [(epoch, step) for epoch in range(training.epochs) for step in range(STEPS)]
    return [
        rate_at(training, 0.1, Place(epoch=epoch, begin=step / STEPS, end=(step + 1) / STEPS, cuts=cuts))
        for epoch, step in places
    ]


def test_constant_stays() -> None:
    assert set(course(Training(epochs=3))) == {0.1}


def test_step_cuts_every_so_many_epochs() -> None:
    rates = course(Training(epochs=5, schedule="step", decay_every=2, decay_factor=0.1))
    assert rates[:40] == [0.1] * 40
    assert rates[40:80] == pytest.approx([0.01] * 40)
    assert rates[80:] == pytest.approx([0.001] * 20)


def test_cosine_falls_from_the_rate_to_nearly_nothing() -> None:
    rates = course(Training(epochs=4, schedule="cosine"))
    assert rates[0] == 0.1
    assert rates[40] == pytest.approx(0.05)
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < 1e-4


def test_one_cycle_is_that_of_torch() -> None:
    parameter = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    total = 4 * STEPS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=total)
    ours = course(Training(epochs=4, schedule="one_cycle"))
    assert ours[0] == pytest.approx(oracle.get_last_lr()[0])
    assert max(ours) == pytest.approx(0.1, rel=1e-3)
    assert ours.index(max(ours)) == pytest.approx(0.3 * total, abs=1)
    assert ours[-1] < 1e-3


def test_plateau_cuts_as_often_as_it_is_told() -> None:
    training = Training(epochs=2, schedule="plateau", decay_factor=0.5)
    assert set(course(training, cuts=0)) == {0.1}
    assert set(course(training, cuts=3)) == {0.1 / 8}


@pytest.mark.parametrize("schedule", [name for name in SCHEDULES if name != "one_cycle"])
def test_warmup_rises_over_its_share_of_all_steps(schedule: str) -> None:
    rates = course(Training(epochs=4, schedule=schedule, warmup=0.25))
    assert rates[:20] == pytest.approx([0.1 * (step + 1) / 20 for step in range(20)])
    assert rates[20] == pytest.approx(0.1)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_rates_are_always_above_zero_and_never_above_the_given_one(schedule: str) -> None:
    for epochs in (1, 2, 7):
        assert all(
            0 < rate <= 0.1 and math.isfinite(rate)
            for rate in course(Training(epochs=epochs, schedule=schedule))
        )
