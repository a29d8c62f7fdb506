"""Data for a stored model: read as its training data were, unless told otherwise."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from recurra.cli.building import read_data
from recurra.data.dataset import Dataset
from recurra.errors import DataError, InputError

OPTIONAL = ("target", "steps_per_quarter")
"""Options of training that other data may do without."""


def read_like_training(predictor: Any, data: Sequence[str], changes: Mapping[str, Any]) -> Dataset:
    """Read files with the options of training, which the bundle keeps, and the given changes."""
    stored = dict(predictor.config["data"].get("reading", {}))
    chosen = {**stored, **changes}
    # Data to predict on often lack the target column, and no files but MIDI have a grid; all else must be there.
    dropped = [name for name in OPTIONAL if stored.get(name) and name not in changes]
    for name in (None, *dropped):
        try:
            return read_data(data, {k: v for k, v in chosen.items() if k != name}, predictor.task)
        except DataError as error:
            failed = error
    raise failed


def lines_of(stream: Any) -> Iterator[str]:
    """The lines of a text stream without their ends."""
    for line in stream:
        yield line.rstrip("\r\n")


def parse_line(line: str, position: int) -> Any:
    """One input per line: a JSON text, a JSON list of numbers or rows, an object with "input", or plain text."""
    if line[:1] not in ('"', "[", "{"):
        return line
    try:
        value = json.loads(line)
    except json.JSONDecodeError:
        return line
    if isinstance(value, dict):
        for key in ("input", "text", "values"):
            if key in value:
                return value[key]
        raise DataError(f'line {position}: an object needs "input", "text" or "values", got {sorted(value)}')
    return value


def standard_input(kind: str) -> Any:
    """All sequences on standard input, one per line."""
    items = [parse_line(line, i) for i, line in enumerate(lines_of(sys.stdin), 1) if line.strip()]
    if not items:
        raise InputError("standard input held no sequence; give one per line, or a file")
    if kind == "tokens":
        odd = next((i for i, item in enumerate(items, 1) if not isinstance(item, str)), None)
        if odd is not None:
            raise DataError(f"line {odd}: this model reads texts, got {type(items[odd - 1]).__name__}")
        return items
    return [_numbers(item, i) for i, item in enumerate(items, 1)]


def _numbers(item: Any, position: int) -> Any:
    try:
        values = np.asarray(item, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(
            f"line {position}: this model reads lists of numbers, got {str(item)[:40]!r}"
        ) from None
    return values if values.ndim == 2 else values.reshape(-1, 1)


def sequences_like_training(
    predictor: Any, data: Sequence[str], reading: Mapping[str, Any]
) -> tuple[Any, Any]:
    """The sequences of files, read as in training, and their features per sequence; texts for a language model."""
    if predictor.task == "language_model":
        from recurra.cli.corpora import texts_like_training

        return texts_like_training(predictor, data, reading), None
    if predictor.task == "frame_model":
        from recurra.cli.frames import frames_like_training

        return list(frames_like_training(predictor, data, reading).inputs), None
    dataset = read_like_training(predictor, data, reading)
    return dataset.inputs, dataset.static
