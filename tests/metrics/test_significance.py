"""The tests of significance agree with SciPy, statsmodels, arch and published examples."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from recurra.errors import DataError, SpecError
from recurra.metrics import MetricWarning
from recurra.metrics import significance as sig

# Demšar (2006), table 2: AUC of C4.5 and of C4.5 with m tuned, on 14 data sets.
C45 = [0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661, 0.583, 0.775, 1.0, 0.940, 0.619, 0.972, 0.957]
C45_M = [0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668, 0.583, 0.838, 1.0, 0.962, 0.666, 0.981, 0.978]


def normal(seed: int, units: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1.0, units)


def autoregression(rng: np.random.Generator, length: int, rho: float) -> np.ndarray:
    noise = rng.normal(size=length)
    series = noise.copy()
    for t in range(1, length):
        series[t] = rho * series[t - 1] + noise[t]
    return series


def test_bootstrap_of_normal_differences_is_close_to_students_t() -> None:
    a, b = normal(1, 200, 0.15), normal(2, 200)
    ours, theirs = sig.paired_bootstrap(a, b), stats.ttest_rel(a, b)
    assert ours.p == pytest.approx(theirs.pvalue, abs=0.01)
    assert ours.statistic == pytest.approx(theirs.statistic)
    assert ours.effect == pytest.approx(float(np.mean(a - b)))
    assert ours.interval == pytest.approx(tuple(theirs.confidence_interval()), abs=0.02)


def test_bootstrap_draws_few_distinct_values_from_the_same_law() -> None:
    rng = np.random.default_rng(3)
    a, b = (rng.random(300) < 0.8).astype(float), (rng.random(300) < 0.74).astype(float)
    counted = sig.paired_bootstrap(a, b)
    drawn = sig.paired_bootstrap(a + 1e-9 * rng.normal(size=300), b)
    assert counted.p == pytest.approx(drawn.p, abs=0.015)
    assert counted.interval == pytest.approx(drawn.interval, abs=0.003)


@given(st.integers(0, 1000), st.integers(2, 40), st.floats(-1, 1))
@settings(max_examples=25)
def test_bootstrap_p_and_interval_tell_the_same(seed: int, units: int, shift: float) -> None:
    result = sig.paired_bootstrap(normal(seed, units, shift), normal(seed + 1, units), resamples=199)
    assert result.significant == (not result.interval[0] <= 0 <= result.interval[1])


def test_bootstrap_of_a_score_equals_that_of_the_mean() -> None:
    a, b = normal(4, 80, 0.3), normal(5, 80)
    result = sig.paired_bootstrap_of(lambda drawn: float(np.mean(a[drawn] - b[drawn])), 80)
    mean = sig.paired_bootstrap(a, b)
    assert result.effect == pytest.approx(mean.effect)
    assert result.p == pytest.approx(mean.p, abs=0.02)
    assert result.interval == pytest.approx(mean.interval, abs=0.03)


def test_bootstrap_of_a_score_leaves_undefined_resamples_out() -> None:
    hits = np.array([0, 0, 1.0])
    with pytest.warns(MetricWarning, match="resamples have no score and are left out"):
        result = sig.paired_bootstrap_of(
            lambda drawn: 1.0 / hits[drawn].sum() if hits[drawn].any() else math.nan, 3, resamples=99
        )
    assert result.effect == 1.0


def test_mcnemar_equals_the_worked_examples() -> None:
    # statsmodels' example [[101, 121], [59, 33]]: exact p = 4.434e-06.
    cells = [(1, 1)] * 101 + [(1, 0)] * 121 + [(0, 1)] * 59 + [(0, 0)] * 33
    result = sig.mcnemar(*zip(*cells, strict=True))
    assert result.p == pytest.approx(4.4344492637551645e-06)
    assert (result.statistic, result.units) == (59, 314)
    assert result.effect == pytest.approx(62 / 314)
    # Fagerland, Lydersen & Laake (2014), [[1, 1], [7, 12]]: exact p = 0.0703; Bonett-Price -0.508 to -0.013.
    cells = [(1, 1), (1, 0), *[(0, 1)] * 7, *[(0, 0)] * 12]
    result = sig.mcnemar(*zip(*cells, strict=True))
    assert result.p == pytest.approx(0.0703, abs=5e-5)
    assert result.interval == pytest.approx((-0.508, -0.013), abs=6e-4)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_mcnemar_equals_scipys_binomial_test(rows: list[tuple[bool, bool]]) -> None:
    a, b = zip(*rows, strict=True)
    only_a = sum(x and not y for x, y in rows)
    discordant = sum(x != y for x, y in rows)
    expected = stats.binomtest(only_a, discordant).pvalue if discordant else 1.0
    assert sig.mcnemar(a, b).p == pytest.approx(expected)


def test_wilcoxon_equals_demsars_example() -> None:
    result = sig.wilcoxon(C45, C45_M)
    assert result.statistic == 12.0
    assert result.p < 0.05
    assert result.effect < 0


@pytest.mark.parametrize("units", [5, 12, 40])
def test_wilcoxon_without_ties_equals_scipys_exact_p(units: int) -> None:
    a, b = normal(units, units, 0.4), normal(units + 1, units)
    assert sig.wilcoxon(a, b).p == pytest.approx(stats.wilcoxon(a, b, method="exact").pvalue)


def test_wilcoxon_with_ties_and_zeros_is_exact_over_all_signs() -> None:
    differences = np.array([0.0, 1, 1, -1, 2, 3, 3, 3, 0, 4, -2])
    expected = stats.wilcoxon(
        differences, zero_method="pratt", method=stats.PermutationMethod(n_resamples=10**6)
    )
    assert sig.wilcoxon(differences, np.zeros(11)).p == pytest.approx(expected.pvalue)


def test_wilcoxon_of_many_units_equals_scipys_approximation() -> None:
    a, b = normal(8, 150, 0.2), normal(9, 150)
    assert sig.wilcoxon(a, b).p == pytest.approx(stats.wilcoxon(a, b, method="approx").pvalue)


@pytest.mark.parametrize("units", [7, 30, 150])
def test_wilcoxons_interval_holds_the_shifts_that_are_not_rejected(units: int) -> None:
    differences = normal(units, units, 0.3)
    zeros = np.zeros(units)
    result = sig.wilcoxon(differences, zeros)
    pairs = (differences[:, None] + differences)[np.triu_indices(units)] / 2
    assert result.effect == pytest.approx(np.median(pairs))
    assert any(result.interval[0] == pytest.approx(mean) for mean in pairs)
    for limit, inward in zip(result.interval, (1e-9, -1e-9), strict=True):
        assert sig.wilcoxon(differences - limit - inward, zeros).p > 0.0495
        assert sig.wilcoxon(differences - limit + inward, zeros).p < 0.0505


def test_few_units_bound_nothing() -> None:
    assert sig.wilcoxon([1, 2, 3], [0, 0, 0]).interval == (-math.inf, math.inf)


def test_resampled_t_without_a_test_set_is_students_and_grows_by_the_overlap() -> None:
    a, b = normal(10, 10, 0.5), normal(11, 10)
    plain = stats.ttest_rel(a, b)
    almost = sig.corrected_resampled_t(a, b, train_size=1e12, test_size=1)
    assert (almost.statistic, almost.p) == pytest.approx((plain.statistic, plain.pvalue))
    assert almost.interval == pytest.approx(tuple(plain.confidence_interval()))
    corrected = sig.corrected_resampled_t(a, b, train_size=90, test_size=10)
    factor = math.sqrt((1 / 10) / (1 / 10 + 1 / 9))
    assert corrected.statistic == pytest.approx(plain.statistic * factor)
    assert corrected.p == pytest.approx(2 * stats.t.sf(abs(plain.statistic) * factor, 9))


def test_effect_size_limits_are_those_of_the_non_central_t() -> None:
    a, b = normal(12, 25, 0.6), normal(13, 25)
    result, plain = sig.effect_size(a, b), stats.ttest_rel(a, b)
    bias = 1 - 3 / (4 * 24 - 1)
    assert result.p == pytest.approx(plain.pvalue)
    assert result.effect == pytest.approx(bias * plain.statistic / 5)
    low, high = (limit / bias * 5 for limit in result.interval)
    assert stats.nct.sf(plain.statistic, 24, low) == pytest.approx(0.025, abs=1e-6)
    assert stats.nct.cdf(plain.statistic, 24, high) == pytest.approx(0.025, abs=1e-6)


def test_effect_size_of_many_units_joins_on() -> None:
    a, b = normal(14, 200, 0.3), normal(15, 200)
    exact = sig.effect_size(a, b)
    near = sig.effect_size(np.append(a, a.mean()), np.append(b, b.mean()))
    assert exact.interval == pytest.approx(near.interval, abs=0.005)


def test_diebold_mariano_one_step_ahead_is_students_t() -> None:
    a, b = normal(16, 60, 0.3) ** 2, normal(17, 60) ** 2
    ours, theirs = sig.diebold_mariano(a, b), stats.ttest_rel(a, b)
    assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue))
    assert ours.interval == pytest.approx(tuple(theirs.confidence_interval()))


@pytest.mark.parametrize(
    ("kernel", "lags", "expected"),
    [
        ("bartlett", 1, 2.83606688),
        ("bartlett", 3, 2.70009389),
        ("rectangular", 1, 2.71616087),
        ("rectangular", 3, 2.60129814),
    ],
)
def test_diebold_mariano_equals_statsmodels_robust_errors(kernel: str, lags: int, expected: float) -> None:
    # statsmodels 0.15: OLS on a constant, cov_type="HAC", kernel "bartlett" or "uniform", no correction.
    losses = np.random.default_rng(0).normal(0.2, 1, 80)
    result = sig.diebold_mariano(losses, np.zeros(80), kernel=kernel, lags=lags)
    assert result.statistic / math.sqrt(79 / 80) == pytest.approx(expected)


def test_diebold_mariano_follows_harveys_correction() -> None:
    losses, h, T = normal(18, 50, 0.4), 4, 50
    centred = losses - losses.mean()
    variance = sum(
        sum(centred[t] * centred[t - abs(k)] for t in range(abs(k), T)) / T for k in range(-h + 1, h)
    )
    expected = losses.mean() / math.sqrt(variance / T) * math.sqrt((T + 1 - 2 * h + h * (h - 1) / T) / T)
    assert sig.diebold_mariano(losses, np.zeros(T), horizon=h).statistic == pytest.approx(expected)


def test_diebold_mariano_falls_back_where_the_variance_is_negative() -> None:
    losses = np.tile([1.0, -0.9], 10)
    with pytest.warns(MetricWarning, match="not positive; Bartlett's is used"):
        assert 0 < sig.diebold_mariano(losses, np.zeros(20), horizon=2).p < 1


@pytest.mark.parametrize(
    ("seed", "length", "rho", "expected"),
    [
        (0, 100, 0.5, 6.09860706),
        (2, 1000, 0.3, 7.31732899),
        (3, 500, -0.4, 7.31544677),
        (4, 60, 0.9, 5.26047641),
    ],
)
def test_block_length_equals_that_of_arch(seed: int, length: int, rho: float, expected: float) -> None:
    # arch 8.0, optimal_block_length, column "circular".
    series = autoregression(np.random.default_rng(seed), length, rho)
    assert sig.block_length(series) == pytest.approx(expected)


def test_blocks_of_one_give_students_t_for_independent_values() -> None:
    a, b = normal(19, 300, 0.15), normal(20, 300)
    result = sig.moving_block_bootstrap(a, b, block_length=1)
    assert result.p == pytest.approx(stats.ttest_rel(a, b).pvalue, abs=0.02)


def test_holm_equals_statsmodels_and_leaves_out_what_was_not_tested() -> None:
    assert sig.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert sig.holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    adjusted = sig.holm([0.02, math.nan, 0.01])
    assert adjusted[[0, 2]] == pytest.approx([0.02, 0.02])
    assert math.isnan(adjusted[1])
    assert sig.holm([]).tolist() == []


# Demšar (2006), table 6: AUC of C4.5+cf and C4.5+m+cf on the same sets. The last but one is printed 0.975 for
# both there, but ranked 2 and 3: the last digit here keeps that order.
C45_CF = [0.771, 0.590, 0.968, 0.654, 0.886, 0.916, 0.609, 0.563, 0.866, 1.0, 0.965, 0.614, 0.9751, 0.946]
C45_M_CF = [0.798, 0.569, 0.967, 0.657, 0.898, 0.931, 0.685, 0.625, 0.875, 1.0, 0.962, 0.669, 0.975, 0.970]


def test_mean_ranks_equal_demsars_example() -> None:
    table = np.array([C45, C45_M, C45_CF, C45_M_CF]).T
    result = sig.compare_ranks(table, ["c45", "m", "cf", "m+cf"])
    assert dict(zip(result.names, result.mean_ranks, strict=True)) == pytest.approx(
        {"m+cf": 1.964, "m": 2.000, "cf": 2.893, "c45": 3.143}, abs=5e-4
    )
    assert result.statistic == pytest.approx(3.69, abs=0.01)
    assert result.critical_difference == pytest.approx(1.25, abs=0.005)


def test_friedman_equals_scipy_and_alike_methods_form_cliques() -> None:
    table = np.random.default_rng(3).normal([0, 0.1, 0.2, 2, 2.1], size=(30, 5))
    result = sig.compare_ranks(table, list("abcde"))
    chi = stats.friedmanchisquare(*table.T).statistic
    assert result.statistic == pytest.approx(29 * chi / (30 * 4 - chi))
    assert [set(clique) for clique in result.cliques] == [{"d", "e"}, {"a", "b", "c"}]
    assert sig.compare_ranks(-table, list("abcde"), higher_is_better=False).names == result.names
    assert sig.compare_ranks([[2, 1], [2, 1]], ["a", "b"]).p == 0.0
    with pytest.warns(MetricWarning, match="at least two units and two methods"):
        assert math.isnan(sig.compare_ranks([[1, 2]], ["a", "b"]).p)


def test_mean_interval_equals_scipy() -> None:
    values = normal(21, 5)
    expected = stats.t.interval(0.95, 4, loc=values.mean(), scale=stats.sem(values))
    assert sig.mean_interval(values) == pytest.approx(expected)
    with pytest.warns(MetricWarning, match="at least two values"):
        assert math.isnan(sig.mean_interval([1.0])[0])


TESTS = {
    "bootstrap": sig.paired_bootstrap,
    "wilcoxon": sig.wilcoxon,
    "resampled t": lambda a, b: sig.corrected_resampled_t(a, b, train_size=9, test_size=1),
    "effect size": sig.effect_size,
    "diebold-mariano": sig.diebold_mariano,
    "blocks": sig.moving_block_bootstrap,
    "mcnemar": sig.mcnemar,
}


@pytest.mark.parametrize("name", TESTS)
def test_no_difference_is_no_evidence(name: str) -> None:
    same = [0, 1, 1, 0] * 10
    result = TESTS[name](same, same)
    assert (result.p, result.effect, result.significant) == (1.0, 0.0, False)
    assert result.interval[0] <= 0.0 <= result.interval[1]


@pytest.mark.parametrize("name", TESTS)
def test_too_few_units_are_nan_and_warned_of(name: str) -> None:
    with pytest.warns(MetricWarning, match="is undefined"):
        result = TESTS[name]([], [])
    assert math.isnan(result.p)
    assert not result.significant
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["p"] is None


@pytest.mark.parametrize("name", TESTS)
def test_swapping_a_and_b_turns_the_sign_alone(name: str) -> None:
    rng = np.random.default_rng(22)
    a, b = (rng.random(60) < 0.8).astype(float), (rng.random(60) < 0.6).astype(float)
    there, back = TESTS[name](a, b), TESTS[name](b, a)
    assert there.effect == pytest.approx(-back.effect)
    assert there.p == pytest.approx(back.p, abs=0.01)
    assert there.interval == pytest.approx((-back.interval[1], -back.interval[0]), abs=0.01)


def test_equal_differences_are_judged_by_their_number() -> None:
    assert sig.paired_bootstrap([1] * 4, [0] * 4).p == 0.125
    with pytest.warns(MetricWarning, match="all differences are equal"):
        assert math.isnan(TESTS["resampled t"]([1.0] * 4, [0.0] * 4).p)


def test_the_interval_of_a_score_holds_its_truth_as_often_as_it_says() -> None:
    rng, inside = np.random.default_rng(7), 0
    for seed in range(200):
        items = rng.normal(0.3, 1.0, 80)
        low, high = sig.bootstrap_interval(lambda w, x=items: np.array([w @ x]), 80, resamples=299, seed=seed)
        inside += low <= 0.3 <= high
    assert 0.95 - 3 * math.sqrt(0.95 * 0.05 / 200) - 0.02 <= inside / 200 <= 0.99


def test_the_interval_of_a_score_also_holds_the_spread_of_repetitions() -> None:
    items = normal(8, 100)
    alike = sig.bootstrap_interval(lambda w: np.full(4, w @ items), 100)
    apart = sig.bootstrap_interval(lambda w: w @ items + np.array([-0.5, -0.2, 0.3, 0.4]), 100)
    assert apart[1] - apart[0] > 1.5 * (alike[1] - alike[0])
    assert all(math.isnan(end) for end in sig.bootstrap_interval(lambda w: np.zeros(1), 0))


def test_an_effect_far_from_nothing_has_an_interval_too() -> None:
    """SciPy's non-central t law is nan in the far tail that this asks for."""
    found = sig.effect_size([0.0] * 30 + [1.0] * 30, [1.0] * 60)
    assert found.interval[0] < found.effect < found.interval[1] < 0


