"""Comparison: the winner is chosen on validation, the test is paired and by sequence, the verdict says what it is."""

from __future__ import annotations

import numpy as np
import pytest

import recurra as rc
from recurra.errors import InputError, SpecError
from recurra.evaluation import judging
from recurra.evaluation.compare import compare
from shared import assert_noticed
from tasks.made import signals, small, texts


@pytest.fixture(scope="module")
def outcome():
    networks = {"lstm": small("lstm", epochs=6), "rnn": small("rnn", epochs=1)}
    return compare(networks, *texts(200), seeds=2)


def test_rows_are_networks_then_baselines_with_every_seed(outcome):
    assert [row.kind for row in outcome.rows] == ["recurrent", "recurrent", "baseline", "baseline"]
    assert len(outcome.row("lstm").seeds) == 2
    assert outcome.sizes == {"train": 120, "validation": 40, "test": 40}
    low, high = outcome.row("lstm").intervals["accuracy"]
    assert low <= outcome.row("lstm").scores["accuracy"] <= high


def test_order_is_worth_more_than_the_bag_of_words(outcome):
    assert outcome.winner == "lstm"
    assert outcome.difference.value > 0.1
    assert outcome.verdict.startswith("lstm beats")


def test_the_winner_is_chosen_on_validation_and_not_on_test(outcome):
    from dataclasses import replace

    from recurra.evaluation.compare import _best

    rows = [row for row in outcome.rows if row.kind == "recurrent"]
    flattered = [replace(row, scores={"accuracy": float(row.name == "rnn")}) for row in rows]
    assert _best(flattered, outcome.judge).name == "lstm"


def test_the_overfitting_gap_is_taken_in_evaluation_mode(outcome):
    row = outcome.row("lstm")
    model = row.estimator
    train = outcome.parts["train"]
    scores = [model.scores(train.inputs, train.targets)["accuracy"]]
    assert min(abs(row.train["accuracy"] - s) for s in scores) < 0.2
    assert row.gap == pytest.approx(row.train["accuracy"] - row.validation["accuracy"])


def test_a_verdict_may_be_that_no_recurrent_model_is_justified():
    inputs, _ = texts(160)
    labels = ["film" if "film" in text.split() else "none" for text in inputs]
    found = compare({"rnn": small("rnn", epochs=1)}, inputs, labels, seeds=1)
    assert "not justified" in found.verdict


def test_signals_and_numbers_have_baselines_of_their_own():
    inputs, labels = signals(60)
    network = rc.Network(cell="gru", hidden_size=4, num_layers=1)
    classes = compare({"gru": rc.Classifier(network, rc.Training(epochs=1))}, inputs, labels, seeds=1)
    assert [row.name for row in classes.rows] == ["gru", "majority", "summary + logistic"]
    numbers = np.array([row.mean() for row in inputs])
    found = compare({"gru": rc.Regressor(network, rc.Training(epochs=1))}, inputs, numbers, seeds=1)
    assert [row.name for row in found.rows] == ["gru", "mean", "summary + ridge"]
    assert "not justified" in found.verdict


def test_unknown_baselines_and_mixed_tasks_are_refused():
    with pytest.raises(SpecError, match="did you mean 'majority'"):
        compare({"a": small()}, *texts(40), baselines=["majorty"])
    with pytest.raises(InputError, match="one task"):
        compare({"a": small(), "b": rc.Regressor()}, *texts(40))
    with pytest.raises(InputError, match="at least one estimator"):
        compare({}, *texts(40))


def _rates(shift: float, rounds: int = 200) -> float:
    """Share of made experiments in which a difference is found between models whose accuracies differ by `shift`."""
    found = 0
    for round_ in range(rounds):
        generator = np.random.default_rng(round_)
        first = (generator.random((1, 150)) < 0.7 + shift).astype(float)[:, :, None]
        second = (generator.random((1, 150)) < 0.7).astype(float)[:, :, None]
        outcome = judging.difference(first, second, judging.ACCURACY, seed=round_)
        found += outcome.low > 0 or outcome.high < 0
    return found / rounds


def test_the_paired_bootstrap_has_few_false_positives_and_enough_power():
    assert _rates(0.0) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
    assert _rates(0.2) > 0.9


def test_the_difference_is_paired():
    """Two models that are right on the same sequences differ less surely than unpaired ones would."""
    generator = np.random.default_rng(0)
    right = generator.random((1, 400, 1)) < 0.6
    better = right.copy()
    better[0, np.flatnonzero(~right[0, :, 0])[:12], 0] = True
    first, second = better.astype(float), right.astype(float)

    def check() -> None:
        assert judging.difference(first, second, judging.ACCURACY).low > 0

    class Unpaired:
        def __enter__(self):
            self.kept = second.copy()
            second[0] = second[0][np.random.default_rng(1).permutation(400)]
            self.plain = judging.scores_drawn
            seeds = iter(range(10))
            judging.scores_drawn = lambda i, j, seed, **k: self.plain(i, j, seed=next(seeds), **k)

        def __exit__(self, *_):
            second[:] = self.kept
            judging.scores_drawn = self.plain

    assert_noticed(Unpaired(), check)
