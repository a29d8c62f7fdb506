"""What the widely copied tutorial gets wrong, one named test each."""

from __future__ import annotations

import json

import numpy as np
import pytest

import recurra as rc
from recurra.evaluation.compare import compare
from shared import assert_noticed
from tasks.made import small, texts


def test_a_vanilla_rnn_can_be_bidirectional():
    network = rc.Network(cell="rnn", hidden_size=4, num_layers=2, bidirectional=True)
    rc.Classifier(network, rc.Training(epochs=1)).fit(*texts(40))


def test_early_stopping_compares_numbers_and_stops():
    model = small(epochs=50).set_params(training__patience=1, training__learning_rate=1e-9).fit(*texts(60))
    assert model.fitted_.stopped_by == "patience"
    assert len(model.history_) < 50


def best_weights_are_those_of_the_best_epoch() -> None:
    inputs, labels = texts(80)
    held = texts(40, seed=5)
    model = small(epochs=8).set_params(training__learning_rate=0.2)
    model.fit(inputs, labels, validation_data=held)
    best = model.history_.epochs[model.fitted_.best_epoch - 1]
    assert model.score(*held) == pytest.approx(best["validation_accuracy"], abs=1e-12)
    assert model.fitted_.best_epoch < 8, "the case must have a best epoch before the last one"
    last = model.fitted_.last_parameters
    assert any(not np.array_equal(last[name], value) for name, value in model.parameters_.items())


def test_the_best_weights_are_restored_and_not_the_last_ones():
    assert_noticed(_ShallowCopies(), best_weights_are_those_of_the_best_epoch)


class _ShallowCopies:
    """The saboteur: what is kept as the best weights goes on changing with the last ones, as a shallow copy does."""

    def __enter__(self):
        from recurra.training import loop

        self.kept = loop.Loop.fitted

        def fitted(this, *args, **options):
            made = self.kept(this, *args, **options)
            for name, value in made.parameters.items():
                value[...] = made.last_parameters[name]
            return made

        loop.Loop.fitted = fitted

    def __exit__(self, *_):
        from recurra.training import loop

        loop.Loop.fitted = self.kept


def test_a_last_batch_of_one_is_trained_and_predicted():
    inputs, labels = texts(33)
    model = small(epochs=1).fit(inputs, labels, validation_data=texts(20, seed=2))
    assert model.predict_proba(inputs[:1]).shape == (1, 2)


@pytest.mark.parametrize("cell", ["rnn", "rnn_relu", "gru", "lstm"])
def test_hidden_states_can_be_traced_for_every_cell(cell):
    from recurra.graph.run import Flow, Run

    model = small(cell, epochs=1).fit(*texts(40))
    run = Run(trace={})
    predictor = model.predictor_
    predictor.model.forward(predictor.parameters, Flow.of(predictor.encode(["good bad film"])), run)
    traced = run.trace["recur.l0"]
    assert traced.y.shape == (3, 8)
    assert traced.h.shape == (1, 8)


def test_the_gradient_of_an_embedded_word_is_there():
    import torch

    from recurra.graph.run import Flow, Run, tensors

    predictor = small(epochs=1).fit(*texts(40)).predictor_
    batch = predictor.encode(["good bad film"])
    parameters = tensors(predictor.parameters)
    flow = Flow(values=torch.from_numpy(batch.values), offsets=batch.offsets)
    predictor.model.forward(parameters, flow, Run()).sum().backward()
    gradient = parameters["embed.table"].grad
    assert gradient is not None
    assert float(gradient[batch.values].abs().sum()) > 0


def test_a_saved_model_can_be_loaded_and_holds_no_pickle(tmp_path):
    inputs, labels = texts(40)
    model = small(epochs=1).fit(inputs, labels)
    path = model.save(tmp_path / "m")
    assert not [file for file in path.iterdir() if file.suffix in (".pkl", ".pt", ".pth", ".joblib")]
    np.testing.assert_array_equal(rc.load(path).predict_proba(inputs), model.predict_proba(inputs))


