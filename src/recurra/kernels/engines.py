"""Which engine computes: the native one where it was built, else the readable reference."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from recurra.errors import KernelError

INTERFACE = 3
"""The functions and arguments that this package calls; `csrc/bind/module.cpp` names the same number."""

_state: dict[str, Any] = {"looked": False, "native": None, "reason": "", "warned": False, "threads": 0}


def native() -> ModuleType | None:
    """The native module, or None (with one warning per process) where it was not built."""
    if not _state["looked"]:
        _look()
    if _state["native"] is None and not _state["warned"]:
        _state["warned"] = True
        warnings.warn(
            f"recurra's native kernels are not available ({_state['reason']}); the readable reference runs "
            "instead, much slower; `recurra doctor` says how to build them",
            RuntimeWarning,
            stacklevel=3,
        )
    module: ModuleType | None = _state["native"]
    return module


def _look() -> None:
    _state["looked"] = True
    if os.environ.get("RECURRA_NATIVE", "1") == "0":
        _state["reason"] = "switched off by RECURRA_NATIVE=0"
    else:
        try:
            from recurra import _native

            if getattr(_native, "interface", 0) != INTERFACE:
                raise ImportError("recurra._native was built from other sources than these; build it again")
            _state["native"] = _native
        except ImportError as error:
            _state["reason"] = str(error)
    if _state["native"] is None and os.environ.get("RECURRA_REQUIRE_NATIVE") == "1":
        raise ImportError(
            f"RECURRA_REQUIRE_NATIVE=1, but the native kernels cannot be used: {_state['reason']}"
        )


def engine() -> dict[str, Any]:
    """What runs: {"native": bool, "isa": "avx512" | "avx2" | "portable" | "none", "threads": int, "reason":
    str}."""
    if not _state["looked"]:
        _look()
    module = _state["native"]
    if module is not None:
        return dict(module.engine())
    return {"native": False, "isa": "none", "threads": get_num_threads(), "reason": _state["reason"]}


@contextmanager
def reference_engine() -> Iterator[None]:
    """Within, the readable reference runs in the whole process: for comparisons, which build their own weights."""
    native()
    held = {name: _state[name] for name in ("native", "warned")}
    _state.update(native=None, warned=True)
    try:
        yield
    finally:
        _state.update(held)


@contextmanager
def instruction_set(isa: str) -> Iterator[None]:
    """Within, new weights are packed for and operators run with another instruction set of the native engine."""
    module = native()
    if module is None:
        raise KernelError("there is no native engine whose instruction set could be chosen")
    before = str(module.engine()["isa"])
    module.set_isa(isa)
    try:
        yield
    finally:
        module.set_isa(before)


@contextmanager
def thread_count(n: int) -> Iterator[None]:
    """Within, the operators use `n` threads."""
    before = get_num_threads()
    set_num_threads(n)
    try:
        yield
    finally:
        set_num_threads(before)


def get_num_threads() -> int:
    """Threads that the operators use: RECURRA_NUM_THREADS, else OMP_NUM_THREADS, else the processors
    allowed."""
    if not _state["looked"]:
        _look()
    if _state["native"] is not None:
        return int(_state["native"].get_num_threads())
    return int(_state["threads"]) or _default_threads()


def set_num_threads(n: int) -> None:
    """Use `n` threads from now on; results are the same bits whatever `n` is."""
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise KernelError(f"n must be a whole number of threads, at least 1, got {n!r}")
    if not _state["looked"]:
        _look()
    if _state["native"] is not None:
        _state["native"].set_num_threads(n)
    _state["threads"] = n


def _default_threads() -> int:
    for name in ("RECURRA_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name, "")
        if text.isdigit() and int(text) > 0:
            return int(text)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
