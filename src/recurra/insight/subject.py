"""`Subject`: a trained model laid open between its nodes, with the bits of its predictor.

The path from input to answer is cut in one place, before the recurrent layers: there every step is a vector of
numbers (an embedding, scaled features, both side by side), and there attribution begins. Every float comes from
`recurra.kernels`, on NumPy arrays or, where a gradient is asked for, on torch tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from recurra.data.text_encoders import TextEncoder
from recurra.errors import NotFittedError, SpecError
from recurra.graph.embed import Embed, EmbedColumns
from recurra.graph.node import Node
from recurra.graph.pool import Pool
from recurra.graph.recur import Recur
from recurra.graph.run import STATIC, Flow, Run
from recurra.insight.passage import Passage, begun, passages_of
from recurra.ragged import Array, Offsets, Ragged
from recurra.runtime.ensemble import Ensemble
from recurra.runtime.predictor import Predictor, chunks
from recurra.runtime.walking import Walking

GRADIENT_TOKENS = 16_384
"""Tokens whose gradients are computed at a time: bounds memory, never the result."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """S sequences as the model reads them.

    batch: encoded; static: (S, K) scaled features per sequence, or None; passages: the same for people.
    """

    batch: Ragged
    static: Array | None
    passages: tuple[Passage, ...]

    def __len__(self) -> int:
        return len(self.batch)

    def select(self, index: Any) -> Reading:
        """Some of the sequences."""
        rows = np.asarray(index, dtype=np.int64)
        return Reading(
            batch=self.batch.select(rows),
            static=None if self.static is None else self.static[rows],
            passages=tuple(self.passages[row] for row in rows),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Vectors:
    """What enters the recurrent layers. values: (N, I) float32; offsets: (S + 1,); static: (S, K) or None."""

    values: Array
    offsets: Offsets
    static: Array | None

    def one(self, row: int) -> Vectors:
        """One of the sequences."""
        begin, end = int(self.offsets[row]), int(self.offsets[row + 1])
        return Vectors(
            values=self.values[begin:end],
            offsets=np.array([0, end - begin]),
            static=None if self.static is None else self.static[row : row + 1],
        )

    @classmethod
    def join(cls, parts: Sequence[Vectors]) -> Vectors:
        """Several, one after the other."""
        lengths = np.concatenate([np.diff(part.offsets) for part in parts])
        static = [part.static for part in parts if part.static is not None]
        return cls(
            values=np.concatenate([part.values for part in parts]),
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            static=np.concatenate(static) if static else None,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Gradients:
    """Outputs (S, O), and the gradient of a number made of them with respect to values (N, I) and static (S, K)."""

    outputs: Array
    values: Array
    static: Array | None


def subject_of(model: Any, *, every_step: bool = False) -> Subject:
    """The subject of an estimator that has learnt, or of a loaded model; a `Subject` is answered as it is.

    every_step: whether a model that answers at every step will do.
    Raises NotFittedError, and SpecError for what has no single answer per sequence.
    """
    if isinstance(model, Subject):
        return model
    predictor = model if isinstance(model, Predictor) else getattr(model, "predictor_", None)
    if predictor is None and hasattr(model, "fit"):
        raise NotFittedError(f"this {type(model).__name__} has not learnt anything yet; call fit(...) first")
    if not isinstance(predictor, Predictor) or isinstance(predictor, Ensemble):
        raise SpecError(
            f"model must be an estimator or a loaded model, got {type(model).__name__}; of an ensemble, give a member"
        )
    subject = Subject(predictor)
    if not (every_step or subject.pools):
        raise SpecError(
            f"model must answer once per sequence to be explained, got a {predictor.task}; "
            "recurra.insight.states.hidden_states looks into any model"
        )
    return subject


class Subject:
    """A predictor, its encoder and its nodes, before and after the place where the recurrent layers begin."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.model, self.encoder = predictor.model, predictor.encoder
        self.recur: Recur = self.model.node(Recur)
        begin = self.model.nodes.index(self.recur)
        self._enter: tuple[Node, ...] = self.model.nodes[:begin]
        self._onward: tuple[Node, ...] = self.model.nodes[begin:]
        self._cache: dict[str, Any] = {}

    @property
    def pools(self) -> bool:
        """Whether the model answers once per sequence."""
        return any(isinstance(node, Pool) for node in self.model.nodes)

    @property
    def is_text(self) -> bool:
        """Whether sequences are texts, from which tokens can be taken away."""
        return isinstance(self.encoder, TextEncoder)

    @property
    def static_names(self) -> tuple[str, ...]:
        """Names of the features per sequence."""
        scaler = self.predictor.head.static
        return () if scaler is None else scaler.names

    @cached_property
    def groups(self) -> tuple[slice, ...]:
        """Which of the I numbers of a step belong to each channel of a passage."""
        if not self._enter:
            return tuple(slice(i, i + 1) for i in range(self.recur.inputs))
        (node,) = self._enter
        if isinstance(node, Embed):
            return (slice(0, node.width),)
        assert isinstance(node, EmbedColumns)
        numbers = [slice(i, i + 1) for i in range(node.features)]
        starts = range(node.features, node.width, node.size)
        return (*numbers, *(slice(begin, begin + node.size) for begin in starts))

    def read(self, inputs: Any, static: Any = None) -> Reading:
        """Encode sequences as `predict` does; a `Dataset` brings its static features, a `Reading` is there already.

        Raises DataError.
        """
        if isinstance(inputs, Reading):
            return inputs
        if hasattr(inputs, "inputs") and hasattr(inputs, "static"):
            static = inputs.static if static is None else static
            inputs = inputs.inputs
        given = inputs if isinstance(inputs, (Ragged, str)) else list(inputs)
        batch = self.predictor.encode(given)
        scaled = self.predictor.scaled_static(static, len(batch))
        passages = passages_of(self.encoder, given, batch)
        if self.is_text and isinstance(self.predictor, Walking):
            passages = tuple(begun(passage) for passage in passages)
        return Reading(batch=batch, static=scaled, passages=passages)

    def outputs(self, batch: Ragged, static: Array | None = None) -> Array:
        """(S, O) numbers that leave the model."""
        return self.predictor.outputs_of(batch, static)

    def vectors(self, reading: Reading) -> Vectors:
        """What enters the recurrent layers."""
        flow = Flow.of(reading.batch)
        for node in self._enter:
            flow = node.forward(self.predictor.parameters, flow, Run())
        return Vectors(values=flow.values, offsets=reading.batch.offsets, static=reading.static)

    def onward(self, given: Vectors) -> Array:
        """(S, O) numbers that leave the model for what enters the recurrent layers."""
        parts = [self._onward_part(part) for part in _parts(given)]
        return np.concatenate(parts) if parts else np.zeros((0, self.model.width), np.float32)

    def _onward_part(self, given: Vectors) -> Array:
        columns = {} if given.static is None else {STATIC: given.static}
        flow = Flow(values=given.values, offsets=given.offsets, columns=columns)
        made: Array = self._through(self.predictor.parameters, flow, Run(cache=self._cache))
        return made

    def _through(self, parameters: Mapping[str, Any], flow: Flow, run: Run) -> Any:
        for node in self._onward:
            flow = node.forward(parameters, flow, run)
        return flow.values

    def gradients(self, given: Vectors, slope: Callable[[Array, Array], Array]) -> Gradients:
        """Run forward and back.

        slope: takes outputs (n, O) and the numbers (n,) of their sequences, and gives the derivative (n, O) of the
        explained number. Raises SpecError for a model in fewer bits, which has no gradients.
        """
        if self.predictor.precision != "float32":
            raise SpecError(
                f"gradients need float32 weights, this model holds {self.predictor.precision}; "
                "explain the float32 model, or use method='occlusion'"
            )
        rows = np.arange(len(given.offsets) - 1)
        found, at = [], 0
        for part in _parts(given):
            count = len(part.offsets) - 1
            found.append(self._gradients_of_part(part, slope, rows[at : at + count]))
            at += count
        statics = [part.static for part in found if part.static is not None]
        width, outputs = given.values.shape[1], self.model.width
        return Gradients(
            outputs=np.concatenate([np.zeros((0, outputs), np.float32), *(part.outputs for part in found)]),
            values=np.concatenate([np.zeros((0, width), np.float32), *(part.values for part in found)]),
            static=np.concatenate(statics) if statics else given.static,
        )

    def _gradients_of_part(
        self, given: Vectors, slope: Callable[[Array, Array], Array], rows: Array
    ) -> Gradients:
        import torch

        values = torch.from_numpy(np.array(given.values)).requires_grad_()
        asked, columns = [values], {}
        if given.static is not None:
            columns[STATIC] = torch.from_numpy(np.array(given.static)).requires_grad_()
            asked.append(columns[STATIC])
        flow = Flow(values=values, offsets=given.offsets, columns=columns)
        outputs = self._through(self._tensors, flow, Run())
        numbers: Array = outputs.detach().numpy()
        weights = torch.from_numpy(np.ascontiguousarray(slope(numbers, rows), dtype=np.float32))
        grads: Any = (None,) * len(asked)
        if outputs.requires_grad:
            grads = torch.autograd.grad(outputs, asked, weights, allow_unused=True)
        made = [
            np.zeros(tuple(x.shape), np.float32) if g is None else g.numpy()
            for g, x in zip(grads, asked, strict=True)
        ]
        return Gradients(outputs=numbers, values=made[0], static=made[1] if len(made) > 1 else None)

    @cached_property
    def _tensors(self) -> dict[str, Any]:
        import torch

        return {name: torch.from_numpy(np.array(array)) for name, array in self.predictor.parameters.items()}

    def trace(self, given: Vectors) -> tuple[Array, dict[str, Any]]:
        """Pooled vectors (S, F) as they enter the head, and what every layer and direction kept, by its suffix."""
        trace: dict[str, Any] = {}
        run = Run(cache=self._cache, trace=trace)
        columns = {} if given.static is None else {STATIC: given.static}
        flow = Flow(values=given.values, offsets=given.offsets, columns=columns)
        for node in self._onward[:-1]:
            flow = node.forward(self.predictor.parameters, flow, run)
        return flow.values, {name.partition(".")[2]: kept for name, kept in trace.items()}

    def by_channel(self, values: Array) -> Array:
        """Sum (T, I) numbers of steps over what belongs to each channel: (T, C) float64."""
        wide = np.asarray(values, dtype=np.float64)
        return np.stack([np.sum(wide[:, group], axis=1) for group in self.groups], axis=1)


def _parts(given: Vectors) -> list[Vectors]:
    """Consecutive parts of bounded size."""
    lengths = np.diff(given.offsets)
    batch = Ragged(values=given.values, offsets=given.offsets)
    made = []
    for rows in chunks(lengths, GRADIENT_TOKENS):
        part = batch if len(rows) == len(lengths) else batch.select(rows)
        static = None if given.static is None else given.static[rows]
        made.append(Vectors(values=np.asarray(part.values), offsets=part.offsets, static=static))
    return made
