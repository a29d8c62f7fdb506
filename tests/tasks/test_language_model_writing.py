"""An estimator and its bundle write the same text: one piece of code in both wings."""

from __future__ import annotations

import pytest

import recurra as rc
from recurra.errors import NotFittedError

TEXT = "the cat sat on the mat. the dog sat on the cat. " * 10
WAYS = [{"temperature": 0.7, "seed": 5}, {"temperature": 0}, {"beam": 3}]


@pytest.mark.parametrize(
    "network",
    [
        {"cell": "gru", "initial_state": "learnt"},
        {"tied_embedding": True, "locked_dropout": True, "output_dropout": 0.2},
        {"weight_dropout": 0.3, "embedding_dropout": 0.1},
    ],
)
def test_an_estimator_and_its_bundle_write_the_same_text(network, tmp_path):
    asked = rc.Network(**{"hidden_size": 12, "num_layers": 1, "embedding_size": 12, **network})
    training = rc.Training(epochs=1, batch_size=4, sequence_length=10, learning_rate=0.02)
    model = rc.LanguageModel(asked, training).fit([TEXT, TEXT[:200]])
    stored = rc.load(model.save(tmp_path / "m"))
    for options in WAYS:
        text = model.generate("the ", length=30, **options)
        assert text == stored.generate("the ", length=30, **options)
        assert text == "".join(stored.pieces("the ", length=30, **options))
    (written,) = stored.generations(["the "], length=20, seed=1)[0]
    scored = stored.log_probabilities(["the " + written.text])[0][4:]
    wanted = sum(map(float, scored[: written.tokens]))
    assert written.log_probability == wanted


def test_a_model_that_has_learnt_nothing_writes_nothing():
    with pytest.raises(NotFittedError, match="has not learnt anything yet"):
        rc.LanguageModel().generate("the")
