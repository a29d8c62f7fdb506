"""Where training runs."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from recurra.errors import SpecError
from recurra.spec import Network, Training


def resolve_device(wanted: str) -> str:
    """Return "cpu" or "cuda" for "auto", "cpu" or "cuda"; raises SpecError where "cuda" is not there.

    The promise of equal bits holds on "cpu" only.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise SpecError(
            "device must be 'auto' or 'cpu' here, got 'cuda', which torch does not find; use device='auto'"
        )
    return "cuda" if available and wanted != "cpu" else "cpu"


def describe_device(device: str) -> str:
    """Return the device in words, for the log."""
    if device == "cuda":
        return f"cuda ({torch.cuda.get_device_name()})"
    from recurra.kernels import engine, get_num_threads

    found = engine()
    name = found.get("isa") if found.get("native") else "reference"
    return f"cpu ({name} kernels, {get_num_threads()} threads)"


@contextmanager
def flushed_subnormals() -> Iterator[None]:
    """Take numbers below 1e-38 for 0 in this thread inside, and as before afterwards.

    The memory of an optimizer for a rare word shrinks by a factor every step; below 1e-38 each operation
    on it would take a hundred times as long.
    """
    smallest = sys.float_info.min
    before = smallest * 0.5 == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


_lock = threading.Lock()
_outside: list[int] = []


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let torch compute with one intra-op thread inside, and with as many as before afterwards.

    With more, torch divides sums between threads, and bits would depend on their number; Recurra's own
    operators use all threads regardless. Several trainings may run in Python threads at once: each sets
    its own (torch keeps the number per thread), and all put back what the first of them found.
    """
    with _lock:
        _outside.append(_outside[0] if _outside else torch.get_num_threads())
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            torch.set_num_threads(_outside.pop())


def check_precision(network: Network, training: Training, device: str) -> None:
    """Raise SpecError where a precision of training would have no effect."""
    if training.precision == "float32":
        return
    asked = f"precision={training.precision!r}"
    if network.layer_norm or network.zoneout:
        cells = "layer-normalised cells" if network.layer_norm else "zoneout"
        raise SpecError(f"{asked} has no effect on {cells}, which run in float32; leave it out")
    if device != "cpu":
        raise SpecError(f"{asked} is for the CPU, got device={device!r}; leave it out or use device='cpu'")
