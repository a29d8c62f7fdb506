"""The promise, bit for bit: alone = in a batch = permuted = step by step, whatever the threads and the vectors."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools

import numpy as np
import pytest

native = pytest.importorskip("recurra._native", reason="the C++ kernels are not built")

GATES = {"rnn": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}
CELLS = tuple(GATES)
KINDS = (*CELLS, *(f"{cell} {form}" for cell in CELLS for form in ("norm", "zoneout")))
"""The cells: plain, layer-normalised, and with zoneout."""
LENGTHS = [9, 1, 0, 17, 5, 5, 30, 2, 12, 3, 1, 8, 22, 4]


def weights(cell, inputs, hidden, seed=0):
    rng = np.random.default_rng(seed)
    rows = GATES[cell] * hidden
    shapes = ((rows, inputs), (rows, hidden), (rows,), (rows,))
    return [rng.uniform(-0.3, 0.3, shape).astype(np.float32) for shape in shapes]


def pack(kind, inputs, hidden, seed=0, **sides):
    cell, _, form = kind.partition(" ")
    gains, sizes = {}, {"gain_x": GATES[cell] * hidden, "gain_h": GATES[cell] * hidden}
    if form == "norm":
        rng = np.random.default_rng(seed + 100)
        sizes |= {"gain_c": hidden, "bias_c": hidden} if cell == "lstm" else {}
        gains = {name: rng.uniform(0.5, 1.5, size).astype(np.float32) for name, size in sizes.items()}
    return native.Packed(cell, *weights(cell, inputs, hidden, seed), **gains, **sides)


def rate(kind):
    """The keyword that a cell of this kind runs with."""
    return {"zoneout": 0.2} if kind.endswith("zoneout") else {}


def batch(lengths, inputs, seed=1):
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return np.random.default_rng(seed).normal(size=(offsets[-1], inputs)).astype(np.float32), offsets


def rows_of(x, offsets):
    return [x[a:b] for a, b in itertools.pairwise(offsets)]


def assert_same(a, b):
    np.testing.assert_array_equal(
        np.ascontiguousarray(a).view(np.uint32), np.ascontiguousarray(b).view(np.uint32)
    )


@contextlib.contextmanager
def threads(n):
    before = native.get_num_threads()
    native.set_num_threads(n)
    try:
        yield
    finally:
        native.set_num_threads(before)


@contextlib.contextmanager
def isa(name):
    before = native.engine()["isa"]
    native.set_isa(name)
    try:
        yield
    finally:
        native.set_isa(before)


def assert_alone_is_in_a_batch(run, kind, inputs, hidden):
    x, offsets = batch(LENGTHS, inputs)
    packed = pack(kind, inputs, hidden)
    whole = rows_of(run(packed, x, offsets, **rate(kind)), offsets)
    for row, tokens in enumerate(rows_of(x, offsets)):
        alone = run(packed, np.ascontiguousarray(tokens), np.array([0, len(tokens)]), **rate(kind))
        assert_same(alone, whole[row])


def forward(packed, x, offsets, **how):
    return native.recur_forward(packed, x, offsets, **how)[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("inputs", "hidden"), [(3, 5), (20, 16), (33, 100), (100, 128), (7, 65)])
def test_a_row_alone_has_the_bits_that_it_has_in_a_batch(kind, inputs, hidden):
    assert_alone_is_in_a_batch(forward, kind, inputs, hidden)


def test_the_promise_fails_for_a_matrix_product_that_depends_on_the_batch():
    def sabotaged(packed, x, offsets, **how):
        return forward(packed, x, offsets, **how) * np.float32(1 + 1e-6 * (len(offsets) > 2))

    for kind in ("lstm", "gru norm", "rnn zoneout"):
        with pytest.raises(AssertionError):
            assert_alone_is_in_a_batch(sabotaged, kind, 20, 16)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reverse", [False, True])
def test_permuting_the_batch_permutes_the_bits(kind, reverse):
    x, offsets = batch(LENGTHS, 20)
    packed = pack(kind, 20, 48)
    order = np.random.default_rng(3).permutation(len(LENGTHS))
    pieces = rows_of(x, offsets)
    moved = np.concatenate([pieces[i] for i in order])
    there = np.concatenate([[0], np.cumsum([LENGTHS[i] for i in order])]).astype(np.int64)
    y, h, *_ = native.recur_forward(packed, x, offsets, reverse=reverse, **rate(kind))
    y2, h2, *_ = native.recur_forward(packed, moved, there, reverse=reverse, **rate(kind))
    assert_same(y2, np.concatenate([rows_of(y, offsets)[i] for i in order]))
    assert_same(h2, h[order])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden", [5, 48, 128])
def test_streamed_with_carried_state_has_the_bits_of_the_whole(kind, hidden):
    x, _ = batch([23], 20)
    packed = pack(kind, 20, hidden)
    whole, h, c, *_ = native.recur_forward(packed, x, np.array([0, 23]), **rate(kind))
    state: list = [None, None]
    for begin, end in [(0, 1), (1, 8), (8, 8), (8, 23)]:
        part = np.array([0, end - begin])
        y, *state = native.recur_forward(packed, x[begin:end], part, *state, **rate(kind))[:3]
        assert_same(y, whole[begin:end])
    assert_same(state[0], h)
    if c is not None:
        assert_same(state[1], c)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("inputs", "hidden"), [(20, 5), (33, 100), (100, 128), (7, 65), (4, 200)])
def test_the_stepper_has_the_bits_of_the_whole(kind, inputs, hidden):
    x, offsets = batch([11], inputs)
    stack = [
        pack(kind, inputs, hidden),
        pack(kind, hidden, hidden, 5),
    ]
    how = rate(kind)
    whole = forward(stack[1], forward(stack[0], x, offsets, **how), offsets, **how)
    stepper = native.Stepper(stack, **how)
    for t in range(11):
        assert_same(stepper.step(x[t])[0], whole[t])


@pytest.mark.parametrize("kind", KINDS)
def test_streams_of_a_stepper_advance_alone_together_and_in_part(kind):
    stack = [pack(kind, 20, 48), pack(kind, 48, 48, 5)]
    how = rate(kind)
    together, alone = native.Stepper(stack, 7, **how), [native.Stepper(stack, **how) for _ in range(7)]
    rng = np.random.default_rng(0)
    for subset in (range(7), [3], [6, 0, 2], range(7), [5, 4]):
        index = np.array(list(subset))
        x = rng.normal(size=(len(index), 20)).astype(np.float32)
        y = together.step(x, index).copy()
        for place, row in enumerate(index):
            assert_same(y[place], alone[row].step(x[place])[0])
    state = together.state()
    for row in range(7):
        assert_same(state[:, :, row], alone[row].state()[:, :, 0])
    again = native.Stepper(stack, 7, **how)
    again.load(state)
    x = rng.normal(size=(7, 20)).astype(np.float32)
    assert_same(again.step(x).copy(), together.step(x))
    again.reset(np.array([1]))
    assert not again.state()[:, :, 1].any()
    assert again.state()[:, :, 0].any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_chain_taken_earlier_is_resumed_without_changing_a_bit(kind):
    x, offsets = batch(LENGTHS, 37)
    packed = pack(kind, 37, 50)
    chains = native.recur_project(packed, x)
    resumed = native.recur_forward(packed, chains, offsets, preprojected=True, **rate(kind))
    assert_same(resumed[0], forward(packed, x, offsets, **rate(kind)))


def everything(kind, reverse=False):
    x, offsets = batch([*LENGTHS, 200, 150, 90], 33)
    packed = pack(kind, 33, 70, backward=True)
    rng = np.random.default_rng(9)
    hows = [rate(kind) | {"reverse": reverse}]
    if kind.endswith("zoneout"):
        width = 140 if kind.startswith("lstm") else 70
        hows.append(
            {"zoneout_mask": rng.integers(0, 2, (len(x), width)).astype(np.float32), "reverse": reverse}
        )
    found = []
    for how in hows:
        saved = native.recur_forward(packed, x, offsets, save=True, **how)
        y, _h, _c, gates, cells, extra = saved
        dy = rng.normal(size=y.shape).astype(np.float32)
        grads = native.recur_backward(packed, x, offsets, y, gates, cells, extra, dy, steps=True, **how)
        found += [a for a in (*saved, *grads.values()) if a is not None]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_forward_and_gradients_have_the_same_bits_with_one_two_and_three_threads(kind):
    with threads(1):
        expected = everything(kind)
    for n in (2, 3):
        with threads(n):
            for a, b in zip(everything(kind), expected, strict=True):
                assert_same(a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_every_instruction_set_has_the_same_bits(kind):
    results = {}
    for name in native.engine()["available"]:
        with isa(name):
            results[name] = everything(kind)
    expected = results.pop("portable")
    for name, got in results.items():
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_array_equal(a.view(np.uint32), b.view(np.uint32), err_msg=name)


def test_saving_gates_does_not_change_the_answer():
    x, offsets = batch(LENGTHS, 20)
    for kind in KINDS:
        packed = pack(kind, 20, 48)
        saved = forward(packed, x, offsets, save=True, **rate(kind))
        assert_same(saved, forward(packed, x, offsets, **rate(kind)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_with_a_nan_does_not_touch_its_neighbours(kind):
    x, offsets = batch([5] * 9, 20)
    packed = pack(kind, 20, 48)
    clean = forward(packed, x, offsets, **rate(kind))
    x[22] = np.nan
    y = forward(packed, x, offsets, **rate(kind))
    keep = np.ones(45, bool)
    keep[22:25] = False
    assert_same(y[keep], clean[keep])
    assert np.isnan(y[22:25]).all()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("rnn_relu")])
def test_huge_inputs_saturate(kind):
    packed = pack(kind, 4, 20)
    x = np.array([[1e30, -1e30, 3e38, 1e38], [-1e30, 1e30, 1e38, -3e38]], np.float32)
    if kind.endswith("norm"):
        x *= np.float32(1e-21)  # what is normalised is squared
    y = forward(packed, x, np.array([0, 2]), **rate(kind))
    assert np.isfinite(y).all()
    assert np.abs(y).max() <= 1


LARGE = {"rnn": 400, "rnn_relu": 400, "lstm": 205, "gru": 232}
"""Units whose recurrent weights exceed a core's second-level cache: threads walk the same rows, panels divided."""


