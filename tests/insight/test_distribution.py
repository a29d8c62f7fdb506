"""The distribution of the final state: a planted unit, planted still units, and counts that add up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from contracts.models import TEXTS, network, predictor
from insight.test_units import random_texts
from recurra.errors import DataError, SpecError
from recurra.insight.distribution import distribution
from recurra.insight.pages.inside import distribution_items
from recurra.insight.states import States, hidden_states
from recurra.runtime.quantize import quantized
from recurra.spec import CELLS


def with_final(final: np.ndarray) -> States:
    states = hidden_states(predictor(network("lstm", False, 1)), random_texts(len(final)))
    return replace(states, layers=(replace(states.layers[0], final=final.astype(np.float32)),))


def noise(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (rows, 9))


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_every_value_is_counted_once_and_the_labels_share_them_out(cell: str, bidirectional: bool) -> None:
    states = hidden_states(predictor(network(cell, bidirectional, 2)), TEXTS)
    labels = [len(text) % 2 for text in TEXTS]
    found = distribution(states, labels)
    assert found.counts.sum() == states.final.size
    np.testing.assert_array_equal(sum(found.by_label.values()), found.counts)
    np.testing.assert_array_equal(found.counts, np.histogram(states.final, found.edges)[0])
    assert len(found.quantiles) == len(found.deviation) == states.final.shape[1]
    assert (found.full is None) == (cell == "rnn_relu")


def test_the_unit_that_the_labels_part_is_named() -> None:
    labels = np.arange(60) % 3
    final = noise(60)
    final[:, 5] = 0.1 * final[:, 5] + 0.3 * (labels - 1)
    found = distribution(with_final(final), labels)
    assert np.argmax(found.parted) == 5
    groups = [final[labels == k, 5] for k in range(3)]
    within = sum(((group - group.mean()) ** 2).sum() for group in groups)
    assert found.parted[5] == pytest.approx(
        1 - within / ((final[:, 5] - final[:, 5].mean()) ** 2).sum(), abs=1e-5
    )
    assert np.median(found.parted) < 0.15
    assert "the labels part unit 5 most" in found.sentence


def test_still_and_full_units_are_told() -> None:
    final = noise(40)
    final[:, :2] = 0.25
    final[:, 8] = 0.999
    found = distribution(with_final(final), ["a", "b"] * 20)
    assert found.still == 3
    assert found.full == pytest.approx(1 / 9)
    assert found.parted[0] == 0
    assert found.sentence.startswith("Over 40 sequences 6 of 9 units of the final state differ; 11.1%")


def test_the_figures_hold_the_numbers() -> None:
    found = distribution(with_final(noise(30)), ["x", "y", "y"] * 10)
    _, histogram, units = distribution_items(found)
    assert histogram.data["all"] == found.counts.tolist()
    assert histogram.data["label y"] == found.by_label["y"].tolist()
    place = units.data["unit"].index(4)
    assert units.data["median"][place] == pytest.approx(found.quantiles[4, 2])
    assert units.data["median"] == sorted(units.data["median"])


def test_what_cannot_be_distributed_is_refused() -> None:
    states = hidden_states(predictor(network("gru", False, 1)), TEXTS)
    with pytest.raises(DataError, match="at least 2 sequences"):
        distribution(states.one(0))
    with pytest.raises(DataError, match="labels must be one per sequence"):
        distribution(states, ["a"])
    with pytest.raises(SpecError, match="of must be one of final, pooled, got 'first'"):
        distribution(states, of="first")
    with pytest.raises(SpecError, match="bins must be at least 1"):
        distribution(states, bins=0)


def test_states_of_a_model_in_fewer_bits_are_refused_with_what_to_do() -> None:
    small = quantized(predictor(network("gru", False, 1)), "bfloat16")
    with pytest.raises(SpecError, match="this model holds bfloat16; look into the float32 model"):
        hidden_states(small, TEXTS)
