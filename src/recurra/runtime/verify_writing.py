"""What `verify` asks of a language model beside what it asks of all: scoring and writing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from recurra.kernels import engines
from recurra.runtime.language_model import LanguageModelPredictor
from recurra.runtime.verify import Check, bit_difference

SHORT, TEXTS = 200, 6
"""Tokens of a text whose every token is compared, and how many texts are tried."""

WAYS: tuple[dict[str, Any], ...] = (
    {"length": 40, "temperature": 0.8, "seed": 1, "count": 2},
    {"length": 40, "temperature": 0},
    {"length": 15, "beam": 3},
)


def writing_checks(predictor: LanguageModelPredictor, texts: Sequence[str]) -> Iterator[Check]:
    """Tokens scored as what comes after the text so far; texts written alone, in a batch, with other threads."""
    kept = sorted(texts, key=len)[-TEXTS:]
    difference = max((_token_by_token(predictor, text) for text in kept), default=0.0)
    name = "every token scored = the text so far"
    yield Check(name=name, passed=difference == 0.0, difference=difference)
    prompts = [text[: len(text) // 2] for text in kept]
    together = [predictor.generations(prompts, **options) for options in WAYS]
    alone = [[predictor.generations([prompt], **options)[0] for prompt in prompts] for options in WAYS]
    yield _same("written alone = in a batch", together, alone)
    for threads in (1, 2, 3):
        with engines.thread_count(threads):
            made = [predictor.generations(prompts, **options) for options in WAYS]
        yield _same(f"written with {threads} threads", together, made)


def _token_by_token(predictor: LanguageModelPredictor, text: str) -> float:
    """The largest difference between a text scored whole and asked for its next token again and again."""
    batch = predictor.encode([text])
    batch = batch.span(0, min(SHORT, int(batch.offsets[-1])))
    whole = np.concatenate(list(predictor.walk(batch)))
    parts = [
        predictor.answering.outputs_of(batch.span(0, end + 1)) for end in range(len(np.asarray(batch.values)))
    ]
    return bit_difference(np.concatenate(parts), whole)


def _same(name: str, found: Any, expected: Any) -> Check:
    """Texts are the same or not: there is no size to a difference."""
    return Check(name=name, passed=found == expected, difference=0.0 if found == expected else float("inf"))
