"""The formats that a model can be exported to, and what is said of one that is gone."""

from __future__ import annotations

from recurra.errors import SpecError, nearest

FORMATS = ("onnx", "torch-export")
"""Formats that `recurra export` writes."""


def checked_format(name: str) -> str:
    """Return the name of a format that can be written; raises SpecError."""
    if name == "torchscript":
        raise SpecError(
            "format 'torchscript' is deprecated in PyTorch (torch.jit.script warns and names torch.compile and "
            "torch.export) and is not written; use --format torch-export, --format onnx, which needs no PyTorch at "
            "all, or serve the bundle"
        )
    if name not in FORMATS:
        raise SpecError(f"format must be one of {', '.join(FORMATS)}, got {name!r}{nearest(name, FORMATS)}")
    return name
