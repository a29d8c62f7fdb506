"""What is asked of a text that is to be written: `Generation`, a frozen request like the other specs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from recurra.errors import SpecError
from recurra.spec import Spec, option

SAMPLED = ("temperature", "top_k", "top_p", "seed")
"""Options that only drawing at random has."""


@dataclass(frozen=True, kw_only=True)
class Generation(Spec):
    """How a language model writes. An option that can have no effect beside the others is refused.

    Three ways: drawing at random (the default), greedily (`temperature=0`: the likeliest token each time), and beam
    search (`beam=`: the likeliest text that a bounded search finds).

    length: tokens that are written at most. Usual: 50-1000.
    temperature: the log-probabilities are divided by it before drawing: below 1 safer and duller, above 1 bolder; 0:
        greedy. None gives 1.0. Usual: 0.5-1.0.
    top_k: draw among the k likeliest tokens only (Fan et al. 2018). Usual: 10-100.
    top_p: draw among the smallest set of likeliest tokens that together have this probability (nucleus, Holtzman et
        al. 2020), after `temperature` and `top_k`. Usual: 0.8-0.95.
    beam: hypotheses kept per step (and, with `required`, per amount of required text written); None: no beam
        search. 1 is greedy. Usual: 3-10.
    length_penalty: beam only: log-probabilities are divided by ((5 + tokens) / 6) ** length_penalty (Wu et al.
        2016), so that longer texts are not punished for their length; None gives 0.6. Usual: 0-1.
    repetition_penalty: the log-probability of a token that stands in the text already is multiplied by it (in the
        manner of Keskar et al. 2019, on log-probabilities, so that it always lowers). 1.0: none. Usual: 1.0-1.3.
    repetition_window: how many of the last tokens, prompt included, count for it; None: all.
    banned: pieces of text that are never written, wherever they begin, also in the prompt's end.
    required: pieces of text that are written, in any order; needs `beam` (a grid of beams, Hokamp & Liu 2017). Where
        `length` has room for all of them they are always met.
    stop: pieces of text that end the writing; they are not part of the answer.
    seed: of the draws; None gives 0. The draw of token t of sample j depends on (seed, j, t) alone.
    count: texts per prompt: samples 0 to count - 1, or the best hypotheses of the beam.
    """

    section: ClassVar[str] = "generation"

    length: int = option(200, int, low=1, usual="50-1000")
    temperature: float | None = option(None, float, low=0.0, high=100.0, optional=True, usual="0.5-1.0")
    top_k: int | None = option(None, int, low=1, optional=True, usual="10-100")
    top_p: float | None = option(
        None, float, low=0.0, high=1.0, open_low=True, open_high=True, optional=True, usual="0.8-0.95"
    )
    beam: int | None = option(None, int, low=1, high=65536, optional=True, usual="3-10")
    length_penalty: float | None = option(None, float, low=0.0, high=10.0, optional=True, usual="0-1")
    repetition_penalty: float = option(1.0, float, low=1.0, high=100.0, usual="1.0-1.3")
    repetition_window: int | None = option(None, int, low=1, optional=True, usual="20-200")
    banned: tuple[str, ...] = option((), tuple)
    required: tuple[str, ...] = option((), tuple)
    stop: tuple[str, ...] = option((), tuple)
    seed: int | None = option(None, int, low=0, high=2**64 - 1, optional=True)
    count: int = option(1, int, low=1, high=1_000_000, usual="1-10")

    def validate(self) -> None:
        """Refuse options that the chosen way of writing cannot use."""
        way = "beam search" if self.beam is not None else "temperature=0 (greedy)"
        if self.beam is not None or self.temperature == 0:
            for name in SAMPLED:
                if getattr(self, name) is not None and not (name == "temperature" and self.beam is None):
                    raise SpecError(f"{name} has no effect with {way}, which draws nothing; leave it out")
        if self.beam is None:
            if self.length_penalty is not None:
                raise SpecError(
                    "length_penalty has no effect without beam search; leave it out, or give beam"
                )
            if self.required:
                raise SpecError(
                    "required needs beam search, which can look for a text that holds it; give beam=5"
                )
            if self.temperature == 0 and self.count > 1:
                raise SpecError(
                    f"count={self.count} with temperature=0 gives the same text each time; use beam"
                )
        elif self.count > self.beam:
            raise SpecError(f"count must be at most beam={self.beam}, the hypotheses kept, got {self.count}")
        if self.repetition_window is not None and self.repetition_penalty == 1.0:
            raise SpecError("repetition_window has no effect with repetition_penalty=1.0; leave it out")
        for name in ("banned", "required", "stop"):
            for text in getattr(self, name):
                if not isinstance(text, str) or not text:
                    raise SpecError(f"{name} must hold texts of at least one character, got {text!r}")

    def resolved(self) -> Generation:
        """With every option that depends on another one filled in."""
        if self.beam is not None:
            return self.replace(length_penalty=0.6 if self.length_penalty is None else self.length_penalty)
        if self.temperature == 0:
            return self
        return self.replace(
            temperature=1.0 if self.temperature is None else self.temperature, seed=self.seed or 0
        )
