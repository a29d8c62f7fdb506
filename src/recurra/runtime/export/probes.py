"""Sequences that a graph is tried on, and how they are handed to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.graph.onnx_nodes import WORD_LENGTHS
from recurra.ragged import Array, Ragged
from recurra.runtime.export.graphs import CHARACTERS, input_names
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
    if encoder.kind == "spelt":
        del ids[CHARACTERS]
        words = _made_words(generator, tokens, encoder.vocabularies[CHARACTERS])
        return Probe(batch=Ragged(values=words, offsets=offsets, columns=ids), static=static)
    features = generator.standard_normal((tokens, encoder.width)).astype(np.float32)
    return Probe(batch=Ragged(values=features, offsets=offsets, columns=ids), static=static)


def _made_words(generator: np.random.Generator, count: int, characters: int) -> Ragged:
    """The characters of words, some of which have none."""
    offsets = np.concatenate([[0], np.cumsum(generator.integers(0, 9, count))]).astype(np.int64)
    return Ragged(values=generator.integers(0, characters, int(offsets[-1])), offsets=offsets)


def columns_of(batch: Ragged) -> dict[str, Array]:
    """The arrays of an encoded batch with one row per step, "" for its values.

    Of spelt words these are their characters, padded with noughts, beside their `WORD_LENGTHS`.
    """
    columns = {name: np.asarray(column) for name, column in batch.columns.items()}
    if not isinstance(batch.values, Ragged):
        return {"": np.asarray(batch.values), **columns}
    padded, lengths = batch.values.to_padded()
    return {"": padded, WORD_LENGTHS: lengths, **columns}


def batch_feed(predictor: Predictor, probe: Probe, *, longer: int = 0, seed: int = 0) -> dict[str, Array]:
    """What a batch graph is given. Padding, `longer` steps more than needed, is filled with noise on purpose."""
    lengths = probe.batch.lengths
    steps = int(lengths.max(initial=0)) + longer
    real = np.arange(steps)[None, :] < lengths[:, None]
    feed: dict[str, Array] = {"lengths": lengths}
    if probe.static is not None:
        feed["static"] = probe.static
    generator, columns = np.random.default_rng(seed), columns_of(probe.batch)
    for name, column in input_names(predictor).items():
        values = columns[column]
        padded = _noise(predictor, generator, (*real.shape, *values.shape[1:]), name, values.dtype)
        padded[real] = values
        feed[name] = padded
    return feed


def _noise(
    predictor: Predictor,
    generator: np.random.Generator,
    shape: tuple[int, ...],
    name: str,
    kind: np.dtype[Any],
) -> Array:
    if kind.kind == "f":
        return (10 * generator.standard_normal(shape)).astype(kind)
    # Ids have to be some of the vocabulary; lengths of words that are none may say anything.
    sizes = {"ids" if k == "tokens" else k: v for k, v in predictor.encoder.vocabularies.items()}
    return generator.integers(0, sizes.get(name.removeprefix("ids."), 99), shape).astype(kind)


def step_feed(predictor: Predictor, probe: Probe, step: int) -> dict[str, Array]:
    """What a step graph is given at one step of sequences that are all at least that long; without the states."""
    at = probe.batch.offsets[:-1] + step
    columns = columns_of(probe.batch)
    feed: dict[str, Array] = {} if probe.static is None else {"static": probe.static}
    return {**feed, **{name: columns[column][at] for name, column in input_names(predictor).items()}}


def prefix(probe: Probe, steps: int) -> Probe:
    """The first steps of every sequence."""
    begin = np.zeros(len(probe.batch), dtype=np.int64)
    return Probe(batch=probe.batch.cut(begin, begin + steps), static=probe.static)
