"""The promises about bits, as checks that raise AssertionError; and the switches that break each of them."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
import torch

from kernels.cases import CELLS, as_tensors, numbers, offsets_of, weights_of
from recurra import kernels as k
from recurra.kernels import numpy_native, torch_native

LENGTHS = [3, 0, 70, 1, 4, 33, 2]
UNITS, INPUTS = 37, 19

Rows = Callable[[np.ndarray, np.ndarray], list[np.ndarray]]
"""An operator on a ragged batch: tokens and offsets to arrays of N tokens or of S rows."""


def token_operators() -> dict[str, Rows]:
    """Every operator whose answer belongs to one row or one token of it."""
    w, b = numbers(1, 45, INPUTS), numbers(2, 45)
    gain, bias = numbers(3, INPUTS), numbers(4, INPUTS)
    plain = {
        "dense": lambda x: k.dense(x, w, b),
        "layer_norm": lambda x: k.layer_norm(x, gain, bias),
        "sigmoid": k.sigmoid,
        "tanh": k.tanh,
        "exp": k.exp,
        "softplus": k.softplus,
        "softmax": k.softmax,
        "log_softmax": k.log_softmax,
        "logsumexp": k.logsumexp,
        "cross_entropy": lambda x: k.cross_entropy(x, np.full(len(x), 3), label_smoothing=0.1),
        "binary_cross_entropy": lambda x: k.binary_cross_entropy(x, np.full_like(x, 0.3), gain),
    }
    found: dict[str, Rows] = {
        name: (lambda x, offsets, run=run: [run(np.ascontiguousarray(x))]) for name, run in plain.items()
    }
    found["pool_mean"] = lambda x, offsets: [k.pool_mean(x, offsets)]
    found["pool_max"] = lambda x, offsets: [k.pool_max(x, offsets)]
    found["pool_attention"] = lambda x, offsets: [k.pool_attention(x, offsets, np.ascontiguousarray(x[:, 0]))]
    for cell in CELLS:
        for reverse in (False, True):
            found[f"{cell}{'_reverse' * reverse}"] = _recurrence(cell, reverse)
        found[f"{cell}_norm"] = _recurrence(cell, False, norm=True)
        found[f"{cell}_zoneout"] = _recurrence(cell, True, zoneout=0.2)
        found[f"{cell}_norm_zoneout"] = _recurrence(cell, False, norm=True, zoneout=0.2)
    return found


def _recurrence(cell: str, reverse: bool, norm: bool = False, **options: float) -> Rows:
    weights = weights_of(cell, INPUTS, UNITS, norm=norm)

    def run(x: np.ndarray, offsets: np.ndarray) -> list[np.ndarray]:
        done = k.recur(weights, x, offsets, reverse=reverse, **options)
        return [done.y, done.h, *([done.c] if cell == "lstm" else [])]

    return run


def check_alone_is_batch_is_permuted(run: Rows, seed: int = 0) -> None:
    """A row's answer is the same alone, among others, and in any order."""
    offsets = offsets_of(LENGTHS)
    x = numbers(seed, int(offsets[-1]), INPUTS)
    rows = [x[a:b] for a, b in itertools.pairwise(offsets)]
    batch = _by_row(run(x, offsets), offsets)
    for row, together in zip(rows, batch, strict=True):
        (alone,) = _by_row(run(row, offsets_of([len(row)])), offsets_of([len(row)]))
        _same(alone, together)
    order = np.random.default_rng(seed).permutation(len(rows))
    moved = offsets_of([len(rows[i]) for i in order])
    permuted = _by_row(run(np.concatenate([rows[i] for i in order]), moved), moved)
    for place, i in enumerate(order):
        _same(permuted[place], batch[i])


def _by_row(arrays: list[np.ndarray], offsets: np.ndarray) -> list[list[np.ndarray]]:
    count = len(offsets) - 1
    return [
        [
            a[s] if len(a) == count and len(a) != offsets[-1] else a[offsets[s] : offsets[s + 1]]
            for a in arrays
        ]
        for s in range(count)
    ]


def _same(a: list[np.ndarray], b: list[np.ndarray]) -> None:
    for x, y in zip(a, b, strict=True):
        assert x.tobytes() == y.tobytes()


def check_stepwise_is_whole(cell: str, layers: int = 2, norm: bool = False, **options: float) -> None:
    """A stack stepped token by token, stored and loaded in between, gives the bits of the whole."""
    widths = [INPUTS, *[UNITS] * (layers - 1)]
    stack = [weights_of(cell, width, UNITS, seed=10 * i, norm=norm) for i, width in enumerate(widths)]
    x = numbers(5, 23, INPUTS)
    whole = x
    for weights in stack:
        whole = k.recur(weights, whole, offsets_of([len(x)]), **options).y
    stepper = k.Stepper(stack, **options)
    for t, token in enumerate(x):
        assert stepper.step(token).tobytes() == whole[t : t + 1].tobytes()
        if t == 11:
            held = stepper.state
            stepper = k.Stepper(stack, **options)
            stepper.load(held)


