"""A benchmark that takes a moment: few and short sequences, no fresh processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from recurra.runtime.bench.models import run as running
from recurra.runtime.bench.models import workload as loads


@contextmanager
def few_and_short() -> Iterator[None]:
    """Two sizes of batches, two short sequences, turns of a millisecond."""
    with (
        mock.patch.object(loads, "VARIANTS", {1: 2, 8: 1}),
        mock.patch.object(loads, "MADE", (2, 12)),
        mock.patch.object(running, "TURN", 0.001),
    ):
        yield


@contextmanager
def without_starts() -> Iterator[None]:
    """Fresh processes are left out."""
    with mock.patch.object(running, "cold_starts", return_value=({}, [])):
        yield
