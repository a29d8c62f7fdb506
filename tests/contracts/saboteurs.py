"""Test-only switches that each break one promise; the promise's test must fail under its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

from recurra import kernels
from recurra.graph.recur import Recur
from recurra.runtime.predictor import Predictor


@contextmanager
def reads_a_neighbour() -> Iterator[None]:
    """Every sequence's first vector gets a millionth of the vector before it, which is its neighbour's last."""
    honest = Recur.forward

    def forward(self: Recur, parameters: Any, flow: Any, run: Any) -> Any:
        values = np.array(flow.values)
        starts = flow.offsets[1:-1]
        starts = starts[starts < len(values)]
        values[starts] += np.float32(1e-3) * values[starts - 1]
        return honest(self, parameters, replace(flow, values=values), run)

    with mock.patch.object(Recur, "forward", forward):
        yield


@contextmanager
def drops_the_lengths() -> Iterator[None]:
    """Sequences are padded with zeros to the longest of the batch, and the padding is read, as tutorials do."""
    honest = Recur.forward

    def forward(self: Recur, parameters: Any, flow: Any, run: Any) -> Any:
        lengths = np.diff(flow.offsets)
        longest = int(lengths.max(initial=0))
        padded = np.zeros((len(lengths) * longest, flow.values.shape[1]), dtype=flow.values.dtype)
        for row, (begin, length) in enumerate(zip(flow.offsets[:-1], lengths, strict=True)):
            padded[row * longest : row * longest + length] = flow.values[begin : begin + length]
        offsets = np.arange(len(lengths) + 1, dtype=np.int64) * longest
        return honest(self, parameters, replace(flow, values=padded, offsets=offsets), run)

    with mock.patch.object(Recur, "forward", forward):
        yield


@contextmanager
def multiplies_with_blas() -> Iterator[None]:
    """The head's product goes through the library that gives other bits for a row alone than in a batch."""

    def dense(x: Any, w: Any, b: Any = None) -> Any:
        product = (
            np.concatenate([x, x * np.float32(1e-7) * len(x)], axis=1) @ np.concatenate([w, w], axis=1).T
        )
        return product if b is None else product + b

    with mock.patch.object(kernels, "dense", dense):
        yield


@contextmanager
def answers_in_another_order() -> Iterator[None]:
    """The answers come back sorted by length, as they were computed."""
    honest = Predictor.outputs_of

    def outputs_of(self: Predictor, batch: Any, scaled: Any = None) -> Any:
        return honest(self, batch, scaled)[np.argsort(batch.lengths, kind="stable")]

    with mock.patch.object(Predictor, "outputs_of", outputs_of):
        yield
