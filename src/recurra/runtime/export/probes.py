"""Sequences that a graph is tried on, and how they are handed to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.ragged import Array, Ragged
from recurra.runtime.export.graphs import input_names
from recurra.runtime.predictor import Predictor

CASES: Mapping[str, tuple[int, ...]] = {
    "one row": (7,),
    "one row of length 1": (1,),
    "one row of length 0": (0,),
    "rows of length 0 alone": (0, 0, 0),
    "one length": (6, 6, 6),
    "lengths 1 to 8": tuple(range(1, 9)),
    "mixed lengths": (5, 1, 0, 12, 2, 33, 0, 1, 20),
}
"""The batches that every graph has to answer."""

STEPS, STREAMS = 10, 3
"""Steps and rows that every step graph has to answer."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """An encoded batch with its scaled static features, if the model reads some."""

    batch: Ragged
    static: Array | None = None


def made_probe(predictor: Predictor, lengths: Sequence[int], seed: int) -> Probe:
    """Random tokens or standard normal features of these lengths."""
    generator = np.random.default_rng(seed)
    encoder, tokens = predictor.encoder, int(sum(lengths))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = {name: generator.integers(0, size, tokens) for name, size in encoder.vocabularies.items()}
    static = None
    if predictor.head.static is not None:
        static = generator.standard_normal((len(lengths), len(predictor.head.static.names))).astype(
            np.float32
        )
    if encoder.kind == "tokens":
        (values,) = ids.values()
        return Probe(batch=Ragged(values=values, offsets=offsets), static=static)
    features = generator.standard_normal((tokens, encoder.width)).astype(np.float32)
    return Probe(batch=Ragged(values=features, offsets=offsets, columns=ids), static=static)


def batch_feed(predictor: Predictor, probe: Probe, *, longer: int = 0, seed: int = 0) -> dict[str, Array]:
    """What a batch graph is given. Padding, `longer` steps more than needed, is filled with noise on purpose."""
    lengths = probe.batch.lengths
    steps = int(lengths.max(initial=0)) + longer
    real = np.arange(steps)[None, :] < lengths[:, None]
    feed: dict[str, Array] = {"lengths": lengths}
    if probe.static is not None:
        feed["static"] = probe.static
    generator = np.random.default_rng(seed)
    for name, column in input_names(predictor).items():
        values = np.asarray(probe.batch.columns[column] if column else probe.batch.values)
        padded = _noise(predictor, generator, (*real.shape, *values.shape[1:]), column, values.dtype)
        padded[real] = values
        feed[name] = padded
    return feed


def _noise(
    predictor: Predictor,
    generator: np.random.Generator,
    shape: tuple[int, ...],
    column: str,
    kind: np.dtype[Any],
) -> Array:
    if kind.kind == "f":
        return (10 * generator.standard_normal(shape)).astype(kind)
    size = predictor.encoder.vocabularies[column or "tokens"]
    return generator.integers(0, size, shape).astype(kind)


def step_feed(predictor: Predictor, probe: Probe, step: int) -> dict[str, Array]:
    """What a step graph is given at one step of sequences that are all at least that long; without the states."""
    at = probe.batch.offsets[:-1] + step
    feed: dict[str, Array] = {} if probe.static is None else {"static": probe.static}
    for name, column in input_names(predictor).items():
        values = np.asarray(probe.batch.columns[column] if column else probe.batch.values)
        feed[name] = values[at]
    return feed


def prefix(probe: Probe, steps: int) -> Probe:
    """The first steps of every sequence."""
    rows = np.concatenate([begin + np.arange(steps) for begin in probe.batch.offsets[:-1]])
    offsets = steps * np.arange(len(probe.batch) + 1)
    columns = {name: column[rows] for name, column in probe.batch.columns.items()}
    made = Ragged(values=np.asarray(probe.batch.values)[rows], offsets=offsets, columns=columns)
    return Probe(batch=made, static=probe.static)
