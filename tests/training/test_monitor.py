"""The one score that decides."""

from __future__ import annotations

import math

import pytest

from recurra.spec import Training
from recurra.training.monitor import Monitor, higher_is_better
from training.toy import Toy


@pytest.mark.parametrize(
    "name", ["loss", "log_loss", "rmse", "mae", "brier", "perplexity", "calibration_error"]
)
def test_of_errors_and_losses_less_is_better(name: str) -> None:
    assert not higher_is_better(name)


@pytest.mark.parametrize("name", ["accuracy", "f1", "macro_f1", "r2", "roc_auc", "recall_at_10"])
def test_of_other_scores_more_is_better(name: str) -> None:
    assert higher_is_better(name)


def test_the_problem_says_which_way_its_own_score_goes() -> None:
    problem = Toy()
    problem.monitor, problem.higher_is_better = "strangeness", False
    assert not Monitor.of(problem, Training()).higher
    assert not Monitor.of(problem, Training(monitor="strangeness")).higher
    assert Monitor.of(problem, Training(monitor="accuracy")).higher


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_never_better(bad: float) -> None:
    for higher in (True, False):
        monitor = Monitor(name="x", higher=higher)
        assert not monitor.update(bad, 1)
        assert monitor.update(0.0, 2)
        assert not monitor.update(bad, 3)
        assert (monitor.epoch, monitor.stale) == (2, 1)
