"""Hidden states and the forming answer: the bits of predict and of the stream, for every cell and direction."""

from __future__ import annotations

import numpy as np
import pytest

from contracts import saboteurs as neighbours
from contracts.models import GRID, OPTIONS, TEXTS, network, predictor, sequences
from insight import saboteurs
from recurra.errors import SpecError
from recurra.insight.forming import forming
from recurra.insight.states import hidden_states
from recurra.kernels import GATE_NAMES
from recurra.spec import CELLS, Network
from shared import assert_noticed


@pytest.mark.parametrize(("cell", "bidirectional", "num_layers", "pooling"), GRID)
def test_states_of_a_sequence_are_the_same_alone_and_in_a_batch(cell, bidirectional, num_layers, pooling):
    model = predictor(network(cell, bidirectional, num_layers), pooling)
    together = hidden_states(model, TEXTS)
    assert len(together.layers) == num_layers * (2 if bidirectional else 1)
    for text, mine in zip(TEXTS, together, strict=True):
        alone = hidden_states(model, [text])
        np.testing.assert_array_equal(mine.pooled, alone.pooled)
        for layer, other in zip(mine.layers, alone.layers, strict=True):
            np.testing.assert_array_equal(layer.hidden, other.hidden)
            np.testing.assert_array_equal(layer.final, other.final)
            assert tuple(layer.gates) == GATE_NAMES[cell]
            for name, gate in layer.gates.items():
                np.testing.assert_array_equal(gate, other.gates[name])
                assert gate.shape == layer.hidden.shape


def test_gates_and_cells_of_an_lstm_follow_its_equation():
    """c = f * c' + i * g and h = o * tanh(c): the traced parts make the traced state."""
    layer = hidden_states(predictor(network("lstm", False, 1)), TEXTS[:1]).top
    before = np.concatenate([np.zeros((1, 9)), layer.cells[:-1]])
    gates = layer.gates
    np.testing.assert_allclose(
        layer.cells, gates["forget"] * before + gates["input"] * gates["candidate"], atol=1e-6
    )
    np.testing.assert_allclose(layer.hidden, gates["output"] * np.tanh(layer.cells), atol=1e-6)


def test_the_final_state_is_the_state_after_the_last_step_walked():
    states = hidden_states(predictor(network("gru", True, 2)), TEXTS[:1])
    for layer in states.layers:
        np.testing.assert_array_equal(layer.final[0], layer.hidden[0 if layer.reverse else -1])
    np.testing.assert_array_equal(states.final[0, :9], states.layer("l1").final[0])


def test_magnitude_and_variance_are_of_the_units_of_a_step():
    layer = hidden_states(predictor(network("rnn", False, 1)), TEXTS[:1]).top
    np.testing.assert_allclose(layer.magnitude(), np.sqrt((layer.hidden**2).mean(axis=1)), rtol=1e-6)
    np.testing.assert_allclose(layer.variance(), layer.hidden.var(axis=1), rtol=1e-5)


def test_an_unknown_layer_is_refused_with_the_known_ones():
    states = hidden_states(predictor(network("rnn", False, 1)), TEXTS[:1])
    with pytest.raises(SpecError, match="layer must be one of l0, got 'l7'"):
        states.layer("l7")


def check_forming_is_the_stream(model, items) -> None:
    for item, formed in zip(items, forming(model, items), strict=True):
        stream = model.stream()
        np.testing.assert_array_equal(formed.outputs[0], stream.outputs())
        pieces = item.split() if isinstance(item, str) else list(item)
        for step, piece in enumerate(pieces, 1):
            stream.push(piece)
            np.testing.assert_array_equal(formed.outputs[step], stream.outputs())
            assert formed.decided[step] == stream.result()["label"]


@pytest.mark.parametrize(("cell", "pooling"), sorted({(cell, pooling) for cell, _, _, pooling in GRID}))
def test_the_answer_after_each_step_is_that_of_the_stream(cell, pooling):
    check_forming_is_the_stream(predictor(network(cell, False, 2), pooling), TEXTS)


@pytest.mark.parametrize("options", [o for o in OPTIONS if not o.get("bidirectional")], ids=str)
def test_the_answer_after_each_step_is_that_of_the_stream_with_every_option(options):
    net = Network(**{"hidden_size": 9, "num_layers": 2, **options})
    check_forming_is_the_stream(predictor(net, "max", signal=True), sequences(5))


