"""What a model answered when it was saved, kept beside it: `verify` asks again, wherever the model has gone since.

`answers.json` holds some made sequences and the numbers that left the live model for them. A bundle whose weights,
encoder or config were changed afterwards, with all hashes made to fit, answers otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra import kernels
from recurra.errors import CorruptBundleError, SpecError
from recurra.ragged import Array, Ragged
from recurra.runtime.predictor import Predictor
from recurra.runtime.sample import Sample, made_sample
from recurra.storage import open_folder, parse_json

ANSWERS = "answers.json"
LENGTHS = (7, 1, 0, 12, 3)
"""Lengths of the sequences whose answers are kept."""

_LARGEST = 64 << 20


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Sequences, what left the model for them, and by which version and engine that was computed."""

    sample: Sample
    outputs: Array
    version: str
    native: bool


def kept_answers(predictor: Predictor) -> dict[str, bytes]:
    """The file to store beside a model, by name; none for an encoder that no sequences can be made for.

    None either for a model under conditions, which answers only with one.
    """
    from recurra import __version__

    if predictor.head.condition is not None:
        return {}
    try:
        sample = made_sample(predictor, 1, LENGTHS)
    except SpecError:
        return {}
    record = {
        "recurra": __version__,
        "native": bool(kernels.engine()["native"]),
        "inputs": _plain_inputs(sample.inputs),
        "static": None if sample.static is None else sample.static.tolist(),
        "outputs": predictor.outputs(sample.inputs, sample.static).tolist(),
    }
    return {ANSWERS: json.dumps(_null_for_nan(record)).encode() + b"\n"}


def read_answers(path: str) -> Kept | None:
    """What is kept in the bundle at `path`; None where nothing is. Raises CorruptBundleError for a changed file."""
    with open_folder(path) as folder:
        if ANSWERS not in folder.names:
            return None
        file = str(folder.path / ANSWERS)
        record = parse_json(folder.read(ANSWERS, limit=_LARGEST), file)
    try:
        return _kept(record)
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptBundleError(f"{file} does not hold what a model answered: {error}") from error


def _kept(record: Mapping[str, Any]) -> Kept:
    static = record["static"]
    sample = Sample(
        inputs=_inputs(record["inputs"]),
        static=None if static is None else np.asarray(static, dtype=np.float64),
    )
    rows = [[np.nan if x is None else x for x in row] for row in record["outputs"]]
    return Kept(
        sample=sample,
        outputs=np.array(rows, dtype=np.float32).reshape(len(rows), -1),
        version=str(record["recurra"]),
        native=bool(record["native"]),
    )


def _plain_inputs(inputs: Any) -> Any:
    if not isinstance(inputs, Ragged):
        return list(inputs)
    columns = {name: np.asarray(column).tolist() for name, column in inputs.columns.items()}
    values = np.asarray(inputs.values)
    return {
        "offsets": inputs.offsets.tolist(),
        "width": values.shape[1],
        "values": values.tolist() if values.size else [],
        "columns": columns,
    }


def _inputs(record: Any) -> Any:
    if isinstance(record, list):
        return [text if isinstance(text, str) else [str(word) for word in text] for text in record]
    offsets = np.asarray(record["offsets"], dtype=np.int64)
    width, columns = int(record["width"]), {str(k): _column(cells) for k, cells in record["columns"].items()}
    values = np.zeros((int(offsets[-1]), 0))
    if width:
        values = np.array(record["values"], dtype=np.float64).reshape(-1, width)
    return Ragged(values=values, offsets=offsets, columns=columns)


def _column(cells: list[Any]) -> Array:
    numbers = all(cell is None or isinstance(cell, (int, float)) for cell in cells)
    return np.array(cells, dtype=np.float64 if numbers else object)


def _null_for_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _null_for_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_null_for_nan(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
