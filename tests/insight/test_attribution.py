"""Attribution: complete, signed, in the original text, and the same bits alone and in a batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.models import GRID, OPTIONS, TEXTS, network, predictor, sequences
from insight import saboteurs
from recurra.errors import SpecError
from recurra.graph.pool import POOLINGS
from recurra.insight.attribution import METHODS, attribute, integrated
from recurra.insight.forming import forming
from recurra.insight.subject import Subject
from recurra.ragged import Ragged
from recurra.runtime.quantize import quantized
from recurra.spec import CELLS, Network
from runtime.streaming import (
    SENTENCES,
    characters,
    events,
    gappy_signal,
    model_of,
    numbers,
    pieces,
    plain_signal,
    timed_steps,
    words,
)
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
    assert_noticed(saboteurs.gradients_of_another_number(), lambda: check_complete(model, TEXTS[:2]))


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
    short = [sequence for sequence in sequences(5) if len(sequence) < 20]
    check_alone_and_in_a_batch(predictor(net, "max", signal=True), short, "gradient")


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


CASES = {
    "words": (words(), SENTENCES),
    "characters": (characters(), [text[:12] for text in SENTENCES]),
    "pieces": (pieces(), SENTENCES),
    "signal": (plain_signal(), [numbers(9, 4), numbers(1, 5), numbers(0, 6), numbers(40, 7)]),
    "gaps": (gappy_signal(), [numbers(9, 4, missing=0.3), numbers(5, 5)]),
    "events": (events(), [timed_steps(8, 4), timed_steps(3, 5)]),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("options", [{"static": True}, {"task": "regressor", "static": True}], ids=str)
def test_every_input_and_task_is_explained_in_its_own_parts(kind, method, options):
    encoder, items = CASES[kind]
    model = model_of(encoder, "mean", bidirectional=True, cell="gru", **options)
    static = np.linspace(1, 9, 2 * len(items)).reshape(-1, 2)
    outputs = model.outputs(items, static)
    for row, found in enumerate(attribute(model, items, static, method=method)):
        steps, channels = len(found.passage), len(found.passage.channels)
        assert found.values.shape == (steps, channels)
        assert steps == model.encode([items[row]]).lengths[0]
        assert found.static_names == ("age", "mass")
        assert found.complete in ((True,) if method in ("integrated", "change") else (None,))
        assert np.all(np.isfinite(found.values))
        assert len(found.top(5)) == min(5, steps * channels + 2)
        (alone,) = attribute(model, [items[row]], static[row : row + 1], method=method)
        np.testing.assert_array_equal(alone.values, found.values)
        np.testing.assert_array_equal(alone.static, found.static)
        if options.get("task") == "regressor":
            assert found.score == model.answers(outputs)[row]
            assert found.measure == "value"
        else:
            probability = model.probabilities(outputs)[row].max()
            assert found.score == pytest.approx(np.log(probability / (1 - probability)), abs=1e-4)


def test_channels_of_events_are_their_features_and_columns():
    model = model_of(events(), "mean", static=False)
    (found,) = attribute(model, [timed_steps(4, 3)], method="gradient")
    assert found.passage.channels == ("amount", "elapsed_time", "kind")
    assert found.passage.cell(0, 2).startswith("kind = ")
    assert len(found.passage.categories["kind"]) == 4
    np.testing.assert_allclose(found.per_channel.sum(), found.per_step.sum())


def test_several_labels_are_explained_one_by_one():
    model = model_of(words(), "mean")
    model.config = {"multilabel": True, "threshold": None}
    for place, name in enumerate(model.classes):
        (found,) = attribute(model, SENTENCES[:1], of=name)
        assert found.of == name
        assert found.score == model.outputs(SENTENCES[:1])[0, place]
        assert found.complete


def test_the_explained_class_may_be_another_than_the_predicted():
    model = model_of(words(), "mean")
    scores = [attribute(model, SENTENCES[:1], of=name, method="gradient")[0].score for name in model.classes]
    odds = np.exp(scores)
    np.testing.assert_allclose(odds / (1 + odds), model.predict_proba(SENTENCES[:1])[0], rtol=1e-5)


def test_occlusion_is_the_difference_to_the_text_without_the_token():
    model = predictor(network("lstm", True, 2), "max")
    (found,) = attribute(model, TEXTS[:1], method="occlusion")
    words_of = TEXTS[0].split()
    for step, share in enumerate(found.per_step):
        without = " ".join(words_of[:step] + words_of[step + 1 :])
        (other,) = attribute(model, [without], method="gradient", of=found.of)
        assert share == pytest.approx(found.score - other.score, abs=1e-9)


def test_occlusion_of_a_window_is_shared_evenly():
    model = predictor(network("gru", False, 1), "mean", signal=True)
    (found,) = attribute(model, [sequences(5)[3]], method="occlusion", window=10)
    assert found.evaluations == 1 + 4 * 3
    assert np.all(found.values[0:10] == found.values[0])
    assert np.all(found.values[30:] == found.values[32])
    blanked = np.asarray(model.encode([sequences(5)[3]]).values).copy()
    blanked[30:, 1] = 0
    other = model.outputs_of(Ragged(values=blanked, offsets=np.array([0, 33])))
    (whole,) = attribute(model, [sequences(5)[3]], method="gradient")
    column = model.classes.index(whole.of)
    lost = 3 * found.values[32, 1]
    rest = np.delete(other[0], column)
    assert lost == pytest.approx(whole.score - (other[0, column] - np.log(np.exp(rest).sum())), abs=1e-5)


def test_what_a_step_changes_is_where_the_answer_turns():
    model = predictor(network("lstm", False, 2), "last")
    (found,) = attribute(model, TEXTS[:1], method="change")
    (course,) = forming(model, TEXTS[:1])
    np.testing.assert_array_equal(found.per_step, course.change)
    assert found.baseline == course.score[0]


def test_many_sequences_are_walked_in_parts_of_bounded_size(monkeypatch):
    model = predictor(network("gru", False, 2), "max", signal=True)
    many = sequences(5) * 6
    whole = attribute(model, many, method="integrated")
    walked, honest = [], Subject.gradients

    def counting(self, given, slope):
        walked.append(len(np.unique(np.diff(given.offsets))))
        return honest(self, given, slope)

    monkeypatch.setattr(Subject, "gradients", counting)
    monkeypatch.setattr(integrated, "LINE_TOKENS", 1)
    for part, other in zip(attribute(model, many, method="integrated"), whole, strict=True):
        np.testing.assert_array_equal(part.values, other.values)
    assert len(walked) >= len(many)
    assert set(walked) == {1}


def test_weights_in_fewer_bits_are_explained_without_gradients():
    model = quantized(model_of(words(), "mean", hidden_size=16), "int8")
    assert attribute(model, SENTENCES[:1], method="occlusion")[0].values.any()
    with pytest.raises(SpecError, match="gradients need float32 weights, this model holds int8"):
        attribute(model, SENTENCES[:1], method="integrated")


@settings(max_examples=25)
@given(
    cell=st.sampled_from(CELLS),
    bidirectional=st.booleans(),
    num_layers=st.integers(1, 3),
    pooling=st.sampled_from(POOLINGS),
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
def test_any_network_is_explained_completely_and_alike_alone_and_in_a_batch(
    cell, bidirectional, num_layers, pooling, lengths, seed
):
    model = predictor(network(cell, bidirectional, num_layers), pooling, signal=True, seed=seed)
    generator = np.random.default_rng(seed)
    items = [generator.standard_normal((length, 3)) for length in lengths]
    together = attribute(model, items, most_points=20_000)
    for item, found in zip(items, together, strict=True):
        assert found.complete
        (alone,) = attribute(model, [item], most_points=20_000)
        np.testing.assert_array_equal(alone.values, found.values)


def test_options_out_of_range_are_refused():
    model = predictor(network("rnn", False, 1))
    with pytest.raises(SpecError, match="window must be at least 1, got 0"):
        attribute(model, TEXTS, method="occlusion", window=0)
    with pytest.raises(SpecError, match="tolerance must be above 0, got 0"):
        attribute(model, TEXTS, tolerance=0)
    with pytest.raises(SpecError, match="most_points must be at least 1, got 0"):
        attribute(model, TEXTS, most_points=0)


def test_an_unknown_method_and_an_unknown_class_are_refused():
    model = predictor(network("rnn", False, 1))
    with pytest.raises(SpecError, match=r"method must be one of .*did you mean 'gradient'"):
        attribute(model, TEXTS, method="gradients")
    with pytest.raises(SpecError, match="of must be a class that the model knows, got 'z'"):
        attribute(model, TEXTS, of="z")
