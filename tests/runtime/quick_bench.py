"""A benchmark that takes a moment: few and short sequences, no fresh processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest import mock

from recurra.runtime.bench.engines.engine import LeftOutError
from recurra.runtime.bench.models import cold, flair_tagger, torch_exported
from recurra.runtime.bench.models import run as running
from recurra.runtime.bench.models import workload as loads
from recurra.runtime.bench.models.contender import Contender


@contextmanager
def few_and_short() -> Iterator[None]:
    """Two sizes of batches, two short sequences, turns of a millisecond."""
    with (
        mock.patch.object(loads, "VARIANTS", {1: 2, 8: 1}),
        mock.patch.object(loads, "MADE", (2, 12)),
        mock.patch.multiple(running, TURN=0.001, REST=0.0, gc=mock.Mock()),
    ):
        yield


@contextmanager
def without_starts() -> Iterator[None]:
    """Fresh processes are left out."""
    with mock.patch.object(running, "cold_starts", return_value=({}, [])):
        yield


@contextmanager
def without_programs() -> Iterator[None]:
    """No program of torch.export, which take seconds to trace; test_torch_export compares their answers."""
    with mock.patch.object(torch_exported, "contenders", side_effect=LeftOutError("tested elsewhere")):
        yield


@contextmanager
def without_flair() -> Iterator[None]:
    """Flair takes no part, whether it is installed or not; test_bench_flair is about it."""
    with mock.patch.object(flair_tagger, "plays", return_value=False):
        yield


def start_once(contenders: Sequence[Contender]) -> None:
    """Start each in a fresh process and let it answer; raises where one does not."""
    for each in contenders:
        ms, megabytes = cold._start(each)
        assert 20 < ms < 60_000
        assert 10 < megabytes < 2000
