"""What several test files need: real data where they are, parts that CI must have, saboteurs that must be noticed."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def shared_data(name: str) -> Path:
    """The folder of a real data set; skips with a reason where it is absent."""
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"the real data set {name!r} is not beside this checkout")
    return folder


def require(part: str, available: bool, how: str) -> None:
    """Skip where a part is missing; fail where RECURRA_REQUIRE names it, as CI does for what it must have."""
    if available:
        return
    if part in os.environ.get("RECURRA_REQUIRE", "").split(","):
        pytest.fail(f"{part} is required here and missing: {how}")
    pytest.skip(f"{part} is missing: {how}")


def assert_noticed(saboteur: AbstractContextManager[Any], check: Callable[[], None]) -> None:
    """A check must pass as things are and fail while the saboteur is at work: otherwise it proves nothing."""
    check()
    with saboteur, pytest.raises(AssertionError):
        check()
