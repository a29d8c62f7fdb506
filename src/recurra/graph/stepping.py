"""A model run one token at a time, for one stream or for many: the bits are those of `Model.forward`.

Where the model has no pooling, the answer after a token is that of this token.

Both classes keep, for each of their R rows (streams), what the next token needs and nothing more, so that a
step costs the same however long the stream already is. The number of tokens so far is the caller's to keep.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recurra import kernels
from recurra.errors import SpecError
from recurra.graph.gathering import Gathering, gathering_of
from recurra.graph.model import Model
from recurra.graph.node import Node
from recurra.graph.pool import Pool
from recurra.graph.recur import Place, Recur
from recurra.graph.run import STATIC, Flow, Parameters, Run
from recurra.ragged import Array, Ragged

Rows = Sequence[int] | Array
"""Positions of streams, each at most once."""

FEW = 8
"""Tokens of one stream from which on they are run as a piece of a sequence instead of one by one."""

STRETCH = 4096
"""Tokens of one stream that are run at a time: bounds memory, never the result."""


def stepping_of(
    model: Model,
    parameters: Parameters,
    *,
    rows: int = 1,
    look_ahead: int | None = None,
    watch: bool = False,
    cache: dict[str, Any] | None = None,
) -> Stepping:
    """Return the stepwise form of a model for `rows` streams.

    look_ahead: None for a unidirectional model; for a bidirectional one how many of the last steps its
        backward direction reads (see `LookAhead`).
    watch: whether `Stepping.watched` tells states and gates of the last step.

    Raises SpecError where look_ahead is missing or has no effect, and for watch with look_ahead.
    """
    bidirectional = model.node(Recur).network.bidirectional
    if not bidirectional:
        if look_ahead is not None:
            raise SpecError("look_ahead has no effect on a model that reads in one direction; leave it out")
        return Stepping(model, parameters, rows=rows, watch=watch, cache=cache)
    if look_ahead is None:
        raise SpecError(
            "a bidirectional model reads from the end, and a stream has none yet: every new step would change all "
            "earlier ones; train with bidirectional=False, or declare look_ahead=k to read back over the last k steps"
        )
    if isinstance(look_ahead, bool) or not isinstance(look_ahead, int) or look_ahead < 1:
        raise SpecError(f"look_ahead must be a whole number of steps, at least 1, got {look_ahead!r}")
    if watch:
        raise SpecError(
            "watch has no effect with look_ahead: the last steps are read anew with every step; leave it out, and "
            "see the states of whole sequences"
        )
    return LookAhead(model, parameters, rows=rows, look_ahead=look_ahead, cache=cache)


class Stepping:
    """A unidirectional model and the states of R streams. NumPy only; not to be shared between threads."""

    def __init__(
        self,
        model: Model,
        parameters: Parameters,
        *,
        rows: int = 1,
        watch: bool = False,
        cache: dict[str, Any] | None = None,
    ) -> None:
        self.recur: Recur = model.node(Recur)
        pool: Pool | None = next((node for node in model.nodes if isinstance(node, Pool)), None)
        begin = model.nodes.index(self.recur)
        end = begin if pool is None else model.nodes.index(pool)
        self.per_step = pool is None
        self._enter = model.nodes[:begin]
        self._between = model.nodes[begin + 1 : end]
        self._leave = model.nodes[end + 1 :]
        self.rows, self.parameters, self._watch = rows, parameters, watch
        self._run = Run(cache={} if cache is None else cache)
        # Without pooling a unidirectional stack answers from its last output, which is what "last" gathers.
        gathers = Pool("latest", how="last", inputs=self.recur.width) if pool is None else pool
        self._gathering: Gathering = gathering_of(gathers, parameters, rows)
        self._prepare()

    def _new_stepper(self) -> kernels.Stepper:
        net = self.recur.network
        stack = [self.recur.weights(self.parameters, place, self._run.cache) for place in self.recur.places()]
        return kernels.Stepper(stack, self.rows, net.cell_clip, net.zoneout, self._watch)

    def _prepare(self) -> None:
        self._stepper = self._new_stepper()
        self._learnt = self._learnt_start()
        if self._learnt is not None:
            self.reset(np.arange(self.rows))

    def _learnt_start(self) -> Array | None:
        """(layers, 2 or 1, 1, H) where the initial state is learnt, else None for zeros."""
        if self.recur.network.initial_state == "zero":
            return None
        parts = [self._start(place) for place in self.recur.places()]
        return np.stack([np.stack([part for part in pair if part is not None]) for pair in parts])

    def _start(self, place: Place) -> tuple[Any, Any]:
        """(1, H) hidden and cell state that a direction begins with; None for zeros."""
        return self.recur.start(self.parameters, place, 1)

    @property
    def inputs(self) -> int:
        """Numbers per token that the recurrent layers read."""
        return self.recur.inputs

    @property
    def looks_up(self) -> bool:
        """Whether tokens pass nodes (an embedding) before the recurrent layers, which else read them as they are."""
        return bool(self._enter)

    def enter(self, batch: Ragged) -> Array:
        """What the recurrent layers read of encoded tokens: (N, I)."""
        return self._through(self._enter, Flow.of(batch))

    def _through(self, nodes: Sequence[Node], flow: Flow) -> Array:
        for node in nodes:
            flow = node.forward(self.parameters, flow, self._run)
        values: Array = flow.values
        return values

    def _toward_pool(self, y: Array) -> Array:
        if not self._between:
            return y
        return self._through(self._between, Flow(values=y, offsets=np.arange(len(y) + 1)))

    def bare(self) -> Callable[[Array], None]:
        """The function that takes one token (1, I) of the only stream, with nothing in the way."""
        step, take = self._stepper.step, self._gathering.take
        if not self._between:
            return lambda x: take(step(x))
        return lambda x: take(self._toward_pool(step(x)))

    def advance(self, x: Array, rows: Array) -> None:
        """Take one token (n, I) for each of n streams."""
        self._gathering.push(self._toward_pool(self._stepper.step(x, rows)), rows)

    def extend(self, x: Array, row: int) -> None:
        """Take n tokens (n, I) of one stream, one after the other."""
        if len(x) < FEW or self._watch:
            index = np.array([row])
            for t in range(len(x)):
                self.advance(x[t : t + 1], index)
            return
        for begin in range(0, len(x), STRETCH):
            self._stretch(np.ascontiguousarray(x[begin : begin + STRETCH]), row)

    def _stretch(self, x: Array, row: int) -> None:
        index = np.array([row])
        before = self._stepper.read(index)
        states = {
            place.suffix: (before[place.layer, 0], before[place.layer, 1] if self.recur.has_cells else None)
            for place in self.recur.places()
        }
        run = Run(cache=self._run.cache, states={self.recur.name: states}, keep_states=True)
        flow = self.recur.forward(self.parameters, Flow(values=x, offsets=np.array([0, len(x)])), run)
        after = [run.carried[self.recur.name][place.suffix] for place in self.recur.places()]
        kept = [np.stack([part for part in pair if part is not None]) for pair in after]
        self._stepper.write(np.stack(kept), index)
        self._gathering.extend(self._toward_pool(flow.values), row)

    def watched(self) -> dict[str, kernels.Recurred]:
        """What each layer did at the last step, by the suffix of its place; empty before the first."""
        return {
            place.suffix: done
            for place, done in zip(self.recur.places(), self._stepper.watched, strict=False)
        }

    def outputs(self, rows: Array, counts: Array, static: Array | None = None) -> Array:
        """(n, outputs) answers of n streams that have taken `counts` tokens, with their scaled static features."""
        pooled = self._gathering.pooled(rows, counts)
        columns: Mapping[str, Any] = {} if static is None else {STATIC: static}
        return self._through(self._leave, Flow(values=pooled, offsets=None, columns=columns))

    @property
    def reach(self) -> int:
        """The last steps whose outputs may still change, the newest one with them; 1 for one direction."""
        return 1

    def latest(self, row: int) -> Array:
        """(m, outputs) answers for the last `reach` steps of one stream, or as many as there are; per step alone."""
        return self.outputs(np.array([row]), np.array([1]))

    def begin_behind(self, batch: Ragged) -> None:
        """Let every stream, now and after `reset`, begin with what is remembered after one encoded sequence."""
        self.extend(self.enter(batch), 0)
        self._learnt = self._stepper.read(np.array([0]))
        self.reset(np.arange(self.rows))

    def reset(self, rows: Array) -> None:
        """Let streams begin anew."""
        if self._learnt is None:
            self._stepper.reset(rows)
            self._gathering.reset(rows, None)
        else:
            self._stepper.write(np.repeat(self._learnt, len(rows), axis=2), rows)
            self._gathering.reset(rows, self._learnt[-1, 0])

    def read(self, row: int) -> dict[str, Array]:
        """A copy of what one stream remembers, by name."""
        held = {"recur": self._stepper.read(np.array([row]))[:, :, 0]}
        gathered = self._gathering.read(row)
        return held if gathered is None else {**held, "pool": gathered}

    def write(self, row: int, held: Mapping[str, Array]) -> None:
        """Let one stream go on from what `read` gave."""
        state = held["recur"]
        self._stepper.write(np.ascontiguousarray(state[:, :, None]), np.array([row]))
        self._gathering.write(row, held.get("pool"), state[-1, 0])

    def shapes(self) -> dict[str, tuple[int | range, ...]]:
        """The shapes of what `read` gives; a range is a size that varies."""
        kinds, net = 2 if self.recur.has_cells else 1, self.recur.network
        found: dict[str, tuple[int | range, ...]] = {"recur": (net.num_layers, kinds, net.hidden_size)}
        if self._gathering.size:
            found["pool"] = (self._gathering.size,)
        return found

    def grow(self, rows: int) -> None:
        """Make room for `rows` streams; those that there are keep their rows."""
        before, every = self._stepper, np.arange(self.rows)
        self.rows = rows
        self._gathering.grow(rows)
        self._stepper = self._new_stepper()
        self._stepper.write(before.state, every)


@dataclass(kw_only=True)
class _Window:
    """The last steps of one stream, and the forward states of each layer before the first of them."""

    steps: list[Array] = field(default_factory=list)
    carried: list[tuple[Any, Any]] = field(default_factory=list)
    ran: _Ran | None = None


@dataclass(frozen=True, kw_only=True)
class _Ran:
    """A run over a window: outputs (m, F), final states (1, F), the first token's input of each layer."""

    y: Array
    final: Array
    firsts: list[Array]


