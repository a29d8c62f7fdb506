"""The operators beside the recurrences, for torch: native code, gradients and shapes of each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recurra.kernels.numpy_native import module, refusing
from recurra.kernels.torch_library import Operator, array, tensor

# ---- products ----------------------------------------------------------------------------------------------


@refusing
def _dense(x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
    return tensor(module().dense(array(x), array(w), array(b)))


@refusing
def _dense_dx(dy: Tensor, w: Tensor) -> Tensor:
    return tensor(module().dense_dx(array(dy), array(w)))


@refusing
def _dense_dw(dy: Tensor, x: Tensor, bias: bool) -> tuple[Tensor, Tensor]:
    dw, db = module().dense_dw(array(dy), array(x), bias)
    return tensor(dw), dy.new_empty(0) if db is None else tensor(db)


@refusing
def _column_sums(x: Tensor) -> Tensor:
    return tensor(module().column_sums(array(x)))


def _dense_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, w, _ = inputs
    ctx.save_for_backward(x, w)


def _dense_back(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
    x, w = ctx.saved_tensors
    of_x, of_w, of_b = ctx.needs_input_grad
    dw = db = None
    if of_w:
        dw, db = dense_dw(dy, x, of_b)
    elif of_b:
        db = column_sums(dy)
    return dense_dx(dy, w) if of_x else None, dw, db if of_b else None


def _sums_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.rows = inputs[0].shape[0]


def _sums_back(ctx: Any, dy: Tensor) -> Tensor:
    return dy.expand(ctx.rows, dy.shape[0]).contiguous()


dense_dx = Operator(
    "dense_dx(Tensor dy, Tensor w) -> Tensor", _dense_dx, lambda dy, w: dy.new_empty(dy.shape[0], w.shape[1])
)
dense_dw = Operator(
    "dense_dw(Tensor dy, Tensor x, bool bias) -> (Tensor, Tensor)",
    _dense_dw,
    lambda dy, x, bias: (dy.new_empty(dy.shape[1], x.shape[1]), dy.new_empty(dy.shape[1] if bias else 0)),
)
column_sums = Operator(
    "column_sums(Tensor x) -> Tensor",
    _column_sums,
    lambda x: x.new_empty(x.shape[1]),
    _sums_setup,
    _sums_back,
)
dense = Operator(
    "dense(Tensor x, Tensor w, Tensor? b) -> Tensor",
    _dense,
    lambda x, w, b: x.new_empty(x.shape[0], w.shape[0]),
    _dense_setup,
    _dense_back,
)

# ---- rows --------------------------------------------------------------------------------------------------


@refusing
def _gather_rows(x: Tensor, index: Tensor) -> Tensor:
    return tensor(module().gather_rows(array(x), array(index)))


@refusing
def _scatter_rows(dy: Tensor, index: Tensor, rows: int) -> Tensor:
    return tensor(module().scatter_rows(array(dy), array(index), rows))


@refusing
def _concat_features(parts: list[Tensor]) -> Tensor:
    return tensor(module().concat_features([array(part) for part in parts]))


@refusing
def _take_columns(x: Tensor, begin: int, end: int) -> Tensor:
    return tensor(module().take_columns(array(x), begin, end))


def _gather_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[1])
    ctx.rows = inputs[0].shape[0]


def _gather_back(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
    return scatter_rows(dy, ctx.saved_tensors[0], ctx.rows), None


def _pair_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.widths = [part.shape[1] for part in inputs]


def _pair_back(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
    first, second = ctx.widths
    return take_columns(dy, 0, first), take_columns(dy, first, first + second)


scatter_rows = Operator(
    "scatter_rows(Tensor dy, Tensor index, SymInt rows) -> Tensor",
    _scatter_rows,
    lambda dy, index, rows: dy.new_empty(rows, dy.shape[1]),
)
gather_rows = Operator(
    "gather_rows(Tensor x, Tensor index) -> Tensor",
    _gather_rows,
    lambda x, index: x.new_empty(index.shape[0], x.shape[1]),
    _gather_setup,
    _gather_back,
)
take_columns = Operator(
    "take_columns(Tensor x, SymInt begin, SymInt end) -> Tensor",
    _take_columns,
    lambda x, begin, end: x.new_empty(x.shape[0], end - begin),
)
concat_pair = Operator(
    "concat_pair(Tensor a, Tensor b) -> Tensor",
    lambda a, b: _concat_features([a, b]),
    lambda a, b: a.new_empty(a.shape[0], a.shape[1] + b.shape[1]),
    _pair_setup,
    _pair_back,
)

# ---- one element at a time ---------------------------------------------------------------------------------


@refusing
def _unary(x: Tensor, kind: str) -> Tensor:
    return tensor(module().unary(kind, array(x)))


@refusing
def _unary_grad(held: Tensor, dy: Tensor, kind: str) -> Tensor:
    return tensor(module().unary_grad(kind, array(held), array(dy)))


@refusing
def _binary(a: Tensor, b: Tensor, kind: str) -> Tensor:
    return tensor(module().binary(kind, array(a), array(b)))


@refusing
def _scale(x: Tensor, factor: float) -> Tensor:
    return tensor(module().scale(array(x), factor))


@refusing
def _dropout(x: Tensor, rate: float, low: int, high: int) -> Tensor:
    return tensor(module().dropout(array(x), rate, high << 32 | low))


def _unary_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.kind = inputs[1]
    ctx.save_for_backward(inputs[0] if ctx.kind == "softplus" else output)


def _unary_back(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
    return unary_grad(ctx.saved_tensors[0], dy, ctx.kind), None


def _binary_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    a, b, ctx.kind = inputs
    ctx.row = a.dim() == 2 and b.dim() == 1
    if ctx.kind == "mul":
        ctx.save_for_backward(a, b)


def _binary_back(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
    da: Any = dy
    db: Any = dy
    if ctx.kind == "mul":
        a, b = ctx.saved_tensors
        da = binary(dy, b, "mul") if ctx.needs_input_grad[0] else None
        db = binary(dy, a, "mul") if ctx.needs_input_grad[1] else None
    if ctx.row and ctx.needs_input_grad[1]:
        db = column_sums(db)
    return da, db if ctx.needs_input_grad[1] else None, None


def _scale_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.factor = inputs[1]


def _scale_back(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
    return scale(dy, ctx.factor), None


def _dropout_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.key = inputs[1:]


def _dropout_back(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
    return dropout(dy, *ctx.key), None, None, None


unary_grad = Operator(
    "unary_grad(Tensor held, Tensor dy, str kind) -> Tensor",
    _unary_grad,
    lambda held, dy, kind: torch.empty_like(held, memory_format=torch.contiguous_format),
)
unary = Operator(
    "unary(Tensor x, str kind) -> Tensor",
    _unary,
    lambda x, kind: torch.empty_like(x, memory_format=torch.contiguous_format),
    _unary_setup,
    _unary_back,
)
binary = Operator(
    "binary(Tensor a, Tensor b, str kind) -> Tensor",
    _binary,
    lambda a, b, kind: torch.empty_like(a, memory_format=torch.contiguous_format),
    _binary_setup,
    _binary_back,
)
scale = Operator(
    "scale(Tensor x, float factor) -> Tensor",
    _scale,
    lambda x, factor: torch.empty_like(x, memory_format=torch.contiguous_format),
    _scale_setup,
    _scale_back,
)
dropout = Operator(
    "dropout(Tensor x, float rate, int low, int high) -> Tensor",
    _dropout,
    lambda x, rate, low, high: torch.empty_like(x, memory_format=torch.contiguous_format),
    _dropout_setup,
    _dropout_back,
)

# ---- rows of scores, norm, pooling -------------------------------------------------------------------------


@refusing
def _soft(x: Tensor, kind: str) -> Tensor:
    return tensor(module().soft(kind, array(x)))


@refusing
def _soft_grad(held: Tensor, dy: Tensor, lse: Tensor | None, kind: str) -> Tensor:
    return tensor(module().soft_grad(kind, array(held), array(dy), array(lse)))


@refusing
def _layer_norm(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    y, kept = module().layer_norm(array(x), array(gain), array(bias), eps)
    return tensor(y), tensor(kept)


@refusing
def _layer_norm_grad(x: Tensor, gain: Tensor, kept: Tensor, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    dx, dgain, dbias = module().layer_norm_grad(array(x), array(gain), array(kept), array(dy))
    return tensor(dx), tensor(dgain), tensor(dbias)


@refusing
def _pool(x: Tensor, offsets: Tensor, scores: Tensor | None, initial: Tensor | None,
          kind: str) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    given = (array(x), array(offsets), array(scores), array(initial))
    y, kept, carried = module().pool(kind, *given, True)
    return tensor(y), tensor(kept), tensor(carried)


@refusing
def _pool_grad(x: Tensor, offsets: Tensor, scores: Tensor | None, y: Tensor, kept: Tensor, dy: Tensor,
               kind: str) -> tuple[Tensor, Tensor]:  # fmt: skip
    given = (array(x), array(offsets), array(scores), array(y), array(kept), array(dy))
    dx, dscores = module().pool_grad(kind, *given)
    return tensor(dx), x.new_empty(0) if dscores is None else tensor(dscores)


def _soft_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, ctx.kind = inputs
    ctx.save_for_backward(*((x, output) if ctx.kind == "logsumexp" else (output,)))


def _soft_back(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
    held, *lse = ctx.saved_tensors
    return soft_grad(held, dy, lse[0] if lse else None, ctx.kind), None


def _layer_norm_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, gain, _, _ = inputs
    ctx.save_for_backward(x, gain, output[1])
    ctx.set_materialize_grads(False)


def _layer_norm_back(ctx: Any, dy: Tensor | None, _: Any) -> tuple[Any, ...]:
    if dy is None:
        return None, None, None, None
    return *layer_norm_grad(*ctx.saved_tensors, dy), None


def _pool_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    x, offsets, scores, _, ctx.kind = inputs
    ctx.attends = scores is not None
    ctx.save_for_backward(x, offsets, *([scores] if ctx.attends else []), *output[:2])
    ctx.set_materialize_grads(False)


def _pool_back(ctx: Any, dy: Tensor | None, *_: Any) -> tuple[Any, ...]:
    if dy is None:
        return None, None, None, None, None
    x, offsets, *rest = ctx.saved_tensors
    scores = rest[0] if ctx.attends else None
    dx, dscores = pool_grad(x, offsets, scores, *rest[-2:], dy, ctx.kind)
    return dx, None, dscores if ctx.attends else None, None, None


def _pool_fake(
    x: Tensor, offsets: Tensor, scores: Tensor | None, initial: Tensor | None, kind: str
) -> tuple[Tensor, Tensor, Tensor]:
    rows, features = offsets.shape[0] - 1, x.shape[1]
    kept = {"mean": 1, "max": features, "attention": 2}[kind]
    size = features + (3 if kind == "attention" else 1)
    return x.new_empty(rows, features), x.new_empty(rows, kept), x.new_empty(rows, size)


soft_grad = Operator(
    "soft_grad(Tensor held, Tensor dy, Tensor? lse, str kind) -> Tensor",
    _soft_grad,
    lambda held, dy, lse, kind: held.new_empty(held.shape),
)
soft = Operator(
    "soft(Tensor x, str kind) -> Tensor",
    _soft,
    lambda x, kind: x.new_empty(x.shape[:1] if kind == "logsumexp" else x.shape),
    _soft_setup,
    _soft_back,
)
layer_norm_grad = Operator(
    "layer_norm_grad(Tensor x, Tensor gain, Tensor kept, Tensor dy) -> (Tensor, Tensor, Tensor)",
    _layer_norm_grad,
    lambda x, gain, kept, dy: (x.new_empty(x.shape), x.new_empty(gain.shape), x.new_empty(gain.shape)),
)
layer_norm = Operator(
    "layer_norm(Tensor x, Tensor gain, Tensor bias, float eps) -> (Tensor, Tensor)",
    _layer_norm,
    lambda x, gain, bias, eps: (x.new_empty(x.shape), x.new_empty(x.shape[0], 2)),
    _layer_norm_setup,
    _layer_norm_back,
)
pool_grad = Operator(
    "pool_grad(Tensor x, Tensor offsets, Tensor? scores, Tensor y, Tensor kept, Tensor dy, str kind)"
    " -> (Tensor, Tensor)",
    _pool_grad,
    lambda x, offsets, scores, y, kept, dy, kind: (
        x.new_empty(x.shape),
        x.new_empty(0 if scores is None else scores.shape),
    ),
)
pool = Operator(
    "pool(Tensor x, Tensor offsets, Tensor? scores, Tensor? initial, str kind) -> (Tensor, Tensor, Tensor)",
    _pool,
    _pool_fake,
    _pool_setup,
    _pool_back,
)