def test_a_record_reads_as_a_sentence() -> None:
    text = str(sig.mcnemar([1] * 10, [0] * 10))
    assert text.startswith("difference in accuracy 1 (95% interval 0.")
    assert text.endswith("exact McNemar, p = 0.00195, 10 units")


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(DataError, match="a has 2, b has 1"):
        sig.paired_bootstrap([1, 2], [1])
    with pytest.raises(SpecError, match="level must lie between 0 and 1, got 95"):
        sig.wilcoxon([1], [2], level=95)
    with pytest.raises(SpecError, match="resamples must be at least 99, got 10"):
        sig.paired_bootstrap([1, 2], [2, 4], resamples=10)
    with pytest.raises(SpecError, match="train_size and test_size must be above 0"):
        sig.corrected_resampled_t([1], [2], train_size=0, test_size=1)
    with pytest.raises(SpecError, match="horizon must be at least 1"):
        sig.diebold_mariano([1], [2], horizon=0)
    with pytest.raises(SpecError, match="kernel must be"):
        sig.diebold_mariano([1], [2], kernel="parzen")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="block_length must be at least 1"):
        sig.moving_block_bootstrap([1, 2], [2, 4], block_length=0)
    with pytest.raises(SpecError, match="at least 20 numbers"):
        sig.block_length([1, 2])
    with pytest.raises(DataError, match="between 0 and 1"):
        sig.holm([1.2])
