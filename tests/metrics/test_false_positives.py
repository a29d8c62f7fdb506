"""Where there is no difference, each test at 5% finds one in at most 5% of the draws, up to chance.

The bound is the 99% point of the binomial law of the number of draws, so a test that holds its level passes
with a chance of at least 99%; seeds are fixed. A difference of a stated size is found often.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from recurra.metrics import significance as sig
from recurra.metrics.significance import Significance

Trial = Callable[[np.random.Generator, float], Significance]


def rejected(trial: Trial, draws: int, effect: float = 0.0) -> int:
    rng = np.random.default_rng(20_260_101)
    return sum(trial(rng, effect).significant for _ in range(draws))


def assert_level_is_held(trial: Trial, draws: int) -> None:
    assert rejected(trial, draws) <= stats.binom.ppf(0.99, draws, 0.05)


def assert_power(trial: Trial, effect: float, at_least: float, draws: int = 60) -> None:
    assert rejected(trial, draws, effect) >= at_least * draws


def bootstrap(rng: np.random.Generator, effect: float) -> Significance:
    a, b = rng.exponential(size=(2, 40))
    return sig.paired_bootstrap(a + effect, b, resamples=199)


def bootstrap_of_accuracy(rng: np.random.Generator, effect: float) -> Significance:
    a, b = rng.random((2, 150)) < np.array([[0.75 + effect], [0.75]])
    return sig.paired_bootstrap(a, b, resamples=199)


def bootstrap_of_a_score(rng: np.random.Generator, effect: float) -> Significance:
    a, b = rng.normal(size=(2, 60)) * np.array([[1 + effect], [1.0]])
    return sig.paired_bootstrap_of(lambda drawn: float(a[drawn].std() - b[drawn].std()), 60, resamples=99)


def exact_mcnemar(rng: np.random.Generator, effect: float) -> Significance:
    a, b = rng.random((2, 150)) < np.array([[0.75 + effect], [0.75]])
    return sig.mcnemar(a, b)


def signed_ranks(rng: np.random.Generator, effect: float) -> Significance:
    a, b = rng.standard_t(3, size=(2, 15))
    return sig.wilcoxon(a + effect, b)


def split_scores(rng: np.random.Generator, effect: float) -> np.ndarray:
    """Scores of two fixed rules on ten random test sets of 20 of 60 rows: any two share rows by chance."""
    rows = rng.normal(size=(2, 60))
    a, b = np.array([rows[:, rng.permutation(60)[:20]].mean(axis=1) for _ in range(10)]).T
    return np.array([a + effect, b])


def random_splits(rng: np.random.Generator, effect: float) -> Significance:
    return sig.corrected_resampled_t(*split_scores(rng, effect), train_size=40, test_size=20)


def random_splits_as_independent(rng: np.random.Generator, effect: float) -> Significance:
    """Saboteur: without the correction."""
    return sig.corrected_resampled_t(*split_scores(rng, effect), train_size=1e12, test_size=1)


def forecasts(rng: np.random.Generator, effect: float) -> Significance:
    a, b = (moving_average(rng, 200, 3) ** 2 for _ in range(2))
    return sig.diebold_mariano(a * (1 + effect), b, horizon=3)


def forecasts_without_lags(rng: np.random.Generator, effect: float) -> Significance:
    """Saboteur: the dependence of errors three steps ahead is not counted."""
    a, b = (moving_average(rng, 200, 3) for _ in range(2))
    return sig.diebold_mariano(a, b, horizon=3, lags=0)


def blocks(rng: np.random.Generator, effect: float) -> Significance:
    return sig.moving_block_bootstrap(smooth(rng, 200) + effect, smooth(rng, 200), resamples=199)


def neighbours_as_independent(rng: np.random.Generator, effect: float) -> Significance:
    """Saboteur: values along time are drawn one by one."""
    return sig.paired_bootstrap(smooth(rng, 200), smooth(rng, 200), resamples=199)


def moving_average(rng: np.random.Generator, length: int, order: int) -> np.ndarray:
    return np.convolve(rng.normal(size=length + order - 1), np.ones(order), mode="valid")


def smooth(rng: np.random.Generator, length: int) -> np.ndarray:
    """An autoregression of 0.5, by its first 30 weights."""
    return np.convolve(rng.normal(size=length + 29), 0.5 ** np.arange(30), mode="valid")


@pytest.mark.parametrize(
    ("trial", "draws"),
    [
        (bootstrap, 400),
        (bootstrap_of_accuracy, 800),
        (bootstrap_of_a_score, 120),
        (exact_mcnemar, 800),
        (signed_ranks, 400),
        (random_splits, 400),
        (forecasts, 400),
        (blocks, 400),
    ],
)
def test_level_is_held(trial: Trial, draws: int) -> None:
    assert_level_is_held(trial, draws)


@pytest.mark.parametrize(
    ("trial", "effect", "at_least"),
    [
        (bootstrap, 1.0, 0.8),
        (bootstrap_of_accuracy, 0.15, 0.8),
        (bootstrap_of_a_score, 0.8, 0.8),
        (exact_mcnemar, 0.15, 0.8),
        (signed_ranks, 2.0, 0.8),
        (random_splits, 0.7, 0.8),
        (forecasts, 1.0, 0.8),
        (blocks, 0.7, 0.8),
    ],
)
def test_a_stated_effect_is_found(trial: Trial, effect: float, at_least: float) -> None:
    assert_power(trial, effect, at_least)


@pytest.mark.parametrize(
    "trial", [random_splits_as_independent, forecasts_without_lags, neighbours_as_independent]
)
def test_a_test_that_forgets_dependence_is_caught(trial: Trial) -> None:
    with pytest.raises(AssertionError):
        assert_level_is_held(trial, 200)


def test_the_chance_of_any_false_rejection_is_held_by_holm() -> None:
    rng = np.random.default_rng(7)
    p_values = rng.random((2000, 8))
    any_rejected = sum(bool((sig.holm(row) <= 0.05).any()) for row in p_values)
    assert any_rejected <= stats.binom.ppf(0.99, 2000, 0.05)
    without = sum(bool((row <= 0.05).any()) for row in p_values)
    assert without > stats.binom.ppf(0.99, 2000, 0.05)
