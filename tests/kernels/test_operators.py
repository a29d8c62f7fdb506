"""Every operator beside the recurrences: values and gradients equal to torch's in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from kernels.cases import TOLERANCE, gap, numbers, offsets_of
from recurra import kernels as k
from recurra.kernels import optimizing, reference_operators

LENGTHS = [3, 0, 7, 1, 300]
PLACES = torch.tensor(offsets_of(LENGTHS))
TOKENS = int(PLACES[-1])
TARGETS = torch.arange(TOKENS) % 5
SHARES = torch.tensor(numbers(30, TOKENS, 5)).abs().clamp(0, 1)
IDS = torch.tensor((np.arange(900) ** 2 % 37).astype(np.int64))


def pooled(kind):
    def theirs(x, *scores):
        rows = x.split(LENGTHS)
        if kind == "attention":
            shares = [s.softmax(0) for s in scores[0].split(LENGTHS)]
            return torch.stack([(a[:, None] * r).sum(0) for a, r in zip(shares, rows, strict=True)])
        pick = (lambda r: r.mean(0)) if kind == "mean" else (lambda r: r.max(0).values)
        return torch.stack([pick(r) if len(r) else r.sum(0) for r in rows])

    return theirs


# name: (ours, torch's in float64, shapes of the inputs)
CASES = {
    "dense": (
        lambda x, w, b: k.dense(x, w, b),
        lambda x, w, b: functional.linear(x, w, b),
        [(TOKENS, 37), (70, 37), (70,)],
    ),
    "dense_one": (lambda x, w: k.dense(x, w), lambda x, w: functional.linear(x, w), [(600, 130), (1, 130)]),
    "dense_wide": (
        lambda x, w: k.dense(x, w),
        lambda x, w: functional.linear(x, w),
        [(13, 1500), (17, 1500)],
    ),
    "embed": (lambda t: k.embed(IDS, t), lambda t: functional.embedding(IDS, t), [(40, 21)]),
    "gather_rows": (lambda x: k.gather_rows(x, IDS), lambda x: x[IDS], [(37, 9)]),
    "pool_mean": (lambda x: k.pool_mean(x, PLACES), pooled("mean"), [(TOKENS, 35)]),
    "pool_max": (lambda x: k.pool_max(x, PLACES), pooled("max"), [(TOKENS, 35)]),
    "pool_attention": (
        lambda x, s: k.pool_attention(x, PLACES, s),
        pooled("attention"),
        [(TOKENS, 35), (TOKENS,)],
    ),
    "layer_norm": (
        lambda x, g, b: k.layer_norm(x, g, b),
        lambda x, g, b: functional.layer_norm(x, (35,), g, b),
        [(TOKENS, 35), (35,), (35,)],
    ),
    "sigmoid": (k.sigmoid, torch.sigmoid, [(7, 3, 5)]),
    "tanh": (k.tanh, torch.tanh, [(77,)]),
    "relu": (k.relu, torch.relu, [(77, 5)]),
    "exp": (k.exp, torch.exp, [(77, 5)]),
    "softplus": (k.softplus, functional.softplus, [(77, 5)]),
    "softmax": (k.softmax, lambda x: x.softmax(-1), [(77, 3, 35)]),
    "log_softmax": (k.log_softmax, lambda x: x.log_softmax(-1), [(77, 35)]),
    "logsumexp": (k.logsumexp, lambda x: x.logsumexp(-1), [(77, 35)]),
    "cross_entropy": (
        lambda x: k.cross_entropy(x, TARGETS),
        lambda x: functional.cross_entropy(x, TARGETS, reduction="none"),
        [(TOKENS, 5)],
    ),
    "cross_entropy_all": (
        lambda x: k.cross_entropy(x, TARGETS, torch.arange(1, 6).to(x.dtype), 0.1),
        lambda x: functional.cross_entropy(
            x, TARGETS, torch.arange(1, 6).to(x.dtype), reduction="none", label_smoothing=0.1
        ),
        [(TOKENS, 5)],
    ),
    "binary_cross_entropy": (
        lambda x: k.binary_cross_entropy(x, SHARES.to(x.dtype)),
        lambda x: functional.binary_cross_entropy_with_logits(x, SHARES.to(x.dtype), reduction="none"),
        [(TOKENS, 5)],
    ),
    "binary_cross_entropy_weighted": (
        lambda x: k.binary_cross_entropy(x, SHARES.to(x.dtype), torch.arange(1, 6).to(x.dtype)),
        lambda x: functional.binary_cross_entropy_with_logits(
            x, SHARES.to(x.dtype), reduction="none", pos_weight=torch.arange(1, 6).to(x.dtype)
        ),
        [(TOKENS, 5)],
    ),
    "squared_error": (k.squared_error, lambda a, b: (a - b) ** 2, [(50, 3), (50, 3)]),
    "absolute_error": (k.absolute_error, lambda a, b: (a - b).abs(), [(50, 3), (50, 3)]),
    "huber": (
        lambda a, b: k.huber(a, b, 0.7),
        lambda a, b: functional.huber_loss(a, b, delta=0.7, reduction="none"),
        [(50, 3), (50, 3)],
    ),
    "weighted_mean": (k.weighted_mean, lambda v: v.mean(), [(700,)]),
    "weighted_mean_weighted": (
        lambda v: k.weighted_mean(v, SHARES.to(v.dtype)),
        lambda v: (v * SHARES).sum() / SHARES.double().sum(),
        [(TOKENS, 5)],
    ),
    "block_sum": (k.block_sum, lambda x: x.sum(0), [(700, 5)]),
    "block_sum_flat": (k.block_sum, lambda x: x.sum(0), [(700,)]),
    "concat_features": (
        lambda a, b, c: k.concat_features([a, b, c]),
        lambda a, b, c: torch.cat([a, b, c], 1),
        [(50, 3), (50, 20), (50, 1)],
    ),
    "add": (k.add, torch.add, [(50, 7), (50, 7)]),
    "add_row": (k.add, torch.add, [(50, 7), (7,)]),
    "mul": (k.mul, torch.mul, [(50, 7), (50, 7)]),
    "mul_row": (k.mul, torch.mul, [(50, 7), (7,)]),
    "scale": (lambda x: k.scale(x, -1.7), lambda x: x * -1.7, [(50, 7)]),
    "dropout": (
        lambda x: k.dropout(x, 0.4, 5),
        lambda x: x * torch.tensor(k.dropout_mask((50, 7), 0.4, 5)),
        [(50, 7)],
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_gradients_equal_torch(name, dtype):
    ours, theirs, shapes = CASES[name]
    inputs = [numbers(place, *shape, dtype=dtype) for place, shape in enumerate(shapes)]
    answers = []
    for run, kind in ((ours, getattr(torch, dtype)), (theirs, torch.float64)):
        leaves = [torch.tensor(x).to(kind).requires_grad_() for x in inputs]
        y = run(*leaves)
        y.backward(torch.tensor(numbers(99, *y.shape)).to(kind))
        answers.append([y, *(leaf.grad for leaf in leaves)])
    tolerance = 1e-7 if name == "dropout" and dtype == "float64" else TOLERANCE[dtype]
    for a, b in zip(*answers, strict=True):
        assert gap(a, b) < tolerance


BOUND = ("embed", "gather_rows", "pool", "entropy", "weighted")  # their fixed arguments are tensors


@pytest.mark.parametrize("name", [name for name in CASES if not any(part in name for part in BOUND)])
def test_numpy_answers_as_torch_does(name):
    ours, _, shapes = CASES[name]
    inputs = [numbers(place, *shape) for place, shape in enumerate(shapes)]
    plain, tensors = ours(*inputs), ours(*(torch.tensor(x) for x in inputs))
    assert isinstance(plain, np.ndarray)
    if k.engine()["native"]:
        assert np.array_equal(plain, tensors.numpy())
    assert gap(plain, tensors) < 1e-5


@settings(max_examples=25)
@given(rows=st.integers(0, 700), inputs=st.integers(1, 130), outputs=st.integers(1, 150))
def test_dense_of_any_size_equals_torch(rows, inputs, outputs):
    x, w, b = numbers(1, rows, inputs), numbers(2, outputs, inputs), numbers(3, outputs)
    leaves = [torch.tensor(v, requires_grad=True) for v in (x, w, b)]
    exact = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (x, w, b)]
    up = numbers(4, rows, outputs)
    k.dense(*leaves).backward(torch.tensor(up))
    functional.linear(*exact).backward(torch.tensor(up, dtype=torch.float64))
    assert gap(k.dense(x, w, b), functional.linear(*exact), floor=1.0) < 1e-5
    for ours, theirs in zip(leaves, exact, strict=True):
        assert gap(ours.grad, theirs.grad, floor=1.0) < 1e-5  # a single sum of 700 numbers may end near zero


def test_huge_values_saturate_and_nan_stays():
    x = np.array([-np.inf, -1e30, -100, 0, 100, 1e30, np.inf, np.nan], np.float32)
    assert np.array_equal(k.sigmoid(x)[[1, 4, 5]] > 0.5, [False, True, True])
    assert np.array_equal(k.tanh(x)[[0, 1, 3, 5, 6]], [-1, -1, 0, 1, 1])
    assert k.exp(x)[0] == 0
    assert np.isinf(k.exp(x)[5])
    assert k.softplus(x)[5] == np.float32(1e30)
    for run in (k.sigmoid, k.tanh, k.relu, k.exp, k.softplus):
        assert np.isnan(run(x)[7])
        assert not np.isnan(run(x)[:7]).any()


def test_logarithm_of_sums_is_right_over_the_whole_range():
    x = np.concatenate([numbers(3, 2000, 1), 10 ** numbers(4, 2000, 1)]).astype(np.float32)
    pairs = np.concatenate([x, np.zeros_like(x)], axis=1)
    exact = np.logaddexp(x[:, 0].astype(np.float64), 0)
    found = k.logsumexp(pairs)
    assert np.max(np.abs(found - exact) / np.maximum(exact, 1)) < 2e-7
    assert np.isneginf(k.logsumexp(np.full((1, 3), -np.inf, np.float32)))[0]


def test_dropout_is_the_readable_hash_and_keeps_the_right_share():
    x = np.ones((1000, 100), np.float32)
    kept = reference_operators.dropout_kept(x.size, 0.3, 77).reshape(x.shape)
    assert np.array_equal(k.dropout(x, 0.3, 77) > 0, kept)
    assert abs(kept.mean() - 0.7) < 0.005
    other = reference_operators.dropout_kept(x.size, 0.3, 78).reshape(x.shape)
    assert abs((kept & other).mean() - 0.49) < 0.01
    assert np.all(k.dropout(np.full(1000, np.inf, np.float32), 0.5, 1) != np.nan)


def test_mean_of_nothing_and_of_no_weight_is_zero():
    assert k.weighted_mean(np.zeros(0, np.float32)) == 0
    assert k.weighted_mean(np.ones(3, np.float32), np.zeros(3, np.float32)) == 0


def test_pooling_of_an_empty_row_is_zero_and_ties_go_to_the_first():
    x = torch.tensor([[1.0], [2.0], [2.0]], requires_grad=True)
    k.pool_max(x, torch.tensor([0, 3, 3])).sum().backward()
    assert x.grad.flatten().tolist() == [0, 1, 0]
    for pool in (k.pool_mean, k.pool_max):
        assert not pool(np.ones((2, 3), np.float32), np.array([0, 0, 2]))[0].any()


@pytest.mark.parametrize("kind", ["mean", "max", "attention"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_of_a_window_are_those_of_its_tokens_in_the_whole(kind, dtype):
    tail, rows = 200, PLACES[:-1].tolist()
    cut = [min(length, tail) for length in LENGTHS]
    last = np.concatenate([np.arange(a + n - c, a + n) for a, n, c in zip(rows, LENGTHS, cut, strict=True)])
    first = np.setdiff1d(np.arange(TOKENS), last)
    x, scores = numbers(1, TOKENS, 11, dtype=dtype), numbers(2, TOKENS, dtype=dtype)
    heads = offsets_of([n - c for n, c in zip(LENGTHS, cut, strict=True)])
    given = [scores[first]] if kind == "attention" else []
    carried = k.pool_carried(kind, x[first], heads, *given)[1]
    leaves = [
        torch.tensor(a[last], requires_grad=True) for a in ([x, scores] if kind == "attention" else [x])
    ]
    y, _ = k.pool_carried(kind, leaves[0], offsets_of(cut), *leaves[1:], initial=torch.tensor(carried))
    whole = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in (x, scores)[: len(leaves)]]
    exact = pooled(kind)(*whole)
    up = torch.tensor(numbers(3, *y.shape))
    y.backward(up.to(y.dtype))
    exact.backward(up.double())
    assert gap(y, exact) < TOLERANCE[dtype]
    for ours, theirs in zip(leaves, whole, strict=True):
        assert gap(ours.grad, theirs.grad[last]) < TOLERANCE[dtype]


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_adam_step_equals_torch(engine, monkeypatch):
    if engine == "reference":
        monkeypatch.setattr(optimizing.engines, "native", lambda: None)
    start, gradients = numbers(1, 33, 5), [numbers(2 + t, 33, 5) for t in range(5)]
    for decoupled, kind in ((True, torch.optim.AdamW), (False, torch.optim.Adam)):
        ours, first, second = start.copy(), np.zeros_like(start), np.zeros_like(start)
        theirs = torch.nn.Parameter(torch.tensor(start).double())
        optimizer = kind([theirs], lr=0.01, weight_decay=0.1)
        for t, gradient in enumerate(gradients, start=1):
            theirs.grad = torch.tensor(gradient).double() * 0.5
            optimizer.step()
            k.adam_step(
                ours, gradient, first, second, step=t, rate=0.01, decay=0.1, decoupled=decoupled, scale=0.5
            )
        assert gap(ours, theirs) < 1e-6


def test_norms_are_those_of_numpy():
    arrays = [numbers(1, 40000), numbers(2, 3, 5), numbers(3, 1)]
    exact = [np.linalg.norm(a.astype(np.float64).ravel()) for a in arrays]
    assert np.allclose(k.norms(arrays), exact, rtol=1e-6)
    assert np.allclose(k.norms([torch.tensor(a) for a in arrays]), exact, rtol=1e-6)
