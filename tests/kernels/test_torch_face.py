"""The operators as operators of torch: traced whole, differentiated once, honest about the second time."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from kernels.cases import CELLS, NATIVE, as_tensors, gap, numbers, offsets_of, weights_of
from kernels.test_operators import CASES
from recurra import kernels as k
from recurra.errors import KernelError
from recurra.kernels import torch_library, torch_native

pytestmark = pytest.mark.skipif(not NATIVE, reason="the native engine was not built")


class Tagger(torch.nn.Module):
    """Every room of the torch face in one model."""

    def __init__(self, cell: str = "lstm", norm: bool = False, zoneout: float = 0.0) -> None:
        super().__init__()
        self.cell, self.norm, self.zoneout = cell, norm, zoneout
        rows = k.GATES[cell] * 9
        shapes = {"table": (20, 6), "w_ih": (rows, 6), "w_hh": (rows, 9), "b_ih": (rows,), "b_hh": (rows,),
                  "gain": (9,), "bias": (9,), "w": (3, 18), "b": (3,)}  # fmt: skip
        if norm:
            shapes |= {"gain_x": (rows,), "gain_h": (rows,)}
            shapes |= {"gain_c": (9,), "bias_c": (9,)} if cell == "lstm" else {}
        for place, (name, shape) in enumerate(shapes.items()):
            self.register_parameter(name, torch.nn.Parameter(torch.tensor(numbers(place, *shape, scale=0.4))))

    def forward(self, ids: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        gains = {n: getattr(self, n, None) for n in ("gain_x", "gain_h", "gain_c", "bias_c")}
        weights = k.RecurWeights(
            cell=self.cell, w_ih=self.w_ih, w_hh=self.w_hh, b_ih=self.b_ih, b_hh=self.b_hh,
            norm=k.NormWeights(**gains) if self.norm else None,
        )  # fmt: skip
        x = k.dropout(k.embed(ids, self.table), 0.1, 7)
        ahead = k.recur(weights, x, offsets, zoneout=self.zoneout)
        back = k.recur(weights, x, offsets, reverse=True, zoneout=self.zoneout)
        joined = k.concat_features([k.layer_norm(ahead.y, self.gain, self.bias), k.tanh(back.y)])
        pooled = k.pool_attention(joined, offsets, k.dense(joined, self.w[:1])[:, 0])
        return k.log_softmax(k.dense(k.add(pooled, k.pool_max(joined, offsets)), self.w, self.b))


IDS = torch.tensor([1, 4, 2, 0, 19, 4, 4, 7])
OFFSETS = torch.tensor([0, 3, 3, 8])


KINDS = [("lstm", {}), ("gru", {}), ("lstm", {"norm": True}), ("gru", {"norm": True, "zoneout": 0.2}),
         ("rnn", {"zoneout": 0.2})]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "how"), KINDS, ids=str)
def test_compiled_is_one_graph_with_the_same_bits_and_gradients(cell, how):
    model = Tagger(cell, **how)
    eager = model(IDS, OFFSETS)
    eager[:, 0].sum().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")(IDS, OFFSETS)
    compiled[:, 0].sum().backward()
    assert torch.equal(compiled, eager)
    for name, p in model.named_parameters():
        assert gap(p.grad, gradients[name]) < 1e-6, name


@pytest.mark.slow
@pytest.mark.parametrize("how", [{}, {"norm": True, "zoneout": 0.2}], ids=str)
def test_exported_program_runs_on_other_lengths(how):
    model = Tagger(**how).eval()
    tokens, rows = torch.export.Dim("tokens", min=2), torch.export.Dim("rows", min=3)
    program = torch.export.export(model, (IDS, OFFSETS), dynamic_shapes=({0: tokens}, {0: rows}), strict=True)
    names = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert any("recurra.recur" in name for name in names)
    ids, offsets = torch.arange(5), torch.tensor([0, 1, 1, 5, 5])
    with torch.no_grad():
        assert torch.equal(program.module()(ids, offsets), model(ids, offsets))


@pytest.mark.slow
def test_an_exported_program_is_loaded_in_another_process(tmp_path):
    path = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(Tagger().eval(), (IDS, OFFSETS)), path)
    code = """
