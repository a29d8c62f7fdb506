"""Recurra itself, from stored bundles in every precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recurra.kernels.weights import PRECISIONS
from recurra.ragged import Array
from recurra.runtime.bench.models.contender import Answering, Contender, Walking, start_program, tags_decided
from recurra.runtime.export.probes import Probe
from recurra.runtime.predictor import Predictor
from recurra.runtime.quantize import loaded_bytes, quantized, save_quantized
from recurra.runtime.store import load_predictor

_ROW = np.array([0])


def contenders(predictor: Predictor, place: Path, inputs: Path) -> Iterator[Contender]:
    """The model as it is stored; of a float32 one also those in fewer bits."""
    wanted = PRECISIONS if predictor.precision == "float32" else (predictor.precision,)
    for precision in wanted:
        folder = save_quantized(quantized(predictor, precision), place / f"recurra-{precision}")
        model = load_predictor(folder).answering
        yield Contender(
            engine="recurra",
            precision=precision,
            batch=partial(_batch, model),
            walk=None if predictor.network.bidirectional else partial(_walk, model),
            file_bytes=loaded_bytes(folder),
            start=(start_program("recurra_start"), str(folder), str(inputs)),
            decided=partial(_decided, model) if tags_decided(model) else None,
        )


def _batch(model: Predictor, probe: Probe) -> Answering:
    return partial(model.outputs_of, probe.batch, probe.static)


def _decided(model: Any, probe: Probe) -> Callable[[], Any]:
    return lambda: model.codes(model.outputs_of(probe.batch, probe.static), probe.batch.offsets)


def _walk(model: Predictor, probe: Probe) -> Walking:
    stepping = model.stepping()
    take, batch, static = stepping.bare(), probe.batch, probe.static

    def advance(t: int) -> Array:
        take(stepping.enter(batch.span(t, t + 1)))
        return stepping.outputs(_ROW, np.array([t + 1]), static)

    return advance
