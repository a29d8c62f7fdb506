"""A calibrated tagger: of new sequences the promised share of steps lies in the sets, whatever depends on what."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import pytest

import recurra as rc
from recurra.data.step_targets import UNSEEN
from recurra.errors import DataError, NotFittedError, SpecError
from recurra.metrics import calibrated, conformal
from shared import assert_noticed

Sentences = tuple[list[list[str]], list[list[str]]]


def sentences(count: int, seed: int) -> Sentences:
    """Half of the sentences are hard: all of their words are tagged at random; they are also the longer ones."""
    generator = np.random.default_rng(seed)
    inputs, targets = [], []
    for _ in range(count):
        hard = generator.random() < 0.5
        words = generator.choice(
            ["el", "gato", "come"], size=generator.integers(6, 12) if hard else 2
        ).tolist()
        tags = [{"el": "DET", "gato": "NOUN", "come": "VERB"}[word] for word in words]
        inputs.append(words)
        targets.append(generator.choice(["DET", "NOUN", "VERB"], len(words)).tolist() if hard else tags)
    return inputs, targets


def tagger(**options: Any) -> rc.Tagger:
    network = rc.Network(hidden_size=6, num_layers=1, embedding_size=6)
    inputs = rc.Tokens(min_count=1, character_size=3, units=3, affixes=1, affix_size=2)
    return rc.Tagger(network, rc.Training(epochs=3, learning_rate=0.03, batch_size=16), inputs, **options)


@pytest.fixture(scope="module")
def softmax() -> rc.Tagger:
    return (
        tagger(tags=rc.Tags(head="softmax"))
        .fit(*sentences(100, 0))
        .conformal(*sentences(600, 1), coverage=0.9)
    )


@pytest.fixture(scope="module")
def numbers() -> rc.Tagger:
    signals, sums = series(100, 3)
    net = rc.Network(cell="gru", hidden_size=4, num_layers=1)
    return rc.Tagger(net, rc.Training(epochs=2)).fit(signals, sums).conformal(*series(400, 4))


def series(count: int, seed: int) -> tuple[list[Any], list[Any]]:
    generator = np.random.default_rng(seed)
    signals = [generator.standard_normal((int(n), 1)) for n in generator.integers(1, 9, count)]
    noise = [generator.standard_normal() * 3 for _ in signals]
    return signals, [signal[:, 0] + loud for signal, loud in zip(signals, noise, strict=True)]


def share_inside(model: Any, given: Sentences, coverage: float | None = None) -> float:
    """The mean over sentences of the share of their words whose set holds the tag."""
    sets = model.predict_set(given[0], coverage=coverage)
    rows = zip(given[1], sets, strict=True)
    return float(
        np.mean([np.mean([t in found for t, found in zip(tags, row, strict=True)]) for tags, row in rows])
    )


@pytest.mark.parametrize("coverage", [0.8, None, 0.95])
def test_sets_hold_the_promised_share_of_a_new_sentence(softmax, coverage):
    # The share of a hard sentence has a deviation of about 0.3: three of them over 600 and 800 sentences are 0.045.
    # Sets of three tags jump in their coverage, so that it may lie above.
    found = share_inside(softmax, sentences(800, 2), coverage)
    assert (coverage or 0.9) - 0.045 < found <= 1.0
    assert found < 0.99


@contextmanager
def counts_every_step_alone():
    """Saboteur: steps are calibrated as if each were a sequence, so that long sentences have the more to say."""

    def alone(scores: Any, offsets: Any, coverage: float) -> float:
        return conformal.order_statistic(scores, coverage)

    with mock.patch.object(calibrated, "grouped_order_statistic", alone):
        yield


def mean_promise() -> float:
    """Coverage over many calibrations with few sequences, of scores whose law is known: the threshold itself, for a
    sequence whose steps all score alike. Long sequences score low."""
    generator = np.random.default_rng(5)
    found = []
    for _ in range(1500):
        level = generator.random(15)
        lengths = np.where(level < 0.5, 8, 1)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        record = calibrated.conformal_steps(
            np.repeat(level, lengths)[:, None], offsets, kind="classes", method="lac", coverage=0.9
        )
        found.append(record.thresholds[0][record.levels.index(0.9)])
    return float(np.mean(found))


def test_few_sequences_keep_the_promise():
    def check() -> None:
        assert mean_promise() == pytest.approx(15 / 16, abs=0.006)

    check()
    assert_noticed(counts_every_step_alone(), check)


def test_sequences_of_one_step_are_calibrated_as_rows_are():
    generator = np.random.default_rng(0)
    scores = generator.random(57)
    for coverage in (0.1, 0.5, 0.9, 0.98, 0.999):
        alone = conformal.grouped_order_statistic(scores, np.arange(58), coverage)
        assert alone == conformal.order_statistic(scores, coverage)
    doubled = np.repeat(scores, 3)  # three equal steps say what one says; empty sequences say nothing
    offsets = np.concatenate([np.repeat(np.arange(57) * 3, 2), [171]])
    assert conformal.grouped_order_statistic(doubled, offsets, 0.9) == conformal.order_statistic(scores, 0.9)


def test_scores_tell_the_measured_coverage_by_sequence(softmax):
    given = sentences(300, 6)
    scores = softmax.scores(*given)
    assert scores["set_coverage"] == pytest.approx(share_inside(softmax, given))
    sets = [found for row in softmax.predict_set(given[0]) for found in row]
    tags = [tag for row in given[1] for tag in row]
    assert scores["set_coverage_steps"] == pytest.approx(
        np.mean([t in s for t, s in zip(tags, sets, strict=True)])
    )
    assert scores["set_size"] == pytest.approx(np.mean([len(found) for found in sets]))
    assert "set_coverage" not in tagger().fit(*sentences(30, 0)).scores(*given)


def test_a_chain_is_calibrated_on_its_marginals(tmp_path):
    def spanned(given: Sentences) -> Sentences:
        names = {"DET": "O", "NOUN": "B-X", "VERB": "O"}
        return given[0], [[names[tag] for tag in row] for row in given[1]]

    model = tagger().fit(*spanned(sentences(60, 0))).conformal(*spanned(sentences(200, 1)), method="aps")
    assert model.predictor_.head.chain
    assert model.scores(*spanned(sentences(200, 2)))["set_coverage"] > 0.83
    loaded = rc.load(model.save(tmp_path / "m"))
    inputs = sentences(20, 3)[0]
    assert loaded.predict_set(inputs) == model.predict_set(inputs)
    assert rc.Tagger.load(tmp_path / "m").conformal_ == model.conformal_
    assert model.conformal_.rows == 200
    with pytest.raises(SpecError, match="coverage is promised of answers that have seen the whole sequence"):
        loaded.stream(coverage=0.9)


def test_records_and_streams_hold_the_same_sets(softmax):
    model = softmax.predictor_
    (record,) = model.records(["el gato come"], coverage=0.95)
    assert [step["set"] for step in record["steps"]] == [
        list(found) for found in model.predict_set(["el gato come"], coverage=0.95)[0]
    ]
    json.dumps(record)
    stream = model.stream(coverage=0.95)
    pushed = [step for word in ("el", "gato", "come") for step in stream.push(word)]
    assert [step["set"] for step in pushed] == [step["set"] for step in record["steps"]]
    assert "set" not in model.stream().push("el")[0]


def test_intervals_of_numbers_at_every_step(numbers):
    signals, sums = series(600, 5)
    limits = numbers.predict_set(signals)
    inside = [
        np.mean((low_high[:, 0] <= row) & (row <= low_high[:, 1]))
        for low_high, row in zip(limits, sums, strict=True)
    ]
    # The noise of a series is one number: its share is 0 or 1. Three deviations over 400 and 600 are 0.058.
    assert np.mean(inside) == pytest.approx(0.9, abs=0.058)
    scores = numbers.scores(signals, sums)
    assert scores["interval_coverage"] == pytest.approx(np.mean(inside))
    step = next(iter(numbers.predictor_.records(signals[:1], coverage=0.9)))["steps"][0]
    assert step["interval"][0] < step["value"] < step["interval"][1]
    (pushed,) = numbers.predictor_.stream(coverage=0.9).push(signals[0][0])
    assert pushed["interval"] == step["interval"]


def test_several_columns_have_a_set_each_and_steps_without_a_tag_do_not_count():
    inputs, targets = sentences(80, 0)
    pairs = [[(tag, "long" if len(tag) > 3 else "short") for tag in row] for row in targets]
    model = tagger().fit(inputs, pairs).conformal(*sentences_of_pairs(pairs, inputs))
    scores = model.scores(inputs, pairs)
    assert {"set_coverage", "set_coverage_1", "set_size_1"} <= set(scores)
    (row,) = model.predict_set([["el", "gato"]], coverage=0.5)
    assert len(row) == 2
    assert all(len(columns) == 2 for columns in row)
    assert model.conformal_.rows == 79


def sentences_of_pairs(pairs: Any, inputs: Any) -> tuple[Any, Any]:
    return inputs, [[(None, None)] * len(pairs[0]), *pairs[1:]]


def test_a_tag_that_training_had_not_is_in_no_set(softmax):
    inputs, targets = [["el", "gato"]] * 50, [["DET", "XX"]] * 50
    coded = softmax.target_.encode(targets)
    assert (coded.values == UNSEEN).any()
    record = softmax.predictor_.calibrated(softmax.predictor_.outputs(inputs), coded, coverage=0.45)
    assert np.isfinite(record.at().threshold)
    with pytest.warns(match="too few"):
        record.at(0.55)  # half of every sentence can be in no set


def test_what_cannot_be_calibrated_is_refused(softmax, numbers):
    with pytest.raises(NotFittedError, match="promises no coverage yet"):
        tagger().fit(*sentences(20, 0)).predict_set([["el"]])
    with pytest.raises(SpecError, match="no option 'max_error'"):
        softmax.conformal(*sentences(20, 0), max_error=0.1)
    with pytest.raises(SpecError, match="no option 'method'"):
        numbers.conformal(*series(20, 0), method="aps")
    with pytest.raises(SpecError, match="method must be 'lac' or 'aps'"):
        softmax.conformal(*sentences(20, 0), method="raps")
    with pytest.raises(DataError, match=r"targets\[0\] must have one entry per step"):
        softmax.conformal([["el", "gato"], ["el"]], [["DET"], ["DET", "NOUN"]])
    with pytest.raises(DataError, match="at least one answer"):
        softmax.conformal([["el"]], [[None]])
