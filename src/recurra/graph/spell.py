"""Words as vectors: one looked up for the word, beside one that a recurrence over its characters gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from recurra import kernels
from recurra.graph.embed import Embed
from recurra.graph.node import Node, Parameter
from recurra.graph.recur import Recur
from recurra.graph.run import Flow, Parameters, Run
from recurra.kernels import shaping
from recurra.spec import Network

WORDS, CHARACTERS = "words", "characters"
"""Names of the two vocabularies; the column of an encoded batch that holds the ids of the words is the first."""


class Spell(Node):
    """Characters of words in sequences -> one vector per word: (N, size + 2 * units).

    The characters of every word are looked up and read in both directions by an LSTM; its two final states stand
    behind the vector of the word (Ling et al. 2015, Lample et al. 2016). Words lie end to end as sequences do, so
    a long word costs the others nothing. A word without characters gets zeros.

    character_size: numbers per character. units: of the LSTM, per direction. word_dropout: in training, the
    probability that a word is looked up as an unknown one (id 0), which trains the vector of unknown words and
    the reading of characters.
    """

    def __init__(
        self,
        name: str,
        *,
        vocabularies: Mapping[str, int],
        size: int,
        character_size: int,
        units: int,
        word_dropout: float,
    ) -> None:
        super().__init__(name)
        self.word_dropout = word_dropout
        self.words = Embed(f"{name}.{WORDS}", vocabulary=vocabularies[WORDS], size=size)
        self.characters = Embed(
            f"{name}.{CHARACTERS}", vocabulary=vocabularies[CHARACTERS], size=character_size
        )
        reader = Network(hidden_size=units, num_layers=1, bidirectional=True)
        self.reader = Recur(f"{name}.reader", network=reader, inputs=character_size)

    def _inner(self) -> Iterator[Node]:
        yield from (self.words, self.characters, self.reader)

    @property
    def width(self) -> int:
        return self.words.width + self.reader.width

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
        joined = kernels.concat_features([looked_up.values, spelt.final])
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
