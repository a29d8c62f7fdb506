"""Words as vectors: one looked up for the word, beside one that a recurrence over its characters gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from recurra import kernels
from recurra.graph.embed import Embed, EmbedColumns
from recurra.graph.node import Node, Parameter
from recurra.graph.recur import Recur
from recurra.graph.run import Flow, Parameters, Run
from recurra.kernels import shaping
from recurra.spec import Network

WORDS, CHARACTERS = "words", "characters"
"""Names of the vocabularies that every model of words has; all others are of beginnings and endings. A column of an
encoded batch holds the ids of each but the characters, which are its values."""


class Spell(Node):
    """Characters of words in sequences -> one vector per word: (N, size + affix_size * affixes + 2 * units).

    The characters of every word are looked up and read in both directions by an LSTM; its two final states stand
    behind the vector of the word (Ling et al. 2015, Lample et al. 2016) and those of its beginnings and endings,
    where there are vocabularies of them. Words lie end to end as sequences do, so a long word costs the others
    nothing. A word without characters gets zeros.

    character_size: numbers per character. affix_size: numbers per beginning or ending. units: of the LSTM, per
    direction. word_dropout: in training, the probability that a word is looked up as an unknown one (id 0), which
    trains the vector of unknown words and the reading of characters and affixes.
    """

    def __init__(
        self,
        name: str,
        *,
        vocabularies: Mapping[str, int],
        size: int,
        character_size: int,
        units: int,
        affix_size: int,
        word_dropout: float,
    ) -> None:
        super().__init__(name)
        self.word_dropout = word_dropout
        self.words = Embed(f"{name}.{WORDS}", vocabulary=vocabularies[WORDS], size=size)
        self.characters = Embed(
            f"{name}.{CHARACTERS}", vocabulary=vocabularies[CHARACTERS], size=character_size
        )
        affixes = {
            column: known for column, known in vocabularies.items() if column not in (WORDS, CHARACTERS)
        }
        self.affixes = EmbedColumns(f"{name}.affixes", features=0, vocabularies=affixes, size=affix_size)
        reader = Network(hidden_size=units, num_layers=1, bidirectional=True)
        self.reader = Recur(f"{name}.reader", network=reader, inputs=character_size)

    def _inner(self) -> Iterator[Node]:
        yield from (self.words, self.affixes, self.characters, self.reader)

    @property
    def width(self) -> int:
        return self.words.width + self.affixes.width + self.reader.width

    def parameters(self) -> Mapping[str, Parameter]:
        return {
            f"{node.name.removeprefix(self.name + '.')}.{part}": made
            for node in self._inner()
            for part, made in node.parameters().items()
        }

    def forward(self, parameters: Parameters, flow: Flow, run: Run) -> Flow:
        # A run of its own: nothing of a word is carried from window to window, nor shown as a state of the model.
        own = Run(training=run.training, seed=run.seed_for(self.name), cache=run.cache)
        spelt = Flow(values=flow.values, offsets=flow.inner)
        spelt = self.reader.forward(parameters, self.characters.forward(parameters, spelt, own), own)
        looked_up = Flow(values=self._dropped(flow.columns[WORDS], own), offsets=flow.offsets)
        looked_up = self.words.forward(parameters, looked_up, own)
        parts = [looked_up.values, spelt.final]
        if self.affixes.vocabularies:
            parts.insert(1, self.affixes.forward(parameters, flow, own).values)
        joined = kernels.concat_features(parts)
        return replace(flow, values=joined, inner=None)

    def _dropped(self, ids: Any, run: Run) -> Any:
        if not run.training or self.word_dropout == 0.0:
            return ids
        dropped = shaping.keep_mask_like(
            (ids.shape[0],), self.word_dropout, run.seed_for(f"{self.name}.dropped"), like=ids
        )
        return ids * (1 - dropped)

    def operations(self) -> int:
        # For one character: how many a word has is not known here.
        return self.reader.operations()
