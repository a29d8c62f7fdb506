"""How sure a difference is, and what the verdict makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.evaluation import verdict as module
from recurra.evaluation.judging import ACCURACY, F1_MICRO, RMSE, Evidence
from recurra.evaluation.verdict import Difference, adjusted, difference, interval, verdict
from shared import assert_noticed


def evidence(right, judge=ACCURACY, units=None) -> Evidence:
    table = np.asarray(right, dtype=float)
    return Evidence(judge=judge, ingredients=table if table.ndim == 3 else table[None, :, None], units=units)


def found(name: str, value: float, p: float) -> Difference:
    return Difference(
        baseline=name,
        value=value,
        low=value - 0.01,
        high=value + 0.01,
        p_value=p,
        p_adjusted=p,
        test="paired bootstrap",
        units=500,
    )


def _rates(shift: float, rounds: int = 150) -> float:
    """Share of made experiments in which a difference is found between models whose accuracies differ by `shift`."""
    hits = 0
    for round_ in range(rounds):
        generator = np.random.default_rng(round_)
        first = evidence(generator.random(150) < 0.7 + shift)
        second = evidence(generator.random(150) < 0.7)
        hits += difference(first, second, seed=round_).p_value <= 0.05
    return hits / rounds


def test_there_are_few_false_positives_and_there_is_enough_power():
    assert _rates(0.0) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)
    assert _rates(0.2) > 0.9


def test_the_difference_is_paired():
    """Two models that are right on the same sequences differ less surely than unpaired ones would."""
    generator = np.random.default_rng(0)
    right = generator.random(400) < 0.6
    better = right.copy()
    better[np.flatnonzero(~right)[:12]] = True

    def check() -> None:
        assert module.difference(evidence(better), evidence(right)).p_value <= 0.05

    class Unpaired:
        def __enter__(self):
            self.kept = module.paired_bootstrap
            order = np.random.default_rng(1).permutation(400)
            module.paired_bootstrap = lambda a, b, **options: self.kept(a, b[order], **options)

        def __exit__(self, *_):
            module.paired_bootstrap = self.kept

    assert_noticed(Unpaired(), check)


def test_seeds_are_not_units():
    """Ten seeds that all repeat one answer say no more than one of them."""
    generator = np.random.default_rng(3)
    first, second = (generator.random(60) < 0.8).astype(float), (generator.random(60) < 0.65).astype(float)
    once = difference(evidence(first), evidence(second))
    ten = difference(evidence(np.tile(first[None, :, None], (10, 1, 1))), evidence(second))
    assert ten.p_value == pytest.approx(once.p_value, abs=1e-12)
    assert ten.units == 60


def test_sequences_of_one_group_count_together():
    """Twenty speakers with ten sequences each, all right or all wrong: a difference is far less sure."""
    generator = np.random.default_rng(4)
    speakers = np.repeat(np.arange(20), 10)
    first = np.repeat(generator.random(20) < 0.75, 10)
    second = np.repeat(generator.random(20) < 0.5, 10)
    loose = difference(evidence(first), evidence(second))
    grouped = difference(evidence(first, units=speakers), evidence(second, units=speakers))
    assert grouped.units == 20
    assert grouped.value == pytest.approx(loose.value)
    assert grouped.p_value > loose.p_value


@pytest.mark.parametrize("judge", [RMSE, F1_MICRO], ids=lambda judge: judge.score)
def test_scores_that_are_no_means_are_tested_as_they_are(judge):
    generator = np.random.default_rng(5)
    width = 1 if judge is RMSE else 3
    good = generator.random((1, 200, width))
    bad = good * np.array([2.0]) if judge is RMSE else good[..., [1, 0, 2]] * np.array([0.2, 1.0, 1.0])
    one = difference(evidence(good, judge), evidence(bad, judge))
    assert one.value == pytest.approx(judge.sign * (evidence(good, judge).score - evidence(bad, judge).score))
    assert one.low > 0
    assert (one.effect_size is None) == (judge is F1_MICRO)


def test_adjusted_p_values_are_holms():
    made = adjusted([found("a", 0.1, 0.01), found("b", 0.1, 0.04), found("c", 0.1, 0.03)])
    assert [one.p_adjusted for one in made] == pytest.approx([0.03, 0.06, 0.06])


def test_the_interval_of_a_score_grows_with_the_spread_of_the_seeds():
    generator = np.random.default_rng(6)
    alike = np.tile((generator.random(300) < 0.7).astype(float), (4, 1))
    apart = np.stack([(generator.random(300) < rate).astype(float) for rate in (0.5, 0.6, 0.8, 0.9)])
    narrow = interval(evidence(alike[:, :, None]))
    wide = interval(evidence(apart[:, :, None]))
    assert wide[1] - wide[0] > 1.5 * (narrow[1] - narrow[0])
    assert narrow[0] <= alike.mean() <= narrow[1]


NEURAL = {"cnn": True, "tf-idf": False, "majority": False}


def test_a_network_beats_only_where_it_is_ahead_of_every_baseline():
    text = verdict("lstm", [found("majority", 0.3, 0.001), found("tf-idf", 0.021, 0.004)], ACCURACY, NEURAL)
    assert text == (
        "lstm beats tf-idf, the strongest of 2 baselines, by 2.1 points (95% interval 1.1 to 3.1, p = 0.004)"
    )


def test_one_baseline_ahead_is_enough_for_not_justified():
    text = verdict("lstm", [found("majority", 0.3, 0.001), found("tf-idf", -0.03, 0.002)], ACCURACY, NEURAL)
    assert text.startswith("a recurrent model is not justified here: tf-idf beats lstm by 3.0 points")


def test_a_tie_with_a_cheap_baseline_speaks_against_and_one_with_a_network_does_not():
    beaten = found("majority", 0.3, 0.001)
    cheap = verdict("lstm", [beaten, found("tf-idf", 0.005, 0.4)], ACCURACY, NEURAL)
    assert cheap.startswith("no difference that this data can show between lstm and tf-idf")
    assert "not justified" in cheap
    like = verdict("lstm", [beaten, found("cnn", 0.005, 0.4)], ACCURACY, NEURAL)
    assert "no difference that this data can show between lstm and cnn, a network of like size" in like
    assert "not justified" not in like
    assert "lstm beats majority" in like


def test_a_lead_that_is_lost_to_the_multiplicity_is_no_lead():
    lost = [found("tf-idf", 0.02, 0.03), found("majority", 0.02, 0.04)]
    assert verdict("lstm", lost, ACCURACY, NEURAL).startswith("lstm beats")
    assert verdict("lstm", adjusted(lost), ACCURACY, NEURAL).startswith("no difference")


def test_without_baselines_nothing_is_claimed():
    assert "nothing can be said" in verdict("lstm", [], ACCURACY, NEURAL)


def test_one_test_sequence_gives_no_test_and_no_claim():
    one = difference(evidence([1.0]), evidence([0.0]))
    assert np.isnan(one.p_value)
    assert "too few test sequences" in verdict("lstm", [one], ACCURACY, {})
    assert one.to_dict()["p_value"] is None
