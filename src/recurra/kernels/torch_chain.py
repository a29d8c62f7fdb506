"""The loss of a linear chain of tags, for torch: native code and gradients."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from recurra.kernels.numpy_native import module, refusing
from recurra.kernels.torch_library import Operator, array, tensor


@refusing
def _loss(emissions: Tensor, offsets: Tensor, tags: Tensor, transitions: Tensor, start: Tensor,
          end: Tensor) -> tuple[Tensor, ...]:  # fmt: skip
    given = (emissions, offsets, tags, transitions, start, end)
    return tuple(tensor(made) for made in module().crf_loss(*(array(x) for x in given)))


@refusing
def _grad(emissions: Tensor, offsets: Tensor, tags: Tensor, transitions: Tensor, start: Tensor, end: Tensor,
          every: Tensor, truth: Tensor, dloss: Tensor) -> tuple[Tensor, ...]:  # fmt: skip
    given = (emissions, offsets, tags, transitions, start, end, every, truth, dloss)
    return tuple(tensor(made) for made in module().crf_grad(*(array(x) for x in given)))


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs, *output[1:])
    ctx.set_materialize_grads(False)


def _back(ctx: Any, dloss: Tensor | None, *_: Any) -> tuple[Any, ...]:
    if dloss is None:
        return (None,) * 6
    emissions, transitions, ends = crf_grad(*ctx.saved_tensors, dloss)
    return emissions, None, None, transitions, ends[0], ends[1]


def _shapes(emissions: Tensor, offsets: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
    rows = offsets.shape[0] - 1
    new = emissions.new_empty
    return new(rows), new(emissions.shape), new(emissions.shape)


def _grad_shapes(emissions: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
    labels = emissions.shape[1]
    new = emissions.new_empty
    return new(emissions.shape), new(labels, labels), new(2, labels)


_GIVEN = "Tensor emissions, Tensor offsets, Tensor tags, Tensor transitions, Tensor start, Tensor end"

crf_grad = Operator(
    f"crf_grad({_GIVEN}, Tensor every, Tensor truth, Tensor dloss) -> (Tensor, Tensor, Tensor)",
    _grad,
    _grad_shapes,
)
crf_loss = Operator(f"crf_loss({_GIVEN}) -> (Tensor, Tensor, Tensor)", _loss, _shapes, _setup, _back)
