"""Fine-tuning: what is taken over from a language model, and what learns when."""

from __future__ import annotations

import numpy as np
import pytest

import recurra as rc
from recurra.training.callbacks import Callback
from tasks.made import texts

NETWORK = rc.Network(hidden_size=8, num_layers=2, embedding_size=5, initial_state="learnt")
QUICK = rc.Training(epochs=1, batch_size=8, sequence_length=20, learning_rate=0.01)


@pytest.fixture(scope="module")
def donor() -> rc.LanguageModel:
    return rc.LanguageModel(NETWORK, QUICK, rc.Words(min_count=1)).fit(texts(60, seed=3)[0])


@pytest.mark.parametrize("kind", [rc.Classifier, rc.Regressor])
def test_embedding_and_recurrent_layers_are_taken_over(donor, kind, tmp_path):
    inputs, labels = texts(40)
    targets = labels if kind is rc.Classifier else [float(label == "pos") for label in labels]
    donor.save(tmp_path / "lm")
    for given in (donor, tmp_path / "lm", str(tmp_path / "lm"), rc.load(tmp_path / "lm")):
        made = kind(training=QUICK.replace(epochs=0), pretrained=given).fit(inputs, targets)
        assert made.encoder_ == donor.encoder_
        assert made.network_ == donor.network_
        for name, value in made.parameters_.items():
            if name.startswith(("embed.", "recur.")):
                assert (value == donor.parameters_[name][: len(value)]).all()
    assert len(made.parameters_["embed.table"]) == len(donor.parameters_["embed.table"]) - 1


def test_steps_are_pooled_as_is_usual_for_what_begins(donor):
    inputs, labels = texts(20)
    numbers = [float(label == "pos") for label in labels]

    def pooled(kind, targets, **options):
        made = kind(training=QUICK.replace(epochs=0), **options).fit(inputs, targets)
        assert made.get_params()["pooling"] == options.get("pooling", "auto")
        return made.predictor_.head.pooling

    assert pooled(rc.Classifier, labels) == "max"
    assert pooled(rc.Classifier, labels, pretrained=donor) == "mean"
    assert pooled(rc.Classifier, labels, pretrained=donor, pooling="max") == "max"
    assert pooled(rc.Regressor, numbers) == pooled(rc.Regressor, numbers, pretrained=donor) == "mean"


class Kept(Callback):
    """The weights after each epoch."""

    def __init__(self):
        self.epochs = []

    def on_epoch(self, event):
        self.epochs.append({name: value.copy() for name, value in event.parameters.items()})


def test_gradual_unfreezing_lets_one_part_more_learn_in_each_epoch(donor):
    kept = Kept()
    training = QUICK.replace(epochs=5, unfreeze="gradual")
    made = rc.Classifier(training=training, pretrained=donor).fit(*texts(40), callbacks=[kept])
    layers = made.model_.layers()
    order = ["recur.l1", "recur.l0", "embed"]
    before = {name: value[: len(made.parameters_[name])] for name, value in donor.parameters_.items()}
    for epoch, after in enumerate(kept.epochs[:4]):
        moved = {layers[n] for n, v in after.items() if not n.startswith("head") and (v != before[n]).any()}
        assert moved == set(order[:epoch])
        before = after


def test_lower_parts_learn_more_slowly(donor):
    first = rc.Classifier(training=QUICK.replace(optimizer="sgd"), pretrained=donor).fit(*texts(20))
    slow = rc.Classifier(training=QUICK.replace(optimizer="sgd", layer_decay=0.1), pretrained=donor)
    slow.fit(*texts(20))

    def moved(made, name):
        return np.abs(made.parameters_[name] - donor.parameters_[name][: len(made.parameters_[name])]).max()

    assert 0 < moved(slow, "recur.weight_ih_l0") < 0.05 * moved(first, "recur.weight_ih_l0")
    assert 0 < moved(slow, "embed.table") < 0.005 * moved(first, "embed.table")


def test_another_donor_is_another_run_for_resuming(donor, tmp_path):
    other = rc.LanguageModel(NETWORK, QUICK.replace(seed=1), rc.Words(min_count=1)).fit(texts(60, seed=3)[0])
    inputs = texts(40)
    rc.Classifier(training=QUICK, pretrained=donor).fit(*inputs, folder=tmp_path)
    with pytest.raises(rc.errors.SpecError, match="other data"):
        rc.Classifier(training=QUICK, pretrained=other).fit(*inputs, folder=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": rc.Network(cell="gru")}, "cell must be that of the pretrained model, 'lstm'"),
        ({"network": NETWORK.replace(hidden_size=9)}, "hidden_size must be that"),
        ({"network": NETWORK.replace(bidirectional=True)}, "bidirectional must be that"),
        ({"inputs": rc.Words(min_count=3)}, "inputs must be left out"),
        ({"pretrained": 7}, "pretrained must be a language model"),
    ],
)
def test_what_does_not_fit_the_donor_is_refused(donor, options, message):
    with pytest.raises(rc.errors.SpecError, match=message):
        rc.Classifier(**{"training": QUICK, "pretrained": donor, **options}).fit(*texts(20))


def test_a_donor_that_has_not_learnt_is_refused():
    with pytest.raises(rc.errors.NotFittedError, match="has not learnt anything yet"):
        rc.Classifier(training=QUICK, pretrained=rc.LanguageModel()).fit(*texts(20))