def all_parts(packed, x, offsets, **how):
    return [part for part in native.recur_forward(packed, x, offsets, save=True, **how) if part is not None]


def assert_threads_do_not_matter_to_large_weights(run, cell, precision, reverse):
    units = LARGE[cell] + (96 if precision == "bfloat16" else 0)
    lengths = [3, 0, 7, 1, 2, 7, 1]
    x, offsets = batch(lengths, 20)
    packed = native.Packed(cell, *weights(cell, 20, units), precision=precision)
    rng = np.random.default_rng(4)
    rows = (len(lengths), units)
    how = {"h0": rng.normal(size=rows).astype(np.float32), "reverse": reverse}
    how["recurrent_mask"] = rng.integers(0, 2, rows).astype(np.float32) * 2
    if cell == "lstm":
        how |= {"c0": rng.normal(size=rows).astype(np.float32), "cell_clip": 0.7}
    with threads(1):
        alone = run(packed, x, offsets, **how)
    for count in (2, 3, 5):
        with threads(count):
            for a, b in zip(run(packed, x, offsets, **how), alone, strict=True):
                assert_same(a, b)
            last = rows_of(x, offsets)[-2]
            one = native.recur_forward(packed, np.ascontiguousarray(last), np.array([0, len(last)]))
        with threads(1):
            for a, b in zip(one, native.recur_forward(packed, last, np.array([0, len(last)])), strict=True):
                assert a is b is None or assert_same(a, b) is None


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("reverse", [False, True])
def test_threads_that_walk_rows_together_have_the_bits_of_one(cell, precision, reverse):
    assert_threads_do_not_matter_to_large_weights(all_parts, cell, precision, reverse)


def test_the_promise_fails_where_a_thread_adds_its_share():
    def sabotaged(packed, x, offsets, **how):
        factor = np.float32(1 + 1e-6 * (native.get_num_threads() > 1))
        return [part * factor for part in all_parts(packed, x, offsets, **how)]

    with pytest.raises(AssertionError):
        assert_threads_do_not_matter_to_large_weights(sabotaged, "gru", "float32", False)


def test_several_callers_at_once_walk_large_weights_with_the_same_bits():
    x, offsets = batch([6, 2, 5], 20)
    packed = native.Packed("gru", *weights("gru", 20, LARGE["gru"]))
    with threads(2):
        expected = forward(packed, x, offsets)
        with concurrent.futures.ThreadPoolExecutor(3) as callers:
            for y in callers.map(lambda _: forward(packed, x, offsets), range(30)):
                assert_same(y, expected)