class LookAhead(Stepping):
    """A bidirectional model over a window of the last k steps, for R streams.

    After n steps the whole stack is run over the last min(n, k) of them: in every layer the forward direction
    goes on from the state in which the step before the window left it, and the backward direction begins anew
    at step n and walks to the first step of the window. When a step leaves the window, what the layers gave for
    it in the last run over it stands for good: the forward states go on from there, and pooling takes it. So
    for n <= k the answer is that of the whole sequence, bit for bit; after that every step was read with
    between 0 and k - 1 steps of what follows it. A step costs 2k steps of the stack, whatever n is.
    """

    def __init__(self, model: Model, parameters: Parameters, *, look_ahead: int, **options: Any) -> None:
        self.look_ahead = look_ahead
        super().__init__(model, parameters, **options)

    def _prepare(self) -> None:
        self._windows = [self._new_window() for _ in range(self.rows)]

    def _new_window(self) -> _Window:
        return _Window(carried=[self._start(place) for place in self.recur.places() if not place.reverse])

    def bare(self) -> Callable[[Array], None]:
        """The function that takes one token (1, I) of the only stream."""
        return lambda x: self._take(self._windows[0], x[0], 0)

    def advance(self, x: Array, rows: Array) -> None:
        """Take one token (n, I) for each of n streams."""
        for token, row in zip(x, rows, strict=True):
            self._take(self._windows[row], token, int(row))

    def extend(self, x: Array, row: int) -> None:
        """Take n tokens (n, I) of one stream, one after the other."""
        for token in x:
            self._take(self._windows[row], token, row)

    def _take(self, window: _Window, token: Array, row: int) -> None:
        if len(window.steps) == self.look_ahead:
            ran = self._ran(window)
            window.carried = self._after_first(window, ran)
            self._gathering.extend(self._toward_pool(ran.y[:1]), row)
            del window.steps[0]
        window.steps.append(np.array(token))
        window.ran = None

    def _ran(self, window: _Window) -> _Ran:
        if window.ran is None:
            window.ran = self._run_window(window)
        return window.ran

    def _run_window(self, window: _Window) -> _Ran:
        count = len(window.steps)
        values = np.stack(window.steps) if count else np.zeros((0, self.recur.inputs), np.float32)
        offsets = np.array([0, count])
        firsts: list[Array] = []
        finals: list[Array] = []
        for layer in range(self.recur.network.num_layers):
            firsts.append(np.ascontiguousarray(values[:1]))
            outputs, finals = [], []
            for place in (p for p in self.recur.places() if p.layer == layer):
                start = self._start(place) if place.reverse else window.carried[layer]
                done = self._recur(place, values, offsets, start)
                outputs.append(done.y)
                finals.append(done.h)
            values = kernels.concat_features(outputs)
        return _Ran(y=values, final=kernels.concat_features(finals), firsts=firsts)

    def _after_first(self, window: _Window, ran: _Ran) -> list[tuple[Any, Any]]:
        """The forward states of each layer after the first step of a window."""
        forward = [place for place in self.recur.places() if not place.reverse]
        done = [
            self._recur(place, first, np.array([0, 1]), state)
            for place, first, state in zip(forward, ran.firsts, window.carried, strict=True)
        ]
        return [(each.h, each.c) for each in done]

    def _recur(self, place: Place, values: Array, offsets: Array, start: tuple[Any, Any]) -> kernels.Recurred:
        net = self.recur.network
        return kernels.recur(
            self.recur.weights(self.parameters, place, self._run.cache),
            values,
            offsets,
            h0=start[0],
            c0=start[1],
            reverse=place.reverse,
            cell_clip=net.cell_clip,
            zoneout=net.zoneout,
        )

    def outputs(self, rows: Array, counts: Array, static: Array | None = None) -> Array:
        """(n, outputs) answers of n streams that have taken `counts` tokens, with their scaled static features."""
        runs = [self._ran(self._windows[row]) for row in rows]
        if self.per_step:
            newest = np.concatenate([ran.y[-1:] for ran in runs])
            return self._through(self._leave, Flow(values=newest, offsets=None))
        parts = [
            self._gathering.with_more(int(row), self._toward_pool(ran.y), ran.final, count)
            for row, ran, count in zip(rows, runs, counts, strict=True)
        ]
        columns: Mapping[str, Any] = {} if static is None else {STATIC: static}
        return self._through(self._leave, Flow(values=np.concatenate(parts), offsets=None, columns=columns))

    @property
    def reach(self) -> int:
        return self.look_ahead

    def latest(self, row: int) -> Array:
        return self._through(self._leave, Flow(values=self._ran(self._windows[row]).y, offsets=None))

    def reset(self, rows: Array) -> None:
        """Let streams begin anew."""
        self._gathering.reset(rows, None)
        for row in rows:
            self._windows[row] = self._new_window()

    def read(self, row: int) -> dict[str, Array]:
        """A copy of what one stream remembers, by name."""
        window, net = self._windows[row], self.recur.network
        zeros = np.zeros((1, net.hidden_size), np.float32)
        kinds = 2 if self.recur.has_cells else 1
        carried = [[zeros if part is None else part for part in pair[:kinds]] for pair in window.carried]
        steps = np.stack(window.steps) if window.steps else np.zeros((0, self.recur.inputs), np.float32)
        held = {"recur": np.stack([np.concatenate(pair) for pair in carried]), "window": steps}
        gathered = self._gathering.read(row)
        return held if gathered is None else {**held, "pool": gathered}

    def write(self, row: int, held: Mapping[str, Array]) -> None:
        """Let one stream go on from what `read` gave."""
        state = np.ascontiguousarray(held["recur"])
        carried = [(layer[:1], layer[1:2] if self.recur.has_cells else None) for layer in state]
        steps = [np.array(step) for step in held["window"]]
        self._windows[row] = _Window(steps=steps, carried=carried)
        if self._gathering.size:
            self._gathering.write(row, held.get("pool"), state[-1, 0])

    def shapes(self) -> dict[str, tuple[int | range, ...]]:
        """The shapes of what `read` gives; a range is a size that varies."""
        return {**super().shapes(), "window": (range(self.look_ahead + 1), self.recur.inputs)}

    def grow(self, rows: int) -> None:
        """Make room for `rows` streams; those that there are keep their rows."""
        self._windows += [self._new_window() for _ in range(rows - self.rows)]
        self._gathering.grow(rows)
        self.rows = rows