def test_the_comparison_with_the_stream_notices_a_step_read_twice():
    model = predictor(network("gru", False, 2))
    assert_noticed(saboteurs.steps_are_read_twice(), lambda: check_forming_is_the_stream(model, TEXTS[:1]))


@pytest.mark.parametrize("cell", CELLS)
def test_a_bidirectional_answer_after_a_step_is_that_for_the_prefix(cell):
    model = predictor(network(cell, True, 2), "attention")
    (formed,) = forming(model, TEXTS[:1])
    assert formed.kind == "prefixes"
    words = TEXTS[0].split()
    for step in range(len(words) + 1):
        np.testing.assert_array_equal(formed.outputs[step], model.outputs([" ".join(words[:step])])[0])


def check_stream_states_are_those_of_the_whole(model, item) -> None:
    states, stream = hidden_states(model, [item]), model.stream(watch=True)
    assert stream.layers == {}
    for step, piece in enumerate(item.split() if isinstance(item, str) else list(item)):
        stream.push(piece)
        assert list(stream.layers) == [layer.name for layer in states.layers]
        for layer in states.layers:
            seen = stream.layers[layer.name]
            np.testing.assert_array_equal(seen["hidden"], layer.hidden[step])
            if layer.cells is not None:
                np.testing.assert_array_equal(seen["cell"], layer.cells[step])
            for name, gate in layer.gates.items():
                np.testing.assert_array_equal(seen[name], gate[step])
    assert stream.outputs().tolist() == model.outputs([item])[0].tolist()


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_states_and_gates_of_the_stream_are_those_of_the_whole_sequence(cell, num_layers):
    check_stream_states_are_those_of_the_whole(predictor(network(cell, False, num_layers), "max"), TEXTS[4])


@pytest.mark.parametrize("options", [o for o in OPTIONS if not o.get("bidirectional")], ids=str)
def test_states_and_gates_of_the_stream_are_those_of_the_whole_sequence_with_every_option(options):
    net = Network(**{"hidden_size": 9, "num_layers": 2, **options})
    check_stream_states_are_those_of_the_whole(predictor(net, "last", signal=True), sequences(5)[3])


def test_the_comparison_of_gates_notices_a_stream_that_forgets():
    model = predictor(network("lstm", False, 2))
    assert_noticed(
        saboteurs.streams_begin_anew(), lambda: check_stream_states_are_those_of_the_whole(model, TEXTS[0])
    )


def test_many_steps_at_once_leave_the_gates_of_the_last_one():
    model = predictor(network("gru", False, 2), "mean", signal=True)
    signal, stream = sequences(5)[3], model.stream(watch=True)
    stream.push(signal)
    np.testing.assert_array_equal(
        stream.layers["l1"]["update"], hidden_states(model, [signal]).top.gates["update"][-1]
    )


def test_a_stream_that_does_not_watch_says_how_to():
    with pytest.raises(SpecError, match=r"stream\(watch=True\)"):
        predictor(network("gru", False, 1)).stream().layers  # noqa: B018 - reading it raises
    with pytest.raises(SpecError, match="watch has no effect with look_ahead"):
        predictor(network("gru", True, 1)).stream(look_ahead=3, watch=True)


def test_prefixes_in_blocks_give_the_same_answers(monkeypatch):
    model = predictor(network("gru", True, 1), "mean")
    whole = forming(model, TEXTS[4:5])[0].outputs
    monkeypatch.setattr("recurra.insight.forming.PREFIX_STEPS", 30)
    np.testing.assert_array_equal(forming(model, TEXTS[4:5])[0].outputs, whole)


def check_hidden_states_alone_and_in_a_batch(model) -> None:
    for text, mine in zip(TEXTS, hidden_states(model, TEXTS), strict=True):
        np.testing.assert_array_equal(mine.top.hidden, hidden_states(model, [text]).top.hidden)


@pytest.mark.parametrize("saboteur", [neighbours.reads_a_neighbour, neighbours.drops_the_lengths])
def test_the_comparison_of_states_notices_each_saboteur(saboteur):
    model = predictor(network("lstm", True, 2))
    assert_noticed(saboteur(), lambda: check_hidden_states_alone_and_in_a_batch(model))


def test_turns_name_the_steps_at_which_the_answer_became_another_one():
    (formed,) = forming(predictor(network("lstm", False, 2), "mean"), TEXTS[:1])
    for step in range(1, len(formed.passage)):
        assert (step in formed.turns) == (formed.decided[step + 1] != formed.decided[step])
    np.testing.assert_allclose(formed.change.sum(), formed.score[-1] - formed.score[0])
