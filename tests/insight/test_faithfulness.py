"""The deletion and insertion curves tell a good ranking from none."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest

from contracts.models import TEXTS, network, predictor, sequences
from recurra.errors import DataError, SpecError
from recurra.insight.attribution import methods
from recurra.insight.faithfulness import faithfulness
from shared import assert_noticed
from tasks.made import signals, small, texts


@pytest.fixture(scope="module")
def trained():
    return small("gru", epochs=6, seed=1).fit(*texts(300))


def test_curves_begin_with_the_whole_sequence_and_end_with_nothing():
    model = predictor(network("lstm", True, 1), "mean")
    found = faithfulness(model, TEXTS, methods=("gradient",), steps=4, orders=2)
    assert found.sequences == 5
    filled = [text for text in TEXTS if text]
    whole = model.predict_proba(filled).max(axis=1)
    for curve in found.curves:
        np.testing.assert_allclose(curve.deletion[0], whole.mean(), rtol=1e-6)
        np.testing.assert_allclose(curve.insertion[-1], whole.mean(), rtol=1e-6)
        np.testing.assert_allclose(curve.deletion[-1], curve.insertion[0], rtol=1e-6)
        assert curve.deletion.shape == curve.shares.shape == (5,)
        np.testing.assert_allclose(curve.deletion_area, np.trapezoid(curve.deletion, curve.shares), rtol=1e-6)


def test_a_ranking_of_a_trained_model_is_better_than_random_order(trained):
    found = faithfulness(trained, texts(60, seed=9)[0])
    assert found.best is not None
    assert found.deletion[found.best].interval[0] > 0.05
    assert repr(found.best) in found.sentence
    for method in ("integrated", "occlusion"):
        assert found.curve(method).deletion_area < found.curve("random").deletion_area
        assert found.curve(method).insertion_area > found.curve("random").insertion_area


def check_a_method_is_trusted(model) -> None:
    assert faithfulness(model, texts(40, seed=9)[0], methods=("occlusion",)).best == "occlusion"


def shuffled(honest):
    def shares(subject, reading, question):
        generator = np.random.default_rng(0)
        found = honest(subject, reading, question)
        for each in found:
            generator.shuffle(each.values)
        return found

    return shares


def test_a_method_that_ranks_at_random_is_not_trusted(trained):
    saboteur = mock.patch.dict(methods.METHODS, {"occlusion": shuffled(methods.METHODS["occlusion"])})
    assert_noticed(saboteur, lambda: check_a_method_is_trusted(trained))
    with saboteur:
        found = faithfulness(trained, texts(40, seed=9)[0], methods=("occlusion",))
    assert "trust none of them" in found.sentence


def test_the_curves_of_a_sequence_do_not_depend_on_the_others():
    model = predictor(network("gru", False, 2), "max", signal=True)
    together = faithfulness(model, sequences(5))
    filled = [sequence for sequence in sequences(5) if len(sequence)]
    for row, sequence in enumerate(filled):
        alone = faithfulness(model, [sequence, sequence])
        for mine, other in zip(together.curves, alone.curves, strict=True):
            assert mine.deletion_areas[row] == other.deletion_areas[0]
            assert mine.insertion_areas[row] == other.insertion_areas[0]


def test_the_steps_of_signals_are_ranked_too():
    inputs, labels = signals(80)
    model = small("gru", epochs=5).set_params(inputs=None, network__embedding_size=None).fit(inputs, labels)
    found = faithfulness(model, signals(30, seed=4)[0], methods=("integrated",))
    assert found.deletion["integrated"].interval[0] > 0


def test_nothing_to_rank_is_refused():
    model = predictor(network("rnn", False, 1))
    with pytest.raises(DataError, match="at least one sequence with a step"):
        faithfulness(model, ["", ""])
    with pytest.raises(SpecError, match="orders must be at least 1, got 0"):
        faithfulness(model, TEXTS, orders=0)
    with pytest.raises(SpecError, match="method must be one of"):
        faithfulness(model, TEXTS, methods=("lime",))
