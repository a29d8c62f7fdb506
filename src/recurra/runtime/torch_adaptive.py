"""An adaptive softmax in torch's own operators: for exported programs, and to check ours against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.graph.adaptive import AdaptiveDense


def adaptive_in_torch(head: AdaptiveDense, take: Callable[[str], Any], x: Any) -> Any:
    """The logarithms of all probabilities, x (..., inputs) -> (..., outputs); take: part name -> tensor."""
    import torch
    from torch.nn.functional import linear, log_softmax

    first = log_softmax(linear(x, take("weight"), take("bias")), -1)
    parts = [first[..., : head.frequent]]
    for tail in head.tails:
        reduced = linear(x, take(f"reduce_{tail.place}"))
        inner = log_softmax(linear(reduced, take(f"weight_{tail.place}"), take(f"bias_{tail.place}")), -1)
        entry = head.frequent + 1 + tail.place
        parts.append(inner + first[..., entry : entry + 1])
    return torch.cat([*parts, first[..., head.frequent : head.frequent + 1]], -1)