import sys, torch, recurra.nn
recurra.nn.register_operators()
model = torch.export.load(sys.argv[1]).module()
print(model(torch.tensor([1, 4, 2, 0, 19, 4, 4, 7]), torch.tensor([0, 3, 3, 8])).sum().item())
"""
    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert float(run.stdout) == Tagger()(IDS, OFFSETS).sum().item()


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "how"), KINDS, ids=str)
def test_registered_recurrence_keeps_torchs_contract(cell, how):
    norm, rate = how.get("norm", False), how.get("zoneout", 0.0)
    weights = as_tensors(weights_of(cell, 4, 6, dtype="float64", norm=norm), learn=True)
    x = torch.tensor(numbers(3, 8, 4, dtype="float64"), requires_grad=True)
    h0 = torch.tensor(numbers(4, 3, 6, dtype="float64"), requires_grad=True)
    main = (weights.w_ih, weights.w_hh, weights.b_ih, weights.b_hh)
    gains = tuple(vars(weights.norm).values()) if norm else (None,) * 4
    zones = torch.ones(8, 6 * (2 if cell == "lstm" else 1), dtype=torch.float64) if rate else None
    given = (x, OFFSETS, *main, h0, None, *gains, None, zones, cell, "float32", False, 0.0, rate, True)
    torch.library.opcheck(torch.ops.recurra.recur.default, given)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    "how", [{}, {"norm": True}, {"zoneout": 0.3}, {"norm": True, "zoneout": 0.3}], ids=str
)
@pytest.mark.parametrize("reverse", [False, True])
def test_gradcheck_of_recurrences_in_double(cell, how, reverse):
    norm = how.get("norm", False)
    weights = weights_of(cell, 3, 5, dtype="float64", norm=norm)
    names = ("w_ih", "w_hh", "b_ih", "b_hh")
    gains = {n: g for n, g in vars(weights.norm).items() if g is not None} if norm else {}
    x = numbers(3, 8, 3, dtype="float64") + 0.05

    def run(x, h0, *parts):
        main, own = parts[: len(names)], parts[len(names) :]
        made = k.NormWeights(**dict(zip(gains, own, strict=True))) if norm else None
        given = k.RecurWeights(cell=cell, norm=made, **dict(zip(names, main, strict=True)))
        done = k.recur(given, x, OFFSETS, h0=h0, reverse=reverse, zoneout=how.get("zoneout", 0.0))
        return done.y, done.h

    leaves = [x, numbers(4, 3, 5, dtype="float64"), *(getattr(weights, n) for n in names), *gains.values()]
    assert torch.autograd.gradcheck(
        run, [torch.tensor(a, requires_grad=True) for a in leaves], fast_mode=True
    )


SMOOTH = [n for n in CASES if n not in ("relu", "absolute_error", "pool_max")]


@pytest.mark.parametrize("name", SMOOTH)
def test_gradcheck_of_the_other_operators_in_double(name):
    ours, _, shapes = CASES[name]
    leaves = [torch.tensor(numbers(p, *s, dtype="float64"), requires_grad=True) for p, s in enumerate(shapes)]
    assert torch.autograd.gradcheck(ours, leaves, fast_mode=True)


@pytest.mark.parametrize("name", CASES)
def test_fake_tensors_have_the_real_shapes(name):
    ours, _, shapes = CASES[name]
    real = ours(*(torch.tensor(numbers(p, *s)) for p, s in enumerate(shapes)))
    mode = torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        fake = ours(*(torch.empty(s) for s in shapes))
    assert (fake.shape, fake.dtype, fake.stride()) == (real.shape, real.dtype, real.stride())


@pytest.mark.parametrize("run", [k.sigmoid, k.softmax, lambda x: k.dense(x, x)])
def test_a_second_derivative_is_refused(run):
    x = torch.tensor(numbers(1, 4, 4), requires_grad=True)
    with pytest.raises(KernelError, match="first derivatives only"):
        torch.autograd.grad(run(x).sum(), x, create_graph=True)


@pytest.mark.parametrize("norm", [False, True])
def test_a_second_derivative_of_a_recurrence_is_refused(norm):
    weights = as_tensors(weights_of("gru", 4, 6, norm=norm), learn=True)
    y = k.recur(weights, torch.tensor(numbers(1, 8, 4)), OFFSETS).y
    with pytest.raises(KernelError, match="first derivatives only"):
        torch.autograd.grad(y.sum(), weights.w_hh, create_graph=True)


@pytest.mark.parametrize("norm", [False, True])
def test_gradients_only_of_what_asks_for_them(norm):
    weights = as_tensors(weights_of("lstm", 4, 6, norm=norm))
    x = torch.tensor(numbers(1, 8, 4), requires_grad=True)
    done = k.recur(weights, x, OFFSETS)
    done.h.sum().backward()
    assert x.grad is not None
    assert weights.w_hh.grad is None
    with torch.no_grad():
        assert not k.recur(weights, x, OFFSETS).y.requires_grad


@pytest.mark.parametrize(("cell", "how"), KINDS, ids=str)
def test_no_arithmetic_of_torch_stands_on_the_path(cell, how):
    """Forward and backward call nothing of torch that adds, multiplies or compares floats."""
    from torch.utils._python_dispatch import TorchDispatchMode

    seen: set[str] = set()

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.add(str(func).split(".")[1])
            return func(*args, **(kwargs or {}))

    model, targets = Tagger(cell, **how), torch.tensor([0, 1, 2])
    with Watch():
        k.weighted_mean(k.cross_entropy(model(IDS, OFFSETS), targets)).backward()
    moved = {
        "detach",
        "view",
        "select",
        "slice",
        "unsqueeze",
        "alias",
        "copy_",
        "_reshape_alias",
        "expand",
        "clone",
    }
    made = {"lift_fresh", "ones_like", "empty", "new_empty", "zeros", "select_backward", "slice_backward"}
    joined = {"add"}  # where a tensor is used twice, torch adds its two gradients element by element
    assert seen <= moved | made | joined, seen - moved - made - joined


def test_every_operator_is_registered_for_tracing():
    names = {name for name in dir(torch.ops.recurra) if not name.startswith("_")}
    assert {"recur", "dense", "pool", "cross_entropy", "weighted_mean"} <= names
    assert isinstance(torch_native.torch_operators.dense, torch_library.Operator)


def test_arrays_of_numpy_serve_as_offsets_and_ids():
    weights = as_tensors(weights_of("rnn", 4, 6))
    x = torch.tensor(numbers(1, 8, 4))
    plain = k.recur(weights, x, offsets_of([3, 0, 5])).y
    assert torch.equal(plain, k.recur(weights, x, OFFSETS).y)
    assert torch.equal(k.embed(np.array([1, 0]), x), x[[1, 0]])
