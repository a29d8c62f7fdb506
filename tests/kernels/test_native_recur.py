"""The C++ recurrences against torch.nn in float64: outputs, states and every gradient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

native = pytest.importorskip("recurra._native", reason="the C++ kernels are not built")
torch = pytest.importorskip("torch", reason="torch is the oracle of these tests")

GATES = {"rnn": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}
CELLS = tuple(GATES)


class Case:
    """Weights, rows and upstream gradients of one recurrence."""

    def __init__(self, cell, inputs, hidden, lengths, seed=0, dtype=np.float32):
        rng = np.random.default_rng(seed)
        # small enough that no gate saturates: there 1 - y*y is a difference of equals, in any float32
        rows, bound = GATES[cell] * hidden, 0.7 * max(inputs, hidden) ** -0.5
        shapes = ((rows, inputs), (rows, hidden), (rows,), (rows,))
        self.cell, self.lengths = cell, list(lengths)
        self.weights = [rng.uniform(-bound, bound, shape).astype(dtype) for shape in shapes]
        self.offsets = np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int64)
        n, s = int(self.offsets[-1]), len(self.lengths)
        self.x = rng.normal(size=(n, inputs)).astype(dtype)
        self.h0, self.c0, self.dh, self.dc = (rng.normal(size=(s, hidden)).astype(dtype) for _ in range(4))
        self.dy = rng.normal(size=(n, hidden)).astype(dtype)
        self.packed = native.Packed(cell, *self.weights, backward=True)

    @property
    def is_lstm(self):
        return self.cell == "lstm"

    def forward(self, **options):
        c0 = self.c0 if self.is_lstm else None
        return native.recur_forward(self.packed, self.x, self.offsets, self.h0, c0, **options)

    def backward(self, saved, **options):
        y, _, _, gates, cells, extra = saved
        c0, dc = (self.c0, self.dc) if self.is_lstm else (None, None)
        return native.recur_backward(
            self.packed, self.x, self.offsets, y, gates, cells, extra, self.dy, self.dh, dc,
            h0=self.h0, c0=c0, **options,
        )  # fmt: skip


def oracle(case, reverse):
    """torch.nn's own module, one row at a time, in float64."""
    kind = {"rnn": torch.nn.RNN, "rnn_relu": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[
        case.cell
    ]
    extra = {"nonlinearity": "relu"} if case.cell == "rnn_relu" else {}
    module = kind(case.x.shape[1], case.h0.shape[1], **extra).double()
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    with torch.no_grad():
        for name, weight in zip(names, case.weights, strict=True):
            getattr(module, name).copy_(torch.from_numpy(weight))
    x, h0, c0 = (torch.from_numpy(a).double().requires_grad_() for a in (case.x, case.h0, case.c0))
    ys, hs, cs = [], [], []
    for row, (begin, end) in enumerate(zip(case.offsets, case.offsets[1:], strict=False)):
        h, c = h0[row : row + 1], c0[row : row + 1]
        tokens = x[begin:end]
        if end > begin:
            y, state = module(tokens.flip(0) if reverse else tokens, (h, c) if case.is_lstm else h)
            ys.append(y.flip(0) if reverse else y)
            h, c = state if case.is_lstm else (state, c)
        hs.append(h)
        cs.append(c)
    y = torch.cat(ys) if ys else x.new_zeros(0, h0.shape[1])
    h, c = torch.cat(hs), torch.cat(cs)
    loss = (y * torch.from_numpy(case.dy)).sum() + (h * torch.from_numpy(case.dh)).sum()
    if case.is_lstm:
        loss = loss + (c * torch.from_numpy(case.dc)).sum()
    wanted = [x, *(getattr(module, name) for name in names), h0, *([c0] if case.is_lstm else [])]
    grads = torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)
    keys = ("dx", "dw_ih", "dw_hh", "db_ih", "db_hh", "dh0", "dc0")
    return y, h, c, dict(zip(keys, (g.numpy() for g in grads), strict=False))


def error(got, want):
    want = want.detach().numpy() if isinstance(want, torch.Tensor) else want
    if want.size == 0:
        return 0.0
    return float(np.abs(got - want).max() / max(float(np.abs(want).max()), 1e-20))


def assert_matches_torch(case, reverse, tolerance):
    saved = case.forward(reverse=reverse, save=True)
    grads = case.backward(saved, reverse=reverse)
    y, h, c, wanted = oracle(case, reverse)
    assert error(saved[0], y) <= tolerance
    assert error(saved[1], h) <= tolerance
    if case.is_lstm:
        assert error(saved[2], c) <= tolerance
    for key, want in wanted.items():
        assert error(grads[key], want) <= tolerance, key


