"""`Passage`: one sequence as the model read it, with what a person needs to find each step again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recurra.data.encoder import UNKNOWN, Encoder
from recurra.data.events import EventEncoder
from recurra.data.sentences import text_of
from recurra.data.text_encoders import TextEncoder
from recurra.data.tokenization import UNK
from recurra.data.tokens import WORDS, TokenEncoder
from recurra.ragged import Array, Offsets, Ragged

TOKEN = "token"
"""The only channel of a text."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Passage:
    """T steps of one sequence.

    tokens: T texts, one per step: of a text the piece as it stands there ("" for none), else the number of the step.
    channels: names of the C things that a step consists of: "token" of a text, the features of a signal, the
        features and the columns of events.
    text: the text as given (lists of words: see `recurra.data.sentences.text_of`), None for other sequences.
    spans: (T, 2) int64, where each token begins and ends in `text`, in characters; None for other sequences.
    numbers: (T, F) float32, the features as the model reads them (scaled: 0 is the training mean); None for texts.
    categories: column -> T texts, of events; an unknown one is "<unk>".
    unknown: the steps of a text whose token the model does not know: it reads all of these alike.
    """

    tokens: tuple[str, ...]
    channels: tuple[str, ...]
    text: str | None = None
    spans: Offsets | None = None
    numbers: Array | None = None
    categories: dict[str, tuple[str, ...]] | None = None
    unknown: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.tokens)

    def cell(self, step: int, channel: int = 0) -> str:
        """What stands at one step in one channel, in words: a token, "x = 0.31", "item = milk"."""
        if self.numbers is None:
            return self.tokens[step]
        name, features = self.channels[channel], self.numbers.shape[1]
        if channel < features:
            return f"{name} = {self.numbers[step, channel]:.3g}"
        assert self.categories is not None
        return f"{name} = {self.categories[name][step]}"

    def pieces(self) -> tuple[list[str], list[int | None]]:
        """The text cut into tokens and what stands between them, in order, and the step of each piece (or None)."""
        if self.text is None or self.spans is None:
            return [*self.tokens], [*range(len(self))]
        pieces: list[str] = []
        steps: list[int | None] = []
        at = 0
        for step, (begin, end) in enumerate(self.spans.tolist()):
            if begin > at:
                pieces.append(self.text[at:begin])
                steps.append(None)
            pieces.append(self.text[max(begin, at) : end])
            steps.append(step)
            at = max(at, end)
        if at < len(self.text):
            pieces.append(self.text[at:])
            steps.append(None)
        return pieces, steps


def passages_of(encoder: Encoder, inputs: Any, batch: Ragged) -> tuple[Passage, ...]:
    """The passages of inputs that `encoder` encoded to `batch`."""
    if isinstance(encoder, TextEncoder):
        return tuple(_text_passage(encoder, item) for item in inputs)
    if isinstance(encoder, TokenEncoder):
        ids = np.split(np.asarray(batch.columns[WORDS]), batch.offsets[1:-1])
        return tuple(
            replace(_text_passage(encoder, item), unknown=tuple(np.flatnonzero(mine == UNKNOWN).tolist()))
            for item, mine in zip(inputs, ids, strict=True)
        )
    labels = _category_labels(encoder)
    channels = (*encoder.feature_names, *labels)
    return tuple(_number_passage(batch, row, channels, labels) for row in range(len(batch)))


def begun(passage: Passage) -> Passage:
    """The passage of a text before whose first token a model reads a boundary."""
    assert passage.spans is not None
    return replace(
        passage,
        tokens=("", *passage.tokens),
        spans=np.concatenate([np.zeros((1, 2), np.int64), passage.spans]),
        unknown=tuple(step + 1 for step in passage.unknown),
    )


def _text_passage(encoder: TextEncoder | TokenEncoder, item: Any) -> Passage:
    found = encoder.tokens(item)
    text = text_of(item)
    spans = np.asarray([(begin, end) for _, begin, end in found], dtype=np.int64).reshape(-1, 2)
    tokens = tuple(text[begin:end] or token for token, begin, end in found)
    unknown = tuple(step for step, (token, _, _) in enumerate(found) if token == UNK)
    return Passage(tokens=tokens, channels=(TOKEN,), text=text, spans=spans, unknown=unknown)


def _category_labels(encoder: Encoder) -> dict[str, Sequence[str]]:
    if not isinstance(encoder, EventEncoder):
        return {}
    return {name: (UNK, *kept) for name, kept in encoder.categories.items()}


def _number_passage(
    batch: Ragged, row: int, channels: tuple[str, ...], labels: dict[str, Sequence[str]]
) -> Passage:
    begin, end = int(batch.offsets[row]), int(batch.offsets[row + 1])
    found = {
        name: tuple(known[number] for number in batch.columns[name][begin:end].tolist())
        for name, known in labels.items()
    }
    return Passage(
        tokens=tuple(str(step) for step in range(end - begin)),
        channels=channels,
        numbers=np.asarray(batch.values)[begin:end],
        categories=found or None,
    )
