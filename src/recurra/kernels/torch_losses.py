"""The losses and their mean, for torch: native code, gradients and shapes of each."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from recurra.errors import KernelError
from recurra.kernels.numpy_native import module, refusing
from recurra.kernels.torch_library import Operator, array, tensor


@refusing
def _cross_entropy(
    logits: Tensor, targets: Tensor, weight: Tensor | None, smoothing: float
) -> tuple[Tensor, Tensor]:
    loss, kept = module().cross_entropy(array(logits), array(targets), array(weight), smoothing)
    return tensor(loss), tensor(kept)


@refusing
def _cross_entropy_grad(logits: Tensor, targets: Tensor, weight: Tensor | None, kept: Tensor, dloss: Tensor,
                        smoothing: float) -> Tensor:  # fmt: skip
    given = (array(logits), array(targets), array(weight), smoothing, array(kept), array(dloss))
    return tensor(module().cross_entropy_grad(*given))


@refusing
def _bce(logits: Tensor, targets: Tensor, pos_weight: Tensor | None, dloss: Tensor | None) -> Tensor:
    given = (array(logits), array(targets), array(pos_weight), array(dloss))
    return tensor(module().binary_cross_entropy(*given))


@refusing
def _error(predictions: Tensor, targets: Tensor, dloss: Tensor | None, kind: str, delta: float) -> Tensor:
    return tensor(module().error_loss(kind, array(predictions), array(targets), delta, array(dloss)))


@refusing
def _weighted_mean(values: Tensor, weights: Tensor | None, dmean: Tensor | None) -> Tensor:
    return tensor(module().weighted_mean(array(values), array(weights), array(dmean)))


def _constant(ctx: Any, place: int, name: str) -> None:
    if ctx.needs_input_grad[place]:
        raise KernelError(f"{name} have no gradient here, got a tensor that requires one; detach it first")


def _cross_entropy_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    logits, targets, weight, ctx.smoothing = inputs
    ctx.weighted = weight is not None
    ctx.save_for_backward(logits, targets, *([weight] if ctx.weighted else []), output[1])
    ctx.set_materialize_grads(False)


def _cross_entropy_back(ctx: Any, dloss: Tensor | None, _: Any) -> tuple[Any, ...]:
    _constant(ctx, 2, "class weights")
    if dloss is None:
        return None, None, None, None
    logits, targets, *rest = ctx.saved_tensors
    weight = rest[0] if ctx.weighted else None
    return cross_entropy_grad(logits, targets, weight, rest[-1], dloss, ctx.smoothing), None, None, None


def _bce_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    logits, targets, pos_weight, _ = inputs
    ctx.save_for_backward(logits, targets, *([] if pos_weight is None else [pos_weight]))


def _bce_back(ctx: Any, dloss: Tensor) -> tuple[Any, ...]:
    _constant(ctx, 1, "targets")
    _constant(ctx, 2, "pos_weight")
    logits, targets, *rest = ctx.saved_tensors
    return binary_cross_entropy(logits, targets, rest[0] if rest else None, dloss), None, None, None


def _error_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    predictions, targets, _, ctx.kind, ctx.delta = inputs
    ctx.save_for_backward(predictions, targets)


def _error_back(ctx: Any, dloss: Tensor) -> tuple[Any, ...]:
    predictions, targets = ctx.saved_tensors
    gradient = error_loss(predictions, targets, dloss, ctx.kind, ctx.delta)
    return gradient, -gradient if ctx.needs_input_grad[1] else None, None, None, None


def _mean_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    values, weights, _ = inputs
    ctx.save_for_backward(values, *([] if weights is None else [weights]))


def _mean_back(ctx: Any, dmean: Tensor) -> tuple[Any, ...]:
    _constant(ctx, 1, "weights")
    values, *rest = ctx.saved_tensors
    return weighted_mean(values, rest[0] if rest else None, dmean), None, None


cross_entropy_grad = Operator(
    "cross_entropy_grad(Tensor logits, Tensor targets, Tensor? weight, Tensor kept, Tensor dloss, "
    "float smoothing) -> Tensor",
    _cross_entropy_grad,
    lambda logits, targets, weight, kept, dloss, smoothing: logits.new_empty(logits.shape),
)
cross_entropy = Operator(
    "cross_entropy(Tensor logits, Tensor targets, Tensor? weight, float smoothing) -> (Tensor, Tensor)",
    _cross_entropy,
    lambda logits, targets, weight, smoothing: (
        logits.new_empty(logits.shape[0]),
        logits.new_empty(logits.shape[0], 2),
    ),
    _cross_entropy_setup,
    _cross_entropy_back,
)
binary_cross_entropy = Operator(
    "binary_cross_entropy(Tensor logits, Tensor targets, Tensor? pos_weight, Tensor? dloss) -> Tensor",
    _bce,
    lambda logits, targets, pos_weight, dloss: logits.new_empty(logits.shape),
    _bce_setup,
    _bce_back,
)
error_loss = Operator(
    "error_loss(Tensor predictions, Tensor targets, Tensor? dloss, str kind, float delta) -> Tensor",
    _error,
    lambda predictions, targets, dloss, kind, delta: predictions.new_empty(predictions.shape),
    _error_setup,
    _error_back,
)
weighted_mean = Operator(
    "weighted_mean(Tensor values, Tensor? weights, Tensor? dmean) -> Tensor",
    _weighted_mean,
    lambda values, weights, dmean: values.new_empty(() if dmean is None else values.shape),
    _mean_setup,
    _mean_back,
)
