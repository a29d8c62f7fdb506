"""Numbers that are none, too large or too small: a row's NaN is its own, what is huge saturates, subnormals are zero.

In every precision, forward, backward and step by step; for linear chains too.
"""

from __future__ import annotations

import itertools
import mmap

import numpy as np
import pytest

from kernels.cases import CELLS, numbers, offsets_of, weights_of
from kernels.test_native_recur_bits import threads

native = pytest.importorskip("recurra._native", reason="the C++ kernels are not built")

INPUTS, UNITS, ROWS = 19, 37, 6
LENGTHS = [5, 1, 7, 3, 0, 40]
PRECISIONS = ("float32", "bfloat16", "int8")
OFFSETS = offsets_of(LENGTHS)
SPOILED = 2  # this row holds what is wrong


def packed(cell: str, precision: str, factor: float = 1.0) -> object:
    main = weights_of(cell, INPUTS, UNITS)
    arrays = [x * np.float32(factor) for x in (main.w_ih, main.w_hh, main.b_ih, main.b_hh)]
    return native.Packed(cell, *arrays, backward=precision != "int8", precision=precision)


def states(cell: str, count: int = len(LENGTHS)) -> list[np.ndarray | None]:
    return [numbers(2, count, UNITS), numbers(3, count, UNITS) if cell == "lstm" else None]


def by_row(y: np.ndarray) -> list[np.ndarray]:
    return [y[a:b] for a, b in itertools.pairwise(OFFSETS)]


def assert_others_unchanged(found: list[np.ndarray], clean: list[np.ndarray]) -> None:
    for row, (a, b) in enumerate(zip(found, clean, strict=True)):
        if row != SPOILED:
            assert a.tobytes() == b.tobytes(), row


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_what_is_not_finite_stays_in_its_row_forward(cell, precision, value):
    weights, x = packed(cell, precision), numbers(1, int(OFFSETS[-1]), INPUTS)
    clean = by_row(native.recur_forward(weights, x, OFFSETS, *states(cell))[0])
    x[OFFSETS[SPOILED] + 1, 4] = value
    found = by_row(native.recur_forward(weights, x, OFFSETS, *states(cell))[0])
    assert_others_unchanged(found, clean)
    assert found[SPOILED][0].tobytes() == clean[SPOILED][0].tobytes()  # nor does it reach back in time
    if np.isnan(value):
        assert np.isnan(found[SPOILED][1:]).all()


