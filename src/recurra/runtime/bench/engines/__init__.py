"""Recurra and its peers, each by its own documented fast path, one file each, imported when it is needed."""

from __future__ import annotations

from importlib import import_module

from recurra.runtime.bench.engines.engine import LeftOutError, Prepared
from recurra.runtime.bench.problem import Problem

OURS = "recurra"
ENGINES = {
    OURS: "ours",
    "torch-padded": "torch_padded",
    "torch-packed": "torch_packed",
    "onnxruntime": "onnx_runtime",
    "openvino": "open_vino",
    "keras-jax": "keras_jax",
    "loop": "loop",
}
_MODES = {
    "torch-packed": ("forward", "train"),
    "onnxruntime": ("forward", "step"),
    "openvino": ("forward", "step"),
    "keras-jax": ("forward", "train"),
}


def takes_part(engine: str, mode: str) -> bool:
    """Whether an engine has this mode at all: inference engines do not train."""
    return mode in _MODES.get(engine, (mode,))


def prepare(engine: str, problem: Problem) -> Prepared:
    """Make an engine ready; raises LeftOutError with the reason where it takes no part."""
    prepared: Prepared = import_module(f"{__name__}.{ENGINES[engine]}").prepare(problem)
    return prepared


__all__ = ["ENGINES", "OURS", "LeftOutError", "Prepared", "prepare", "takes_part"]