def check_threads_do_not_matter() -> None:
    """Forward, gradients and ten training steps are the same bits with 1, 2 and 3 threads."""
    before = k.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 3):
            k.set_num_threads(threads)
            found.append(fingerprint())
    finally:
        k.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def fingerprint(steps: int = 10) -> str:
    """A hash of the answers of every operator, and of weights after some steps of training."""
    digest = hashlib.sha256()
    offsets = offsets_of(LENGTHS)
    x = numbers(0, int(offsets[-1]), INPUTS)
    for run in token_operators().values():
        for array in run(x, offsets):
            digest.update(array.tobytes())
    for array in trained(steps):
        digest.update(array.tobytes())
    return digest.hexdigest()


def trained(steps: int = 10) -> list[np.ndarray]:
    """Weights of a small classifier after some steps: embedding, lstm, gru, an lstm with norms and zoneout, pooling,
    norm, dense, loss."""
    lengths = [40, 0, 900, 300, 7, 512]
    offsets = torch.tensor(offsets_of(lengths))
    ids = torch.tensor(np.random.default_rng(3).integers(0, 200, int(offsets[-1])))
    targets = torch.tensor([0, 1, 2, 3, 0, 1])
    layers = [
        as_tensors(weights_of("lstm", 24, UNITS)),
        as_tensors(weights_of("gru", UNITS, 24, seed=5)),
        as_tensors(weights_of("lstm", 24, 24, seed=7, norm=True)),
    ]
    head = [
        torch.tensor(numbers(s, *shape)) for s, shape in enumerate([(200, 24), (24,), (24,), (4, 24), (4,)])
    ]
    leaves = [*head, *(getattr(w, n) for w in layers for n in ("w_ih", "w_hh", "b_ih", "b_hh"))]
    leaves += vars(layers[-1].norm).values()
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in leaves]
    for leaf in leaves:
        leaf.requires_grad_()
    table, gain, bias, w, b = head
    for step in range(1, steps + 1):
        x = k.dropout(k.embed(ids, table), 0.3, step)
        for weights in layers:
            zones = None if weights.norm is None else torch.from_numpy(zoned(len(x), 48, step))
            x = k.recur(weights, x, offsets, reverse=step % 2 == 0, zoneout_mask=zones).y
        pooled = k.pool_attention(k.layer_norm(x, gain, bias), offsets, k.dense(x, w[:1])[:, 0])
        k.weighted_mean(k.cross_entropy(k.dense(pooled, w, b), targets)).backward()
        scale = 5.0 / max(5.0, float(np.linalg.norm(k.norms([p.grad for p in leaves]))))
        for leaf, (first, second) in zip(leaves, moments, strict=True):
            k.adam_step(leaf, leaf.grad, first, second, step=step, rate=0.01, scale=scale)
            leaf.grad = None
    return [leaf.detach().numpy() for leaf in leaves]


def zoned(tokens: int, width: int, seed: int) -> np.ndarray:
    """A mask of zoneout: 1 where a unit keeps its state."""
    return (np.random.default_rng(seed).random((tokens, width)) < 0.2).astype(np.float32)


def check_nan_stays_in_its_row(run: Rows) -> None:
    """A row of NaN changes no bit of the others."""
    offsets = offsets_of(LENGTHS)
    x = numbers(0, int(offsets[-1]), INPUTS)
    clean = _by_row(run(x, offsets), offsets)
    x[offsets[2] : offsets[3]] = np.nan
    for place, (a, b) in enumerate(zip(clean, _by_row(run(x, offsets), offsets), strict=True)):
        if place != 2:
            _same(a, b)


# ---- saboteurs ---------------------------------------------------------------------------------------------


@contextmanager
def products_by_blas() -> Iterator[None]:
    """Dense layers are computed by the library whose bits depend on the batch."""

    def dense(x: np.ndarray, w: np.ndarray, b: np.ndarray | None) -> np.ndarray:
        return x @ w.T if b is None else x @ w.T + b

    with mock.patch.object(numpy_native, "dense", dense):
        yield


@contextmanager
def sums_divided_between_threads() -> Iterator[None]:
    """The gradient of a weight is summed over as many shares of the tokens as there are threads."""
    honest = torch_native.dense

    def dense(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None) -> torch.Tensor:
        shares = x.tensor_split(k.get_num_threads())
        return torch.cat([honest(share, w.clone(), None if b is None else b.clone()) for share in shares])

    with mock.patch.object(torch_native, "dense", dense):
        yield


@contextmanager
def reads_the_row_before() -> Iterator[None]:
    """A millionth of the token before is added to each token, which is a neighbour's where a row begins."""
    honest = numpy_native.recur

    def recur(weights, x, *rest):
        touched = x.copy()
        touched[1:] += np.float32(1e-6) * x[:-1]
        return honest(weights, touched, *rest)

    with mock.patch.object(numpy_native, "recur", recur):
        yield


@contextmanager
def forgets_a_state() -> Iterator[None]:
    """A loaded state is not put in place."""
    with mock.patch.object(k.Stepper, "load", return_value=None):
        yield
