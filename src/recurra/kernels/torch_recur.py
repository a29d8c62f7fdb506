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
from recurra.kernels.numpy_native import fused, module, refusing, zoned
from recurra.kernels.reference import Options
from recurra.kernels.torch_library import Operator, array, no_second, plain, tensor
from recurra.kernels.weights import GATES, NORM_NAMES, NormWeights, Recurred, RecurWeights


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
    gain_x: Tensor | None
    gain_h: Tensor | None
    gain_c: Tensor | None
    bias_c: Tensor | None
    recurrent_mask: Tensor | None
    zoneout_mask: Tensor | None

    @property
    def weights(self) -> tuple[Tensor, ...]:
        """What every cell has."""
        return self.w_ih, self.w_hh, self.b_ih, self.b_hh

    @property
    def gains(self) -> tuple[Tensor | None, ...]:
        """What a layer-normalised cell has besides, in the order of `NORM_NAMES`."""
        return self.gain_x, self.gain_h, self.gain_c, self.bias_c


class How(NamedTuple):
    """The numbers of one layer, as the operators take them; clip 0: none."""

    cell: str
    precision: str
    reverse: bool
    clip: float
    zoneout: float


TENSORS = len(Inputs._fields)
MASKS = ("recurrent_mask", "zoneout_mask")  # have no gradient, as the offsets
_NO_GAINS = NormWeights(gain_x=None, gain_h=None)
LEARNT = ("w_ih", "w_hh", "b_ih", "b_hh", *NORM_NAMES)


def _inputs(weights: RecurWeights, x: Tensor, offsets: Tensor, h0: Tensor | None, c0: Tensor | None,
            options: Options) -> Inputs:  # fmt: skip
    main = (weights.w_ih, weights.w_hh, weights.b_ih, weights.b_hh)
    norm = weights.norm or _NO_GAINS
    gains = (norm.gain_x, norm.gain_h, norm.gain_c, norm.bias_c)
    return Inputs(x, offsets, *main, h0, c0, *gains, options.recurrent_mask, options.zoneout_mask)


def _how(weights: RecurWeights, options: Options) -> How:
    return How(weights.cell, weights.precision, options.reverse, options.cell_clip or 0.0, options.zoneout)


@refusing
def _pack(how: How, given: Inputs, **sides: bool) -> Any:
    own = {} if how.precision == "float32" else {"precision": how.precision}  # float64 weights have no other
    gains = {} if given.gain_x is None else dict(zip(NORM_NAMES, map(array, given.gains), strict=True))
    return module().Packed(how.cell, *map(array, given.weights), **sides, **own, **gains)


def _walk(given: Inputs, how: How) -> dict[str, Any]:
    masks = {name: array(getattr(given, name)) for name in MASKS}
    return {"reverse": how.reverse, "cell_clip": how.clip or None, "zoneout": how.zoneout, **masks}


@refusing
def _forward(packed: Any, given: Inputs, how: How, save: bool) -> list[Any]:
    parts = module().recur_forward(
        packed,
        array(given.x),
        array(given.offsets),
        array(given.h0),
        array(given.c0),
        save=save,
        **_walk(given, how),
    )
    return [given.x.new_empty(0) if part is None else tensor(part) for part in parts]


@refusing
def _backward(packed: Any, given: Inputs, saved: list[Tensor], grads: list[Tensor | None], how: How,
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
        **_walk(given, how),
    )
    return result


class _Recur(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, how: How, *tensors: Any) -> Any:
        given = Inputs(*tensors)
        ctx.packed = _pack(how, given, backward=True)
        output = _forward(ctx.packed, given, how, True)
        ctx.how = how
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
        need = ctx.needs_input_grad[1:]
        learnt = any(wanted for name, wanted in zip(Inputs._fields, need, strict=True) if name in LEARNT)
        needs = (bool(need[0]), learnt, bool(steps.WATCHERS))
        found = _backward(ctx.packed, given, saved, list(grads[:3]), ctx.how, needs)
        if needs[2]:
            steps.report(given.w_hh, ctx.how.reverse, tensor(found["steps"]))
        listed = [found.get(f"d{name}") for name in Inputs._fields]
        pairs = zip(listed, need, ctx.absent, strict=True)
        return (
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
    how = _how(weights, options)
    traced = torch.compiler.is_compiling() or not plain(given)
    learning = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in given)
    if traced:
        parts = _operator(*given, *how, learning or options.gates)
    elif learning:
        parts = _Recur.apply(how, *given)  # type: ignore[no-untyped-call]
    else:
        parts = _forward(_pack(how, given), given, how, options.gates)
    return _recurred(weights, options, *parts)


def _recurred(weights: RecurWeights, options: Options, y: Tensor, h: Tensor, c: Tensor, gates: Tensor,
              cells: Tensor, extra: Tensor) -> Recurred:  # fmt: skip
    lstm = weights.cell == "lstm"
    result = {"y": y, "h": h, "c": c if lstm else None}
    if options.gates:
        own = GATES[weights.cell] > 1 or weights.norm is not None or zoned(options)
        result["gates"] = (gates if own else y).detach()
        result["cells"] = cells.detach() if lstm else None
        result["linear"] = extra[:, : weights.hidden_size].detach() if weights.cell == "gru" else None
    return Recurred(**result)


