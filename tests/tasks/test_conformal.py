"""Calibrated models: sets and intervals that hold the truth as often as promised, in both wings and the bundle."""

from __future__ import annotations

import json
from contextlib import contextmanager

import numpy as np
import pytest

import recurra as rc
from recurra.errors import NotFittedError, SpecError
from recurra.metrics import calibrated
from recurra.metrics.calibrated import Conformal
from shared import assert_noticed
from tasks.made import signals, small, texts


def mixed(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Three in ten labels are wrong, so that a set of one class cannot hold the truth in nine of ten."""
    inputs, labels = texts(count, seed)
    wrong = np.random.default_rng(seed).random(count) < 0.3
    return inputs, [
        ("neg" if label == "pos" else "pos") if off else label
        for label, off in zip(labels, wrong, strict=True)
    ]


@pytest.fixture(scope="module")
def classifier():
    return small(epochs=8).fit(*mixed(400, 0)).conformal(*mixed(1000, 1), coverage=0.9, max_error=0.4)


@pytest.fixture(scope="module")
def regressor():
    inputs, _ = signals(300)
    targets = np.array([[row[-1, 0] - row[0, 0], row.mean()] for row in inputs])
    network = rc.Network(cell="gru", hidden_size=8, num_layers=1)
    made = rc.Regressor(network, rc.Training(epochs=2, batch_size=16, learning_rate=0.02))
    return made.fit(inputs[:100], targets[:100]).conformal(inputs[100:], targets[100:])


def coverage_of(model, count: int = 2000, coverage: float | None = None) -> float:
    inputs, labels = mixed(count, 2)
    found = model.predict_set(inputs, coverage=coverage)
    return float(np.mean([label in chosen for label, chosen in zip(labels, found, strict=True)]))


@pytest.mark.parametrize("coverage", [None, 0.8, 0.95])
def test_sets_hold_the_truth_as_often_as_promised(classifier, coverage):
    # 1,000 calibration rows and 2,000 test rows: three standard deviations are 0.035.
    assert coverage_of(classifier, coverage=coverage) == pytest.approx(coverage or 0.9, abs=0.035)


def test_a_calibration_on_other_rows_is_noticed(classifier):
    @contextmanager
    def calibrated_on_right_answers():
        """Saboteur: calibration rows on which the model happens to be right."""
        kept = classifier.conformal_
        inputs, _ = mixed(1000, 1)
        classifier.conformal(inputs, classifier.predict(inputs))
        try:
            yield
        finally:
            classifier.conformal_ = kept

    def check() -> None:
        assert coverage_of(classifier) == pytest.approx(0.9, abs=0.035)

    assert_noticed(calibrated_on_right_answers(), check)


def test_intervals_hold_each_number_as_often_as_promised(regressor):
    inputs, _ = signals(2000, seed=5)
    targets = np.array([[row[-1, 0] - row[0, 0], row.mean()] for row in inputs])
    limits = regressor.predict_set(inputs)
    assert limits.shape == (2000, 2, 2)
    inside = ((limits[..., 0] <= targets) & (targets <= limits[..., 1])).mean(axis=0)
    # 200 calibration rows: three standard deviations are 0.066.
    assert inside == pytest.approx([0.9, 0.9], abs=0.066)


def test_sets_of_a_stored_model_are_the_same(classifier, regressor, tmp_path):
    inputs, _ = mixed(50, 4)
    loaded = rc.load(classifier.save(tmp_path / "c"))
    assert loaded.predict_set(inputs, coverage=0.8) == classifier.predict_set(inputs, coverage=0.8)
    assert rc.Classifier.load(tmp_path / "c").conformal_ == classifier.conformal_
    rows, _ = signals(20)
    loaded = rc.load(regressor.save(tmp_path / "r"))
    np.testing.assert_array_equal(loaded.predict_set(rows), regressor.predict_set(rows))


def test_scores_tell_the_measured_coverage(classifier, regressor):
    scores = classifier.scores(*mixed(2000, 2))
    assert scores["set_coverage"] == pytest.approx(coverage_of(classifier))
    assert 1 <= scores["set_size"] <= 2
    assert 0 <= scores["answered"] <= 1
    rows, _ = signals(50)
    found = regressor.scores(rows, np.arange(1.0, 101.0).reshape(50, 2))
    assert {"interval_coverage", "interval_width"} <= set(found)
    assert "set_coverage" not in small(epochs=0).fit(*texts(40)).scores(*texts(40))


def test_records_with_a_coverage_have_sets_and_say_when_to_keep_silent(classifier, regressor):
    record = next(iter(classifier.predictor_.records(["good bad"], coverage=0.99)))
    assert record["set"][0] == record["label"]
    assert isinstance(record["abstains"], bool)
    json.dumps(record)
    rows, _ = signals(1)
    record = next(iter(regressor.predictor_.records(rows, coverage=0.9)))
    low, high = np.array(record["interval"]).T
    assert (low < record["value"]).all()
    assert (record["value"] < high).all()


def test_a_set_of_several_labels_holds_all_of_them():
    inputs, _ = texts(900)
    labels = [tuple(w for w in ("film", "plot", "cast") if w in text.split()) for text in inputs]
    noisy = np.random.default_rng(0).random(900) < 0.2
    labels = [() if off else row for row, off in zip(labels, noisy, strict=True)]
    model = small(epochs=8, multilabel=True).fit(inputs[:200], labels[:200])
    model.conformal(inputs[200:600], labels[200:600])
    scores = model.scores(inputs[600:], labels[600:])
    assert scores["set_coverage"] == pytest.approx(0.9, abs=0.06)
    held = [
        set(row) <= set(found)
        for row, found in zip(labels[600:], model.predict_set(inputs[600:]), strict=True)
    ]
    assert np.mean(held) == pytest.approx(scores["set_coverage"])


def test_silence_keeps_the_error_rate():
    inputs, labels = texts(1500, 7)
    model = small(epochs=8).fit(*texts(200)).conformal(inputs, labels, max_error=0.05)
    scores = model.scores(*texts(1500, 8))
    assert scores["answered"] > 0
    assert 1 - scores["answered_accuracy"] <= 0.06


def test_a_model_without_calibration_promises_nothing():
    model = small(epochs=0).fit(*texts(40))
    with pytest.raises(NotFittedError, match="promises no coverage yet"):
        model.predict_set(["good"])
    model.conformal(*texts(40, 1))
    model.fit(*texts(40))
    with pytest.raises(NotFittedError, match="promises no coverage yet"):
        model.predict_set(["good"])


def test_options_that_cannot_be_are_refused(classifier, regressor):
    with pytest.raises(SpecError, match=r"coverage must be a whole per cent, .* got 0.913"):
        classifier.predict_set(["good"], coverage=0.913)
    with pytest.raises(SpecError, match="coverage must lie between 0 and 1, got 90"):
        classifier.predict_set(["good"], coverage=90)
    rows, _ = signals(20)
    with pytest.raises(SpecError, match="no option 'method' for this task"):
        regressor.conformal(rows, np.zeros((20, 2)), method="aps")


def test_a_coverage_that_was_asked_for_is_kept_exactly():
    truth, table = np.array([0, 1] * 500), np.full((1000, 2), 0.5)
    found = calibrated.conformal_classes(truth, table, coverage=0.913)
    assert found.at().coverage == 0.913
    assert Conformal.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_calibration_needs_no_torch(classifier, tmp_path):
    import subprocess
    import sys

    classifier.save(tmp_path / "m")
    code = (
        f"import sys, recurra as rc; m = rc.load({str(tmp_path / 'm')!r}); print(m.predict_set(['good bad']));"
        "assert 'torch' not in sys.modules and 'sklearn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
