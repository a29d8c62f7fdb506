"""Taggers in a comparison: what they are judged by, the baselines of steps, and the table that comes out."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import recurra as rc
from recurra.evaluation.baselines import BASELINES, fitting
from recurra.evaluation.baselines.tagging import shifted
from recurra.evaluation.compare import compare
from recurra.evaluation.record import save_comparison
from recurra.evaluation.runs import blank, question_of, setting_of
from recurra.evaluation.step_judging import STEP_ACCURACY, decided_tags, step_judge, step_scores
from recurra.metrics import span_scores
from recurra.ragged import Ragged
from recurra.tasks.materials import materials

NETWORK = rc.Network(hidden_size=8, num_layers=1)
TRAINING = rc.Training(epochs=1, batch_size=8, sequence_length=None)
TAGS = ("B-city", "B-name", "I-name", "O")


def sentences(count: int = 60, seed: int = 0):
    """A "run" is a noun after "the" and a verb after a name."""
    draw = np.random.default_rng(seed)
    words, tags = [], []
    for _ in range(count):
        noun = bool(draw.integers(2))
        words.append(
            ["the", "run", "ended"] if noun else [str(draw.choice(["Ann", "Bob"])), "run", "often", "."]
        )
        tags.append(["D", "N", "V"] if noun else ["N", "V", "A", "."])
    return words, tags


def waves(count: int = 40, seed: int = 0):
    """A step is "up" where the sum of the last two values is above 0; as numbers: that sum."""
    draw = np.random.default_rng(seed)
    inputs = [draw.normal(size=(int(draw.integers(3, 12)), 1)) for _ in range(count)]
    sums = [np.convolve(row[:, 0], [1, 1])[: len(row)] for row in inputs]
    return inputs, [["up" if total > 0 else "down" for total in row] for row in sums], sums


def divided(inputs, targets):
    whole = materials(inputs, targets)
    rows = np.arange(len(whole))
    cuts = {"train": rows[:-20], "validation": rows[-20:-10], "test": rows[-10:]}
    return {part: whole.select(chosen) for part, chosen in cuts.items()}


def learnt(name, parts, network=NETWORK):
    """(coded test targets, answers, baseline, question)"""
    asked = rc.Tagger(network, TRAINING)
    empty = blank(asked, parts)
    made = BASELINES[name](setting_of(asked, empty))
    made.prepare()
    made.fit(
        parts["train"], empty.coded(parts["train"]), parts["validation"], empty.coded(parts["validation"])
    )
    return empty.coded(parts["test"]), made.answer(parts["test"]), made, question_of(empty)


def random_tags(seed, lengths=(4, 0, 7, 1, 9)):
    draw = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return Ragged(values=draw.integers(0, len(TAGS), offsets[-1]), offsets=offsets)


def test_the_counts_of_each_sequence_combine_to_the_span_f1_of_all():
    truth, guess = random_tags(0), random_tags(1)
    judge = step_judge(TAGS, "bio")
    rows = [
        [[TAGS[c] for c in held.values[b:e]] for b, e in pairwise(held.offsets)] for held in (truth, guess)
    ]
    expected = span_scores(*rows, warn=False).micro.f1
    assert 0 < expected < 1
    assert judge.of(guess.values, truth) == pytest.approx(expected, abs=1e-12)
    assert step_scores(guess.values, truth, TAGS, "bio")["span_f1"] == pytest.approx(expected, abs=1e-12)


def test_steps_without_a_tag_do_not_count_and_unseen_ones_are_errors():
    truth = Ragged(values=np.array([0, -1, 2, -2, 3]), offsets=np.array([0, 2, 4, 5]))
    guess = np.array([0, 3, 2, 2, 3])
    assert STEP_ACCURACY.ingredients(guess, truth).tolist() == [[1, 1], [1, 2], [1, 1]]
    assert STEP_ACCURACY.of(guess, truth) == pytest.approx(3 / 4)
    scores = step_scores(guess, truth, TAGS, None)
    assert scores == {"accuracy": pytest.approx(3 / 4), "sequence_accuracy": pytest.approx(2 / 3)}
    # The first sequence lacks a tag, so that its spans cannot be compared; the unseen tag is a span that was missed.
    assert step_judge(TAGS, "bio").ingredients(guess, truth).tolist() == [[0, 0, 0], [0, 1, 2], [0, 0, 0]]


def test_numbers_are_judged_over_the_steps_that_have_one():
    truth = Ragged(values=np.array([1.0, np.nan, 3.0]), offsets=np.array([0, 2, 2, 3]))
    judge = step_judge((), None)
    assert judge.of(np.array([2.0, 9.0, 3.0]), truth) == pytest.approx(np.sqrt(1 / 2))
    assert step_scores(np.array([2.0, 9.0, 3.0]), truth, (), None)["rmse"] == pytest.approx(np.sqrt(1 / 2))


def test_no_illegal_sequence_is_decided_whatever_the_shares():
    shares = np.random.default_rng(3).dirichlet(np.full(len(TAGS), 0.3), size=21)
    offsets = random_tags(0).offsets
    inside = TAGS.index("I-name")

    def broken(codes):
        rows = [codes[b:e] for b, e in pairwise(offsets)]
        return sum(
            int(row[at]) == inside and (at == 0 or int(row[at - 1]) not in (inside, TAGS.index("B-name")))
            for row in rows
            for at in range(len(row))
        )

    assert broken(decided_tags(shares, offsets, TAGS, "bio")) == 0
    assert broken(np.argmax(shares, axis=1)) > 0  # what the rules are needed for
    assert decided_tags(shares, offsets, TAGS, None).tolist() == np.argmax(shares, axis=1).tolist()


def test_a_window_tells_what_the_word_alone_cannot():
    parts = divided(*sentences())
    truth, shares, _, question = learnt("linear on words", parts)
    assert shares.shape == (len(truth.values), 5)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert question.scores(truth, shares)["accuracy"] == 1.0
    truth, shares, _, question = learnt("most frequent tag", parts)
    assert 0.6 < question.scores(truth, shares)["accuracy"] < 0.95
    truth, shares, _, question = learnt("most frequent label", parts)
    assert question.scores(truth, shares)["accuracy"] < 0.6


@pytest.mark.parametrize("network", [NETWORK, NETWORK.replace(bidirectional=True)])
def test_a_window_over_a_signal_knows_the_step_before(network):
    inputs, labels, sums = waves()
    truth, shares, made, question = learnt("linear on steps", divided(inputs, labels), network)
    assert question.scores(truth, shares)["accuracy"] > 0.9
    assert made.parameters() == 12
    truth, numbers, _, question = learnt("linear on steps", divided(inputs, sums), network)
    assert question.scores(truth, numbers)["rmse"] < 0.1
    truth, numbers, _, question = learnt("most frequent label", divided(inputs, sums), network)
    assert 1.0 < question.scores(truth, numbers)["rmse"] < 2.0


def test_a_forward_network_stands_beside_a_window_of_the_past():
    inputs, labels, _ = waves()
    parts = divided(inputs, labels)
    _, shares, made, _ = learnt("linear on steps", parts)
    later = [row.copy() for row in inputs[-10:]]
    for row in later:
        row[-1] += 100.0
    changed = made.answer(materials(later))
    ends = np.cumsum([len(row) for row in later]) - 1
    others = np.setdiff1d(np.arange(len(shares)), ends)
    np.testing.assert_array_equal(changed[others], shares[others])
    _, shares, made, _ = learnt("linear on steps", parts, NETWORK.replace(bidirectional=True))
    assert np.any(made.answer(materials(later))[others] != shares[others])


def test_neighbours_come_from_the_same_sequence():
    values = np.arange(1.0, 6.0)[:, None]
    offsets = np.array([0, 2, 2, 5])
    assert shifted(values, offsets, (-1, 0, 1)).tolist() == [
        [0, 1, 2],
        [1, 2, 0],
        [0, 3, 4],
        [3, 4, 5],
        [4, 5, 0],
    ]


def test_the_baselines_of_a_tagger_fit_its_answers():
    words, tags = sentences()
    inputs, labels, sums = waves()

    def names(given, targets):
        parts = divided(given, targets)
        asked = rc.Tagger(NETWORK, TRAINING)
        return list(fitting(setting_of(asked, blank(asked, parts)), parts["train"].kind))

    assert names(words, tags) == ["most frequent label", "most frequent tag", "linear on words"]
    assert names(words, [[float(len(word)) for word in row] for row in words]) == ["most frequent label"]
    assert names(inputs, labels) == names(inputs, sums) == ["most frequent label", "linear on steps"]


def test_a_comparison_of_taggers_of_spans_ends_in_a_verdict_and_a_report(tmp_path):
    words, _ = sentences(80)
    tags = [["B-name" if word in ("Ann", "Bob") else "O" for word in row] for row in words]
    outcome = compare({"lstm": rc.Tagger(NETWORK, TRAINING)}, words, tags, seeds=2)
    assert outcome.judge.score == "span_f1"
    assert [row.name for row in outcome.rows] == [
        "lstm",
        "lstm, 2 together",
        "most frequent label",
        "most frequent tag",
        "linear on words",
    ]
    assert outcome.row("linear on words").scores["span_f1"] == 1.0
    assert "lstm" in outcome.verdict
    record = save_comparison(outcome, tmp_path / "model", reading={})
    assert "linear on words" in (tmp_path / "model" / "report.html").read_text()
    # What the table says of the winner is what its bundle says of itself.
    test = outcome.parts["test"]
    found = rc.load(record["model"]).scores(test.inputs, test.targets)
    best = outcome.row("lstm")
    assert found["span_f1"] == best.seeds[best.best_seed]["span_f1"]
    assert found["accuracy"] == pytest.approx(best.seeds[best.best_seed]["accuracy"])


def test_baselines_are_told_how_many_epochs_the_data_ask_for():
    """Their costs are set beside those of the networks, which read few sentences more often."""
    parts = divided(*sentences(60))
    asked = rc.Tagger(NETWORK, TRAINING.replace(epochs="auto"))
    setting = setting_of(asked, blank(asked, parts))
    assert setting.training.epochs == TRAINING.replace(epochs="auto").planned(40).epochs == 40
