"""Recurrences in bfloat16: what the products are, how near the gradients stay, and the same bits everywhere."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.cases import CELLS, as_tensors, numbers, offsets_of, weights_of
from kernels.test_native_recur_bits import isa, threads
from recurra import kernels as k
from recurra.errors import KernelError
from recurra.kernels import engines, reference
from recurra.kernels.namespace import NUMPY
from recurra.kernels.reference import Options
from recurra.kernels.weights import RecurWeights

native = pytest.importorskip("recurra._native", reason="the C++ kernels are not built")

LENGTHS = [9, 1, 0, 33, 5, 300]
GRADIENTS = ("dx", "dw_ih", "dw_hh", "db_ih", "db_hh", "dh0", "dc0")


def run(
    cell, inputs=19, hidden=37, lengths=LENGTHS, x=None, precision="bfloat16", masked=True, reverse=False
):
    """Everything that the forward and the backward pass answer."""
    offsets, main = offsets_of(lengths), weights_of(cell, inputs, hidden)
    x = numbers(1, int(offsets[-1]), inputs) if x is None else x
    given = {} if precision == "float32" else {"precision": precision}
    packed = native.Packed(cell, main.w_ih, main.w_hh, main.b_ih, main.b_hh, backward=True, **given)
    states = [numbers(2, len(lengths), hidden), numbers(3, len(lengths), hidden) if cell == "lstm" else None]
    way = {"reverse": reverse}
    if masked:
        way["recurrent_mask"] = 2 * (numbers(4, len(lengths), hidden) > 0).astype(np.float32)
    y, h, _c, *saved = native.recur_forward(packed, x, offsets, *states, save=True, **way)
    dy, dh = numbers(5, *y.shape), numbers(6, *h.shape)
    found = native.recur_backward(packed, x, offsets, y, *saved, dy, dh, h0=states[0], c0=states[1], **way)
    answer = {"y": y, "h": h, **{name: found[name] for name in GRADIENTS}}
    return {name: value for name, value in answer.items() if value is not None}


def same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].tobytes() == b[name].tobytes(), name


def relative(a, b):
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def rounded(x):
    return NUMPY.halved(x).astype(np.float32)


def in_pairs_turned(x):
    """Columns 1, 0, 3, 2, ...: a product of pairs takes the second of a pair first."""
    return np.ascontiguousarray(x.reshape(*x.shape[:-1], -1, 2)[..., ::-1].reshape(x.shape))


@pytest.mark.parametrize("cell", ["rnn", "rnn_relu", "lstm"])
def test_a_step_has_the_bits_of_float32_products_of_rounded_numbers(cell):
    main, c0 = weights_of(cell, 20, 34), numbers(3, 5, 34) if cell == "lstm" else None
    x, h0, offsets = numbers(1, 5, 20), numbers(2, 5, 34), offsets_of([1] * 5)
    pairs = native.Packed(cell, main.w_ih, main.w_hh, main.b_ih, main.b_hh, precision="bfloat16")
    parts = [in_pairs_turned(rounded(part)) for part in (main.w_ih, main.w_hh, x, h0)]
    plain = native.Packed(cell, *parts[:2], main.b_ih, main.b_hh)
    got = native.recur_forward(pairs, x, offsets, h0, c0)[0]
    np.testing.assert_array_equal(got, native.recur_forward(plain, *parts[2:3], offsets, parts[3], c0)[0])
    unrounded = native.Packed(cell, main.w_ih, main.w_hh, main.b_ih, main.b_hh)
    assert not np.array_equal(got, native.recur_forward(unrounded, x, offsets, h0, c0)[0])


@pytest.mark.parametrize("cell", CELLS)
def test_forward_and_gradients_are_near_those_of_float32(cell):
    got, want = run(cell, masked=False), run(cell, masked=False, precision="float32")
    bound = (
        0.1 if cell == "rnn_relu" else 0.03
    )  # where relu has its corner, a small difference changes a gradient
    for name in want:
        assert 0 < relative(got[name], want[name]) < bound, name


@pytest.mark.parametrize("cell", CELLS)
def test_the_equations_in_double_with_rounded_factors_are_nearer_than_float32(cell):
    main, offsets = weights_of(cell, 19, 37), offsets_of(LENGTHS)
    x = numbers(1, int(offsets[-1]), 19)
    y = native.recur_forward(
        native.Packed(cell, main.w_ih, main.w_hh, main.b_ih, main.b_hh, precision="bfloat16"), x, offsets
    )[0]
    wide = {name: getattr(main, name).astype(np.float64) for name in ("w_ih", "w_hh", "b_ih", "b_hh")}

    def board(precision):
        weights = RecurWeights(cell=cell, precision=precision, **wide)
        pre = reference.input_part(NUMPY, weights, x.astype(np.float64))
        return reference.recur(weights, pre, offsets, None, None, reference.Options()).y

    # where h lies between two numbers of eight bits, the equations may round it to the other one
    off = np.abs(y - board("bfloat16")).mean()
    assert off < 0.2 * np.abs(y - board("float32")).mean()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_every_instruction_set_has_the_same_bits_forward_and_backward(cell, reverse):
    found = []
    for name in native.engine()["available"]:
        with isa(name):
            found.append(run(cell, reverse=reverse))
    for other in found[1:]:
        same(found[0], other)


@pytest.mark.parametrize("cell", CELLS)
def test_subnormal_infinite_and_huge_inputs_have_the_same_bits_on_every_instruction_set(cell):
    x = numbers(1, int(offsets_of(LENGTHS)[-1]), 19)
    x[::7] *= 1e-39
    x[3, 4], x[12, 0], x[13, 1] = np.inf, 3.3e38, -3.4e38  # the last two round to infinity, or nearly
    found = []
    for name in native.engine()["available"]:
        with isa(name):
            found.append(run(cell, x=x))
    for other in found[1:]:
        for name in other:
            np.testing.assert_array_equal(found[0][name], other[name], err_msg=name)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(CELLS), st.integers(1, 40), st.integers(1, 70),
       st.lists(st.integers(0, 20), min_size=1, max_size=9))  # fmt: skip
def test_any_sizes_have_the_same_bits_on_every_instruction_set(cell, inputs, hidden, lengths):
    found = []
    for name in native.engine()["available"]:
        with isa(name):
            found.append(run(cell, inputs, hidden, lengths))
    for other in found[1:]:
        same(found[0], other)


@pytest.mark.parametrize("cell", CELLS)
def test_a_row_alone_has_the_bits_that_it_has_in_a_batch_backward_too(cell):
    offsets = offsets_of(LENGTHS)
    x, whole = numbers(1, int(offsets[-1]), 19), run(cell, masked=False)
    main = weights_of(cell, 19, 37)
    packed = native.Packed(
        cell, main.w_ih, main.w_hh, main.b_ih, main.b_hh, backward=True, precision="bfloat16"
    )
    h0, c0 = numbers(2, len(LENGTHS), 37), numbers(3, len(LENGTHS), 37) if cell == "lstm" else None
    dy, dh = numbers(5, len(x), 37), numbers(6, len(LENGTHS), 37)
    for row, (a, b) in enumerate(itertools.pairwise(offsets)):
        states = [h0[row : row + 1], None if c0 is None else c0[row : row + 1]]
        own = np.array([0, b - a], np.int64)
        y, _, _, *saved = native.recur_forward(packed, x[a:b], own, *states, save=True)
        found = native.recur_backward(packed, x[a:b], own, y, *saved, dy[a:b], dh[row : row + 1], h0=states[0],
                                      c0=states[1])  # fmt: skip
        np.testing.assert_array_equal(y, whole["y"][a:b])
        np.testing.assert_array_equal(found["dx"], whole["dx"][a:b])
        np.testing.assert_array_equal(found["dh0"][0], whole["dh0"][row])


def ten_steps(cell):
    """Weights after ten steps of gradient descent through torch."""
    offsets = torch.from_numpy(offsets_of([40, 3, 0, 61, 17, 80]))
    x = torch.from_numpy(numbers(1, int(offsets[-1]), 24))
    weights = as_tensors(weights_of(cell, 24, 48), learn=True)
    leaves = [getattr(weights, name) for name in ("w_ih", "w_hh", "b_ih", "b_hh")]
    for _ in range(10):
        narrow = RecurWeights(cell=cell, w_ih=leaves[0], w_hh=leaves[1], b_ih=leaves[2], b_hh=leaves[3],
                              precision="bfloat16")  # fmt: skip
        y = k.recur(narrow, x, offsets).y
        for leaf, g in zip(leaves, torch.autograd.grad(y, leaves, torch.ones_like(y)), strict=True):
            leaf.data -= 1e-3 * g
    return [leaf.detach().numpy().copy() for leaf in leaves]


@pytest.mark.parametrize("cell", CELLS)
def test_ten_training_steps_have_the_same_bits_with_one_two_and_three_threads(cell):
    found = []
    for count in (1, 2, 3):
        with threads(count):
            found.append(ten_steps(cell))
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert a.tobytes() == b.tobytes()
    assert all(w.dtype == np.float32 for w in found[0])


def test_the_promise_fails_where_the_order_of_a_chain_depends_on_the_instruction_set():
    main, x = weights_of("lstm", 20, 34), numbers(1, 5, 20)
    turned = native.Packed(
        "lstm", in_pairs_turned(main.w_ih), main.w_hh, main.b_ih, main.b_hh, precision="bfloat16"
    )
    straight = native.Packed("lstm", main.w_ih, main.w_hh, main.b_ih, main.b_hh, precision="bfloat16")
    a = native.recur_forward(straight, x, offsets_of([5]))[0]
    b = native.recur_forward(turned, in_pairs_turned(x), offsets_of([5]))[0]
    with pytest.raises(AssertionError):
        same({"y": a}, {"y": b})


@pytest.mark.parametrize("cell", CELLS)
def test_a_folded_table_is_resumed_without_changing_a_bit(cell):
    main, ids = weights_of(cell, 19, 37), np.array([3, 0, 3, 1, 2, 0, 0], np.int64)
    table, offsets = numbers(9, 4, 19), offsets_of([4, 0, 3])
    weights = RecurWeights(cell=cell, w_ih=main.w_ih, w_hh=main.w_hh, b_ih=main.b_ih, b_hh=main.b_hh,
                           precision="bfloat16")  # fmt: skip
    folded = k.fold_embedding(weights, table)
    got = k.recur(weights, None, offsets, preprojected=folded[ids]).y
    assert got.tobytes() == k.recur(weights, table[ids], offsets).y.tobytes()


@pytest.mark.parametrize("cell", CELLS)
def test_the_reference_under_torch_has_near_gradients(cell):
    def gradients():
        weights = as_tensors(weights_of(cell, 19, 37), learn=True)
        leaves = [weights.w_ih, weights.w_hh, weights.b_ih, weights.b_hh]
        narrow = RecurWeights(cell=cell, w_ih=leaves[0], w_hh=leaves[1], b_ih=leaves[2], b_hh=leaves[3],
                              precision="bfloat16")  # fmt: skip
        offsets = torch.from_numpy(offsets_of([12, 4, 7]))
        y = k.recur(narrow, torch.from_numpy(numbers(1, 23, 19)), offsets).y
        return [g.numpy() for g in torch.autograd.grad(y, leaves, torch.from_numpy(numbers(5, 23, 37)))]

    got = gradients()
    with engines.reference_engine():
        want = gradients()
    for a, b in zip(got, want, strict=True):
        assert 0 < relative(a, b) < 0.02


def test_int8_is_refused_for_training_and_bfloat16_for_double():
    weights = as_tensors(weights_of("gru", 4, 5), learn=True)
    main = {name: getattr(weights, name) for name in ("w_ih", "w_hh", "b_ih", "b_hh")}
    x, offsets = torch.zeros(3, 4), torch.tensor([0, 3])
    with pytest.raises(KernelError, match="for inference"):
        k.recur(RecurWeights(cell="gru", precision="int8", **main), x, offsets)
    wide = {name: w.double() for name, w in main.items()}
    with pytest.raises(KernelError, match="wants float32 weights"):
        k.recur(RecurWeights(cell="gru", precision="bfloat16", **wide), x.double(), offsets)


def test_the_engine_says_what_multiplies():
    packed = native.Packed("lstm", *(getattr(weights_of("lstm", 4, 5), n) for n in ("w_ih", "w_hh", "b_ih", "b_hh")),
                           precision="bfloat16")  # fmt: skip
    assert packed.engine.startswith("native, ")
    assert ("bfloat16 products" in packed.engine) == (packed.isa == "avx512")


@pytest.mark.parametrize("cell", CELLS)
def test_zoneout_is_composed_and_keeps_the_promises(cell):
    main, offsets, rate = weights_of(cell, 19, 37), offsets_of([4, 0, 7]), 0.2
    weights = RecurWeights(cell=cell, w_ih=main.w_ih, w_hh=main.w_hh, b_ih=main.b_ih, b_hh=main.b_hh,
                           precision="bfloat16")  # fmt: skip
    x = numbers(1, 11, 19)
    whole = k.recur(weights, x, offsets, zoneout=rate).y
    pre = reference.input_part(NUMPY, weights, x)
    exact = reference.recur(weights, pre, offsets, None, None, Options(zoneout=rate)).y
    assert relative(whole, exact) < 1e-3
    assert relative(whole, k.recur(weights, x, offsets).y) > 1e-2
    assert whole[4:].tobytes() == k.recur(weights, x[4:], offsets_of([7]), zoneout=rate).y.tobytes()
    stepper = k.Stepper([weights], zoneout=rate)
    for token, y in zip(x[4:], whole[4:], strict=True):
        assert stepper.step(token).tobytes() == y.tobytes()
