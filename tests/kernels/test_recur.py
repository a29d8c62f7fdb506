"""The recurrences through `recurra.kernels`: equal to torch.nn, with every option, on both faces."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.cases import CELLS, TOLERANCE, as_tensors, gap, numbers, offsets_of, torch_module, weights_of
from recurra import kernels
from recurra.errors import KernelError
from recurra.kernels import reference
from recurra.kernels.namespace import namespace
from recurra.kernels.reference import Options

LENGTHS = [3, 0, 7, 1, 4]
OPTIONS = ("recurrent_mask", "zoneout", "zoneout_mask", "none")
FORMS = [{}, {"norm": True}, {"zoneout": 0.3}, {"norm": True, "zoneout": 0.3}]
"""Cells: plain, layer-normalised, with zoneout, with both."""


def oracle(weights, x, offsets, options, h0=None, c0=None):
    """The reference in float64 under torch's autograd."""
    pre = reference.input_part(namespace(x), weights, x)
    return reference.recur(weights, pre, offsets, h0, c0, options)


@pytest.mark.parametrize("cell", CELLS)
def test_one_row_equals_torch_nn(cell):
    weights = weights_of(cell, 5, 7, dtype="float64")
    x = numbers(4, 9, 5, dtype="float64")
    output, last = torch_module(weights)(torch.tensor(x)[:, None])
    done = kernels.recur(weights, x, offsets_of([9]))
    last_h = last[0] if cell == "lstm" else last
    assert gap(done.y, output[:, 0]) < 1e-12
    assert gap(done.h, last_h[0]) < 1e-12
    if cell == "lstm":
        assert gap(done.c, last[1][0]) < 1e-12


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=6)
@given(
    lengths=st.lists(st.integers(0, 70), min_size=1, max_size=4).filter(any),
    inputs=st.integers(1, 130),
    units=st.integers(1, 130),
    reverse=st.booleans(),
    initial=st.booleans(),
    zoneout=st.sampled_from([0.0, 0.0, 0.3]),
)
def test_outputs_and_all_gradients_equal_torch_autograd(
    cell, dtype, lengths, inputs, units, reverse, initial, zoneout
):
    options = Options(reverse=reverse, zoneout=zoneout)
    check_gradients(cell, dtype, lengths, inputs, units, options, initial=initial)


# a relu may sit on its kink, where float32 and float64 disagree about the gradient
@pytest.mark.parametrize(
    ("cell", "dtype"), sorted({*itertools.product(CELLS, TOLERANCE)} - {("rnn_relu", "float32")})
)
@settings(max_examples=6)
@given(
    lengths=st.lists(st.integers(0, 20), min_size=1, max_size=4).filter(any),
    inputs=st.integers(8, 130),
    units=st.integers(8, 130),
    reverse=st.booleans(),
    zoneout=st.sampled_from([0.0, 0.3]),
)
def test_of_normalised_cells_too(cell, dtype, lengths, inputs, units, reverse, zoneout):
    # a norm over a few numbers divides by differences that float32 hardly knows
    options = Options(reverse=reverse, zoneout=zoneout)
    check_gradients(cell, dtype, lengths, inputs, units, options, norm=True)


def check_gradients(cell, dtype, lengths, inputs, units, options, *, initial=True, norm=False):
    offsets = offsets_of(lengths)
    plain = weights_of(cell, inputs, units, dtype=dtype, norm=norm)
    x = numbers(5, int(offsets[-1]), inputs, dtype=dtype)
    states = [numbers(6 + k, len(lengths), units, dtype=dtype) for k in range(2)] if initial else []
    found, exact = [], []
    for exactly, out in ((False, found), (True, exact)):
        kind = torch.float64 if exactly else torch.from_numpy(x).dtype
        weights = as_tensors(plain, learn=True)
        leaves = [torch.tensor(x, requires_grad=True)]
        leaves += [torch.tensor(s, requires_grad=True) for s in states[: 2 if cell == "lstm" else 1]]
        leaves += [getattr(weights, k) for k in ("w_ih", "w_hh", "b_ih", "b_hh")]
        if norm:
            leaves += [g for g in vars(weights.norm).values() if g is not None]
        cast = {id(leaf): leaf.to(kind) for leaf in leaves}
        run = run_with(weights, cast, leaves, offsets, options, exactly, initial)
        outputs = [part for part in (run.y, run.h, run.c) if part is not None]
        weighed = [(part * torch.tensor(numbers(20, *part.shape)).to(kind)).sum() for part in outputs]
        torch.stack(weighed).sum().backward()
        out += [*outputs, *(leaf.grad for leaf in leaves)]
    for ours, theirs in zip(found, exact, strict=True):
        if theirs is None:
            assert ours is None or not ours.any()
        else:
            assert ours is not None
            assert gap(ours, theirs, floor=1.0) < TOLERANCE[dtype]


