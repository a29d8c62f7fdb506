"""How an operator of the native engine becomes one of torch: traced as a custom operator, run as a function.

torch's dispatcher takes some tens of microseconds for an operator written in Python, an autograd function a
few. So each operator has both forms, made from the same parts: run eagerly it is the function, and under
`torch.compile`, `torch.export` or on fake tensors it is `torch.ops.recurra.<name>`, with the same gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from recurra.errors import KernelError

_LIBRARY: Any = torch.library.Library("recurra", "DEF")  # type: ignore[no-untyped-call]
_PLAIN = (Tensor, torch.nn.Parameter)


def array(x: Tensor | None) -> Any:
    """The NumPy view of a CPU tensor, contiguous, without its history."""
    return None if x is None else x.detach().contiguous().numpy()


def tensor(x: Any) -> Tensor:
    """The tensor over the memory of a NumPy array."""
    return torch.from_numpy(x)


def _tensors(arguments: Iterable[Any]) -> list[Tensor]:
    found: list[Tensor] = []
    for each in arguments:
        if isinstance(each, Tensor):
            found.append(each)
        elif isinstance(each, (list, tuple)):
            found.extend(part for part in each if isinstance(part, Tensor))
    return found


class Operator:
    """One operator, callable with tensors and numbers in the order of its schema.

    run: computes on CPU tensors; fake: makes results of the right shapes; setup(ctx, inputs, output) and
    backward(ctx, *gradients) as in torch.library.register_autograd, or None where there is no gradient, as
    for the backward operators themselves: a second derivative is refused.
    """

    def __init__(
        self,
        schema: str,
        run: Callable[..., Any],
        fake: Callable[..., Any],
        setup: Callable[..., None] | None = None,
        backward: Callable[..., Any] | None = None,
    ) -> None:
        self.name = schema.partition("(")[0]
        self.run = run
        qualified = f"recurra::{self.name}"
        _LIBRARY.define(schema, tags=(torch.Tag.pt2_compliant_tag,))
        _LIBRARY.impl(self.name, run, "CPU")
        torch.library.register_fake(qualified, fake, lib=_LIBRARY)
        self.overload = getattr(torch.ops.recurra, self.name).default
        self.function: Any = None
        if setup is not None and backward is not None:
            self.function = _function(self.name, run, setup, backward)
            torch.library.register_autograd(qualified, backward, setup_context=setup, lib=_LIBRARY)
        else:
            torch.library.register_autograd(qualified, no_second, lib=_LIBRARY)

    def __call__(self, *arguments: Any) -> Any:
        """Apply the operator in the form that the occasion asks for."""
        if torch.compiler.is_compiling():
            return self.overload(*arguments)
        tensors = _tensors(arguments)
        if not plain(tensors):
            return self.overload(*arguments)
        if not torch.is_grad_enabled() or not any(each.requires_grad for each in tensors):
            return self.run(*arguments)
        if self.function is None:
            no_second()
        return self.function.apply(*arguments)


def plain(tensors: Iterable[Any]) -> bool:
    """Whether these are real tensors, not stand-ins of a tracer."""
    return all(each is None or type(each) in _PLAIN for each in tensors)


def no_second(*_: Any) -> None:
    """Refuse a second derivative."""
    raise KernelError(
        "recurra's operators have first derivatives only, got a double backward; "
        "use float64 tensors of torch.nn for second derivatives"
    )


def _function(
    name: str, run: Callable[..., Any], setup: Callable[..., None], back: Callable[..., Any]
) -> Any:
    def forward(ctx: Any, *inputs: Any) -> Any:
        output = run(*inputs)
        setup(ctx, inputs, output)
        return output

    def backward(ctx: Any, *gradients: Any) -> Any:
        if torch.is_grad_enabled():
            no_second()
        return back(ctx, *gradients)

    parts = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type(f"Recurra_{name}", (torch.autograd.Function,), parts)
