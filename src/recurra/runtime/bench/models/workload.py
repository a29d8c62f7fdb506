"""The sequences that the engines are timed on: encoded batches of several sizes, and one sequence to step through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import DataError
from recurra.ragged import Array
from recurra.runtime.export.probes import Probe
from recurra.runtime.predictor import Predictor
from recurra.runtime.sample import Sample, given_sample, made_sample

VARIANTS: Mapping[int, int] = {1: 16, 8: 4, 32: 2, 128: 1}
"""Sizes of batches, and how many batches of that size take turns."""

MADE = (20, 200)
"""Bounds of the lengths of made sequences."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """batches: size -> encoded batches; walk: the longest of the sequences; first: one sequence as a user has it,
    or None where it is handed over encoded; made: whether the sequences are made up."""

    batches: Mapping[int, list[Probe]]
    walk: Probe
    first: str | list[str] | None
    lengths: Array
    made: bool


def workload(predictor: Predictor, inputs: Any = None, static: Any = None, seed: int = 0) -> Workload:
    """Draw batches from the user's sequences, or from made ones where there are none; empty sequences are left out.

    Raises DataError where no sequence has a step.
    """
    generator = np.random.default_rng(seed)
    lengths = np.exp(generator.uniform(np.log(MADE[0]), np.log(MADE[1]), 128)).astype(int).tolist()
    sample = made_sample(predictor, seed, lengths) if inputs is None else given_sample(inputs, static)
    batch = predictor.encode(sample.inputs)
    scaled = predictor.scaled_static(sample.static, len(batch))
    usable = np.flatnonzero(batch.lengths > 0)
    if not len(usable):
        raise DataError("inputs must hold a sequence of at least one step to measure the model on, got none")

    def probe(rows: Array) -> Probe:
        return Probe(batch=batch.select(rows), static=None if scaled is None else scaled[rows])

    drawn = {
        size: [probe(np.resize(generator.permutation(usable), size)) for _ in range(count)]
        for size, count in VARIANTS.items()
    }
    return Workload(
        batches=drawn,
        walk=probe(usable[[np.argmax(batch.lengths[usable])]]),
        first=_first_text(sample, usable),
        lengths=batch.lengths[usable],
        made=inputs is None,
    )


def _first_text(sample: Sample, usable: Array) -> str | list[str] | None:
    first = sample.inputs[int(usable[0])] if isinstance(sample.inputs, list) else None
    if sample.static is not None:
        return None
    if isinstance(first, str):
        return first
    words = isinstance(first, (list, tuple)) and all(isinstance(word, str) for word in first)
    return [str(word) for word in first] if words and first is not None else None
