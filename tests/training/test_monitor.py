"""The one score that decides."""

from __future__ import annotations

import math

import pytest

from recurra.errors import SpecError
from recurra.spec import Training
from recurra.training.monitor import Monitor
from training.toy import Toy


@pytest.mark.parametrize(
    ("name", "higher"), [("accuracy", True), ("validation_accuracy", True), ("loss", False)]
)
def test_scores_go_the_way_that_their_names_say(name: str, higher: bool) -> None:
    problem = Toy()
    problem.monitor = "something else"
    found = Monitor.of(problem, Training(monitor=name))
    assert (found.name, found.higher) == (name.removeprefix("validation_"), higher)


def test_an_unknown_score_is_refused() -> None:
    with pytest.raises(SpecError, match="got 'acuracy'; did you mean 'accuracy'"):
        Monitor.of(Toy(), Training(monitor="acuracy"))


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
