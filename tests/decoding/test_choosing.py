"""What may come next: the sets of top-k and nucleus, and the shares that are drawn of each token."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra import kernels
from recurra.decoding.choosing import Uniforms, best, chances, drawn, penalised, top_k, top_p

FEW = st.lists(st.integers(-4, 4), min_size=1, max_size=12)
"""Small whole numbers, so that there are ties."""


def ranked(values: list[int]) -> list[int]:
    """Places by value, the highest first, ties to the lower place."""
    return sorted(range(len(values)), key=lambda place: (-values[place], place))


@given(FEW, st.integers(1, 14))
def test_the_best_are_the_highest_with_ties_to_the_lower_place(values, count):
    assert best(np.array(values, np.float64), count).tolist() == ranked(values)[:count]


@given(FEW, st.integers(1, 14))
def test_top_k_keeps_exactly_k_and_leaves_their_scores(values, k):
    scores = np.array(values, np.float32)
    kept = np.flatnonzero(top_k(scores, k) > -np.inf)
    assert sorted(ranked(values)[:k]) == kept.tolist()
    np.testing.assert_array_equal(top_k(scores, k)[kept], scores[kept])


@given(FEW, st.floats(0.01, 0.99))
def test_the_nucleus_is_the_shortest_row_of_likeliest_that_reaches_p(values, p):
    shares = np.asarray(kernels.softmax(np.array(values, np.float32)))
    kept = set(np.flatnonzero(top_p(shares, p)).tolist())
    wanted, reached = set(), 0.0
    for place in ranked(values):
        wanted.add(place)
        reached += float(shares[place])
        if reached >= p:
            break
    assert kept == wanted


def test_what_is_forbidden_has_no_chance_and_is_never_the_best():
    scores = np.array([0.0, -np.inf, 1.0], np.float32)
    assert chances(scores, temperature=0.5, k=None, p=None)[1] == 0
    assert best(scores, 3).tolist() == [2, 0]


def test_a_penalty_lowers_only_the_tokens_that_it_names():
    scores = np.array([-1.0, -2.0, -3.0], np.float32)
    assert penalised(scores, np.array([0, 2]), 1.5).tolist() == [-1.5, -2.0, -4.5]
    assert scores.tolist() == [-1.0, -2.0, -3.0]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8).filter(any), st.floats(0, 1, exclude_max=True))
def test_a_draw_never_falls_on_a_place_without_chance(widths, uniform):
    assert widths[drawn(np.array(widths, np.float32), uniform)] > 0


def test_the_largest_uniform_number_falls_on_the_last_place_with_a_chance():
    assert drawn(np.array([0.1, 0.2, 0.0], np.float32), 1 - 2.0**-53) == 1
    assert drawn(np.array([0.1, 0.2, 0.0], np.float32), 0.0) == 0


def chi_square(counts: np.ndarray, shares: np.ndarray) -> float:
    """Pearson's statistic of counts against shares, over the places that have any."""
    expected = counts.sum() * shares[shares > 0]
    return float(np.sum((counts[shares > 0] - expected) ** 2 / expected))


@pytest.mark.parametrize(
    ("temperature", "k", "p"), [(1.0, None, None), (0.5, None, None), (2.0, 4, None), (1.0, 5, 0.8)]
)
def test_draws_have_the_shares_of_the_tempered_and_cut_distribution(temperature, k, p):
    """Chi-square at a fixed seed, below the 99.9% point of its 7 degrees of freedom at most."""
    scores = np.log(np.array([0.3, 0.22, 0.15, 0.12, 0.09, 0.06, 0.04, 0.02])).astype(np.float32)
    plain = np.exp(scores.astype(np.float64) / temperature)
    plain /= plain.sum()
    if k is not None:
        plain[k:] = 0
        plain /= plain.sum()
    if p is not None:
        plain[int(np.searchsorted(np.cumsum(plain), p)) + 1 :] = 0
        plain /= plain.sum()
    found, uniforms = chances(scores, temperature=temperature, k=k, p=p), Uniforms(7, 0)
    counts = np.bincount([drawn(found, uniforms.next()) for _ in range(4000)], minlength=8)
    assert not counts[plain == 0].any()
    assert chi_square(counts, plain) < 24.3
    # The same draws do not pass for the distribution of another temperature.
    other = np.where(plain > 0, plain**2, 0)
    assert chi_square(counts, other / other.sum()) > 24.3


@settings(max_examples=20)
@given(st.integers(0, 2**64 - 1), st.integers(0, 1000))
def test_uniform_numbers_depend_on_seed_sample_and_place_alone(seed, sample):
    first, again = Uniforms(seed, sample), Uniforms(seed, sample)
    numbers = [first.next() for _ in range(5)]
    assert numbers == [again.next() for _ in range(5)]
    assert all(0 <= number < 1 for number in numbers)
    assert numbers != [each.next() for each in [Uniforms(seed, sample + 1)] for _ in range(5)]