def _resumed(weights: RecurWeights, pre: Tensor, offsets: Tensor, h0: Tensor | None, c0: Tensor | None,
             options: Options) -> Recurred:  # fmt: skip
    if torch.is_grad_enabled() and (pre.requires_grad or weights.w_hh.requires_grad):
        raise KernelError(
            "preprojected is for inference, got tensors that require a gradient; use torch.no_grad()"
        )
    given = _inputs(weights, pre, offsets, h0, c0, options)
    how = _how(weights, options)
    run = refusing(module().recur_forward)
    states = (array(h0), array(c0))
    parts = run(_pack(how, given), array(pre), array(offsets), *states, save=options.gates,
                preprojected=True, **_walk(given, how))  # fmt: skip
    return _recurred(weights, options, *(pre.new_empty(0) if p is None else tensor(p) for p in parts))


def project(weights: RecurWeights, table: Tensor) -> Tensor:
    """Input part of every row of a table, without gradient."""
    given = _inputs(weights, table, table, None, None, Options())
    packed = _pack(_how(weights, Options()), given)
    return tensor(refusing(module().recur_project)(packed, array(table)))


# ---- the traced form ---------------------------------------------------------------------------------------

_TYPES = ", ".join(f"Tensor{'' if place < 6 else '?'} {name}" for place, name in enumerate(Inputs._fields))
_HOW = "str cell, str precision, bool reverse, float clip, float zoneout"
_GIVEN_BACK = ("x", *LEARNT, "h0", "c0")


def _run(*arguments: Any) -> Any:
    given, how, save = Inputs(*arguments[:TENSORS]), How(*arguments[TENSORS:-1]), arguments[-1]
    return tuple(_forward(_pack(how, given), given, how, save))


def _run_grad(*arguments: Any) -> Any:
    given = Inputs(*arguments[:TENSORS])
    saved, grads = list(arguments[TENSORS : TENSORS + 4]), list(arguments[TENSORS + 4 : TENSORS + 7])
    how = How(*arguments[TENSORS + 7 :])
    packed = _pack(how, given, forward=False, backward=True)
    found = _backward(packed, given, saved, grads, how, (True, True, False))
    empty = given.x.new_empty(0)
    listed = (found[f"d{name}"] for name in _GIVEN_BACK)
    return tuple(empty.clone() if g is None else tensor(g) for g in listed)


def _fake(*arguments: Any) -> Any:
    given, how, save = Inputs(*arguments[:TENSORS]), How(*arguments[TENSORS:-1]), arguments[-1]
    tokens, rows, units = given.x.shape[0], given.offsets.shape[0] - 1, given.w_hh.shape[1]
    none, gates, lstm, gru = given.x.new_empty(0), GATES[how.cell], how.cell == "lstm", how.cell == "gru"
    normed = given.gain_x is not None
    whole = normed or how.zoneout != 0.0 or given.zoneout_mask is not None
    kept = (units if gru else 0) + (2 * gates * units + (4 if lstm else 2) if normed else 0)
    made = given.x.new_empty
    return (
        made(tokens, units),
        made(rows, units),
        made(rows, units) if lstm else none,
        made(tokens, gates * units) if save and (gates > 1 or whole) else none.clone(),
        made(tokens, units) if save and lstm else none.clone(),
        made(tokens, kept) if save and kept else none.clone(),
    )


def _fake_grad(*arguments: Any) -> Any:
    given, how = Inputs(*arguments[:TENSORS]), How(*arguments[TENSORS + 7 :])
    rows, units, lstm = given.offsets.shape[0] - 1, given.w_hh.shape[1], how.cell == "lstm"
    made = given.x.new_empty
    like = (given.x, *given.weights, *given.gains)
    found = [made(0) if part is None else made(part.shape) for part in like]
    return *found, made(rows, units), made(rows, units) if lstm else made(0)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    given = Inputs(*inputs[:TENSORS])
    ctx.how = How(*inputs[TENSORS:-1])
    ctx.absent = [part is None for part in given]
    ctx.save_for_backward(*(part for part in given if part is not None), output[0], *output[3:])
    ctx.set_materialize_grads(False)


def _back(ctx: Any, *grads: Any) -> Any:
    given, saved = _restored(ctx)
    found = dict(zip(_GIVEN_BACK, _operator_grad(*given, *saved, *grads[:3], *ctx.how), strict=True))
    kept = [
        None if absent else found.get(name) for name, absent in zip(Inputs._fields, ctx.absent, strict=True)
    ]
    return *kept, *(None for _ in How._fields), None


_operator_grad = Operator(
    f"recur_grad({_TYPES}, Tensor y, Tensor gates, Tensor cells, Tensor extra, Tensor? dy, Tensor? dh, "
    f"Tensor? dc, {_HOW}) -> ({', '.join(['Tensor'] * len(_GIVEN_BACK))})",
    _run_grad,
    _fake_grad,
)
_operator = Operator(
    f"recur({_TYPES}, {_HOW}, bool save) -> ({', '.join(['Tensor'] * 6)})", _run, _fake, _setup, _back
)
