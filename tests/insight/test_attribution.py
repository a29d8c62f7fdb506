"""Attribution: complete, signed, in the original text, and the same bits alone and in a batch."""

from __future__ import annotations

import numpy as np
import pytest

from contracts.models import GRID, OPTIONS, TEXTS, network, predictor, sequences
from insight import saboteurs
from recurra.errors import SpecError
from recurra.insight.attribution import METHODS, attribute
from recurra.spec import Network
from shared import assert_noticed


def check_complete(model, items) -> None:
    for found in attribute(model, items):
        assert abs(found.gap) <= 1e-3, (found.gap, found.evaluations)
        assert found.complete


@pytest.mark.parametrize(("cell", "bidirectional", "num_layers", "pooling"), GRID)
def test_integrated_gradients_add_up(cell, bidirectional, num_layers, pooling):
    check_complete(predictor(network(cell, bidirectional, num_layers), pooling), TEXTS)


def test_completeness_notices_a_wrong_slope():
    model = predictor(network("lstm", True, 2))
    assert_noticed(saboteurs.gradients_of_another_number(), lambda: check_complete(model, TEXTS))


def test_what_does_not_add_up_says_so():
    (found,) = attribute(predictor(network("rnn", True, 2), "max"), TEXTS[4:5], most_points=16)
    assert found.evaluations == 21
    assert not found.complete
    assert abs(found.gap) > found.tolerance


def check_alone_and_in_a_batch(model, items, method) -> None:
    together = attribute(model, items, method=method)
    for item, mine in zip(items, together, strict=True):
        (alone,) = attribute(model, [item], method=method)
        np.testing.assert_array_equal(mine.values, alone.values)
        assert mine.score == alone.score
    order = np.random.default_rng(3).permutation(len(items))
    for place, found in zip(order, attribute(model, [items[i] for i in order], method=method), strict=True):
        np.testing.assert_array_equal(found.values, together[place].values)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("cell", "bidirectional"), sorted({(c, b) for c, b, _, _ in GRID}))
def test_a_text_is_explained_alike_alone_and_in_a_batch(cell, bidirectional, method):
    check_alone_and_in_a_batch(predictor(network(cell, bidirectional, 2), "mean"), TEXTS, method)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_keeps_the_explanation_independent_of_the_batch(options):
    net = Network(**{"hidden_size": 9, "num_layers": 2, **options})
    check_alone_and_in_a_batch(predictor(net, "max", signal=True), sequences(5), "gradient")


@pytest.mark.parametrize("method", ["gradient", "integrated"])
def test_the_comparison_notices_gradients_that_lean_on_the_batch(method):
    model = predictor(network("gru", False, 1))
    assert_noticed(
        saboteurs.gradients_lean_on_the_batch(), lambda: check_alone_and_in_a_batch(model, TEXTS, method)
    )


def test_the_slope_is_that_of_finite_differences():
    """F(x + e d) - F(x - e d) over 2 e along the sequence itself is the sum of gradient x input."""
    from recurra.insight.question import question_of
    from recurra.insight.subject import Vectors, subject_of

    subject = subject_of(predictor(network("gru", True, 2), "mean"))
    reading = subject.read(TEXTS[:1])
    given = subject.vectors(reading)
    question = question_of(subject, subject.onward(given))
    step = np.float32(1e-2)
    ends = [
        question.score(
            subject.onward(
                Vectors(values=given.values * (1 + sign * step), offsets=given.offsets, static=None)
            )
        )[0]
        for sign in (1, -1)
    ]
    (found,) = attribute(subject, TEXTS[:1], method="gradient")
    np.testing.assert_allclose(found.total, (ends[0] - ends[1]) / (2 * step), rtol=1e-2)


def test_pieces_of_the_passage_are_the_whole_text_with_steps_at_the_tokens():
    (found,) = attribute(predictor(network("rnn", False, 1)), ["  One two,three!  "], method="gradient")
    pieces, steps = found.passage.pieces()
    assert "".join(pieces) == "  One two,three!  "
    assert [piece for piece, step in zip(pieces, steps, strict=True) if step is not None] == [
        *found.passage.tokens
    ]
    assert found.passage.tokens == ("One", "two", ",", "three", "!")


def test_the_largest_shares_come_first_with_their_sign():
    (found,) = attribute(predictor(network("lstm", False, 1)), TEXTS[:1])
    top = found.top(3)
    assert [abs(share.value) for share in top] == sorted(np.abs(found.per_step), reverse=True)[:3]
    assert all(share.value == found.per_step[share.step] for share in top)
    assert top[0].text == found.passage.tokens[top[0].step]


def test_an_unknown_method_and_an_unknown_class_are_refused():
    model = predictor(network("rnn", False, 1))
    with pytest.raises(SpecError, match=r"method must be one of .*did you mean 'gradient'"):
        attribute(model, TEXTS, method="gradients")
    with pytest.raises(SpecError, match="of must be a class that the model knows, got 'z'"):
        attribute(model, TEXTS, of="z")
