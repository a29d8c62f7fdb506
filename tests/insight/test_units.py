"""Units, probes, projections and neighbours: what is planted is found, and nothing where there is nothing."""

from __future__ import annotations

import warnings
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest

from contracts.models import TEXTS, network, predictor, sequences
from recurra.errors import DataError, MissingExtraError, SpecError
from recurra.insight.neighbours import neighbours
from recurra.insight.probing import Probe, _Reader, probe
from recurra.insight.projection import principal, project
from recurra.insight.states import States, hidden_states
from recurra.insight.units import unit_responses
from runtime.streaming import events, model_of
from shared import assert_noticed

WORDS = ("one", "two", "three", "four", "five", "six", "seven")


def random_texts(count: int, seed: int = 0) -> list[str]:
    generator = np.random.default_rng(seed)
    return [" ".join(generator.choice(WORDS, size=generator.integers(3, 12))) for _ in range(count)]


def made_states(
    texts: list[str], hidden: np.ndarray | None = None, pooled: np.ndarray | None = None
) -> States:
    """The states of a random network, with some of them put in by hand."""
    states = hidden_states(predictor(network("lstm", False, 1)), texts)
    layer = states.layers[0] if hidden is None else replace(states.layers[0], hidden=hidden)
    return replace(states, layers=(layer,), pooled=states.pooled if pooled is None else pooled)


def noise(texts: list[str], seed: int = 1) -> np.ndarray:
    steps = sum(len(text.split()) for text in texts)
    return np.random.default_rng(seed).standard_normal((steps, 9)).astype(np.float32)


def test_a_unit_made_to_respond_to_a_token_is_found_with_it():
    texts = random_texts(60)
    hidden = noise(texts)
    tokens = " ".join(texts).split()
    hidden[:, 4] -= 3 * np.array([token == "five" for token in tokens])
    first = unit_responses(made_states(texts, hidden))[0]
    assert (first.unit, first.token) == (4, "five")
    assert first.measured < -0.5
    assert first.mean < first.other - 2
    assert first.measured == pytest.approx(first.found, abs=0.15)


def test_units_that_respond_to_nothing_measure_nothing_on_the_other_half():
    texts = random_texts(200)
    for response in unit_responses(made_states(texts, noise(texts)), count=9):
        assert abs(response.measured) < 0.15


def test_no_token_occurs_often_enough():
    assert unit_responses(hidden_states(predictor(network("gru", False, 1)), TEXTS)) == []


def found_probe(seed: int = 0, shown: float = 1.0) -> Probe:
    texts = random_texts(100)
    values = np.random.default_rng(seed).standard_normal(100)
    pooled = np.random.default_rng(seed + 1).standard_normal((100, 9))
    pooled[:, 6] += shown * 3 * values
    return probe(made_states(texts, pooled=pooled), "the tone", values)


def test_a_property_in_the_state_is_found_with_the_unit_that_tracks_it():
    found = found_probe()
    assert found.found
    assert found.score > 0.8
    assert found.unit.unit == 6
    assert found.unit.measured > 0.9
    assert np.mean(found.control) < 0.1
    assert found.sentence.startswith("The state tells the tone: R2 0.")
    assert "Unit 6 alone" in found.sentence


def check_nothing_is_found_in_noise() -> None:
    assert sum(found_probe(seed, shown=0.0).found for seed in range(20)) <= 3


def test_nothing_is_found_where_nothing_is_and_nothing_is_said():
    check_nothing_is_found_in_noise()
    missed = next(p for p in (found_probe(seed, shown=0.0) for seed in range(20)) if not p.found)
    assert missed.sentence is None


def test_a_probe_that_scores_on_what_it_was_fitted_on_would_be_noticed():
    def fitted_score(self, wanted, measure):
        made = self.table @ np.linalg.lstsq(self.table, wanted - wanted.mean(), rcond=None)[0] + wanted.mean()
        return float(1 - np.sum((wanted - made) ** 2) / np.sum((wanted - wanted.mean()) ** 2))

    def check():
        assert found_probe(3, shown=0.0).score < 0.02

    assert_noticed(mock.patch.object(_Reader, "score", fitted_score), check)


def test_classes_are_probed_by_accuracy_beside_the_most_frequent_one():
    texts = random_texts(90)
    labels = np.array(["a", "b", "b"] * 30)
    pooled = np.random.default_rng(5).standard_normal((90, 9))
    pooled[:, 2] += 4 * (labels == "a")
    found = probe(made_states(texts, pooled=pooled), "the label", labels)
    assert found.measure == "accuracy"
    assert found.guess == pytest.approx(2 / 3)
    assert found.score > 0.9
    assert found.unit.unit == 2


