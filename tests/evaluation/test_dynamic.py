"""Dynamic evaluation: scored before it is learnt from, drawn back, and the model left as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
import pytest

from recurra import kernels
from recurra.errors import DataError, SpecError
from recurra.evaluation import dynamic
from recurra.evaluation.dynamic import DynamicEvaluation, dynamic_log_probabilities
from runtime.language_models import TEXT, writer
from shared import assert_noticed

HOW = DynamicEvaluation(learning_rate=1e-3, stretch=10, statistics=20)


def check_no_token_is_foretold_by_a_model_that_has_seen_it():
    model = writer(scale=1.0)
    found = dynamic_log_probabilities(model, [TEXT], [TEXT], HOW)
    plain = model.log_probabilities([TEXT])
    np.testing.assert_array_equal(found.values[:10], plain.values[:10])
    assert not np.array_equal(found.values[10:20], plain.values[10:20])


@contextmanager
def learns_before_it_scores() -> Iterator[None]:
    """Every stretch is learnt from first and scored afterwards, which reads like a splendid model."""
    honest = dynamic._Learner.score

    def score(self, *steps):
        list(honest(self, *steps))
        return honest(self, *steps)

    with mock.patch.object(dynamic._Learner, "score", score):
        yield


def test_no_token_is_foretold_by_a_model_that_has_seen_it():
    assert_noticed(learns_before_it_scores(), check_no_token_is_foretold_by_a_model_that_has_seen_it)


def test_nothing_can_be_learnt_from_a_text_of_chance():
    """Characters drawn alike cost ln K nats each, whatever is learnt on the way: less would be knowing the future."""
    model = writer(scale=1.0, ends=False)
    letters = sorted(set(TEXT))
    text = "".join(np.random.default_rng(0).choice(letters, 600))
    found = dynamic_log_probabilities(model, [text], [TEXT], HOW.replace(learning_rate=3e-3))
    assert -np.mean(found.values) > np.log(len(letters))


def test_a_text_that_repeats_itself_is_learnt():
    model = writer(scale=1.0, ends=False)
    found = dynamic_log_probabilities(model, [TEXT], [TEXT], HOW.replace(learning_rate=3e-3))
    plain = model.log_probabilities([TEXT])
    assert len(found.values) == len(plain.values)
    assert np.mean(found.values[-50:]) > np.mean(plain.values[-50:]) + 0.1


def test_a_strong_decay_forgets_at_once():
    model = writer(scale=1.0)
    quick = dynamic_log_probabilities(model, [TEXT], [TEXT], HOW)
    drawn = dynamic_log_probabilities(model, [TEXT], [TEXT], HOW.replace(decay=1.0))
    plain = np.asarray(model.log_probabilities([TEXT]).values)
    assert np.abs(drawn.values - plain).mean() < 0.5 * np.abs(quick.values - plain).mean()


def test_the_bits_do_not_depend_on_the_threads_and_the_model_stays_as_it_was():
    model = writer(scale=1.0)
    before = {name: part.copy() for name, part in model.parameters.items()}
    threads = kernels.get_num_threads()
    made = []
    try:
        for count in (1, 3):
            kernels.set_num_threads(count)
            made.append(dynamic_log_probabilities(model, [TEXT, "the cat"], [TEXT], HOW).values)
    finally:
        kernels.set_num_threads(threads)
    np.testing.assert_array_equal(*made)
    for name, part in before.items():
        np.testing.assert_array_equal(part, model.parameters[name])


@pytest.mark.parametrize("name", DynamicEvaluation.names())
def test_every_option_changes_the_scores(name):
    changed = {"learning_rate": 1e-2, "decay": 0.5, "stretch": 4, "epsilon": 1.0, "statistics": 1}[name]
    model = writer(scale=1.0)
    plain, other = (
        dynamic_log_probabilities(model, [TEXT], [TEXT], how) for how in (HOW, HOW.replace(**{name: changed}))
    )
    assert not np.array_equal(plain.values, other.values)


def test_bad_input_is_refused():
    with pytest.raises(DataError, match="training_texts must hold at least one token"):
        dynamic_log_probabilities(writer(), [TEXT], [])
    with pytest.raises(SpecError, match="learning_rate must be"):
        DynamicEvaluation(learning_rate=0)
