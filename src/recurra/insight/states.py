"""Hidden states: what every layer and direction held after every step, with cell states and gates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import SpecError, nearest
from recurra.insight.passage import Passage
from recurra.insight.subject import Reading, Subject, subject_of
from recurra.ragged import Array, Offsets
from recurra.runtime.predictor import CHUNK_TOKENS, chunks

OF = ("final", "pooled")
"""The vectors per sequence: the final state of the uppermost layer, or what enters the head."""

_SHOWN = 3
"""Sequences that a notebook draws."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerStates:
    """One layer in one direction, over N steps of S sequences.

    name: "l0", "l1_reverse", ... (torch's suffix); layer: from 0, the lowest; reverse: whether it walks from the end.
    hidden: (N, H) float32 after each step, in the order of the steps (reversed: the state after reading this step and
        all that follow it). cells: (N, H) of an lstm, else None. gates: name -> (N, H), as they acted at that step.
    final: (S, H) state after the last step walked (reversed: the first of the sequence).
    """

    name: str
    layer: int
    reverse: bool
    hidden: Array
    cells: Array | None
    gates: Mapping[str, Array]
    final: Array

    def _cut(self, begin: int, end: int, row: int) -> LayerStates:
        return LayerStates(
            name=self.name,
            layer=self.layer,
            reverse=self.reverse,
            hidden=self.hidden[begin:end],
            cells=None if self.cells is None else self.cells[begin:end],
            gates={name: gate[begin:end] for name, gate in self.gates.items()},
            final=self.final[row : row + 1],
        )

    def magnitude(self) -> Array:
        """(N,) root of the mean square of the hidden state after each step: how full the memory is."""
        wide = self.hidden.astype(np.float64)
        made: Array = np.sqrt(np.mean(wide * wide, axis=1))
        return made

    def variance(self) -> Array:
        """(N,) variance over the units after each step."""
        made: Array = np.var(self.hidden.astype(np.float64), axis=1)
        return made


@dataclass(frozen=True, kw_only=True, eq=False)
class States:
    """Hidden states of S sequences with N steps in all, end to end; sequence i is `offsets[i]:offsets[i + 1]`.

    layers: every layer and direction, from the bottom. pooled: (S, F) float32, the vector per sequence that enters
    the head; None of a model that answers at every step. passages: the sequences for people; of a model that
    foretells its input the first step is what it reads before every sequence.
    """

    passages: tuple[Passage, ...]
    offsets: Offsets
    layers: tuple[LayerStates, ...]
    pooled: Array | None

    def __len__(self) -> int:
        return len(self.passages)

    def __iter__(self) -> Iterator[States]:
        return (self.one(row) for row in range(len(self)))

    def one(self, row: int) -> States:
        """The states of one sequence."""
        place = range(len(self))[row]
        begin, end = int(self.offsets[place]), int(self.offsets[place + 1])
        return States(
            passages=(self.passages[place],),
            offsets=np.array([0, end - begin]),
            layers=tuple(layer._cut(begin, end, place) for layer in self.layers),
            pooled=None if self.pooled is None else self.pooled[place : place + 1],
        )

    def _repr_html_(self) -> str:
        from recurra.insight.pages.example import state_figures
        from recurra.report.html import notebook_frame
        from recurra.report.items import Report, Section

        shown = [self.one(row) for row in range(min(len(self), _SHOWN)) if len(self.passages[row])]
        sections = [
            Section(title=f"Sequence {place}", items=state_figures(one)) for place, one in enumerate(shown)
        ]
        return notebook_frame(Report(title=f"Hidden states of {len(self)} sequences", sections=sections))

    def layer(self, name: str) -> LayerStates:
        """A layer and direction by name; raises SpecError."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        known = [layer.name for layer in self.layers]
        raise SpecError(f"layer must be one of {', '.join(known)}, got {name!r}{nearest(name, known)}")

    @property
    def top(self) -> LayerStates:
        """The uppermost layer, forward direction."""
        return next(layer for layer in reversed(self.layers) if not layer.reverse)

    @property
    def final(self) -> Array:
        """(S, directions * H) final state of the uppermost layer, of both directions side by side."""
        top = [layer.final for layer in self.layers if layer.layer == self.layers[-1].layer]
        made: Array = np.concatenate(top, axis=1)
        return made

    def per_sequence(self, of: str) -> Array:
        """(S, U) float64, one vector per sequence: "final" or "pooled". Raises SpecError."""
        if of not in OF:
            raise SpecError(f"of must be one of {', '.join(OF)}, got {of!r}")
        chosen = self.final if of == "final" else self.pooled
        if chosen is None:
            raise SpecError(
                "of='pooled' has no meaning for a model that answers at every step; use of='final'"
            )
        return chosen.astype(np.float64)


def hidden_states(model: Any, inputs: Any, static: Any = None) -> States:
    """Run a model over sequences and keep what its recurrent layers held.

    model: an estimator of any task that has learnt, or a loaded model. inputs, static: as for `predict`. In memory:
    about 4 bytes * N * H * (gates + 2) per layer and direction. The bits are those of `predict` and of a stream.
    Raises SpecError for a model in fewer bits and for an ensemble.
    """
    subject = subject_of(model, every_step=True)
    return states_of(subject, subject.read(inputs, static))


def states_of(subject: Subject, reading: Reading) -> States:
    """As `hidden_states`, of sequences that are read already."""
    if subject.predictor.precision != "float32":
        raise SpecError(
            f"hidden states are kept in float32, this model holds {subject.predictor.precision}; "
            "look into the float32 model that it was made from"
        )
    parts = [
        _part(subject, reading if len(rows) == len(reading) else reading.select(rows))
        for rows in chunks(reading.batch.lengths, CHUNK_TOKENS)
    ] or [_part(subject, reading)]
    layers = tuple(_joined([part[1][place] for part in parts]) for place in range(len(parts[0][1])))
    return States(
        passages=reading.passages,
        offsets=reading.batch.offsets,
        layers=layers,
        pooled=np.concatenate([part[0] for part in parts]) if subject.pools else None,
    )


def _part(subject: Subject, reading: Reading) -> tuple[Array, list[LayerStates]]:
    pooled, kept = subject.trace(subject.vectors(reading))
    cell = subject.recur.network.cell
    found = []
    for place in subject.recur.places():
        ran = kept[place.suffix]
        gates = {name: np.ascontiguousarray(gate) for name, gate in ran.named_gates(cell).items()}
        found.append(
            LayerStates(
                name=place.suffix,
                layer=place.layer,
                reverse=place.reverse,
                hidden=ran.y,
                cells=ran.cells,
                gates=gates,
                final=ran.h,
            )
        )
    return pooled, found


def _joined(parts: list[LayerStates]) -> LayerStates:
    first = parts[0]
    if len(parts) == 1:
        return first
    return LayerStates(
        name=first.name,
        layer=first.layer,
        reverse=first.reverse,
        hidden=np.concatenate([part.hidden for part in parts]),
        cells=None
        if first.cells is None
        else np.concatenate([part.cells for part in parts if part.cells is not None]),
        gates={name: np.concatenate([part.gates[name] for part in parts]) for name in first.gates},
        final=np.concatenate([part.final for part in parts]),
    )
