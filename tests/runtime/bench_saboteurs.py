"""Engines that are wrong or missing: the bench must notice each. And a bench that is over at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

import pytest

from recurra.runtime.bench import peak, timing
from recurra.runtime.bench import run as running
from recurra.runtime.bench.engines import torch_padded


@contextmanager
def briefly() -> Iterator[None]:
    """One turn of one call, without tidying up before it, for tests that are not about time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peak, "_SECONDS", 0.001)
        patch.setattr(timing, "TURN", 0.0)
        patch.setattr(timing, "REST", 0.0)
        patch.setattr(timing, "ROUNDS", (1, 1))
        patch.setattr(timing, "gc", mock.Mock())  # the heap of a whole test run takes a quarter of a second
        yield


@contextmanager
def slightly_wrong(engine: str, size: float = 1e-3) -> Iterator[None]:
    """This engine's outputs are off by a thousandth of their largest."""
    real = running.prepare

    def prepare(name, problem):
        made = real(name, problem)
        if name != engine:
            return made

        def answer(result):
            found = dict(made.answer(result))
            found["y"] = found["y"] + size * abs(found["y"]).max()
            return found

        return replace(made, answer=answer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "prepare", prepare)
        yield


@contextmanager
def padding_read_first() -> Iterator[None]:
    """torch's own `bidirectional=True` on padded rows, the field's common fault."""

    def both(torch, problem):
        net = torch_padded.module(torch, problem.layers)
        return net, list(torch_padded.parameter_names(problem).values())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_padded, "_both", both)
        yield


@contextmanager
def gradient_forgotten() -> Iterator[None]:
    """The plain loop gives no gradient for one of the biases."""
    from recurra.runtime.bench.engines import loop

    real = loop.gradients

    def gradients(names, found, *rest):
        answer = dict(real(names, found, *rest))
        answer["0.0.b_hh"] = answer["0.0.b_hh"] * 0
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "gradients", gradients)
        yield


@contextmanager
def not_installed(module: str) -> Iterator[None]:
    """As where this module is not installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module, None)
        yield