def frames_are_disjoint() -> None:
    reviews = rc.demo_reviews()
    frames = {
        part: set(reviews.part(part).columns["frame"].tolist()) for part in ("train", "validation", "test")
    }
    assert not frames["train"] & frames["test"]
    assert not frames["train"] & frames["validation"]
    assert not frames["validation"] & frames["test"]


class _LeakedFrame:
    """The saboteur: one sentence frame of the training split stands in test too."""

    def __enter__(self):
        self.kept = rc.demo_reviews
        reviews = rc.demo_reviews()
        split = np.array(reviews.split)
        frames = reviews.columns["frame"]
        repeated = next(f for f in frames[split == "train"] if np.sum(frames[split == "train"] == f) > 1)
        row = int(np.flatnonzero(frames == repeated)[0])
        split[row] = "test"
        from dataclasses import replace

        leaked = replace(reviews, split=split)
        rc.demo_reviews = lambda: leaked

    def __exit__(self, *_):
        rc.demo_reviews = self.kept


def test_no_sentence_frame_of_the_demo_is_in_two_splits():
    assert_noticed(_LeakedFrame(), frames_are_disjoint)


def vocabulary_is_of_the_training_split() -> None:
    inputs, labels = texts(60)
    model = small(epochs=1).fit(
        inputs, labels, validation_data=(["quaggas good", "bad quaggas"], ["pos", "neg"])
    )
    assert b"quaggas" not in model.encoder_.files()["tokenizer.json"]


class _VocabularyBeforeTheSplit:
    """The saboteur: the encoder is fitted on validation texts as well."""

    def __enter__(self):
        self.kept = rc.Words.fit

        def fit(spec, inputs, features=None):
            return self.kept(spec, [*inputs, "quaggas good bad", "quaggas"], features)

        rc.Words.fit = fit

    def __exit__(self, *_):
        rc.Words.fit = self.kept


def test_the_vocabulary_is_built_from_the_training_split_alone():
    assert_noticed(_VocabularyBeforeTheSplit(), vocabulary_is_of_the_training_split)


def test_the_best_network_is_picked_on_validation_and_test_is_only_reported():
    outcome = compare({"a": small(epochs=1), "b": small("rnn", epochs=1)}, *texts(90), seeds=1)
    recurrent = [row for row in outcome.rows if row.kind == "recurrent"]
    best = max(recurrent, key=lambda row: row.validation["accuracy"])
    assert outcome.winner == best.name


def test_the_overfitting_gap_has_no_dropout_in_it():
    network = rc.Network(hidden_size=8, num_layers=1, output_dropout=0.9, embedding_size=8)
    model = rc.Classifier(network, rc.Training(epochs=2, learning_rate=0.02), rc.Words(min_count=1))
    inputs, labels = texts(100)
    outcome = compare({"lstm": model}, inputs, labels, seeds=1)
    row = outcome.row("lstm")
    train = outcome.parts["train"]
    assert row.train["accuracy"] == row.estimator.score(train.inputs, train.targets)


def test_confidence_is_that_of_the_predicted_class():
    from recurra.evaluation.record import test_record

    inputs, labels = texts(80)
    model = small(epochs=3).fit(inputs, labels)
    answers = model.predict_proba(inputs)
    record = test_record(model, answers, model.target_.encode(labels), inputs)
    np.testing.assert_allclose(record["confidence"]["confidence"], answers.max(axis=1))
    assert min(record["confidence"]["confidence"]) >= 0.5
    assert [r["probability"] for r in model.predictor_.records(inputs[:5])] == answers.max(axis=1)[
        :5
    ].tolist()


def test_the_stored_size_is_the_real_one(tmp_path):
    model = small(epochs=1).fit(*texts(40))
    path = model.save(tmp_path / "m")
    stored = (path / "model.safetensors").stat().st_size
    assert stored == pytest.approx(model.summary().megabytes * 2**20, abs=4000)
    assert json.loads((path / "config.json").read_text())["task"] == "classifier"
