"""A language model that writes: its recurrent state for many texts at once, and texts out of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra.decoding.beam import beam_search
from recurra.decoding.generation import Generation
from recurra.decoding.phrases import Phrases
from recurra.decoding.pieces import Pieces, Spelling
from recurra.decoding.writing import Rules, Token, write
from recurra.errors import SpecError
from recurra.ragged import Ragged
from recurra.runtime.next_token import NextTokens

if TYPE_CHECKING:
    from recurra.runtime.language_model import LanguageModelPredictor


@dataclass(frozen=True, kw_only=True)
class Written:
    """A text that a language model wrote behind a prompt.

    text: without the prompt and without what stopped it. tokens: how many were written, the end or the stop included.
    log_probability: their natural logarithm under the model, before temperature and rules (of beam search: with the
    repetition penalty). ended: "length", "end" (the model ended the text) or "stop". score: by which hypotheses
    of a beam are ordered; None for texts that were drawn.
    """

    text: str
    tokens: int
    log_probability: float
    ended: str
    score: float | None = None


class Writer:
    """Writes with a language model; made anew for each request."""

    def __init__(self, predictor: LanguageModelPredictor, generation: Generation) -> None:
        self.predictor, self.asked = predictor, generation
        self._spellings = _spellings(predictor)
        self._rules, self._stop = self._rules_of()

    def texts(self, prompts: Sequence[str]) -> list[list[Written]]:
        """For each prompt `count` texts; of a beam, the best first."""
        batch = self.predictor.encode(list(prompts))
        if self.asked.beam is not None:
            return [self._searched(batch.select(np.array([row]))) for row in range(len(batch))]
        made: list[list[Token]] = [[] for _ in range(len(batch) * self.asked.count)]
        for token in self._tokens(batch):
            made[token.row].append(token)
        count = self.asked.count
        follows = np.repeat(np.asarray(batch.lengths) > 1, count)
        texts = [self._written(tokens, bool(after)) for tokens, after in zip(made, follows, strict=True)]
        return [texts[begin : begin + count] for begin in range(0, len(texts), count)]

    def pieces(self, prompt: str) -> Iterator[str]:
        """One text, in pieces that are certain as soon as they are given; of a beam, at once when it is found."""
        if self.asked.beam is not None:
            yield self.texts([prompt])[0][0].text
            return
        batch = self.predictor.encode([prompt])
        pieces = Pieces(self._spellings, follows=int(batch.lengths[0]) > 1, stop=self._stop)
        for token in self._tokens(batch):
            if piece := pieces.push(token.token):
                yield piece
        if rest := pieces.finish():
            yield rest

    def ids(self, prompt: str) -> list[int]:
        """The tokens of one text that is not searched."""
        return [token.token for token in self._tokens(self.predictor.encode([prompt]))]

    def _tokens(self, batch: Ragged) -> Iterator[Token]:
        rows = NextTokens(self.predictor)
        first = rows.read(batch)
        return write(rows, first, _prompts(batch), self.asked, self._rules)

    def _searched(self, batch: Ragged) -> list[Written]:
        rows = NextTokens(self.predictor)
        first = rows.read(batch)
        (prompt,) = _prompts(batch)
        found = beam_search(rows, first[0], prompt, self.asked, self._rules)
        return [
            Written(
                text=self.spelled(each.tokens, bool(prompt)),
                tokens=len(each.tokens),
                log_probability=each.log_probability,
                ended=self._ended(each.tokens),
                score=each.score,
            )
            for each in found
        ]

    def _written(self, tokens: Sequence[Token], follows: bool) -> Written:
        ids = [each.token for each in tokens]
        total = sum(each.log_probability for each in tokens)
        return Written(
            text=self.spelled(ids, follows), tokens=len(ids), log_probability=total, ended=self._ended(ids)
        )

    def spelled(self, ids: Sequence[int], follows: bool = False) -> str:
        """The text of some tokens; follows: whether it goes on from a prompt."""
        pieces = Pieces(self._spellings, follows=follows, stop=self._stop)
        return "".join([*map(pieces.push, ids), pieces.finish()])

    def _ended(self, ids: Sequence[int]) -> str:
        if ids[-1] == self._rules.end:
            return "end"
        state = self._rules.stop.begin()
        for token in ids:
            state = self._rules.stop.after(state, token)
        return "stop" if self._rules.stop.any_met(state) else "length"

    def _rules_of(self) -> tuple[Rules, list[Any]]:
        boundary, ends = self.predictor.boundary, self.predictor.ends
        phrases = {
            name: [self._phrase(name, text) for text in getattr(self.asked, name)]
            for name in ("banned", "required", "stop")
        }
        rules = Rules(
            never=(0,) if ends else (0, boundary),
            end=boundary if ends else None,
            **{
                name: Phrases([spelled for spelled, _ in found], self._spellings)
                for name, found in phrases.items()
            },
        )
        return rules, [shown for _, shown in phrases["stop"]]

    def _phrase(self, name: str, text: str) -> tuple[Any, Any]:
        """A text as the model spells it, and as `Pieces` shows it."""
        encoder: Any = self.predictor.encoder
        ids = np.asarray(encoder.encode([text]).values)
        if not len(ids) or np.any(ids == 0):
            raise SpecError(
                f"{name} holds {text!r}, which this model cannot write: its vocabulary does not know it; leave it out"
            )
        spelled = [self._spellings[number] for number in ids]
        joined: Any = spelled[0]
        for spelling in spelled[1:]:
            joined = joined + spelling
        return joined, joined.decode("utf-8") if isinstance(joined, bytes) else joined


def _prompts(batch: Ragged) -> list[list[int]]:
    """The ids of each prompt, without the boundary before it."""
    return [batch[row][1:].tolist() for row in range(len(batch))]


def _spellings(predictor: LanguageModelPredictor) -> list[Spelling]:
    """What each token adds to a text; nothing for the unknown token and the boundary, which are not written."""
    encoder: Any = predictor.encoder
    nothing: Spelling
    spelled: list[Spelling]
    if predictor.unit == "words":
        nothing, spelled = (), [(word,) for word in encoder.vocabulary]
    elif predictor.unit == "bytes":
        nothing, spelled = b"", [b"", *(bytes([value]) for value in range(256))]
    else:
        nothing, spelled = "", list(encoder.vocabulary)
    return [nothing, *spelled[1:], nothing]