def run_with(weights, cast, leaves, offsets, options, exactly, initial):
    def of(t):
        return None if t is None else cast[id(t)]

    norm = weights.norm
    if norm is not None:
        norm = kernels.NormWeights(**{k: of(v) for k, v in vars(norm).items()})
    main = {k: of(getattr(weights, k)) for k in ("w_ih", "w_hh", "b_ih", "b_hh")}
    turned = kernels.RecurWeights(cell=weights.cell, norm=norm, **main)
    x = of(leaves[0])
    h0 = of(leaves[1]) if initial else None
    c0 = of(leaves[2]) if initial and weights.cell == "lstm" else None
    kind = x.dtype
    masks = {
        name: None if getattr(options, name) is None else torch.tensor(getattr(options, name)).to(kind)
        for name in ("recurrent_mask", "zoneout_mask")
    }
    if exactly:
        how = Options(reverse=options.reverse, cell_clip=options.cell_clip, zoneout=options.zoneout, **masks)
        return oracle(turned, x, offsets, how, h0, c0)
    return kernels.recur(
        turned,
        x,
        torch.from_numpy(offsets),
        h0=h0,
        c0=c0,
        reverse=options.reverse,
        cell_clip=options.cell_clip,
        zoneout=options.zoneout,
        **masks,
    )


@pytest.mark.parametrize(("cell", "option"), [*itertools.product(CELLS, OPTIONS), ("lstm", "cell_clip")])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("norm", [False, True])
def test_every_option_has_the_gradients_of_the_reference(cell, reverse, option, norm):
    offsets, units = offsets_of(LENGTHS), 17
    zones = 2 * units if cell == "lstm" else units
    given = {
        "recurrent_mask": {"recurrent_mask": kernels.dropout_mask((len(LENGTHS), units), 0.4, 3)},
        "zoneout": {"zoneout": 0.3},
        "zoneout_mask": {"zoneout_mask": (numbers(8, int(offsets[-1]), zones) > 0.5).astype("float32")},
        "none": {},
        "cell_clip": {"cell_clip": 0.3},
    }[option]
    options = Options(reverse=reverse, **given)
    check_gradients(cell, "float32", LENGTHS, 6, units, options, norm=norm)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("reverse", [False, True])
