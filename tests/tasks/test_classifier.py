"""The classifier: kinds of labels, thresholds, bundles, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

import recurra as rc
from recurra.errors import DataError, InputError, NotFittedError, SpecError
from tasks.made import signals, small, texts


@pytest.fixture(scope="module")
def fitted():
    return small(epochs=6).fit(*texts(200))


def test_order_of_words_is_learnt(fitted):
    unseen, labels = texts(100, seed=9)
    assert fitted.score(unseen, labels) > 0.85


def test_probabilities_are_those_of_the_classes_in_order(fitted):
    probabilities = fitted.predict_proba(["good the bad"])
    assert fitted.classes_.tolist() == ["neg", "pos"]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-6)


def test_a_saved_model_answers_with_the_same_bits_without_torch(fitted, tmp_path):
    unseen, _ = texts(20, seed=3)
    loaded = rc.load(fitted.save(tmp_path / "m"))
    np.testing.assert_array_equal(loaded.predict_proba(unseen), fitted.predict_proba(unseen))
    assert loaded.predict(unseen).tolist() == fitted.predict(unseen).tolist()


def test_a_saved_model_comes_back_into_the_workshop(fitted, tmp_path):
    unseen, labels = texts(20, seed=3)
    again = rc.Classifier.load(fitted.save(tmp_path / "m"))
    assert again.score(unseen, labels) == fitted.score(unseen, labels)
    assert again.fit(*texts(60)).score(unseen, labels) >= 0


def test_records_are_what_predict_prints(fitted):
    record = next(iter(fitted.predictor_.records(["good bad"])))
    assert set(record) == {"label", "probability", "probabilities"}
    assert record["probability"] == max(record["probabilities"].values())
    json.dumps(record)


def test_many_classes_with_numbers_as_labels_keep_their_type():
    inputs, _ = texts(90)
    labels = np.arange(90) % 3
    model = small(epochs=1).fit(inputs, labels)
    assert model.predict(inputs[:4]).dtype.kind in "iu"
    assert model.classes_.tolist() == [0, 1, 2]


def test_several_labels_at_once_with_thresholds_from_validation():
    inputs, _ = texts(150)
    labels = [tuple(w for w in ("film", "plot") if w in text.split()) for text in inputs]
    model = small(epochs=8, threshold="f1").fit(inputs, labels)
    assert model.multilabel_
    assert len(model.threshold_) == 2
    assert model.scores(inputs, labels)["f1_micro"] > 0.9
    assert isinstance(model.predict(inputs[:3])[0], tuple)


def test_a_threshold_by_cost_is_chosen_on_validation_and_stored(tmp_path):
    inputs, labels = texts(150)
    model = small(epochs=1, threshold="cost", costs=(1.0, 20.0)).fit(inputs, labels)
    assert 0 < model.threshold_ < 0.5
    loaded = rc.load(model.save(tmp_path / "m"))
    assert loaded.threshold == model.threshold_
    assert loaded.predict(inputs).tolist() == model.predict(inputs).tolist()


def test_signals_of_different_length_are_learnt():
    network = rc.Network(cell="gru", hidden_size=8, num_layers=1)
    model = rc.Classifier(network, rc.Training(epochs=10, learning_rate=0.02, batch_size=8))
    model.fit(*signals(80))
    assert model.score(*signals(60, seed=5)) > 0.9


def test_long_signals_are_trained_in_windows_with_carried_state_and_predicted_whole():
    inputs, labels = signals(60)
    training = rc.Training(epochs=8, learning_rate=0.02, sequence_length=6, batch_size=8)
    for pooling in ("last", "mean", "max"):
        model = rc.Classifier(rc.Network(cell="gru", hidden_size=8, num_layers=1), training, pooling=pooling)
        model.fit(inputs, labels)
        assert "windows" in model.notes_[0]
        assert model.score(*signals(60, seed=5)) > 0.8


def test_training_text_is_cut_to_sequence_length_and_prediction_is_not():
    inputs, labels = texts(60)
    training = rc.Training(epochs=1, sequence_length=4)
    network = rc.Network(hidden_size=4, num_layers=1)
    model = rc.Classifier(network, training, rc.Words(min_count=1)).fit(inputs, labels)
    assert "cut for training" in model.notes_[0]
    long = " ".join(["good"] * 4 + ["bad"])
    assert not np.array_equal(model.predict_proba([long]), model.predict_proba([" ".join(["good"] * 4)]))


def test_static_features_and_sample_weights_reach_the_model():
    inputs, _ = signals(80)
    static = np.random.default_rng(0).standard_normal((80, 2))
    labels = (static[:, 0] > 0).astype(int)
    network = rc.Network(cell="gru", hidden_size=4, num_layers=1)
    model = rc.Classifier(network, rc.Training(epochs=20, learning_rate=0.05, batch_size=8))
    model.fit(inputs, labels, static=static)
    assert model.scores(inputs, labels, static)["accuracy"] > 0.9
    with pytest.raises(DataError, match="static must be given"):
        model.predict(inputs)


def test_weights_of_zero_leave_sequences_out():
    inputs, labels = texts(100)
    flipped = ["pos" if label == "neg" else "neg" for label in labels]
    weights = np.r_[np.ones(100), np.zeros(100)]
    held = texts(60, seed=4)
    model = small(epochs=8).fit(inputs * 2, labels + flipped, sample_weight=weights, validation_data=held)
    assert model.score(*held) > 0.8


def test_balanced_class_weights_raise_the_share_of_the_rare_class():
    inputs, _ = texts(200)
    labels = ["rare" if "film" in text and "plot" in text and "cast" in text else "common" for text in inputs]
    plain = small(epochs=1).fit(inputs, labels).predict_proba(inputs)[:, 1].mean()
    model = small(epochs=1).set_params(training__class_weight="balanced").fit(inputs, labels)
    assert model.predict_proba(inputs)[:, 1].mean() > plain + 0.1


def test_it_must_be_fitted_first():
    with pytest.raises(NotFittedError, match="call fit"):
        small().predict(["x"])


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        ([], [], "at least one sequence"),
        (["a", "b"], ["x"], "one entry per sequence"),
        (["a"] * 20, ["x"] * 20, "two classes|one class"),
        (["a", 3.0], ["x", "y"], "all texts or all numeric"),
        ("text", "x", "wrap it"),
        ([np.zeros((3, 2)), np.zeros((3, 1))] * 10, ["x", "y"] * 10, "same number of features"),
    ],
)
def test_unusable_data_is_one_clear_error(inputs, labels, message):
    with pytest.raises(InputError, match=message):
        small().fit(inputs, labels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "median"}, "pooling must be one of"),
        ({"threshold": 1.5}, "between 0 and 1"),
        ({"threshold": "best"}, "'f1' or 'cost'"),
        ({"costs": (1, 2)}, "go together"),
        ({"validation": 0.0}, "share between 0 and 1"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(SpecError, match=message):
        small(**options).fit(*texts(40))


def test_an_unseen_label_at_evaluation_is_named(fitted):
    with pytest.raises(DataError, match="maybe"):
        fitted.score(["good"], ["maybe"])


@pytest.mark.parametrize("text", ["", "zzz yyy", "a\x00b", "\ud800", "e\u0301", "👩‍👩‍👧"])
def test_odd_texts_are_answered(fitted, text):
    assert np.all(np.isfinite(fitted.predict_proba([text])))


def test_summary_counts_every_parameter(fitted):
    summary = fitted.summary()
    assert summary.parameters == sum(value.size for value in fitted.parameters_.values())
    assert sum(summary.parts.values()) == summary.parameters
    assert "recur.l0" in str(summary)


@pytest.mark.filterwarnings("ignore:overflow")
def test_an_epoch_whose_outputs_are_not_finite_is_no_best_one_and_no_error() -> None:
    """Weights may be finite where the answers are not: a network that explodes over a long sequence."""
    from insight import trainings

    epochs = trainings.exploding(0).drawn["epochs"]
    assert any(epoch["validation_loss"] is None for epoch in epochs)
    assert not any(epoch["best"] for epoch in epochs if epoch["validation_loss"] is None)
