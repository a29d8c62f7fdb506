"""Language models with random parameters, sharp enough to write something, made without training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from recurra.data.bytes import Bytes
from recurra.data.target_encoders import NextToken
from recurra.data.text import BPE, Characters, Words
from recurra.runtime.language_model import LanguageModelPredictor
from recurra.runtime.predictor import Head, build_model
from recurra.spec import Network

TEXT = (
    "the cat sat on the mat. the dog, the hat and the cat sat on a big red mat!\nWhy? Because of the rain. "
    * 3
)

UNITS: dict[str, Any] = {
    "characters": Characters(),
    "words": Words(min_count=1),
    "bpe": BPE(vocab_size=60),
    "bytes": Bytes(),
}


def writer(
    unit: str = "characters",
    *,
    ends: bool = True,
    seed: int = 0,
    scale: float = 4.0,
    head: Mapping[str, Any] | None = None,
    **network: Any,
) -> LanguageModelPredictor:
    """A model over the vocabulary of TEXT; head: further fields of it."""
    encoder: Any = UNITS[unit].fit([TEXT])
    net = Network(**{"hidden_size": 12, "num_layers": 2, "embedding_size": 8, **network})
    made = Head(outputs=len(encoder.vocabulary) + 1, pooling=None, boundary=True, **(head or {}))
    drawn = build_model(net, encoder, made).initial(seed)
    return LanguageModelPredictor(
        network=net,
        encoder=encoder,
        head=made,
        target=NextToken(),
        parameters={name: np.float32(scale) * part for name, part in drawn.items()},
        config={"ends": ends, "documents": "whole"},
    )