def test_gates_and_cells_are_those_of_the_reference(cell, form, reverse):
    weights, rate = weights_of(cell, 6, 19, dtype="float64", norm="norm" in form), form.get("zoneout", 0.0)
    offsets = offsets_of(LENGTHS)
    x = numbers(5, int(offsets[-1]), 6, dtype="float64")
    ours = kernels.recur(weights, x, offsets, reverse=reverse, zoneout=rate, gates=True)
    exact = oracle(weights, x, offsets, Options(reverse=reverse, zoneout=rate, gates=True))
    for name in ("y", "h", "c", "gates", "cells", "linear"):
        a, b = getattr(ours, name), getattr(exact, name)
        assert (a is None) == (b is None), name
        assert a is None or gap(a, b) < 1e-12


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_empty_rows_keep_their_initial_state(cell, form):
    weights, rate = weights_of(cell, 4, 9, norm="norm" in form), form.get("zoneout", 0.0)
    h0 = numbers(3, 3, 9)
    done = kernels.recur(weights, numbers(2, 5, 4), offsets_of([0, 5, 0]), h0=h0, zoneout=rate)
    assert np.array_equal(done.h[[0, 2]], h0[[0, 2]])
    nothing = kernels.recur(weights, np.zeros((0, 4), np.float32), offsets_of([0, 0, 0]), zoneout=rate)
    assert nothing.y.shape == (0, 9)
    assert not nothing.h.any()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_folding_the_embedding_changes_no_bit(cell, form):
    weights, rate = weights_of(cell, 12, 21, norm="norm" in form), form.get("zoneout", 0.0)
    table, ids = numbers(7, 30, 12), np.arange(11, dtype=np.int64) * 7 % 30
    offsets = offsets_of([4, 0, 7])
    folded = kernels.fold_embedding(weights, table)
    chains = kernels.gather_rows(folded, ids)
    resumed = kernels.recur(weights, None, offsets, preprojected=chains, zoneout=rate)
    whole = kernels.recur(weights, kernels.embed(ids, table), offsets, zoneout=rate)
    assert np.array_equal(resumed.y, whole.y)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_steps_gradients_are_the_whole_gradient_at_each_state(cell, form):
    rate = form.get("zoneout", 0.0)
    weights = as_tensors(weights_of(cell, 5, 8, dtype="float64", norm="norm" in form), learn=True)
    x = torch.tensor(numbers(2, 6, 5, dtype="float64"))
    with kernels.watch_steps() as seen:
        kernels.recur(weights, x, torch.tensor(offsets_of([6])), zoneout=rate).h.sum().backward()
    (step,) = seen
    pre = reference.input_part(namespace(x), weights, x)
    state, states = torch.zeros(1, 8, dtype=torch.float64), []
    cell_state = torch.zeros(1, 8, dtype=torch.float64) if cell == "lstm" else None
    for t in range(6):
        made = reference.step(namespace(x), weights, pre[t : t + 1], state, cell_state, None, None)
        state, cell_state = reference.zoned(weights, made, state, cell_state, rate, None)
        state.retain_grad()
        states.append(state)
    state.sum().backward()
    assert step.w_hh is weights.w_hh
    assert gap(step.gradients, torch.cat([s.grad for s in states])) < 1e-12


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_both_faces_give_the_same_bits(cell, form):
    weights = weights_of(cell, 6, 20, norm="norm" in form)
    x, offsets, rate = numbers(3, 15, 6), offsets_of(LENGTHS), form.get("zoneout", 0.0)
    ours = kernels.recur(weights, x, offsets, zoneout=rate)
    theirs = kernels.recur(
        as_tensors(weights, learn=True), torch.tensor(x), torch.tensor(offsets), zoneout=rate
    )
    if not kernels.engine()["native"]:
        pytest.skip("without the native engine torch computes with its own bits")
    assert np.array_equal(ours.y, theirs.y.detach().numpy())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": np.array([0, 4, 2, 6])}, "offsets must n"),
        ({"offsets": np.array([0, 3])}, "offsets must .*end at"),
        ({"offsets": np.array([1, 6])}, "offsets must begin"),
        ({"offsets": np.array([0, 6], np.int32)}, "offsets must be int64"),
        ({"x": np.zeros((6, 4), np.float32)}, "x must have shape"),
        ({"x": np.zeros((6, 3), np.float64)}, "w_ih must have the dtype of x"),
        ({"x": np.zeros((6, 3), np.int64)}, "x must be float32"),
        ({"x": [[1.0]]}, "x must be a NumPy array or a torch tensor"),
        ({"h0": np.zeros((2, 5), np.float32)}, "h0 must have shape"),
        ({"c0": np.zeros((1, 5), np.float32)}, "c0 is for an lstm"),
        ({"cell_clip": 1.0}, "cell_clip is for an lstm"),
        ({"zoneout": 1.0}, "zoneout must be at least 0 and below 1"),
        ({"recurrent_mask": np.zeros((1, 4), np.float32)}, "recurrent_mask must have shape"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(change, message):
    given = {"x": np.zeros((6, 3), np.float32), "offsets": np.array([0, 6]), **change}
    x, offsets = given.pop("x"), given.pop("offsets")
    with pytest.raises(KernelError, match=message):
        kernels.recur(weights_of("gru", 3, 5), x, offsets, **given)
