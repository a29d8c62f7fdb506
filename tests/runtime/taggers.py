"""Taggers with random weights, large enough that their answers differ, made without training."""

from __future__ import annotations

from typing import Any

import numpy as np

import recurra as rc
from recurra.data.events import Events
from recurra.data.step_targets import StepLabels, StepNumbers
from recurra.data.tokens import Tokens
from recurra.runtime.predictor import Head, build_model
from recurra.runtime.tagger import TaggerPredictor

WORDS = ["one", "two", "three", "Four", "five", "unseen", "two", "one", "six", "Four"]
TAGS = ("B-a", "B-b", "I-a", "I-b", "O")
STEPS = [{"shop": shop, "price": float(i)} for i, shop in enumerate("abacab")]


def encoder_of(kind: str, affixes: int) -> Any:
    if kind == "spelt":
        return Tokens(min_count=1, character_size=4, units=3, affixes=affixes).fit([WORDS[:5]])
    if kind == "words":
        return rc.Words(min_count=1).fit([" ".join(WORDS[:5])])
    if kind == "events":
        return Events(min_count=1).fit([STEPS, STEPS[:2]])
    return rc.Signal().fit([np.random.default_rng(0).standard_normal((30, 2))])


def tagger(
    *,
    bidirectional: bool = False,
    crf: bool = True,
    signal: bool = False,
    kind: str = "",
    columns: tuple[tuple[str, ...], ...] = (TAGS,),
    schemes: tuple[str | None, ...] = ("bio",),
    numbers: int = 0,
    scale: float = 2.5,
    affixes: int = 0,
    **network: Any,
) -> TaggerPredictor:
    """Labels (`columns` of tags), or `numbers` per step; signal: one number per step of a signal."""
    net = rc.Network(**{"hidden_size": 7, "num_layers": 2, "bidirectional": bidirectional, **network})
    encoder = encoder_of(kind or ("signal" if signal else "spelt"), affixes)
    numbers = 1 if signal and not numbers else numbers
    target: Any = StepLabels(classes=columns)
    if numbers:
        steps = np.array([1.0, 2.0, 4.0])
        target = StepNumbers.fit([steps if numbers == 1 else np.stack([steps, 1e3 * steps[::-1]], axis=1)])
    sizes = () if numbers else target.sizes
    head = Head(outputs=numbers or sum(sizes), pooling=None, chain=sizes if crf else ())
    first = build_model(net, encoder, head).initial(1)
    return TaggerPredictor(
        network=net,
        encoder=encoder,
        head=head,
        target=target,
        parameters={name: scale * value for name, value in first.items()},
        config={"schemes": [] if numbers else list(schemes), "loss": None},
    )
