"""Alone = in a batch = permuted, bit for bit: for every cell, direction, depth, pooling and option."""

from __future__ import annotations

import numpy as np
import pytest

from contracts import saboteurs
from contracts.models import GRID, OPTIONS, TEXTS, network, predictor, sequences
from recurra.graph.pool import POOLINGS
from recurra.spec import Network
from shared import assert_noticed


def check_alone_in_a_batch_and_permuted(model, inputs) -> None:
    together = model.predict_proba(inputs)
    alone = np.concatenate([model.predict_proba([item]) for item in inputs])
    np.testing.assert_array_equal(together, alone)
    order = np.random.default_rng(1).permutation(len(inputs))
    np.testing.assert_array_equal(model.predict_proba([inputs[i] for i in order]), together[order])
    pairs = np.concatenate([model.predict_proba(inputs[i : i + 2]) for i in range(0, len(inputs), 2)])
    np.testing.assert_array_equal(together, pairs)


@pytest.mark.parametrize(("cell", "bidirectional", "num_layers", "pooling"), GRID)
def test_a_text_is_answered_alike_alone_in_a_batch_and_permuted(cell, bidirectional, num_layers, pooling):
    check_alone_in_a_batch_and_permuted(predictor(network(cell, bidirectional, num_layers), pooling), TEXTS)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_keeps_the_answer_independent_of_the_batch(options, pooling):
    net = Network(**{"hidden_size": 9, "num_layers": 2, **options})
    check_alone_in_a_batch_and_permuted(predictor(net, pooling, signal=True), sequences(5))


def test_a_large_batch_in_chunks_gives_the_same_bits(monkeypatch):
    model = predictor(network("lstm", True, 2), "attention", signal=True)
    many = [np.random.default_rng(i).standard_normal((i % 40, 3)) for i in range(300)]
    together = model.predict_proba(many)
    monkeypatch.setattr("recurra.runtime.predictor.CHUNK_TOKENS", 50)
    np.testing.assert_array_equal(model.predict_proba(many), together)


@pytest.mark.parametrize(
    "saboteur",
    [
        saboteurs.reads_a_neighbour,
        saboteurs.drops_the_lengths,
        saboteurs.multiplies_with_blas,
        saboteurs.answers_in_another_order,
    ],
)
def test_the_contract_notices_each_saboteur(saboteur):
    model = predictor(network("lstm", True, 2), "last")
    assert_noticed(saboteur(), lambda: check_alone_in_a_batch_and_permuted(model, TEXTS))


def test_padding_does_not_reach_the_model():
    """The tutorial's model scored one text 0.724 alone and 0.992 in a batch of five; ours has no padding."""
    model = predictor(network("lstm", False, 2), "last")
    longer = [TEXTS[0], "one two three four five six seven " * 40]
    np.testing.assert_array_equal(model.predict_proba(longer)[0], model.predict_proba([TEXTS[0]])[0])


def test_length_zero_has_a_defined_answer_for_every_pooling():
    for pooling in POOLINGS:
        model = predictor(network("gru", True, 2), pooling)
        answer = model.predict_proba([""])
        assert np.all(np.isfinite(answer))
        np.testing.assert_allclose(answer.sum(), 1.0, atol=1e-6)
