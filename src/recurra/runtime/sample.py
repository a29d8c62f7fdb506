"""Sequences to try a model on: the user's own or made ones, and each of them cut into what a stream is handed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.data.encoder import Encoder
from recurra.data.events import EventEncoder
from recurra.data.signal import NumericEncoding, SignalEncoder
from recurra.data.steps import TIME
from recurra.data.text_encoders import TextEncoder
from recurra.data.tokens import TokenEncoder
from recurra.errors import SpecError
from recurra.ragged import Array, Ragged
from recurra.runtime.predictor import Predictor

MADE_LENGTHS = (7, 1, 0, 33, 2, 12, 5, 70, 3, 20, 1, 140)
"""Lengths of made sequences."""

STRANGE = "zz☃qx"
"""A word that no training has seen."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Sequences as `predict` takes them, with their static features where the model reads any."""

    inputs: Any
    static: Array | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def select(self, rows: Any) -> Sample:
        """Some of the sequences, in this order."""
        inputs = self.inputs
        chosen = inputs.select(rows) if isinstance(inputs, Ragged) else [inputs[int(i)] for i in rows]
        return Sample(inputs=chosen, static=None if self.static is None else self.static[np.asarray(rows)])

    def static_of(self, row: int) -> Any:
        """The static features of one sequence, or None."""
        return None if self.static is None else self.static[row]


def given_sample(inputs: Any, static: Any) -> Sample:
    """What a user handed over."""
    kept = inputs if isinstance(inputs, Ragged) else list(inputs)
    return Sample(inputs=kept, static=None if static is None else np.asarray(static, dtype=np.float64))


def made_sample(predictor: Predictor, seed: int = 0, lengths: Sequence[int] = MADE_LENGTHS) -> Sample:
    """Made sequences that fit a model's encoder: known and unknown tokens, missing values, of these lengths.

    Raises SpecError for an encoder of a kind that it cannot make sequences for.
    """
    generator = np.random.default_rng(seed)
    encoder, head = predictor.encoder, predictor.head.static
    static = None
    if head is not None:
        shape = (len(lengths), len(head.names))
        static = head.mean + head.scale * generator.standard_normal(shape)
    if isinstance(encoder, TokenEncoder):
        return Sample(inputs=[_words(encoder, length, generator) for length in lengths], static=static)
    if isinstance(encoder, TextEncoder):
        return Sample(inputs=[_text(encoder, length, generator) for length in lengths], static=static)
    if not isinstance(encoder, (SignalEncoder, EventEncoder)):
        raise SpecError(f"no sequences can be made for {encoder.spec.name!r}; give some of your own")
    steps = _steps(encoder, generator, lengths)
    if predictor.binary:
        steps = Ragged(values=(np.asarray(steps.values) > 0).astype(np.float64), offsets=steps.offsets)
    return Sample(inputs=steps, static=static)


def _text(encoder: TextEncoder, length: int, generator: np.random.Generator) -> str:
    text = encoder.decode(generator.integers(0, len(encoder.vocabulary), length))
    return f"{text} {STRANGE}" if length > 2 else text


def _words(encoder: TokenEncoder, length: int, generator: np.random.Generator) -> list[str]:
    """Words of the vocabulary, and one that is in none."""
    known = [*encoder.words[1:], STRANGE]
    words = [known[i] for i in generator.integers(0, len(known), length)]
    return [*words[:-1], STRANGE] if length > 2 else words


def _steps(
    encoder: SignalEncoder | EventEncoder, generator: np.random.Generator, lengths: Sequence[int]
) -> Ragged:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    count, numbers = int(offsets[-1]), encoder.numbers
    values = _numbers(encoder, numbers, count, generator)
    columns: dict[str, Any] = {}
    if numbers.elapsed is not None:
        columns[TIME] = np.cumsum(generator.exponential(1.0, count))
    if isinstance(encoder, EventEncoder):
        for name, known in encoder.categories.items():
            columns[name] = generator.choice(np.array([*known, STRANGE], dtype=object), count)
    if numbers.naming == "columns":
        columns.update(zip(numbers.names, values.T, strict=True))
        values = values[:, :0]
    return Ragged(values=values, offsets=offsets, columns=columns)


def _numbers(encoder: Any, numbers: NumericEncoding, count: int, generator: np.random.Generator) -> Array:
    scaler = numbers.scaler
    values = scaler.center + scaler.scale * generator.standard_normal((count, len(scaler.names)))
    if encoder.spec.missing == "impute":
        values[generator.random(values.shape) < 0.05] = np.nan
    return np.asarray(values, dtype=np.float64)


def pieces_of(encoder: Encoder, inputs: Any, row: int) -> list[Any]:
    """One sequence as the pieces that a stream may be handed: words, or single steps."""
    if isinstance(inputs, Ragged):
        return list(_rows_of(inputs, row))
    sequence = inputs[row]
    if isinstance(sequence, str):
        return sequence.split() if encoder.kind == "spelt" else _text_pieces(encoder, sequence)
    if encoder.kind in ("tokens", "spelt"):
        return [[word] for word in sequence]
    if isinstance(sequence, Mapping) or hasattr(sequence, "columns"):
        names = list(sequence) if isinstance(sequence, Mapping) else list(sequence.columns)
        columns = {str(name): list(sequence[name]) for name in names}
        count = len(next(iter(columns.values()), []))
        return [{name: cells[step] for name, cells in columns.items()} for step in range(count)]
    return list(sequence)


def _rows_of(batch: Ragged, row: int) -> Iterator[Any]:
    """Steps of a Ragged: rows of numbers, or mappings where there are named columns beside them."""
    values = np.asarray(batch.values)
    for place in range(int(batch.offsets[row]), int(batch.offsets[row + 1])):
        if not batch.columns:
            yield values[place]
            continue
        step = {name: column[place] for name, column in batch.columns.items()}
        has_numbers = values.ndim == 1 or values.shape[1] > 0
        yield {"values": values[place], **step} if has_numbers else step


def _text_pieces(encoder: Encoder, text: str) -> list[str]:
    """A text cut at its spaces; whole where the encoder sees it otherwise in pieces (tags of HTML, for one)."""
    pieces = text.split() if encoder.spec.name == "words" else re.split(r"(?= )", text)
    together = [np.asarray(encoder.step(piece)[0].values) for piece in pieces]
    limit = getattr(encoder.spec, "max_length", None)
    found = np.concatenate([np.zeros(0, np.int64), *together])[:limit]
    return pieces if np.array_equal(found, np.asarray(encoder.encode([text]).values)) else [text]