SHAPES = [(1, 1, [3]), (5, 7, [4, 0, 9, 1]), (100, 128, [6] * 7), (17, 33, [20, 3, 3, 0, 11, 1]), (3, 130, [5] * 13),
          (64, 64, [2] * 40), (20, 16, [70, 40])]  # fmt: skip


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("inputs", "hidden", "lengths"), SHAPES)
def test_outputs_states_and_gradients_are_those_of_torch(cell, inputs, hidden, lengths):
    for reverse in (False, True):
        assert_matches_torch(Case(cell, inputs, hidden, lengths), reverse, 1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_in_double_the_gradients_are_those_of_torch_to_twelve_digits(cell):
    assert_matches_torch(Case(cell, 5, 19, [4, 0, 9, 1], dtype=np.float64), False, 1e-12)


@settings(max_examples=12, deadline=None)
@given(
    cell=st.sampled_from(CELLS),
    inputs=st.integers(1, 130),
    hidden=st.integers(1, 130),
    lengths=st.lists(st.integers(0, 70), min_size=1, max_size=4),
    seed=st.integers(0, 2**16),
    reverse=st.booleans(),
)
def test_any_sizes_and_lengths_match_torch(cell, inputs, hidden, lengths, seed, reverse):
    # a relu row may sit on the kink, where float and double disagree about the gradient
    case = Case(cell, inputs, hidden, [min(n, 12) for n in lengths] if cell == "rnn_relu" else lengths, seed)
    if cell == "rnn_relu":
        assert error(case.forward(reverse=reverse)[0], oracle(case, reverse)[0]) <= 1e-5
    else:
        assert_matches_torch(case, reverse, 1e-5)


def test_the_comparison_notices_a_wrong_gate_order():
    case = Case("lstm", 4, 8, [5, 3])
    case.packed = native.Packed("lstm", *(np.ascontiguousarray(w[::-1]) for w in case.weights), backward=True)
    with pytest.raises(AssertionError):
        assert_matches_torch(case, False, 1e-5)


def test_gates_and_cells_are_those_of_the_equations():
    case = Case("lstm", 6, 10, [4, 7])
    y, _, _, gates, cells, _ = case.forward(save=True)
    i, f, g, o = np.split(gates, 4, axis=1)
    before = np.concatenate([case.c0[:1], cells[:3], case.c0[1:], cells[4:-1]])
    np.testing.assert_allclose(cells, f * before + i * g, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(y, o * np.tanh(cells), rtol=1e-5, atol=1e-6)


def test_cell_clip_clamps_and_passes_no_gradient_where_it_is_active():
    case = Case("lstm", 4, 8, [6, 9])
    saved = case.forward(save=True, cell_clip=0.05)
    assert np.abs(saved[4]).max() <= np.float32(0.05)
    loose = case.backward(case.forward(save=True, cell_clip=1e6), cell_clip=1e6)
    free = case.backward(case.forward(save=True))
    np.testing.assert_array_equal(loose["dx"], free["dx"])
    assert np.abs(case.backward(saved, cell_clip=0.05)["dc0"]).max() < np.abs(free["dc0"]).max()


@pytest.mark.parametrize("cell", CELLS)
def test_a_recurrent_mask_of_ones_changes_nothing_and_of_zeros_cuts_the_recurrent_product(cell):
    case = Case(cell, 5, 20, [7, 2, 0, 4])
    ones, zeros = np.ones_like(case.h0), np.zeros_like(case.h0)
    np.testing.assert_array_equal(case.forward(recurrent_mask=ones)[0], case.forward()[0])
    cut = case.backward(case.forward(recurrent_mask=zeros, save=True), recurrent_mask=zeros)
    assert not cut["dw_hh"].any()


def test_step_gradients_at_the_last_token_are_dy_plus_dh():
    case = Case("gru", 3, 5, [4])
    steps = case.backward(case.forward(save=True), steps=True)["steps"]
    np.testing.assert_array_equal(steps[-1], case.dh[0] + case.dy[-1])


def test_gradients_not_asked_for_are_none():
    case = Case("lstm", 3, 5, [4])
    grads = case.backward(case.forward(save=True), need_dx=False, need_weights=False)
    assert grads["dx"] is None
    assert grads["dw_ih"] is None
    assert grads["steps"] is None
    assert grads["dh0"].shape == (1, 5)
