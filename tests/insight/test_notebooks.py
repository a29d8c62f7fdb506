"""Results in a notebook: a frame of their own that holds the whole page, with texts escaped twice."""

from __future__ import annotations

import html

import pytest

import recurra as rc
from contracts.models import LABELS, TEXTS, network, predictor
from recurra.insight.errors import error_analysis
from recurra.insight.states import hidden_states
from recurra.training.history import History

HOSTILE = "three </iframe><script>alert(1)</script> two"


def inner(shown: str) -> str:
    """The page inside the frame; nothing stands outside of it."""
    assert shown.startswith("<iframe ")
    assert shown.endswith("></iframe>")
    assert shown.count("<") == 2, "whatever the page holds is inside the attribute"
    return html.unescape(shown.partition('srcdoc="')[2].partition('" sandbox')[0])


def test_states_are_drawn_for_the_first_sequences() -> None:
    page = inner(hidden_states(predictor(network("lstm", False, 1)), [HOSTILE, *TEXTS])._repr_html_())
    assert page.count("Hidden state of layer l0</h3>") == 3
    assert page.count("Gate “forget” of layer l0</h3>") == 3


def test_errors_are_a_page_with_hostile_texts_as_texts() -> None:
    model = predictor(network("gru", False, 1))
    (answer,) = model.predict([HOSTILE])
    other = next(name for name in "abc" if name != answer)
    page = inner(error_analysis(model, [HOSTILE, *TEXTS], [other, *LABELS])._repr_html_())
    assert "Mistakes" in page
    assert "&lt;script&gt;alert(1)" in page
    assert page.count("<script>") == 1


def test_a_history_shows_its_curves_and_an_empty_one_says_so() -> None:
    history = History()
    assert "No epoch was recorded" in inner(history._repr_html_())
    history.add_epoch({"epoch": 1, "train_loss": 0.9, "validation_loss": 0.8})
    history.add_epoch({"epoch": 2, "train_loss": 0.5, "validation_loss": 0.7})
    assert inner(history._repr_html_()).count("<figure") == 1


@pytest.mark.filterwarnings("ignore::recurra.metrics.MetricWarning")
def test_a_comparison_shows_its_verdict() -> None:
    texts, labels = ["a b", "c d", "a d", "c b"] * 8, ["x", "y"] * 16
    small = rc.Classifier(
        rc.Network(cell="rnn", hidden_size=3, num_layers=1), rc.Training(epochs=1), rc.Words(min_count=1)
    )
    outcome = rc.compare({"small": small}, texts, labels, seeds=1, baselines=("majority",))
    assert html.escape(outcome.verdict[:20], quote=False) in inner(outcome._repr_html_())
