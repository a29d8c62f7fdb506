"""Sequences far longer than a batch: the same bits in stretches, and memory that does not grow with them."""

from __future__ import annotations

import resource
import tracemalloc

import numpy as np
import pytest

from recurra.graph.pool import POOLINGS
from recurra.kernels import accumulators
from recurra.runtime import predictor as predictor_module
from recurra.spec import CELLS
from runtime.streaming import assert_same_bits, events, model_of, numbers, plain_signal, timed_steps, words

SIGNAL = plain_signal()


def check_stretches(model, monkeypatch) -> None:
    batch = [numbers(3, 1), numbers(90, 2), numbers(0, 3), numbers(61, 4)]
    whole = model.outputs(batch)
    with monkeypatch.context() as patch:
        patch.setattr(predictor_module, "CHUNK_TOKENS", 30)
        assert_same_bits(model.outputs(batch), whole)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_long_sequence_in_stretches_has_the_same_bits(cell, pooling, monkeypatch):
    check_stretches(model_of(SIGNAL, pooling, cell=cell), monkeypatch)


@pytest.mark.parametrize(
    "options", [{"initial_state": "learnt"}, {"layer_norm": True, "zoneout": 0.1}], ids=str
)
def test_options_in_stretches(options, monkeypatch):
    check_stretches(model_of(SIGNAL, "mean", **options), monkeypatch)


def test_a_state_that_is_not_carried_is_noticed(monkeypatch):
    """The saboteur: every stretch begins from the initial state."""
    model = model_of(SIGNAL)
    monkeypatch.setattr("recurra.kernels.Stepper.write", lambda self, state, rows: None)
    with pytest.raises(AssertionError):
        check_stretches(model, monkeypatch)


def test_a_long_text_and_long_events_in_stretches(monkeypatch):
    text, log = "one two zzz été " * 60, timed_steps(150, 3)
    read, watched = model_of(words(), "attention"), model_of(events(), "mean", static=True)
    before = read.outputs([text, "one"]), watched.outputs([log], [[1.0, 2.0]])
    monkeypatch.setattr(predictor_module, "CHUNK_TOKENS", 64)
    assert_same_bits(read.outputs([text, "one"]), before[0])
    assert_same_bits(watched.outputs([log], [[1.0, 2.0]]), before[1])


def test_what_a_long_sequence_takes_does_not_grow_with_it():
    model = model_of(SIGNAL, "mean", cell="rnn", hidden_size=64, num_layers=1)

    def peak(length: int) -> tuple[float, int]:
        batch = model.encode([numbers(length, 1)])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        tracemalloc.start()
        try:
            model.outputs_of(batch)
            traced = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        return traced, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    peak(40_000)
    traced, resident = peak(200_000)
    # All its hidden states at once would be 200,000 x 64 x 4 bytes = 51 MB.
    assert traced < 20e6
    assert resident < 30_000


def test_means_count_beyond_what_float32_can():
    model = model_of(SIGNAL, "mean", num_layers=1)
    stream = model.stream()
    stream.push(numbers(1, 1)[0])
    sums = stream._stepping._gathering._state
    stream._steps = 2**24 + 4
    sums[0, -1] = 2**24
    expected = accumulators.pooled("mean", np.append(sums[0, :-1], np.float32(2**24 + 4))[None])
    assert_same_bits(stream._stepping._gathering.pooled(np.array([0]), np.array([2**24 + 4])), expected)
