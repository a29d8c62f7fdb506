"""Numbers in time: planted seasons, gaps, repeats, trends, extremes and stuck stretches are found."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.data import series as module
from recurra.data.dataset import Dataset
from recurra.data.inspection import inspect
from recurra.data.series import SeriesSummary, series_summaries
from recurra.data.summaries import Spacing
from recurra.ragged import Ragged
from shared import assert_noticed, shared_data

RNG = np.random.default_rng(0)


def summary(*rows: np.ndarray) -> SeriesSummary:
    return series_summaries(Ragged.from_lists([row[:, None] for row in rows]), ["x"])[0]


def seasonal(period: int, count: int = 400, trend: float = 0.0) -> np.ndarray:
    time = np.arange(count)
    return np.sin(2 * np.pi * time / period) + trend * time + 0.3 * RNG.standard_normal(count)


@contextmanager
def flat_correlation():
    """Saboteur: an autocorrelation without peaks."""
    kept, module._autocorrelation = module._autocorrelation, lambda x: np.exp(-np.arange(len(x)) / 5)
    try:
        yield
    finally:
        module._autocorrelation = kept


@pytest.mark.parametrize("period", [7, 12, 24, 48])
@pytest.mark.parametrize("trend", [0.0, 0.02])
def test_a_planted_season_is_found(period, trend):
    def check() -> None:
        found = summary(*(seasonal(period, trend=trend) for _ in range(4)))
        assert found.season is not None
        assert abs(found.season - period) <= max(1, period // 20)

    assert_noticed(flat_correlation(), check)


def test_noise_and_random_walks_have_no_season():
    walks = [RNG.standard_normal(300).cumsum() for _ in range(4)]
    assert summary(*(RNG.standard_normal(300) for _ in range(4))).season is None
    assert summary(*walks).season is None


def test_trend_and_stationarity_are_told_apart():
    assert summary(*(RNG.standard_normal(400) for _ in range(5))).trend == "stationary"
    walks = summary(*(RNG.standard_normal(400).cumsum() for _ in range(5)))
    assert walks.trend == "trend or unit root"
    assert walks.adf > 0.05 >= walks.kpss


def test_planted_extremes_stuck_and_constant_stretches_are_counted():
    row = RNG.standard_normal(500)
    row[[10, 200, 300]] = [60.0, -80.0, 70.0]
    stuck = RNG.standard_normal(500)
    stuck[100:300] = 0.7
    found = summary(row, stuck, np.full(500, 2.0))
    assert (found.extreme, found.constant) == (3, 1)
    assert found.stuck == pytest.approx(200 / 1500)


def stamps(times: list[float]) -> Spacing:
    column = np.array(times)
    found = Spacing.of(
        Ragged(values=np.zeros((len(times), 1)), offsets=[0, len(times)], columns={"time": column})
    )
    assert found is not None
    return found


def test_planted_gaps_repeats_and_steps_back_are_found():
    found = stamps([0, 60, 120, 300, 360, 360, 420, 400, 480, 540, 600])
    assert (found.gaps, found.missing, found.repeated, found.backwards) == (1, 2, 1, 1)
    assert not found.regular
    steady = stamps([0, 60, 120, 180])
    assert (steady.gaps, steady.irregular, steady.regular) == (0, 0.0, True)


def test_the_advice_names_what_was_planted():
    times = np.delete(np.arange(400.0) * 3600, slice(100, 110))
    inputs = Ragged(values=seasonal(24)[:390, None], offsets=[0, 390], columns={"time": times})
    report = inspect(Dataset(inputs=inputs, kind="signal", features=("load",)))
    assert any("'load' repeats every 24 steps" in text for text in report.advice)
    assert any("1 gaps in time, 10 steps are missing" in text for text in report.advice)


def test_a_season_of_twelve_is_found_in_a_real_series():
    file = shared_data("classic_series") / "AirPassengers.csv"
    passengers = np.genfromtxt(file, delimiter=",", skip_header=1, usecols=-1)
    found = summary(np.log(passengers))
    assert found.season == 12
    assert found.trend == "trend or unit root"


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.lists(st.floats(width=32) | st.just(float("nan")), max_size=60),
        min_size=1,
        max_size=3,
    )
)
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_any_numbers_can_be_looked_at(rows):
    made = [np.array(row, dtype=float)[:, None] for row in rows]
    values = np.concatenate(made) if made else np.zeros((0, 1))
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in made])])
    (found,) = series_summaries(Ragged(values=values, offsets=offsets), ["x"])
    assert 0 <= found.stuck <= 1
