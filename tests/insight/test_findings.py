"""Behavioural probes and findings: sentences that follow from measurements, and silence where there are none."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import numpy as np
import pytest

from contracts.models import network, predictor, sequences
from recurra.data.dataset import Dataset
from recurra.errors import DataError
from recurra.insight.behaviour import behaviour
from recurra.insight.findings import findings
from recurra.insight.rewriting import REWRITINGS, adding
from recurra.ragged import Ragged
from runtime.streaming import SENTENCES, model_of, plain_signal, words
from shared import assert_noticed
from tasks.made import small, texts


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("negation", "The film was good.", "The film was not good."),
        ("negation", "The film was not good.", None),
        ("negation", "It isn't what it was", None),
        ("negation", "Good film", None),
        ("contrast", "The plot is dull, but the cast is fine.", "the cast is fine but The plot is dull."),
        ("contrast", "The plot is dull.", None),
        ("contrast", "a but b but c", None),
        ("contrast", "but why", None),
        ("word order", "one two", None),
        ("length doubled", "so so", "so so so so"),
        ("length doubled", " ", None),
        ("first half", "one two three four five", "one two"),
        ("first half", "one two three", None),
        ("irrelevant addition", "Fine.", "Fine. we watched it on a tuesday ."),
    ],
)
def test_a_text_is_rewritten_or_left_alone(name, before, after):
    assert REWRITINGS[name].rewrite(before, 0) == after


def test_the_shuffle_keeps_the_words_and_follows_the_seed():
    text = "one two three four five six"
    made = {REWRITINGS["word order"].rewrite(text, seed) for seed in range(5)}
    assert len(made) > 1
    assert all(sorted(each.split()) == sorted(text.split()) for each in made)


@pytest.fixture(scope="module")
def trained():
    """Reads which of "good" and "bad" comes first: order is everything, and what stands at the end is nothing."""
    return small("gru", epochs=8, seed=1).fit(*texts(400))


def probes(model, inputs, **options):
    return {each.name: each for each in behaviour(model, inputs, **options)}


def check_order_matters(model) -> None:
    found = probes(model, texts(80, seed=9)[0])["word order"]
    assert found.flips > 0.2
    assert found.interval[1] < -0.1
    assert found.sentence is not None
    assert found.sentence.startswith("A rewriting that shuffles the words changes the probability by -0.")


def test_a_model_that_reads_the_order_is_seen_to(trained):
    check_order_matters(trained)


def test_a_rewriting_that_does_nothing_would_be_noticed(trained):
    idle = replace(REWRITINGS["word order"], rewrite=lambda text, seed: text)
    assert_noticed(mock.patch.dict(REWRITINGS, {"word order": idle}), lambda: check_order_matters(trained))


def test_changes_are_those_of_the_predicted_class(trained):
    inputs = texts(30, seed=9)[0]
    found = probes(trained, inputs)["length doubled"]
    before = trained.predict_proba(inputs)
    column = np.argmax(before, axis=1)
    after = trained.predict_proba([f"{text} {text}" for text in inputs])
    rows = np.arange(len(inputs))
    np.testing.assert_allclose(found.changes, after[rows, column] - before[rows, column], atol=1e-6)
    assert found.flips == np.mean(np.argmax(after, axis=1) != column)
    largest = found.examples[0]
    assert abs(largest.shown_after - largest.shown_before) == pytest.approx(np.abs(found.changes).max())


def test_few_texts_and_open_directions_are_not_talked_about(trained):
    assert all(each.sentence is None for each in behaviour(trained, texts(5, seed=9)[0]))
    unknown = probes(trained, texts(40, seed=9)[0], rewritings=[adding("zzz qqq")])["irrelevant addition"]
    assert unknown.unknown == 1.0


def test_numbers_are_probed_in_their_own_units():
    model = model_of(words(), "mean", task="regressor", static=True)
    static = np.ones((len(SENTENCES), 2))
    found = probes(model, SENTENCES, static=static)["length doubled"]
    after = model.predict([f"{text} {text}" for text in SENTENCES], static)
    np.testing.assert_allclose(found.changes, after - model.predict(SENTENCES, static))
    assert (found.measure, found.flips) == ("value", None)


def test_only_texts_are_rewritten():
    with pytest.raises(DataError, match="texts must be texts"):
        behaviour(model_of(plain_signal()), [np.zeros((3, 3))])


def check_what_is_said(model) -> set[str]:
    inputs, labels = texts(120, seed=5)
    found = findings(model, Dataset(inputs=inputs, targets=labels), ranked=40)
    kinds = {each.kind for each in found}
    assert {"faithfulness", "behaviour", "property"} <= kinds
    assert all(each.evidence for each in found)
    assert any("the target" in each.sentence for each in found if each.kind == "property")
    return kinds


def test_a_trained_model_has_findings_with_evidence(trained):
    check_what_is_said(trained)


def test_a_model_that_has_learnt_nothing_is_not_said_to_know_the_target():
    """The same network with random weights of no size: no property, no order, no unit."""
    inputs, labels = texts(120, seed=5)
    model = small("gru", epochs=1).fit(inputs, labels).predictor_
    model.parameters = {name: np.zeros_like(array) for name, array in model.parameters.items()}
    found = findings(model, Dataset(inputs=inputs, targets=labels), ranked=20)
    assert {each.kind for each in found} <= {"faithfulness", "behaviour", "forming"}
    sentences = " ".join(each.sentence for each in found)
    assert "trust none of them" in sentences
    assert "changes the probability by" not in sentences


def test_a_large_set_is_sampled_with_its_properties(trained, monkeypatch):
    monkeypatch.setattr("recurra.insight.findings.MOST_STEPS", 600)
    inputs, labels = texts(400, seed=6)
    found = findings(
        trained, inputs, properties={"tone": labels, "words": [len(t) for t in inputs]}, ranked=15
    )
    told = [each.sentence for each in found if each.kind == "property"]
    assert any(sentence.startswith("The state tells tone: accuracy") for sentence in told)
    counts = [each.evidence["texts"] for each in found if each.kind == "behaviour"]
    assert counts
    assert max(counts) < 200
    with pytest.raises(DataError, match=r"property 'tone' must have one value per sequence \(400\), got 3"):
        findings(trained, inputs, properties={"tone": labels[:3]})


def test_findings_of_signals_leave_out_what_is_about_words():
    items = [np.random.default_rng(i).standard_normal((3 + i % 9, 3)) for i in range(40)]
    model = predictor(network("gru", False, 1), "mean", signal=True)
    found = findings(model, Dataset(inputs=Ragged.from_lists(items), kind="signal"), ranked=15)
    assert not {each.kind for each in found} & {"behaviour", "unit", "neighbours"}
    assert findings(model, sequences(5)) == []
    with pytest.raises(DataError, match="at least one sequence"):
        findings(model, [])
