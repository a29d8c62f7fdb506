"""The recurrent stack: layers, directions, dropouts, norms and initial states around one cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recurra import kernels
from recurra.errors import SpecError
from recurra.graph.node import Init, Node, Parameter, glorot, normal, ones, uniform, zeros
from recurra.graph.run import CONDITION, Flow, Parameters, Run
from recurra.kernels import NormWeights, RecurWeights, shaping
from recurra.ragged import Array
from recurra.spec import Network


@dataclass(frozen=True, kw_only=True)
class Place:
    """One layer in one direction, and the suffix of its parameter names (torch's: `l0`, `l0_reverse`)."""

    layer: int
    reverse: bool

    @property
    def suffix(self) -> str:
        """As torch names it."""
        return f"l{self.layer}" + ("_reverse" if self.reverse else "")


class Recur(Node):
    """A stack of recurrences: (N, I) -> (N, directions * H); parameter names and layout are `torch.nn`'s.

    conditions: K, where the initial states of a sequence are an affine map of K numbers c that come with it, in the
        column `CONDITION`: h0 = A c + b for every layer and direction, c0 likewise; b is the learnt initial state.
    """

    def __init__(
        self, name: str, *, network: Network, inputs: int, conditions: int = 0, precision: str = "float32"
    ) -> None:
        super().__init__(name)
        self.network, self.inputs, self.conditions = network.resolved(), inputs, conditions
        # Normalised and zoned cells have no kernels in fewer bits: these run in float32 on rounded weights.
        whole = self.network.layer_norm or self.network.zoneout > 0.0
        self.precision = "float32" if whole else precision

    @property
    def width(self) -> int:
        return self.network.hidden_size * self.network.directions

    @property
    def has_cells(self) -> bool:
        """Whether the state has a cell besides the hidden vector."""
        return self.network.cell == "lstm"

    @property
    def kinds(self) -> tuple[str, ...]:
        """What the state is made of, by letter."""
        return ("h", "c") if self.has_cells else ("h",)

    def places(self) -> Iterator[Place]:
        """Every layer and direction, from the bottom."""
        for layer in range(self.network.num_layers):
            yield Place(layer=layer, reverse=False)
            if self.network.bidirectional:
                yield Place(layer=layer, reverse=True)

    def layer_inputs(self, layer: int) -> int:
        """Number of features that enter a layer."""
        return self.inputs if layer == 0 else self.width

    def parameters(self) -> Mapping[str, Parameter]:
        found: dict[str, Parameter] = {}
        for place in self.places():
            found.update(self._parameters_at(place))
        return found

    def _parameters_at(self, place: Place) -> dict[str, Parameter]:
        net, end = self.network, place.suffix
        size, rows = net.hidden_size, net.gates * net.hidden_size
        bound = uniform(float(1 / np.sqrt(size)))
        plain = net.recurrent_init == "uniform"
        into = bound if plain else _per_gate(net.gates, glorot)
        back = bound if plain else _per_gate(net.gates, _orthogonal)
        found = {
            f"weight_ih_{end}": Parameter(
                shape=(rows, self.layer_inputs(place.layer)), role="weight", init=into
            ),
            f"weight_hh_{end}": Parameter(shape=(rows, size), role="recurrent", init=back),
            f"bias_ih_{end}": Parameter(shape=(rows,), role="bias", init=self._bias()),
            f"bias_hh_{end}": Parameter(shape=(rows,), role="bias", init=zeros),
        }
        if net.layer_norm:
            found[f"gain_x_{end}"] = Parameter(shape=(rows,), role="norm", init=ones)
            found[f"gain_h_{end}"] = Parameter(shape=(rows,), role="norm", init=ones)
            if self.has_cells:
                found[f"gain_c_{end}"] = Parameter(shape=(size,), role="norm", init=ones)
                found[f"bias_c_{end}"] = Parameter(shape=(size,), role="norm", init=zeros)
        if net.initial_state == "learnt":
            found[f"h0_{end}"] = Parameter(shape=(size,), role="state", init=normal(0.01))
            if self.has_cells:
                found[f"c0_{end}"] = Parameter(shape=(size,), role="state", init=normal(0.01))
        for kind in self.kinds if self.conditions else ():
            shape = (size, self.conditions)
            found[f"{kind}0_of_{end}"] = Parameter(shape=shape, role="state", init=normal(0.1))
        return found

    def _bias(self) -> Init:
        forget, size = self.network.forget_bias, self.network.hidden_size
        span = self.network.chrono_steps

        def start(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
            bias = np.zeros(shape, dtype=np.float32)
            if forget is not None:
                bias[size : 2 * size] = forget
            if span is not None:
                # The lstm's forget gate and the gru's update gate both stand second and keep the past.
                keep = np.log(generator.uniform(1.0, span - 1.0, size))
                bias[size : 2 * size] = keep
                if self.has_cells:
                    bias[:size] = -keep
            return bias

        return start

    def weights(
        self,
        parameters: Parameters,
        place: Place,
        cache: dict[str, Any] | None = None,
        precision: str = "float32",
    ) -> RecurWeights:
        """The weights of one layer and direction; from `cache` where it holds them (packed, inference)."""
        key = f"{self.name}.{place.suffix}"
        if cache is not None and key in cache:
            found: RecurWeights = cache[key]
            return found
        made = self._gather(
            parameters, place.suffix, precision if self.precision == "float32" else self.precision
        )
        if cache is not None:
            cache[key] = made
        return made

    def engine(self, parameters: Parameters, cache: dict[str, Any], asked: str) -> str:
        """Which kernel answers, in words; `cache` as in `weights`. asked: the precision of the model."""
        runs = kernels.recur_engine(self.weights(parameters, next(self.places()), cache))
        if self.network.zoneout > 0.0:
            runs += ", zoneout"
        if self.precision != asked:
            runs += f": such cells have no kernel in {asked}, to which their weights are rounded"
        return f"{self.network.cell}: {runs}"

    def _gather(self, parameters: Parameters, end: str, precision: str) -> RecurWeights:
        norm = None
        if self.network.layer_norm:
            norm = NormWeights(
                gain_x=self.take(parameters, f"gain_x_{end}"),
                gain_h=self.take(parameters, f"gain_h_{end}"),
                gain_c=self.take(parameters, f"gain_c_{end}") if self.has_cells else None,
                bias_c=self.take(parameters, f"bias_c_{end}") if self.has_cells else None,
            )
        return RecurWeights(
            cell=self.network.cell,
            w_ih=self.take(parameters, f"weight_ih_{end}"),
            w_hh=self.take(parameters, f"weight_hh_{end}"),
            b_ih=self.take(parameters, f"bias_ih_{end}"),
            b_hh=self.take(parameters, f"bias_hh_{end}"),
            norm=norm,
            precision=precision,
        )

    def forward(self, parameters: Parameters, flow: Flow, run: Run) -> Flow:
        net = self.network
        locked = net.locked_dropout
        values = run.dropped(flow, net.input_dropout, f"{self.name}.input", locked=locked)
        states: dict[str, Any] = {}
        finals: list[Any] = []
        for layer in range(net.num_layers):
            if layer:
                before, place_name = replace(flow, values=values), f"{self.name}.between.{layer}"
                values = run.dropped(before, net.dropout or 0.0, place_name, locked=locked)
            outputs, finals = [], []
            for place in (p for p in self.places() if p.layer == layer):
                answer = self._run_place(parameters, place, replace(flow, values=values), run)
                outputs.append(answer.y)
                finals.append(answer.h)
                states[place.suffix] = (answer.h, answer.c)
            values = outputs[0] if len(outputs) == 1 else kernels.concat_features(outputs)
        if run.keep_states:
            run.carried[self.name] = states
        if run.outputs is not None:
            run.outputs.append(values)
        final = finals[0] if len(finals) == 1 else kernels.concat_features(finals)
        return replace(flow, values=values, final=final)

    def _run_place(self, parameters: Parameters, place: Place, flow: Flow, run: Run) -> Any:
        net = self.network
        assert flow.offsets is not None
        hidden, cell = self._start(parameters, place, flow, run)
        answer = kernels.recur(
            self._weights_of_run(parameters, place, run),
            flow.values,
            flow.offsets,
            h0=hidden,
            c0=cell,
            reverse=place.reverse,
            cell_clip=net.cell_clip,
            recurrent_mask=self._mask(flow, net.recurrent_dropout, run, place),
            zoneout=net.zoneout,
            zoneout_mask=self._zones(flow, run, place),
            gates=run.trace is not None,
        )
        if run.trace is not None:
            run.trace[f"{self.name}.{place.suffix}"] = answer
        return answer

    def start(
        self, parameters: Parameters, place: Place, rows: int, condition: Any = None
    ) -> tuple[Any, Any]:
        """Hidden and cell states (rows, H) that a sequence begins with: learnt, or None for zeros.

        condition: (rows, K) where there is one for each. Raises SpecError where there has to be and is none.
        """
        if self.network.initial_state == "zero":
            return None, None
        if self.conditions and condition is None:
            raise SpecError(
                "this model writes and reads under a condition; give one, or use model.given(condition)"
            )
        found = [self._begun(parameters, f"{kind}0", place, rows, condition) for kind in self.kinds]
        return found[0], (found[1] if self.has_cells else None)

    def _begun(self, parameters: Parameters, name: str, place: Place, rows: int, condition: Any) -> Any:
        learnt = self.take(parameters, f"{name}_{place.suffix}")
        if not self.conditions:
            return shaping.repeat_row(learnt, rows)
        return kernels.dense(condition, self.take(parameters, f"{name}_of_{place.suffix}"), learnt)

    def begun_with(self, parameters: Parameters, condition: Array) -> dict[str, Array]:
        """The parameters of the same layers for one condition (1, K), which learnt initial states stand for."""
        made = {name: value for name, value in parameters.items() if not self._maps(name)}
        for place in self.places():
            for kind, state in zip(self.kinds, self.start(parameters, place, 1, condition), strict=False):
                made[f"{self.name}.{kind}0_{place.suffix}"] = state[0]
        return made

    def _maps(self, name: str) -> bool:
        """Whether a parameter brings a condition to an initial state."""
        return name.startswith(tuple(f"{self.name}.{kind}0_of_" for kind in self.kinds))

    def _start(self, parameters: Parameters, place: Place, flow: Flow, run: Run) -> tuple[Any, Any]:
        """The initial state: carried in, or what a sequence begins with."""
        condition = flow.columns.get(CONDITION)
        carried = run.states.get(self.name)
        if carried is not None and not place.reverse:
            hidden, cell = carried[place.suffix]
            if run.fresh is None or self.network.initial_state == "zero":
                return hidden, cell
            begun = self.start(parameters, place, flow.rows, condition)
            pairs = zip((hidden, cell), begun, strict=True)
            return tuple(_where_fresh(held, anew, run.fresh) for held, anew in pairs)
        return self.start(parameters, place, flow.rows, condition)

    def _weights_of_run(self, parameters: Parameters, place: Place, run: Run) -> RecurWeights:
        """The weights, in training without those recurrent ones that this run leaves out."""
        weights = self.weights(parameters, place, run.cache, run.precision)
        rate = self.network.weight_dropout
        if not run.training or rate == 0.0:
            return weights
        seed = run.seed_for(f"{self.name}.w.{place.suffix}")
        return replace(weights, w_hh=kernels.dropout(weights.w_hh, rate, seed))

    def _mask(self, flow: Flow, rate: float, run: Run, place: Place) -> Any:
        if not run.training or rate == 0.0:
            return None
        shape = (flow.rows, self.network.hidden_size)
        return shaping.dropout_mask_like(
            shape, rate, run.seed_for(f"{self.name}.h.{place.suffix}"), like=flow.values
        )

    def _zones(self, flow: Flow, run: Run, place: Place) -> Any:
        rate = self.network.zoneout
        if not run.training or rate == 0.0:
            return None
        shape = (len(flow.values), self.network.hidden_size * (2 if self.has_cells else 1))
        return shaping.keep_mask_like(
            shape, rate, run.seed_for(f"{self.name}.z.{place.suffix}"), like=flow.values
        )

    def operations(self) -> int:
        net = self.network
        per_unit = [net.gates * (self.layer_inputs(place.layer) + net.hidden_size) for place in self.places()]
        return sum(per_unit) * net.hidden_size


def _where_fresh(held: Any, anew: Any, fresh: Array) -> Any:
    """The carried states, and in the rows that begin anew, where these are zeros, what a sequence begins with."""
    if anew is None:
        return held
    return kernels.add(held, kernels.mul(anew, shaping.column_like(fresh, anew)))


def _orthogonal(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """A random orthogonal matrix (Saxe et al. 2014)."""
    square = generator.standard_normal(shape)
    q, r = np.linalg.qr(square)
    return (q * np.sign(np.diag(r))).astype(np.float32)


def _per_gate(gates: int, init: Init) -> Init:
    """Start each gate's block of rows on its own."""

    def draw(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
        block = (shape[0] // gates, *shape[1:])
        return np.concatenate([init(generator, block) for _ in range(gates)])

    return draw
