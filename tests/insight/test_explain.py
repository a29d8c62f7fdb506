"""`rc.explain` on a small model of the built-in reviews: the answer turns where the words turn it."""

from __future__ import annotations

import numpy as np
import pytest

import recurra as rc
from contracts.models import TEXTS, network, predictor, sequences
from recurra.errors import DataError, NotFittedError, SpecError
from recurra.insight.explain import Explanation, Explanations

CONTRAST = "i loved the first half but the ending was disappointing"


@pytest.fixture(scope="module")
def reviewer(tmp_path_factory):
    """Trained, stored and loaded back into the workshop."""
    reviews = rc.demo_reviews()
    net = rc.Network(cell="lstm", hidden_size=32, num_layers=1)
    model = rc.Classifier(net, rc.Training(epochs=4, learning_rate=0.003))
    model.fit(reviews.part("train"), validation_data=(reviews.part("validation"), None))
    assert model.score(reviews.part("validation")) > 0.9
    return rc.Classifier.load(model.save(tmp_path_factory.mktemp("models") / "reviews"))


def test_not_bad_at_all_turns_at_bad(reviewer):
    why = rc.explain(reviewer, "not bad at all", of="positive")
    words = why.passage.tokens
    assert why.answer["label"] == "positive"
    assert words[int(np.argmax(why.forming.change))] == "bad"
    assert why.forming.decided[-1] == "positive"
    assert {share.text for share in why.top(2)} == {"not", "bad"}
    alone = rc.explain(reviewer, "bad", of="positive")
    assert alone.attribution.score < 0 < why.attribution.score


def test_a_contrast_turns_after_but(reviewer):
    """The built-in reviews do not have "loved": an unknown word, and said to be one."""
    why = rc.explain(reviewer, CONTRAST, of="negative")
    words = why.passage.tokens
    assert {words[step] for step in why.passage.unknown} == {"loved"}
    assert why.answer["label"] == "negative"
    assert words[int(np.argmax(why.forming.change))] == "disappointing"
    assert why.forming.score[words.index("but")] < 1 < why.forming.score[-1]


def test_a_loaded_model_and_an_estimator_explain_alike(reviewer, tmp_path):
    model = rc.load(reviewer.save(tmp_path / "again"))
    first, second = rc.explain(reviewer, CONTRAST), rc.explain(model, CONTRAST)
    np.testing.assert_array_equal(first.attribution.values, second.attribution.values)
    assert first.answer == second.answer == next(iter(model.records([CONTRAST])))


@pytest.mark.parametrize("method", ["integrated", "gradient", "occlusion", "change"])
def test_many_are_explained_as_one_by_one(method):
    model = predictor(network("lstm", True, 1), "max")
    together = rc.explain(model, TEXTS, method=method)
    assert isinstance(together, Explanations)
    assert len(together) == len(TEXTS)
    for place, text in enumerate(TEXTS):
        alone = rc.explain(model, text, method=method)
        assert isinstance(alone, Explanation)
        np.testing.assert_array_equal(together[place].attribution.values, alone.attribution.values)
        np.testing.assert_array_equal(together[place].forming.outputs, alone.forming.outputs)


def test_one_array_is_one_signal_and_a_dataset_is_many():
    model = predictor(network("gru", False, 1), "mean", signal=True)
    why = rc.explain(model, sequences(5)[0])
    assert why.attribution.values.shape == (5, 3)
    assert why.passage.channels == ("feature_0", "feature_1", "feature_2")
    data = rc.Dataset(inputs=rc.Ragged.from_lists(sequences(5)), kind="signal")
    assert len(rc.explain(model, data)) == 6


def test_the_shortest_view_of_an_explanation_names_what_matters():
    why = rc.explain(predictor(network("gru", False, 1)), TEXTS[0])
    assert repr(why).startswith(f"Explanation({why.of!r} ")
    assert repr(why.top(1)[0].text) in repr(why)


def test_an_explanation_is_drawn_and_is_a_page(tmp_path):
    model = predictor(network("gru", False, 1), "mean")
    hostile = "one <script>alert(1)</script> two"
    why = rc.explain(model, hostile)
    figure = why.plot()
    assert figure.svg.startswith("<svg")
    assert sorted(figure.data)
    page = why.to_html(tmp_path / "why.html")
    assert (tmp_path / "why.html").read_text() == page
    assert "<script>alert" not in page
    assert "How the answer forms" in page
    assert why.of in why._repr_html_()


def test_many_explanations_are_one_page_and_empty_ones_are_in_it():
    page = rc.explain(predictor(network("rnn", True, 1)), TEXTS[1:4]).to_html()
    assert "An empty text" in page
    assert page.count("How the answer forms") >= 2
    signals = rc.explain(predictor(network("gru", False, 1), "mean", signal=True), sequences(5)[:1])
    assert "feature_1" in signals.to_html()


def test_what_cannot_be_explained_is_refused():
    with pytest.raises(NotFittedError, match="has not learnt anything yet"):
        rc.explain(rc.Classifier(), "text")
    with pytest.raises(SpecError, match="must answer once per sequence to be explained, got a tagger"):
        rc.explain(small_tagger(), [["a", "b"]])
    with pytest.raises(SpecError, match="model must be an estimator or a loaded model, got str"):
        rc.explain("model", "text")
    with pytest.raises(DataError):
        rc.explain(predictor(network("rnn", False, 1), signal=True), "text")
    with pytest.raises(SpecError, match="of must be the position of a number"):
        rc.explain(small_regressor(), [np.zeros((3, 1))], of="value")


def small_regressor():
    signals = [np.random.default_rng(i).standard_normal((4, 1)) for i in range(20)]
    net = rc.Network(cell="rnn", hidden_size=4, num_layers=1)
    return rc.Regressor(net, rc.Training(epochs=1)).fit(signals, [float(s.sum()) for s in signals])


def small_tagger():
    net = rc.Network(cell="rnn", hidden_size=4, num_layers=1)
    return rc.Tagger(net, rc.Training(epochs=1)).fit([["a", "b"], ["b"]] * 10, [["X", "Y"], ["Y"]] * 10)
