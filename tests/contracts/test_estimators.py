"""Every public estimator keeps the same promises: found by themselves, each with one small task in the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import recurra as rc
from contracts import saboteurs
from recurra.kernels import engines
from recurra.runtime.predictor import Predictor
from recurra.runtime.verify import verify
from recurra.tasks.learner import Learner
from shared import assert_noticed
from tasks.made import texts
from tasks.test_frame_model import rolls
from tasks.test_tagger import spans
from training.toy import StopAfter

NET = rc.Network(hidden_size=6, num_layers=1)
QUICK = rc.Training(epochs=2, batch_size=8, learning_rate=0.02, sequence_length=9)
FAST: dict[str, Any] = {"progress": None}


@dataclass(frozen=True, kw_only=True)
class Case:
    """made: a small estimator; data: what it learns from; inputs: what it answers for."""

    made: Callable[[], Any]
    data: Callable[[], tuple[Any, ...]]
    inputs: Any


SENTENCES = [["the", "Mr", "Li", "dog"], ["Bo"], [], ["dog", "never", "seen", "Mr", "Bo"]]
TEXTS = ["good one", "", "bad two good", "never"]
SIGNALS = [np.random.default_rng(row).standard_normal((length, 2)) for row, length in enumerate((5, 1, 9, 3))]

CASES: dict[str, Case] = {
    "Classifier": Case(
        made=lambda: rc.Classifier(NET.replace(embedding_size=5), QUICK, rc.Words(min_count=1)),
        data=lambda: texts(40),
        inputs=TEXTS,
    ),
    "Regressor": Case(
        made=lambda: rc.Regressor(NET, QUICK),
        data=lambda: (SIGNALS * 6, np.arange(24.0)),
        inputs=SIGNALS,
    ),
    "Tagger": Case(
        made=lambda: rc.Tagger(NET, QUICK, rc.Tokens(min_count=1, character_size=4, units=3)),
        data=lambda: spans(40),
        inputs=SENTENCES,
    ),
    "LanguageModel": Case(
        made=lambda: rc.LanguageModel(NET.replace(embedding_size=5), QUICK, rc.Characters()),
        data=lambda: (texts(40)[0],),
        inputs=TEXTS,
    ),
    "FrameModel": Case(made=lambda: rc.FrameModel(NET, QUICK), data=lambda: (rolls(),), inputs=rolls(4, 1)),
}


def estimators() -> list[str]:
    """The public names that are estimators."""
    found = [name for name in rc.__all__ if isinstance(getattr(rc, name), type)]
    return [name for name in found if issubclass(getattr(rc, name), Learner)]


def test_every_public_estimator_has_a_task_here():
    assert set(estimators()) == set(CASES)


@pytest.fixture(scope="module", params=CASES)
def fitted(request) -> tuple[Case, Any]:
    case = CASES[request.param]
    return case, case.made().fit(*case.data())


def numbers(model: Predictor, inputs: Any) -> list[bytes]:
    """The bits of what leaves the model for every sequence."""
    batch = model.encode(inputs)
    outputs = model.outputs_of(batch)
    ends = batch.offsets if model.head.pooling is None else np.arange(len(batch) + 1)
    return [outputs[begin:end].tobytes() for begin, end in pairwise(ends)]


def check_alone_in_a_batch_and_permuted(model: Predictor, inputs: Any) -> None:
    together = numbers(model, inputs)
    assert together == [numbers(model, [item])[0] for item in inputs]
    assert together[::-1] == numbers(model, inputs[::-1])


def test_alone_is_in_a_batch_is_permuted_at_any_thread_count(fitted):
    case, model = fitted
    whole = numbers(model.predictor_, case.inputs)
    for threads in (1, 2, 3):
        with engines.thread_count(threads):
            check_alone_in_a_batch_and_permuted(model.predictor_, case.inputs)
            assert numbers(model.predictor_, case.inputs) == whole


@pytest.mark.parametrize(
    "saboteur", [saboteurs.reads_a_neighbour, saboteurs.drops_the_lengths, saboteurs.multiplies_with_blas]
)
def test_each_estimator_notices_each_saboteur(fitted, saboteur):
    case, model = fitted
    assert_noticed(saboteur(), lambda: check_alone_in_a_batch_and_permuted(model.predictor_, case.inputs))


def test_verify_and_so_every_stream_agrees_bit_for_bit(fitted):
    case, model = fitted
    checked = verify(model.predictor_, case.inputs)
    assert checked.passed, checked.checks
    assert "streamed = batch" in {check.name for check in checked.checks}


def test_saved_is_loaded_in_both_wings_bit_for_bit(fitted, tmp_path):
    case, model = fitted
    model.save(tmp_path / "m")
    live = numbers(model.predictor_, case.inputs)
    assert numbers(rc.load(tmp_path / "m"), case.inputs) == live
    again = type(model).load(tmp_path / "m")
    assert numbers(again.predictor_, case.inputs) == live


@pytest.mark.parametrize("name", CASES)
def test_a_clone_is_unfitted_and_equal_and_parameters_are_set_without_touching_the_shared_spec(name):
    model = CASES[name].made()
    twin = clone(model)
    assert twin.get_params() == model.get_params()
    assert not hasattr(twin, "parameters_")
    twin.set_params(network__hidden_size=7)
    assert (twin.network.hidden_size, model.network.hidden_size) == (7, 6)
    with pytest.raises((ValueError, rc.RecurraError)):
        twin.set_params(no_such_option=1)


def bits(model: Any) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in model.parameters_.items()}


def trained_in_two_sittings(case: Case, folder: Path) -> Any:
    begun = case.made().fit(*case.data(), folder=folder, callbacks=[StopAfter(2)], **FAST)
    assert begun.fitted_.stopped_by == "callback"
    return case.made().fit(*case.data(), folder=folder, resume=True, **FAST)


def test_the_same_seed_at_other_thread_counts_and_a_resumed_run_end_in_the_same_bits(fitted, tmp_path):
    case, model = fitted
    with engines.thread_count(2):
        resumed = trained_in_two_sittings(case, tmp_path / "run")
    assert bits(resumed) == bits(model)


def test_another_seed_gives_other_bits(fitted):
    case, model = fitted
    other = case.made().set_params(training__seed=5).fit(*case.data())
    assert bits(other) != bits(model)
