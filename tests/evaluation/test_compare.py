"""Comparison: the winner is chosen on validation, the test is paired and by sequence, the verdict says what it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import recurra as rc
from recurra.errors import InputError, SpecError
from recurra.evaluation.compare import _best, compare
from recurra.evaluation.folding import InTime, k_splits, units_of
from recurra.tasks.materials import materials
from shared import assert_noticed
from tasks.made import signals, small, texts


@pytest.fixture(scope="module")
def outcome():
    networks = {"lstm": small("lstm", epochs=6), "rnn": small("rnn", epochs=1)}
    return compare(networks, *texts(200), seeds=2, baselines=["majority", "tf-idf + logistic", "cnn"])


def test_rows_are_networks_their_ensemble_then_baselines(outcome):
    names = [(row.name, row.kind) for row in outcome.rows]
    assert names[:3] == [("lstm", "recurrent"), ("rnn", "recurrent"), ("lstm, 2 together", "recurrent")]
    assert [kind for _, kind in names[3:]] == ["baseline"] * 3
    assert outcome.sizes == {"train": 120, "validation": 40, "test": 40}


def test_every_seed_of_networks_is_reported_and_the_interval_holds_their_mean(outcome):
    for name in ("lstm", "cnn"):
        row = outcome.row(name)
        assert len(row.seeds) == 2
        assert row.scores["accuracy"] == pytest.approx(np.mean([s["accuracy"] for s in row.seeds]))
        low, high = row.intervals["accuracy"]
        assert low <= row.scores["accuracy"] <= high
    assert len(outcome.row("majority").seeds) == 1


def test_order_is_worth_more_than_the_bag_of_words(outcome):
    assert outcome.winner == "lstm"
    assert outcome.difference.value > 0.1
    assert outcome.verdict.startswith("lstm beats")


def test_there_is_a_difference_to_every_baseline_with_interval_and_adjusted_p(outcome):
    assert {one.baseline for one in outcome.differences} == {"majority", "tf-idf + logistic", "cnn"}
    for one in outcome.differences:
        assert one.low <= one.value <= one.high
        assert one.p_value <= one.p_adjusted <= min(1.0, 3 * one.p_value)
        assert one.units == 40
        assert one.effect_interval[0] <= one.effect_size <= one.effect_interval[1]
    record = outcome.to_dict()
    assert record["main_score"] == "accuracy"
    assert record["difference"]["baseline"] == outcome.baseline
    assert {row["name"] for row in record["rows"] if "winner_ahead" in row} == {
        one.baseline for one in outcome.differences
    }


def test_the_ensemble_is_the_mean_of_the_seeds_and_never_the_winner(outcome):
    row = outcome.row("lstm, 2 together")
    np.testing.assert_array_equal(row.answers[0], outcome.row("lstm").answers.mean(axis=0))
    flattered = [replace(r, validation={"accuracy": 1.0}) if r is row else r for r in outcome.rows]
    assert _best(flattered, outcome.judge).name == "lstm"


def test_the_winner_is_chosen_on_validation_and_not_on_test(outcome):
    flattered = [replace(row, scores={"accuracy": float(row.name == "rnn")}) for row in outcome.rows]
    assert _best(flattered, outcome.judge).name == "lstm"


def test_sizes_time_and_latency_are_taken_of_every_row(outcome):
    for row in outcome.rows:
        assert row.parameters > 0
        assert row.latency_ms > 0
        assert row.seconds >= 0


def test_the_overfitting_gap_is_taken_in_evaluation_mode(outcome):
    row = outcome.row("lstm")
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
    names = [row.name for row in classes.rows]
    assert names[:4] == ["gru", "majority", "summary + logistic", "1-NN DTW"]
    numbers = np.array([row.mean() for row in inputs])
    found = compare({"gru": rc.Regressor(network, rc.Training(epochs=1))}, inputs, numbers, seeds=1)
    assert [row.name for row in found.rows][:4] == ["gru", "mean", "summary + ridge", "1-NN DTW"]
    assert found.difference.value < 0
    assert "not justified" in found.verdict


def test_folds_test_every_sequence_once_and_bring_a_second_opinion():
    inputs, labels = signals(60)
    network = rc.Network(cell="gru", hidden_size=4, num_layers=1)
    model = rc.Classifier(network, rc.Training(epochs=1))
    found = compare({"gru": model}, inputs, labels, seeds=2, folds=3, baselines=["majority"])
    row = found.row("gru")
    assert row.evidence.ingredients.shape == (2, 60, 1)
    assert len(row.fold_scores) == 3
    assert found.difference.units == 60
    assert 0 <= found.difference.fold_p <= 1


def test_groups_are_never_in_two_parts_and_are_the_unit_of_the_test():
    inputs, labels = signals(60)
    groups = [f"speaker {i % 12}" for i in range(60)]
    network = rc.Network(cell="gru", hidden_size=4, num_layers=1)
    model = rc.Classifier(network, rc.Training(epochs=1))
    options = {"groups": groups, "baselines": ["majority"]}
    folded = compare({"gru": model}, inputs, labels, seeds=1, folds=3, **options)
    assert folded.difference.units == 12
    single = compare({"gru": model}, inputs, labels, seeds=1, **options)
    assert 1 < single.difference.units < 12


def test_folds_in_time_order_are_later_and_take_neighbours_as_one_unit():
    inputs, labels = signals(64)
    network = rc.Network(cell="gru", hidden_size=4, num_layers=1)
    model = rc.Classifier(network, rc.Training(epochs=1))
    in_time = InTime(starts=np.arange(64.0)[::-1], gap=1.0)
    found = compare({"gru": model}, inputs, labels, seeds=1, folds=2, in_time=in_time, baselines=["majority"])
    assert found.row("gru").evidence.ingredients.shape[1] == 32
    assert found.difference.units == 2 * 2
    splits, _ = k_splits(materials(inputs, labels), 2, in_time=in_time)
    blocks = units_of(None, splits, in_time)
    times = in_time.starts[np.concatenate([split.test for split in splits])]
    assert [sorted(times[blocks == block]) for block in range(4)] == np.arange(32.0, 64.0).reshape(
        4, 8
    ).tolist()
    for split in splits:
        later = [in_time.starts[part] for part in split.parts()]
        assert later[0].max() + 1 <= later[1].min()
        assert later[1].max() + 1 <= later[2].min()


def test_a_learning_curve_holds_the_winner_and_every_baseline():
    found = compare(
        {"lstm": small("lstm", epochs=1)}, *texts(160), seeds=1, baselines=["majority"], learning_curve=True
    )
    curve = found.to_dict()["learning_curve"]
    assert curve["sizes"] == [12, 24, 48, 96]
    assert set(curve["rows"]) == {"lstm", "majority"}
    assert curve["rows"]["lstm"]["scores"][-1] == pytest.approx(found.row("lstm").scores["accuracy"])


def test_unknown_baselines_mixed_tasks_and_idle_options_are_refused():
    with pytest.raises(SpecError, match="did you mean 'majority'"):
        compare({"a": small()}, *texts(40), baselines=["majorty"])
    with pytest.raises(InputError, match="one task"):
        compare({"a": small(), "b": rc.Regressor()}, *texts(40))
    with pytest.raises(InputError, match="at least one estimator"):
        compare({}, *texts(40))
    with pytest.raises(InputError, match="named as a baseline"):
        compare({"majority": small()}, *texts(40))
    in_time = InTime(starts=np.arange(40.0))
    with pytest.raises(InputError, match="in_time has no effect without folds"):
        compare({"a": small()}, *texts(40), in_time=in_time)
    with pytest.raises(InputError, match="groups and a time order"):
        compare({"a": small()}, *texts(40), folds=2, in_time=in_time, groups=["a", "b"] * 20)
    with pytest.raises(InputError, match="folds above 1"):
        compare({"a": small()}, *texts(40), folds=2, split={"train": [0]})


class _ChosenOnTest:
    """Chooses by the test score, as one must not."""

    def __enter__(self):
        from recurra.evaluation import compare as module

        self.module, self.kept = module, module._best
        module._best = lambda rows, judge: max(
            (r for r in rows if r.kind == "recurrent" and r.members == 1), key=lambda r: r.scores["accuracy"]
        )

    def __exit__(self, *_):
        self.module._best = self.kept


def test_a_choice_by_the_test_split_would_be_noticed(outcome):
    from recurra.evaluation import compare as module

    rows = [replace(row, scores={"accuracy": float(row.name == "rnn")}) for row in outcome.rows]

    def check() -> None:
        assert module._best(rows, outcome.judge).name == "lstm"

    assert_noticed(_ChosenOnTest(), check)
