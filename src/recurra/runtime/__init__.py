"""The service wing: stored models answer without torch."""

from __future__ import annotations

from typing import Any


def load(path: Any) -> Any:
    """Read a bundle and return its predictor; see `recurra.runtime.store.load_predictor`."""
    from recurra.runtime.store import load_predictor

    return load_predictor(path)
