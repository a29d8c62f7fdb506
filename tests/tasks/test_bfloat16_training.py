"""`Training(precision="bfloat16")`: what learns, what stays float32, the same bits, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import recurra as rc
from recurra import kernels
from recurra.errors import SpecError
from recurra.spec import Network, Training
from tasks.made import texts
from training.toy import StopAfter

NETWORK = Network(cell="gru", hidden_size=12, num_layers=1, embedding_size=9)
TRAINING = Training(epochs=8, batch_size=16, learning_rate=0.02, precision="bfloat16")


def fitted(network=NETWORK, training=TRAINING, count=120, **options):
    inputs, labels = texts(count)
    return rc.Classifier(network, training, rc.Words(min_count=1), pooling="last").fit(
        inputs, labels, **options
    )


def bits(model):
    return {name: array.tobytes() for name, array in model.parameters_.items()}


@pytest.fixture
def count_of_threads():
    held = kernels.get_num_threads()
    yield kernels.set_num_threads
    kernels.set_num_threads(held)


def test_it_learns_and_what_is_learnt_predicts_and_is_stored_in_float32(tmp_path):
    model = fitted()
    inputs, labels = texts(80, seed=5)
    assert model.score(inputs, labels) > 0.9
    assert all(array.dtype == np.float32 for array in model.parameters_.values())
    assert any((array.view(np.uint32) & 0xFFFF).any() for array in model.parameters_.values())
    assert model.predictor_.precision == "float32"
    model.save(tmp_path / "m")
    assert rc.load(tmp_path / "m").precision == "float32"


def test_one_two_and_three_threads_learn_the_same_bits(count_of_threads):
    found = []
    for count in (1, 2, 3):
        count_of_threads(count)
        found.append(bits(fitted(training=TRAINING.replace(epochs=2))))
    assert found[0] == found[1] == found[2]
    assert found[0] != bits(fitted(training=TRAINING.replace(epochs=2, precision="float32")))


def test_a_run_that_is_stopped_and_resumed_learns_the_same_bits(tmp_path):
    training = TRAINING.replace(epochs=2)
    fitted(training=training, folder=tmp_path, callbacks=[StopAfter(5)])
    assert bits(fitted(training=training, folder=tmp_path, resume=True)) == bits(fitted(training=training))


@pytest.mark.parametrize("options", [{"layer_norm": True}, {"zoneout": 0.1}])
def test_cells_without_these_kernels_are_refused(options):
    with pytest.raises(SpecError, match="precision='bfloat16' has no effect on"):
        fitted(NETWORK.replace(**options))


def test_a_language_model_learns_in_it_too():
    network = Network(cell="lstm", hidden_size=8, num_layers=1, embedding_size=6)
    text = "the cat sat on the mat. " * 40

    def weights(precision):
        training = Training(epochs=1, batch_size=4, sequence_length=20, precision=precision)
        return bits(rc.LanguageModel(network, training).fit([text]))

    assert weights("bfloat16") == weights("bfloat16") != weights("float32")