def test_the_length_needs_no_values_and_every_other_property_does():
    states = made_states(random_texts(60))
    assert probe(states).name == "length"
    with pytest.raises(DataError, match="values of 'tone' must be given"):
        probe(states, "tone")
    with pytest.raises(DataError, match=r"values must be one per sequence \(60\), got 3"):
        probe(states, "tone", [1, 2, 3])
    with pytest.raises(DataError, match="not all the same"):
        probe(states, "tone", np.ones(60))
    with pytest.raises(DataError, match="2 to 20 different texts, got 60"):
        probe(states, "id", [f"id {i}" for i in range(60)])
    with pytest.raises(DataError, match="at least 20 sequences"):
        probe(made_states(random_texts(5)))


def test_principal_components_find_the_planted_directions_with_a_fixed_sign():
    generator = np.random.default_rng(0)
    scores = generator.standard_normal((50, 2)) * [5, 2]
    basis = np.linalg.qr(generator.standard_normal((9, 2)))[0]
    table = scores @ basis.T + 3
    points, explained = principal(table)
    assert explained[0] + explained[1] == pytest.approx(1.0)
    for place in range(2):
        assert abs(np.corrcoef(points[:, place], scores[:, place])[0, 1]) > 0.9
    np.testing.assert_allclose(principal(table[::-1])[0][::-1], points, atol=1e-9)


def test_states_are_projected_with_their_labels():
    model = predictor(network("gru", True, 2), "mean", signal=True)
    states = hidden_states(model, sequences(5))
    for of, width in (("final", 18), ("pooled", 18)):
        made = project(states, list("abcabc"), of=of)
        assert made.points.shape == (6, 2)
        assert (states.final if of == "final" else states.pooled).shape == (6, width)
    assert made.labels == tuple("abcabc")
    with pytest.raises(DataError, match="labels must be one per sequence"):
        project(states, ["a"])
    with pytest.raises(DataError, match="at least 3 sequences"):
        project(states.one(0))
    with pytest.raises(SpecError, match="of must be one of final, pooled, got 'first'"):
        project(states, of="first")


def test_neighbourhoods_need_umap_and_say_so():
    states = made_states(random_texts(16))
    with (
        mock.patch.dict("sys.modules", {"umap": None}),
        pytest.raises(MissingExtraError, match="pip install umap-learn"),
    ):
        project(states, how="umap")
    with pytest.raises(DataError, match="at least 16 sequences"):
        project(states.one(0), how="umap")


def test_neighbourhoods_keep_two_planted_groups_apart():
    pytest.importorskip("umap", reason="umap-learn is optional and not installed", exc_type=ImportError)
    texts, group = random_texts(60), np.arange(60) % 2
    pooled = np.random.default_rng(3).standard_normal((60, 9)) + 12 * group[:, None]
    made = project(made_states(texts, pooled=pooled), group, of="pooled", how="umap")
    centres = [made.points[group == g].mean(axis=0) for g in (0, 1)]
    nearest = np.argmin([np.linalg.norm(made.points - c, axis=1) for c in centres], axis=0)
    np.testing.assert_array_equal(nearest, group)
    assert made.explained is None
    np.testing.assert_array_equal(
        project(made_states(texts, pooled=pooled), how="umap", of="pooled").points, made.points
    )


def test_states_that_are_all_alike_are_one_point():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        points, explained = principal(np.ones((4, 3)))
    assert np.all(points == 0)
    assert explained == (0.0, 0.0)


def test_neighbours_are_the_closest_vectors_and_never_the_token_itself():
    model = predictor(network("rnn", False, 1))
    table = np.array(model.parameters["embed.table"])
    vocabulary = model.encoder.vocabulary
    table[vocabulary.index("two")] = 2 * table[vocabulary.index("six")] + 0.01
    model.parameters = {**model.parameters, "embed.table": table}
    (found,) = neighbours(model, ["six"], count=3)
    assert found.found[0][0] == "two"
    assert found.found[0][1] > 0.99 > found.typical
    assert "six" not in dict(found.found)
    assert len(found.found) == 3
    with pytest.raises(DataError, match="'sax' is not; did you mean 'six'"):
        neighbours(model, ["sax"])


def test_neighbours_of_categories_and_of_numbers():
    (found,) = neighbours(model_of(events()), ["a"], count=2)
    assert {token for token, _ in found.found} <= set("bcq")
    with pytest.raises(SpecError, match="it reads numbers"):
        neighbours(predictor(network("rnn", False, 1), signal=True), ["a"])
