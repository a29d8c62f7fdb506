"""`--condition`: a language model that was trained under conditions, under one of them."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from recurra.errors import InputError

Condition = Annotated[
    str | None,
    typer.Option(
        help="Of a model that was trained under conditions: a label, a number, or a vector as [0.1, 2]."
    ),
]


def under(predictor: Any, condition: str | None) -> Any:
    """The predictor as it is, or under a condition. Raises InputError where one has no effect, or cannot be read."""
    if condition is None:
        return predictor
    known = predictor.head.condition if predictor.task == "language_model" else None
    if known is None:
        raise InputError("--condition has no effect on this model, which was trained without; leave it out")
    return predictor.given(condition if known.labels is not None else _vector(condition))


def _vector(text: str) -> list[float]:
    try:
        read = json.loads(text)
        return [float(number) for number in (read if isinstance(read, list) else [read])]
    except (ValueError, TypeError):
        raise InputError(
            f"--condition must be a number, or a list of numbers such as [0.1, 2], got {text!r:.60}"
        ) from None
