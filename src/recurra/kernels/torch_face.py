"""The operators on torch tensors, already checked: native on the CPU where built, else torch's own."""

from __future__ import annotations

from types import ModuleType

from torch import Tensor

from recurra.kernels import engines, torch_reference


def face(x: Tensor) -> ModuleType:
    """The module whose functions compute on tensors like x."""
    if x.device.type in ("cpu", "meta") and engines.native() is not None:
        from recurra.kernels import torch_native

        return torch_native
    return torch_reference
