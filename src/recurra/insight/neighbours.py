"""Nearest neighbours in the embedding: which tokens the model treats alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import DataError, SpecError, nearest
from recurra.insight.subject import Subject, subject_of
from recurra.ragged import Array


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The tokens closest to one token.

    token: the one asked about. found: (token, cosine similarity), closest first. typical: the mean similarity of the
    token to all others, to judge the closest by.
    """

    token: str
    found: tuple[tuple[str, float], ...]
    typical: float


def neighbours(
    model: Any, tokens: Sequence[str], *, count: int = 5, column: str | None = None
) -> list[Neighbours]:
    """The `count` tokens with the most similar embedding vectors, for each of some tokens.

    tokens: as they stand in the vocabulary. column: of events, the categorical column; None where there is one only.
    Raises SpecError for a model without an embedding, DataError for tokens that it does not know.
    """
    subject = subject_of(model)
    table, vocabulary = _table(subject, column)
    known = {token: place for place, token in enumerate(vocabulary)}
    lengths = np.sqrt(np.sum(table**2, axis=1, keepdims=True))
    unit = table / np.where(lengths > 0, lengths, 1.0)
    return [_of(token, known, vocabulary, unit, count) for token in tokens]


def _of(token: str, known: dict[str, int], vocabulary: Sequence[str], unit: Array, count: int) -> Neighbours:
    if token not in known:
        raise DataError(f"tokens must be known to the model, {token!r} is not{nearest(token, vocabulary)}")
    place = known[token]
    alike = np.sum(unit * unit[place], axis=1)
    others = np.arange(len(unit)) != place
    others[0] = False
    order = [int(i) for i in np.argsort(-alike, kind="stable") if others[i]][:count]
    return Neighbours(
        token=token,
        found=tuple((vocabulary[i], float(alike[i])) for i in order),
        typical=float(np.mean(alike[others])),
    )


def _table(subject: Subject, column: str | None) -> tuple[Array, Sequence[str]]:
    """The embedding (V, D) in float64 and its V tokens; row 0 is the unknown one."""
    parameters = subject.predictor.parameters
    if subject.is_text:
        if column is not None:
            raise SpecError(f"column has no effect on texts, got {column!r}; leave it out")
        encoder: Any = subject.encoder
        return parameters["embed.table"].astype(np.float64), encoder.vocabulary
    categories = getattr(subject.encoder, "categories", None)
    if not categories:
        raise SpecError("model must embed tokens or categories to have neighbours; it reads numbers")
    name = next(iter(categories)) if column is None and len(categories) == 1 else column
    if name not in categories:
        raise SpecError(f"column must be one of {', '.join(categories)}, got {column!r}")
    return parameters[f"embed.table.{name}"].astype(np.float64), ("<unk>", *categories[name])