@pytest.mark.parametrize("spoiled", ["x", "dy", "h0"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_nan_stays_in_its_row_backward(cell, precision, spoiled):
    def gradients(spoil: bool) -> list[np.ndarray]:
        weights, x = packed(cell, precision), numbers(1, int(OFFSETS[-1]), INPUTS)
        h0, c0 = states(cell)
        dy = numbers(5, int(OFFSETS[-1]), UNITS)
        if spoil and spoiled == "h0":
            h0[SPOILED, 3] = np.nan
        elif spoil:
            {"x": x, "dy": dy}[spoiled][OFFSETS[SPOILED] + 1, 4] = np.nan
        y, _, _, *saved = native.recur_forward(weights, x, OFFSETS, h0, c0, save=True)
        found = native.recur_backward(weights, x, OFFSETS, y, *saved, dy, h0=h0, c0=c0, steps=True)
        tokens = zip(*(by_row(found[name]) for name in ("dx", "steps")), strict=True)
        rows = [np.concatenate([a.ravel(), b.ravel()]) for a, b in tokens]
        final = [found[name] for name in ("dh0", "dc0") if found[name] is not None]
        return [np.concatenate([row, *(each[i] for each in final)]) for i, row in enumerate(rows)]

    clean, found = gradients(False), gradients(True)
    assert_others_unchanged(found, clean)
    if cell != "rnn_relu" or spoiled == "dy":  # a relu hands nothing back where its output is not above zero
        assert np.isnan(found[SPOILED]).any()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_nan_stays_in_its_stream(cell, precision):
    def stepped(spoil: bool) -> np.ndarray:
        stepper = native.Stepper([packed(cell, precision)], ROWS)
        kinds = [x for x in states(cell, ROWS) if x is not None]
        stepper.load(np.stack(kinds)[None])
        x = numbers(1, ROWS, INPUTS)
        if spoil:
            x[SPOILED, 3] = np.nan
        stepper.step(x)
        return np.array(stepper.step(numbers(4, ROWS, INPUTS)))

    clean, found = stepped(False), stepped(True)
    assert_others_unchanged(list(found), list(clean))
    assert np.isnan(found[SPOILED]).all()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_huge_inputs_and_weights_saturate_without_nan(cell, precision):
    x = numbers(1, int(OFFSETS[-1]), INPUTS) * np.float32(1e30)
    for factor in (1.0, 1e7):
        y = native.recur_forward(packed(cell, precision, factor), x, OFFSETS)[0]
        assert np.isfinite(y).all()
        assert np.abs(y).max() <= 1


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_subnormal_inputs_and_states_have_the_bits_of_zeros_on_every_thread(cell, precision):
    """Why subnormals cost no time: nothing is computed with them, in the caller's thread or in the pool's."""
    lengths = [3] * 400
    offsets, tiny = offsets_of(lengths), np.float32(1e-40)
    x, h = np.full((1200, INPUTS), tiny), np.full((400, UNITS), tiny)
    weights = packed(cell, precision)

    def answers(factor: float) -> list[np.ndarray]:
        a, b = x * np.float32(factor), h * np.float32(factor)
        y = native.recur_forward(weights, a, offsets, b, b if cell == "lstm" else None)[0]
        stepper = native.Stepper([weights])
        stepper.load(np.stack([b[:1]] * (2 if cell == "lstm" else 1))[None])
        return [y, np.array(stepper.step(a[:1]))]

    with threads(3):
        for found, expected in zip(answers(1.0), answers(0.0), strict=True):
            assert found.tobytes() == expected.tobytes()
    assert (x * np.float32(1)).all()  # the caller's own arithmetic still has them


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_row_of_a_chain(value):
    labels = 5
    emissions, tags = numbers(1, int(OFFSETS[-1]), labels), np.arange(OFFSETS[-1]) % labels
    chain = [numbers(2, labels, labels), numbers(3, labels), numbers(4, labels)]

    def answers(spoil: bool) -> list[list[np.ndarray]]:
        scores = emissions.copy()
        if spoil:
            scores[OFFSETS[SPOILED] + 1, 3] = value
        losses, every, truth = native.crf_loss(scores, OFFSETS, tags, *chain)
        weigh = numbers(6, len(LENGTHS))
        de = native.crf_grad(scores, OFFSETS, tags, *chain, every, truth, weigh)[0]
        path, best = native.viterbi(scores, OFFSETS, *chain)
        marginals = native.crf_marginals(scores, OFFSETS, *chain)
        return [list(losses[:, None]), by_row(de), by_row(path), list(best[:, None]), by_row(marginals)]

    for found, clean in zip(answers(True), answers(False), strict=True):
        assert_others_unchanged(found, clean)


def test_a_saboteur_that_leaks_into_a_neighbour_is_seen():
    clean = [numbers(0, 2, 3) for _ in LENGTHS]
    leaked = [row + np.float32(1e-6) * (i == SPOILED + 1) for i, row in enumerate(clean)]
    with pytest.raises(AssertionError):
        assert_others_unchanged(leaked, clean)


def test_rows_past_the_two_to_the_31st_number_are_found():
    """By arithmetic: memory that is only promised, of which a few rows are ever touched."""

    features, far = 1 << 12, (1 << 19) + 5  # far * features numbers lie past 2**31
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
    memory = mmap.mmap(-1, (far + 1) * features * 4, flags=flags)
    x = np.frombuffer(memory, np.float32).reshape(far + 1, features)
    x[5], x[far] = 1, 2  # a number of 32 bits would wrap around to row 5
    rows = native.gather_rows(x, np.array([far, 5]))
    assert (rows[0] == 2).all()
    assert (rows[1] == 1).all()
