"""Weights in fewer bits: how near, how small, and the same bits alone and in a batch. Training in bfloat16 is
tested in test_bfloat16.py."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

native = pytest.importorskip("recurra._native", reason="the C++ kernels are not built")

GATES = {"rnn": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}
CELLS = tuple(GATES)
LENGTHS = [9, 1, 0, 17, 5]
OFFSETS = np.concatenate([[0], np.cumsum(LENGTHS)]).astype(np.int64)


def weights(cell, inputs=20, hidden=50):
    rng = np.random.default_rng(0)
    rows, bound = GATES[cell] * hidden, hidden**-0.5
    return [
        rng.uniform(-bound, bound, s).astype(np.float32)
        for s in ((rows, inputs), (rows, hidden), (rows,), (rows,))
    ]


def tokens(inputs=20):
    return np.random.default_rng(1).normal(size=(OFFSETS[-1], inputs)).astype(np.float32)


@pytest.mark.parametrize("cell", CELLS)
def test_int8_weights_stay_near(cell):
    small = native.Packed(cell, *weights(cell), precision="int8")
    full = native.Packed(cell, *weights(cell))
    got, want = (native.recur_forward(p, tokens(), OFFSETS)[0] for p in (small, full))
    assert np.abs(got - want).max() / np.abs(want).max() < 0.04


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
@pytest.mark.parametrize("cell", CELLS)
def test_alone_in_a_batch_and_streamed_have_the_same_bits(cell, precision):
    packed = native.Packed(cell, *weights(cell), precision=precision)
    x = tokens()
    whole = native.recur_forward(packed, x, OFFSETS)[0]
    for begin, end in itertools.pairwise(OFFSETS):
        alone = native.recur_forward(packed, x[begin:end], np.array([0, end - begin]))[0]
        np.testing.assert_array_equal(alone, whole[begin:end])
        stepper = native.Stepper([packed])
        for token in range(begin, end):
            np.testing.assert_array_equal(stepper.step(x[token])[0], whole[token])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
@pytest.mark.parametrize("cell", CELLS)
def test_more_rows_than_a_gang_holds_have_the_bits_of_each_alone(cell, precision, threads):
    rng = np.random.default_rng(3)
    lengths = rng.integers(0, 12, 83)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    x = rng.normal(size=(int(offsets[-1]), 20)).astype(np.float32)
    packed = native.Packed(cell, *weights(cell), precision=precision)
    h0 = rng.normal(size=(83, 50)).astype(np.float32)
    c0 = rng.normal(size=(83, 50)).astype(np.float32) if cell == "lstm" else None
    held = native.get_num_threads()
    native.set_num_threads(threads)
    try:
        for reverse in (False, True):
            y, h, c, *_ = native.recur_forward(packed, x, offsets, h0, c0, reverse=reverse)
            for s in range(0, 83, 7):
                alone = native.recur_forward(
                    packed,
                    x[offsets[s] : offsets[s + 1]],
                    np.array([0, lengths[s]], np.int64),
                    h0[s : s + 1],
                    None if c0 is None else c0[s : s + 1],
                    reverse=reverse,
                )
                np.testing.assert_array_equal(y[offsets[s] : offsets[s + 1]], alone[0])
                np.testing.assert_array_equal(h[s], alone[1][0])
                if c0 is not None:
                    np.testing.assert_array_equal(c[s], alone[2][0])
    finally:
        native.set_num_threads(held)


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
@pytest.mark.parametrize("cell", CELLS)
def test_many_streams_stepped_together_have_the_bits_of_each_alone(cell, precision):
    rng = np.random.default_rng(4)
    packed = native.Packed(cell, *weights(cell), precision=precision)
    together, alone = native.Stepper([packed], 90), native.Stepper([packed], 1)
    x = rng.normal(size=(5, 90, 20)).astype(np.float32)
    rows = np.arange(0, 90, dtype=np.int64)[::-1].copy()
    found = [np.array(together.step(step[rows], rows)) for step in x]
    for row in range(0, 90, 11):
        alone.reset()
        for step in range(5):
            answer = np.array(alone.step(x[step, row : row + 1]))
            np.testing.assert_array_equal(found[step][89 - row], answer[0])


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
@pytest.mark.parametrize("cell", CELLS)
def test_every_instruction_set_has_the_same_bits(cell, precision):
    before, results = native.engine()["isa"], []
    try:
        for name in native.engine()["available"]:
            native.set_isa(name)
            packed = native.Packed(cell, *weights(cell), precision=precision)
            results.append(native.recur_forward(packed, tokens(), OFFSETS)[0])
    finally:
        native.set_isa(before)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_int8_takes_a_quarter_of_the_bytes_and_bfloat16_half():
    full = native.Packed("lstm", *weights("lstm", 128, 128)).nbytes
    assert native.Packed("lstm", *weights("lstm", 128, 128), precision="int8").nbytes < 0.28 * full
    assert native.Packed("lstm", *weights("lstm", 128, 128), precision="bfloat16").nbytes < 0.53 * full


def test_a_nan_stays_in_its_row():
    packed = native.Packed("lstm", *weights("lstm"), precision="int8")
    x = tokens()
    clean = native.recur_forward(packed, x, OFFSETS)[0]
    x[3, 2] = np.nan
    y = native.recur_forward(packed, x, OFFSETS)[0]
    np.testing.assert_array_equal(y[9:], clean[9:])
    assert np.isnan(y[3:9]).all()


def test_what_only_full_precision_can_do_is_refused():
    packed = native.Packed("lstm", *weights("lstm"), precision="int8")
    with pytest.raises(ValueError, match="save, preprojected"):
        native.recur_forward(packed, tokens(), OFFSETS, save=True)
    with pytest.raises(ValueError, match="to project"):
        native.recur_project(packed, tokens())
    with pytest.raises(ValueError, match="precision must be one of"):
        native.Packed("lstm", *weights("lstm"), precision="int4")
    with pytest.raises(ValueError, match='"int8" is for inference'):
        native.Packed("lstm", *weights("lstm"), precision="int8", backward=True)
