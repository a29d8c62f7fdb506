"""The recurrences for torch: one native forward and one native backward call per layer and direction.

Eagerly, the packed weights of the forward pass serve the backward pass too. Traced, `torch.ops.recurra.recur`
and `recur_grad` stand in the graph, each packing for itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.errors import KernelError
from recurra.kernels import steps, torch_reference
from recurra.kernels.numpy_native import fused, module, refusing
from recurra.kernels.reference import Options
from recurra.kernels.torch_library import Operator, array, no_second, plain, tensor
from recurra.kernels.weights import GATES, Recurred, RecurWeights


class Inputs(NamedTuple):
    """The tensors of one layer, as the operators take them."""

    x: Tensor
    offsets: Tensor
    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor
    b_hh: Tensor
    h0: Tensor | None
    c0: Tensor | None
    recurrent_mask: Tensor | None


TENSORS = len(Inputs._fields)
GRADIENTS = ("dw_ih", "dw_hh", "db_ih", "db_hh", "dh0", "dc0")


def _inputs(weights: RecurWeights, x: Tensor, offsets: Tensor, h0: Tensor | None, c0: Tensor | None,
            options: Options) -> Inputs:  # fmt: skip
    main = (weights.w_ih, weights.w_hh, weights.b_ih, weights.b_hh)
    return Inputs(x, offsets, *main, h0, c0, options.recurrent_mask)


@refusing
def _pack(cell: str, precision: str, given: Inputs, **sides: bool) -> Any:
    main = (array(w) for w in (given.w_ih, given.w_hh, given.b_ih, given.b_hh))
    own = {} if precision == "float32" else {"precision": precision}  # float64 weights have no other
    return module().Packed(cell, *main, **sides, **own)


def _walk(given: Inputs, reverse: bool, clip: float) -> dict[str, Any]:
    return {"reverse": reverse, "cell_clip": clip or None, "recurrent_mask": array(given.recurrent_mask)}


@refusing
def _forward(packed: Any, given: Inputs, reverse: bool, clip: float, save: bool) -> list[Any]:
    parts = module().recur_forward(
        packed,
        array(given.x),
        array(given.offsets),
        array(given.h0),
        array(given.c0),
        save=save,
        **_walk(given, reverse, clip),
    )
    return [given.x.new_empty(0) if part is None else tensor(part) for part in parts]


@refusing
def _backward(packed: Any, given: Inputs, saved: list[Tensor], grads: list[Tensor | None], how: tuple[bool, float],
              needs: tuple[bool, bool, bool]) -> dict[str, Any]:  # fmt: skip
    y, gates, cells, extra = (array(part) for part in saved)
    none_of = [
        None if part is None or (part.size == 0 and y.size) else part for part in (gates, cells, extra)
    ]
    result: dict[str, Any] = module().recur_backward(
        packed,
        array(given.x),
        array(given.offsets),
        y,
        *none_of,
        *(None if g is None or g.numel() == 0 else array(g) for g in grads),
        h0=array(given.h0),
        c0=array(given.c0),
        need_dx=needs[0],
        need_weights=needs[1],
        steps=needs[2],
        **_walk(given, *how),
    )
    return result


class _Recur(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, cell: str, precision: str, reverse: bool, clip: float, *tensors: Any) -> Any:
        given = Inputs(*tensors)
        ctx.packed = _pack(cell, precision, given, backward=True)
        output = _forward(ctx.packed, given, reverse, clip, True)
        ctx.how = (reverse, clip)
        ctx.absent = [part is None for part in given]
        ctx.save_for_backward(*(part for part in given if part is not None), output[0], *output[3:])
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*output[3:])
        return tuple(output)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        if torch.is_grad_enabled():
            no_second()
        given, saved = _restored(ctx)
        need = ctx.needs_input_grad[4:]
        needs = (bool(need[0]), any(need[2:6]), bool(steps.WATCHERS))
        found = _backward(ctx.packed, given, saved, list(grads[:3]), ctx.how, needs)
        if needs[2]:
            steps.report(given.w_hh, ctx.how[0], tensor(found["steps"]))
        listed = [found["dx"], None, *(found[name] for name in GRADIENTS), None]
        pairs = zip(listed, need, ctx.absent, strict=True)
        return (
            None,
            None,
            None,
            None,
            *(None if g is None or not wanted or absent else tensor(g) for g, wanted, absent in pairs),
        )


def _restored(ctx: Any) -> tuple[Inputs, list[Tensor]]:
    held = iter(ctx.saved_tensors)
    parts: list[Any] = [None if absent else next(held) for absent in ctx.absent]
    given = Inputs(*parts)
    return given, list(held)


def recur(weights: RecurWeights, x: Tensor | None, offsets: Tensor, h0: Tensor | None, c0: Tensor | None,
          options: Options, preprojected: Tensor | None, face: Any) -> Recurred:  # fmt: skip
    """Run one layer; face: the module of the operators that cells without a native form are composed of."""
    if not fused(weights, options):
        return torch_reference.composed(weights, x, offsets, h0, c0, options, preprojected, face)
    if preprojected is not None:
        return _resumed(weights, preprojected, offsets, h0, c0, options)
    assert x is not None
    given = _inputs(weights, x, offsets, h0, c0, options)
    what, how = (weights.cell, weights.precision), (options.reverse, options.cell_clip or 0.0)
    traced = torch.compiler.is_compiling() or not plain(given)
    learning = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in given)
    if traced:
        parts = _operator(*given, *what, *how, learning or options.gates)
    elif learning:
        parts = _Recur.apply(*what, *how, *given)  # type: ignore[no-untyped-call]
    else:
        parts = _forward(_pack(*what, given), given, *how, options.gates)
    return _recurred(weights, options, *parts)


def _recurred(weights: RecurWeights, options: Options, y: Tensor, h: Tensor, c: Tensor, gates: Tensor,
              cells: Tensor, extra: Tensor) -> Recurred:  # fmt: skip
    lstm = weights.cell == "lstm"
    result = {"y": y, "h": h, "c": c if lstm else None}
    if options.gates:
        result["gates"] = (gates if GATES[weights.cell] > 1 else y).detach()
        result["cells"] = cells.detach() if lstm else None
        linear = weights.cell == "gru" and weights.norm is None
        result["linear"] = extra.detach() if linear else None
    return Recurred(**result)


def _resumed(weights: RecurWeights, pre: Tensor, offsets: Tensor, h0: Tensor | None, c0: Tensor | None,
             options: Options) -> Recurred:  # fmt: skip
    if torch.is_grad_enabled() and (pre.requires_grad or weights.w_hh.requires_grad):
        raise KernelError(
            "preprojected is for inference, got tensors that require a gradient; use torch.no_grad()"
        )
    given = _inputs(weights, pre, offsets, h0, c0, options)
    how = _walk(given, options.reverse, options.cell_clip or 0.0)
    run = refusing(module().recur_forward)
    states = (array(h0), array(c0))
    packed = _pack(weights.cell, weights.precision, given)
    parts = run(packed, array(pre), array(offsets), *states, save=options.gates,
                preprojected=True, **how)  # fmt: skip
    return _recurred(weights, options, *(pre.new_empty(0) if p is None else tensor(p) for p in parts))


def project(weights: RecurWeights, table: Tensor) -> Tensor:
    """Input part of every row of a table, without gradient."""
    given = _inputs(weights, table, table, None, None, Options())
    packed = _pack(weights.cell, weights.precision, given)
    return tensor(refusing(module().recur_project)(packed, array(table)))


# ---- the traced form ---------------------------------------------------------------------------------------

_TYPES = ", ".join(f"Tensor{'' if place < 6 else '?'} {name}" for place, name in enumerate(Inputs._fields))
_HOW = "str cell, str precision, bool reverse, float clip"


def _run(*arguments: Any) -> Any:
    given = Inputs(*arguments[:TENSORS])
    cell, precision, reverse, clip, save = arguments[TENSORS:]
    return tuple(_forward(_pack(cell, precision, given), given, reverse, clip, save))


def _run_grad(*arguments: Any) -> Any:
    given = Inputs(*arguments[:TENSORS])
    saved, grads = list(arguments[TENSORS : TENSORS + 4]), list(arguments[TENSORS + 4 : TENSORS + 7])
    cell, precision, reverse, clip = arguments[TENSORS + 7 :]
    packed = _pack(cell, precision, given, forward=False, backward=True)
    found = _backward(packed, given, saved, grads, (reverse, clip), (True, True, False))
    empty = given.x.new_empty(0)
    return tuple(
        empty if g is None else tensor(g) for g in (found["dx"], *(found[name] for name in GRADIENTS))
    )


def _fake(*arguments: Any) -> Any:
    given = Inputs(*arguments[:TENSORS])
    cell, save = arguments[TENSORS], arguments[-1]
    tokens, rows, units = given.x.shape[0], given.offsets.shape[0] - 1, given.w_hh.shape[1]
    none, gates, lstm = given.x.new_empty(0), GATES[cell], cell == "lstm"
    made = given.x.new_empty
    return (
        made(tokens, units),
        made(rows, units),
        made(rows, units) if lstm else none,
        made(tokens, gates * units) if save and gates > 1 else none.clone(),
        made(tokens, units) if save and lstm else none.clone(),
        made(tokens, units) if save and cell == "gru" else none.clone(),
    )


def _fake_grad(*arguments: Any) -> Any:
    given = Inputs(*arguments[:TENSORS])
    rows, units, lstm = given.offsets.shape[0] - 1, given.w_hh.shape[1], arguments[-4] == "lstm"
    made = given.x.new_empty
    like = [made(part.shape) for part in (given.x, given.w_ih, given.w_hh, given.b_ih, given.b_hh)]
    return *like, made(rows, units), made(rows, units) if lstm else made(0)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    given = Inputs(*inputs[:TENSORS])
    ctx.how = inputs[TENSORS:-1]
    ctx.absent = [part is None for part in given]
    ctx.save_for_backward(*(part for part in given if part is not None), output[0], *output[3:])
    ctx.set_materialize_grads(False)


def _back(ctx: Any, *grads: Any) -> Any:
    given, saved = _restored(ctx)
    dx, *rest = _operator_grad(*given, *saved, *grads[:3], *ctx.how)
    listed = [dx, None, *rest, None]
    kept = [None if absent else g for g, absent in zip(listed, ctx.absent, strict=True)]
    return *kept, None, None, None, None, None


_operator_grad = Operator(
    f"recur_grad({_TYPES}, Tensor y, Tensor gates, Tensor cells, Tensor extra, Tensor? dy, Tensor? dh, "
    f"Tensor? dc, {_HOW}) -> ({', '.join(['Tensor'] * 7)})",
    _run_grad,
    _fake_grad,
)
_operator = Operator(
    f"recur({_TYPES}, {_HOW}, bool save) -> ({', '.join(['Tensor'] * 6)})", _run, _fake, _setup, _back
)
