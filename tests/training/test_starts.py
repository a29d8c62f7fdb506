"""What recurrent layers start from: chrono biases give units memories of all lengths up to the one asked for."""

from __future__ import annotations

import numpy as np
import pytest

import recurra as rc
from recurra import kernels
from recurra.errors import SpecError
from recurra.graph.recur import Recur
from recurra.kernels import RecurWeights

STEPS, UNITS = 400, 2000


def first_bias(network: rc.Network, layer: int = 0) -> np.ndarray:
    """(gates, H): the biases that one layer starts with, summed as the cell sums them."""
    found = Recur("r", network=network, inputs=3).parameters()
    generator = np.random.default_rng(5 + layer)
    parts = [found[f"bias_{side}_l{layer}"] for side in ("ih", "hh")]
    drawn = [part.init(generator, part.shape) for part in parts]
    return np.sum(drawn, axis=0).reshape(network.gates, network.hidden_size)


def remembered(cell: str, bias: np.ndarray, steps: int) -> np.ndarray:
    """(H,) what is left of a state of 1 after so many steps of nothing, by the biases alone."""
    gates, units = bias.shape
    weights = RecurWeights(
        cell=cell,
        w_ih=np.zeros((gates * units, 1), np.float32),
        w_hh=np.zeros((gates * units, units), np.float32),
        b_ih=bias.reshape(-1).astype(np.float32),
        b_hh=np.zeros(gates * units, np.float32),
    )
    ones = np.ones((1, units), np.float32)
    answer = kernels.recur(
        weights,
        np.zeros((steps, 1), np.float32),
        np.array([0, steps]),
        h0=ones,
        c0=ones if cell == "lstm" else None,
    )
    return (answer.h if cell == "gru" else answer.c)[0]


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_chrono_units_forget_at_rates_spread_up_to_the_steps_asked_for(cell):
    bias = first_bias(rc.Network(cell=cell, hidden_size=UNITS, num_layers=1, chrono_steps=STEPS))
    left = remembered(cell, bias, 50)
    # A gate that keeps u / (1 + u) of the state in a step forgets over about 1 + u steps.
    spans = 1.0 / (1.0 - left.astype(np.float64) ** (1 / 50))
    assert 2.0 <= spans.min() < 0.02 * STEPS
    assert 0.98 * STEPS < spans.max() <= 1.001 * STEPS
    assert abs(spans.mean() - (STEPS / 2 + 1)) < 10
    plain = first_bias(rc.Network(cell=cell, hidden_size=UNITS, num_layers=1))
    assert remembered(cell, plain, 50).max() < 1e-6


def test_chrono_input_gates_of_an_lstm_let_in_as_little_as_is_forgotten():
    bias = first_bias(rc.Network(cell="lstm", hidden_size=16, num_layers=1, chrono_steps=STEPS))
    np.testing.assert_array_equal(bias[0], -bias[1])
    assert not bias[2:].any()


def test_chrono_biases_differ_from_layer_to_layer():
    network = rc.Network(cell="gru", hidden_size=16, num_layers=2, chrono_steps=STEPS)
    assert (first_bias(network, 0)[1] != first_bias(network, 1)[1]).all()


def test_chrono_steps_are_refused_where_they_can_do_nothing():
    with pytest.raises(SpecError, match="chrono_steps has no effect with cell='rnn': only 'lstm' and 'gru'"):
        rc.Network(cell="rnn", chrono_steps=10)
    with pytest.raises(SpecError, match="forget_bias has no effect with chrono_steps"):
        rc.Network(cell="lstm", chrono_steps=10, forget_bias=2.0)
    with pytest.raises(SpecError, match="chrono_steps must be a whole number of at least 3"):
        rc.Network(cell="gru", chrono_steps=2)
