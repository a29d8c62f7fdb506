"""The model card: what was measured, in words, and sections that can be replaced."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import recurra as rc
from recurra.runtime.card import expected_lines, with_section
from recurra.runtime.store import save_predictor
from runtime.streaming import model_of, words

SIGNALS = [np.random.default_rng(length).standard_normal((length, 2)) for length in range(3, 33)]
LABELS = ["long" if len(signal) > 15 else "short" for signal in SIGNALS]


def card_of(path: Any, **facts: Any) -> str:
    given = {"training": {}, "scores": {}, "data": {}, **facts}
    return (save_predictor(model_of(words()), path, **given) / "README.md").read_text()


def test_a_card_begins_with_the_test_score_its_interval_and_the_lengths_seen(tmp_path):
    seen = {"sequences": 1600, "least": 1, "median": 173, "most": 402}
    card = card_of(
        tmp_path / "m",
        scores={"train": {"accuracy": 1.0}, "test": {"log_loss": 0.5, "accuracy": 0.8}},
        data={"sizes": {"train": 1600, "test": 10}, "training_lengths": seen, "reading": {}},
    )
    assert "- accuracy 0.8000 on the test split of 10 sequences (95% interval 0.490 to 0.943)" in card
    assert "- Trained on 1,600 sequences of 1 to 402 steps (median 173)" in card
    assert "| test | log_loss | 0.5000 |" in card
    assert "{" not in card.split("## Data and limits")[1]


EXPECTED = [
    ({}, {}, "- Nothing was measured on data that training had not seen."),
    ({"train": {"accuracy": 1.0}}, {}, "- Nothing was measured on data that training had not seen."),
    ({"test": {"r2": 0.5}}, {"sizes": {"test": 7}}, "- r2 0.5000 on the test split of 7 sequences"),
    (
        {"validation": {"accuracy": 0.5}},
        {},
        "- accuracy 0.5000 on the validation split (which training chose by",
    ),
    ({"test": {"nats_per_frame": 8.5, "frames": 7}}, {}, "- nats per frame 8.5000 on the test split"),
    ({"validation": {"perplexity": 9.0}}, {}, "- perplexity 9.0000 on the validation split (which"),
    ({"test": {"subset_accuracy": 0.25}}, {}, "- subset accuracy 0.2500 on the test split"),
]


@pytest.mark.parametrize(("scores", "data", "line"), EXPECTED, ids=range(len(EXPECTED)))
def test_a_card_says_what_the_score_was_measured_on(scores, data, line):
    (told,) = expected_lines({"scores": scores, "data": data})
    assert told.startswith(line)


def test_a_card_of_a_model_that_foretells_says_what_it_read(tmp_path):
    network, training = rc.Network(hidden_size=4, num_layers=1), rc.Training(epochs=1, sequence_length=5)
    frames = rc.FrameModel(network, training).fit([np.eye(4)] * 8)
    text = rc.LanguageModel(network, training).fit(["one and two"] * 6)
    for made, line in (
        (frames, "- Trained on 28 frames in 7 sequences."),
        (text, "- Trained on 55 tokens in 5 documents."),
    ):
        card = (made.save(tmp_path / made.task) / "README.md").read_text()
        assert line in card
        assert "on the validation split (which training chose by, so it flatters)" in card
        assert "an answer per step" in card
        assert "_model" not in card.split("# ")[1]


def test_an_estimator_keeps_the_lengths_that_it_was_trained_on(tmp_path):
    network, training = rc.Network(cell="gru", hidden_size=4, num_layers=1), rc.Training(epochs=1)
    made = rc.Classifier(network, training, validation=0.2).fit(SIGNALS, LABELS)
    facts = rc.load(made.save(tmp_path / "m")).config["data"]["training_lengths"]
    assert facts["sequences"] == 24
    assert 3 <= facts["least"] < facts["median"] < facts["most"] <= 32
    assert (
        rc.load(rc.Classifier.load(tmp_path / "m").save(tmp_path / "n")).config["data"]["training_lengths"]
        == facts
    )


def test_a_section_is_put_at_the_end_and_then_replaced_in_its_place():
    card = "---\ntags: [a]\n---\n# Title\n\ntext\n\n## Scores\n\nold\n\n## Limits\n\nkept\n"
    longer = with_section(card, "Verification", ["first"])
    assert longer.endswith("## Limits\n\nkept\n\n## Verification\n\nfirst\n")
    again = with_section(longer, "Verification", ["second"])
    assert again == longer.replace("first", "second")
    replaced = with_section(again, "Scores", ["new"])
    assert "## Scores\n\nnew\n\n## Limits\n\nkept" in replaced
    assert "old" not in replaced
    assert with_section("", "A", []).strip() == "## A"


def test_a_heading_of_another_name_is_another_section():
    card = with_section("# T\n\n## Verification of others\n\nkept\n", "Verification", ["mine"])
    assert "kept" in card
    assert card.count("## Verification") == 2
