"""Where the native engine does not compute, as on CUDA: torch's operators answer what the reference does in float64.

Without a CUDA device the same code, cuDNN's entry point included, is run on tensors of the CPU.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kernels.cases import CELLS, as_tensors, gap, numbers, offsets_of, weights_of
from recurra import kernels as k
from recurra.kernels import reference, torch_face, torch_reference
from recurra.kernels.namespace import namespace
from recurra.kernels.reference import Options

CUDA = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
    ],
)


@pytest.fixture(params=["cpu", CUDA])
def device(request, monkeypatch):
    """A device whose tensors go to `torch_reference`."""
    if request.param == "cpu":
        asks = torch_reference._in_cudnn
        pretended = SimpleNamespace(is_cuda=True)
        monkeypatch.setattr(torch_face, "face", lambda x: torch_reference)
        monkeypatch.setattr(torch_reference, "_in_cudnn", lambda w, x, options: asks(w, pretended, options))
    return request.param


LENGTHS = [3, 0, 70, 1, 4]
OPTIONS = {
    "plain": {},
    "reverse": {"reverse": True},
    "zoneout": {"zoneout": 0.3},
    "masked": {"recurrent_mask": k.dropout_mask((5, 33), 0.4, 3)},
    "norm": {},
    "clipped": {"cell_clip": 0.2},
}


def on(device, weights):
    turned = {
        n: getattr(weights, n).detach().to(device).requires_grad_() for n in ("w_ih", "w_hh", "b_ih", "b_hh")
    }
    norm = weights.norm and k.NormWeights(
        **{
            n: None if g is None else g.detach().to(device).requires_grad_()
            for n, g in vars(weights.norm).items()
        }
    )
    return k.RecurWeights(cell=weights.cell, norm=norm, **turned)


@pytest.mark.parametrize(
    ("cell", "how"), [(c, o) for c in CELLS for o in OPTIONS if c == "lstm" or o != "clipped"]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_recurrences_and_gradients(cell, how, dtype, device):
    offsets = offsets_of(LENGTHS)
    made = as_tensors(weights_of(cell, 20, 33, dtype=dtype, norm=how == "norm"))
    x, h0 = numbers(1, int(offsets[-1]), 20, dtype=dtype), numbers(2, 5, 33, dtype=dtype)
    answers = []
    for place in (device, "oracle"):
        exact = place == "oracle"
        at = "cpu" if exact else device
        kind = torch.float64 if exact else torch.from_numpy(x).dtype
        weights = on(at, made)
        leaves = [torch.tensor(a, device=at, requires_grad=True) for a in (x, h0)]
        given = {
            n: torch.tensor(v, device=at).to(kind) if n.endswith("mask") else v
            for n, v in OPTIONS[how].items()
        }
        cast = [leaf.to(kind) for leaf in leaves]
        turned = _cast(weights, kind)
        if exact:
            pre = reference.input_part(namespace(cast[0]), turned, cast[0])
            done = reference.recur(turned, pre, offsets, cast[1], None, Options(**given))
        else:
            done = k.recur(turned, cast[0], torch.tensor(offsets), h0=cast[1], **given)
        parts = [p for p in (done.y, done.h, done.c) if p is not None]
        sum((p * torch.tensor(numbers(7, *p.shape), device=at).to(kind)).sum() for p in parts).backward()
        grads = [leaf.grad for leaf in (*leaves, weights.w_ih, weights.w_hh, weights.b_ih, weights.b_hh)]
        answers.append([t.detach().cpu() for t in (*parts, *grads)])
    for a, b in zip(*answers, strict=True):
        assert gap(a, b) < (2e-5 if dtype == "float32" else 1e-11)


def _cast(weights, kind):
    norm = weights.norm and k.NormWeights(
        **{n: None if g is None else g.to(kind) for n, g in vars(weights.norm).items()}
    )
    main = {n: getattr(weights, n).to(kind) for n in ("w_ih", "w_hh", "b_ih", "b_hh")}
    return k.RecurWeights(cell=weights.cell, norm=norm, **main)


def test_the_other_operators_answer_as_natively(device, monkeypatch):
    offsets, ids = torch.tensor(offsets_of(LENGTHS)), torch.tensor([4, 0, 4])
    x, w = torch.tensor(numbers(1, 78, 5)), torch.tensor(numbers(2, 6, 5))
    targets, row = torch.arange(78) % 5, torch.tensor(numbers(3, 5))
    runs = {
        "dense": lambda x, w, row: k.dense(x, w),
        "embed": lambda x, w, row: k.embed(ids.to(x.device), w),
        "mean": lambda x, w, row: k.pool_mean(x, offsets.to(x.device)),
        "max": lambda x, w, row: k.pool_max(x, offsets),
        "attention": lambda x, w, row: k.pool_attention(x, offsets, x[:, 0]),
        "norm": lambda x, w, row: k.layer_norm(x, row, row),
        "softplus": lambda x, w, row: k.softplus(x),
        "loss": lambda x, w, row: k.weighted_mean(k.cross_entropy(x, targets.to(x.device), row.abs(), 0.1)),
        "bce": lambda x, w, row: k.binary_cross_entropy(x, x.sigmoid(), row.abs()),
        "huber": lambda x, w, row: k.huber(x, 2 * x),
        "sum": lambda x, w, row: k.block_sum(x),
        "concat": lambda x, w, row: k.concat_features([x, x]),
        "add": lambda x, w, row: k.add(x, row),
        "dropout": lambda x, w, row: k.dropout(x, 0.4, 1 << 40 | 5),
    }
    inputs = [t.to(device) for t in (x, w, row)]
    found = {name: run(*inputs) for name, run in runs.items()}
    monkeypatch.undo()
    for name, run in runs.items():
        assert found[name].device.type == device, name
        assert gap(found[name].cpu(), run(x, w, row)) < 2e-6, name


def test_step_gradients_are_watched_too(device):
    weights = on(device, as_tensors(weights_of("lstm", 4, 6)))
    x = torch.tensor(numbers(1, 8, 4), device=device)
    with k.watch_steps() as seen:
        k.recur(weights, x, np.array([0, 8])).h.sum().backward()
    assert seen[0].gradients.shape == (8, 6)


def test_adam_and_norms_work_on_the_device(device):
    p, g = torch.tensor(numbers(1, 9), device=device), torch.tensor(numbers(2, 9), device=device)
    here = [p.cpu().clone(), g.cpu().clone(), torch.zeros(9), torch.zeros(9)]
    there = [p, g, torch.zeros_like(p), torch.zeros_like(p)]
    for arrays in (here, there):
        k.adam_step(*arrays, step=1, rate=0.1, decay=0.1, decoupled=True, scale=0.5)
    assert gap(there[0].cpu(), here[0]) < 1e-6
    assert abs(k.norms([g])[0] - float(g.norm())) < 1e-5
