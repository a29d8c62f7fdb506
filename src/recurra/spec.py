"""What a model is and how it is learnt: frozen, validated, keyword-only records.

`Spec` is the base: it checks each field on construction, turns into plain dictionaries and back, and refuses
names that it does not know. `Network` and `Training` are here; the input specs (`Words`, `Characters`, `BPE`,
`Signal`, `Events`) stand beside their encoders in `recurra.data`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from recurra.errors import SpecError, nearest

CELLS = ("rnn", "rnn_relu", "lstm", "gru")
GATES: Mapping[str, int] = {"rnn": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}
OF_CELLS: Mapping[str, tuple[str, ...]] = {
    "forget_bias": ("lstm",),
    "cell_clip": ("lstm",),
    "chrono_steps": ("lstm", "gru"),
}
"""Options of a network that some cells alone have."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a field may be. `low` and `high` are inclusive unless `open_low` or `open_high`."""

    kind: type | tuple[type, ...]
    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False
    choices: tuple[Any, ...] = ()
    optional: bool = False
    usual: str = ""

    def describe(self) -> str:
        """Say in words what the field must be."""
        if self.choices:
            return "one of " + ", ".join(repr(choice) for choice in self.choices)
        words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
        kinds = self.kind if isinstance(self.kind, tuple) else (self.kind,)
        text = " or ".join(words.get(kind, kind.__name__) for kind in kinds)
        if self.low is not None:
            text += f" {'above' if self.open_low else 'of at least'} {self.low:g}"
        if self.high is not None:
            bound = "below" if self.open_high else "at most"
            text += f"{' and' if self.low is not None else ''} {bound} {self.high:g}"
        return text + (" or None" if self.optional else "")

    def allows(self, value: Any) -> bool:
        """Tell whether `value` fits."""
        if value is None:
            return self.optional
        kinds = self.kind if isinstance(self.kind, tuple) else (self.kind,)
        if isinstance(value, bool) and bool not in kinds:
            return False
        if not isinstance(value, kinds) and not (float in kinds and isinstance(value, int)):
            return False
        if self.choices and value not in self.choices:
            return False
        return self._in_range(value)

    def _in_range(self, value: Any) -> bool:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return True
        if not math.isfinite(value):
            return False
        above = self.low is None or value > self.low or (value == self.low and not self.open_low)
        below = self.high is None or value < self.high or (value == self.high and not self.open_high)
        return above and below


def option(default: Any, kind: type | tuple[type, ...], **rule: Any) -> Any:
    """Declare a field of a spec with its default and its `Rule`."""
    made = Rule(kind=kind, **rule)
    if isinstance(default, (list, dict)):
        raise TypeError("a spec's default must be immutable")
    return dataclasses.field(default=default, metadata={"rule": made})


@dataclass(frozen=True, kw_only=True)
class Spec:
    """Base of all specifications: validated on construction, immutable, convertible to plain dictionaries."""

    section: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            rule = field.metadata.get("rule")
            value = _plain(getattr(self, field.name))
            object.__setattr__(self, field.name, value)
            if rule is not None and not rule.allows(value):
                hint = f"; usual: {rule.usual}" if rule.usual else ""
                close = nearest(value, rule.choices) if rule.choices and isinstance(value, str) else ""
                close = close if "did you mean" in close else ""
                raise SpecError(f"{field.name} must be {rule.describe()}, got {value!r}{close}{hint}")
        self.validate()

    def validate(self) -> None:
        """Check what concerns several fields at once; raises SpecError."""

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of all fields, in order."""
        return tuple(field.name for field in dataclasses.fields(cls))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from a plain mapping (TOML, JSON, the command line); refuses unknown names."""
        known = cls.names()
        for name in values:
            if name not in known:
                raise SpecError(f"{cls.__name__} has no option {name!r}{nearest(name, known)}")
        return cls(**dict(values))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values: what `from_dict` takes, JSON and TOML alike."""
        return {name: _jsonable(getattr(self, name)) for name in self.names()}

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed, checked anew."""
        return type(self).from_dict({**{name: getattr(self, name) for name in self.names()}, **changes})

    def resolved(self) -> Self:
        """Return the spec with every option that depends on another one filled in."""
        return self


def _plain(value: Any) -> Any:
    """Turn NumPy scalars into Python's and lists into tuples, so that specs compare and hash by value."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    return tuple(value) if isinstance(value, list) else value


def _jsonable(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def without_effect(cell: str) -> tuple[str, ...]:
    """The options of a network that this cell cannot use."""
    return tuple(name for name, cells in OF_CELLS.items() if cell not in cells)


@dataclass(frozen=True, kw_only=True)
class Network(Spec):
    """What is computed: the recurrent layers and what stands around them.

    Options that only some cells have default to None; `resolved()` fills them in, and a value that the chosen
    cell or depth cannot use is an error, never ignored.

    cell: "lstm" (Hochreiter & Schmidhuber 1997, with forget gate), "gru" (Cho et al. 2014, linear before reset),
        "rnn" (Elman, tanh) or "rnn_relu". Memory over many steps: lstm, gru; fewer parameters: gru, rnn.
    hidden_size: units per layer and direction. Usual: 32-512. Cost grows with its square.
    num_layers: layers, each reading the one below. Usual: 1-4.
    bidirectional: also read from the end to the beginning; better where the whole sequence is at hand,
        impossible in a stream.
    embedding_size: numbers per token for inputs that are tokens; None gives 100. Usual: 50-300. Refused for
        purely numeric input.
    dropout: between recurrent layers. With one layer it has no place and must be 0 or None; None gives 0.3
        with several layers. Usual: 0.2-0.5.
    input_dropout: on what enters the first layer (embeddings or features).
    recurrent_dropout: on the previous hidden state inside the recurrence, one mask per sequence for all its
        steps (variational, Gal & Ghahramani 2016).
    output_dropout: on the pooled vector before the head. Usual: 0-0.5.
    locked_dropout: input_dropout, dropout and, where there is an answer per step, output_dropout take one mask per
        sequence for all its steps (Merity et al. 2018) instead of a new one for each.
    weight_dropout: on the recurrent weights themselves, one mask per batch or window (DropConnect; Merity et al.
        2018). Usual: 0.2-0.5.
    embedding_dropout: share of the words that are left out of a batch or window wherever they stand (Gal &
        Ghahramani 2016); for inputs that are tokens. Usual: 0.05-0.2.
    tied_embedding: the head reads with the embedding table as its weights (Inan et al. 2017, Press & Wolf 2017);
        language models only. Where `embedding_size` is not `hidden_size`, a linear layer stands between.
    zoneout: probability that a unit keeps its previous state in a step (Krueger et al. 2016). Usual: 0.05-0.15.
    forget_bias: lstm only: the starting *sum* of the two biases of the forget gate; None gives 1.0, where
        `chrono_steps` does not say otherwise.
    chrono_steps: lstm and gru: the longest memory, in steps, that units start with (chrono initialisation, Tallec &
        Ollivier 2018). The biases of the gate that keeps the past (lstm: forget; gru: update) start at
        ln(u), u drawn evenly from 1 to `chrono_steps` - 1, one per unit, and those of the lstm's input gate at
        the negative. For answers that hang on one step far back; None: no. Usual: the sequences' length.
    cell_clip: lstm only: bound on the cell state, after each step; None: no bound. Usual: 3-50.
    layer_norm: normalise the gates inside the cell (Ba et al. 2016); slower, steadier with large learning rates.
    recurrent_init: "orthogonal" (Saxe et al. 2014, per gate) or "uniform" (±1/sqrt(hidden_size), as torch).
    initial_state: "zero" or "learnt" (one trained vector per layer and direction).
    """

    section: ClassVar[str] = "network"

    cell: str = option("lstm", str, choices=CELLS)
    hidden_size: int = option(128, int, low=1, high=65536, usual="32-512")
    num_layers: int = option(2, int, low=1, high=64, usual="1-4")
    bidirectional: bool = option(False, bool)
    embedding_size: int | None = option(None, int, low=1, high=65536, optional=True, usual="50-300")
    dropout: float | None = option(
        None, float, low=0.0, high=1.0, open_high=True, optional=True, usual="0.2-0.5"
    )
    input_dropout: float = option(0.0, float, low=0.0, high=1.0, open_high=True, usual="0-0.5")
    recurrent_dropout: float = option(0.0, float, low=0.0, high=1.0, open_high=True, usual="0-0.3")
    output_dropout: float = option(0.0, float, low=0.0, high=1.0, open_high=True, usual="0-0.5")
    locked_dropout: bool = option(False, bool)
    weight_dropout: float = option(0.0, float, low=0.0, high=1.0, open_high=True, usual="0.2-0.5")
    embedding_dropout: float = option(0.0, float, low=0.0, high=1.0, open_high=True, usual="0.05-0.2")
    tied_embedding: bool = option(False, bool)
    zoneout: float = option(0.0, float, low=0.0, high=1.0, open_high=True, usual="0-0.15")
    forget_bias: float | None = option(None, float, optional=True, usual="0-2")
    chrono_steps: int | None = option(None, int, low=3, optional=True, usual="the sequences' length")
    cell_clip: float | None = option(None, float, low=0.0, open_low=True, optional=True, usual="3-50")
    layer_norm: bool = option(False, bool)
    recurrent_init: str = option("orthogonal", str, choices=("orthogonal", "uniform"))
    initial_state: str = option("zero", str, choices=("zero", "learnt"))

    def validate(self) -> None:
        """Refuse options that the chosen cell or depth cannot use."""
        for name in without_effect(self.cell):
            if getattr(self, name) is not None:
                cells = " and ".join(map(repr, OF_CELLS[name]))
                raise SpecError(
                    f"{name} has no effect with cell={self.cell!r}: only {cells} can use it; leave it out"
                )
        if self.chrono_steps is not None and self.forget_bias is not None:
            raise SpecError(
                "forget_bias has no effect with chrono_steps, which draws the forget gate's biases; leave one out"
            )
        if self.num_layers == 1 and self.dropout:
            raise SpecError(
                f"dropout={self.dropout:g} has no effect with num_layers=1: it stands between layers; "
                "use output_dropout, input_dropout or recurrent_dropout, or more layers"
            )

        between = self.dropout if self.dropout is not None else self.num_layers > 1
        if self.locked_dropout and not (between or self.input_dropout or self.output_dropout):
            raise SpecError(
                "locked_dropout has no effect without dropout, input_dropout or output_dropout; give one of them"
            )

    def resolved(self) -> Network:
        """Return the network with the cell-dependent and depth-dependent options filled in."""
        return self.replace(
            dropout=self.dropout if self.dropout is not None else (0.3 if self.num_layers > 1 else 0.0),
            forget_bias=(1.0 if self.forget_bias is None else self.forget_bias)
            if self.cell == "lstm" and self.chrono_steps is None
            else None,
        )

    @property
    def gates(self) -> int:
        """Gates per unit: 4 for lstm, 3 for gru, 1 for the plain cells."""
        return GATES[self.cell]

    @property
    def directions(self) -> int:
        """1, or 2 if bidirectional."""
        return 2 if self.bidirectional else 1


OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop")
SCHEDULES = ("constant", "step", "cosine", "one_cycle", "plateau")
STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 2000, 12, 40
"""What "auto" epochs are: about so many steps, within these bounds."""


@dataclass(frozen=True, kw_only=True)
class Training(Spec):
    """How the model is learnt.

    epochs: passes over the training split. Usual: 5-50. "auto": as many as make about 2,000 steps, from 12 to 40, so
        that few sequences are read more often; of language and frame models 4,000 windows, from 3 to 20.
    batch_size: sequences per step at most. Usual: 16-128.
    batch_tokens: tokens per step at most, besides `batch_size`; None: no bound. A single longer sequence still
        makes a batch of its own.
    sequence_length: truncation *of training*: longer token sequences are cut to it (which side is the input
        spec's `truncate`), longer signals are trained in windows of this length with carried state. Never
        applied to prediction. None: no truncation.
    learning_rate: usual: 1e-4 to 1e-2 for Adam, 0.1 to 10 for SGD. "auto" runs the learning-rate finder first.
    optimizer: "adam" (Kingma & Ba 2015), "adamw" (decoupled weight decay, Loshchilov & Hutter 2019), "sgd",
        "rmsprop".
    momentum: sgd and rmsprop only; None gives 0.
    weight_decay: usual: 0 to 0.1. Biases and norms are always exempt.
    decay_recurrent: whether recurrent weights decay too.
    gradient_clip: largest gradient norm (or value) per step; None: no clipping. Usual: 1-10.
    clip_by: "norm" (global norm of all gradients) or "value" (each number).
    layer_decay: what the learning rate of each part of the model is of that of the part above it; 1: all alike. For
        fine-tuning (Howard & Ruder 2018: 1/2.6). Usual: 0.3-1.
    unfreeze: "all" parts learn from the first epoch on, or "gradual": only the head in the first, and one part more,
        from the top, in each that follows (Howard & Ruder 2018).
    accumulate: batches whose gradients are averaged before one step.
    schedule: "constant", "step" (times `decay_factor` every `decay_every` epochs), "cosine" (to 0),
        "one_cycle" (up over the first 30%, then down), "plateau" (times `decay_factor` after `decay_every`
        epochs without improvement of `monitor`).
    decay_every: epochs; step and plateau only; None gives 3.
    decay_factor: step and plateau only; None gives 0.5.
    warmup: share of all steps over which the rate rises from 0; not with one_cycle.
    patience: epochs without improvement of `monitor` before stopping; None: never.
    monitor: the one named score that chooses the best weights, such as "accuracy" or "loss"; None: the task's.
    restore_best: whether the weights of the best epoch are restored at the end.
    class_weight: "balanced" weighs classes by their inverse frequency; None: all alike.
    label_smoothing: share of the target spread over all classes. Usual: 0-0.1.
    activation_penalty: factor of the mean square of what leaves the last recurrent layer, added to the loss (AR,
        Merity et al. 2018). Usual: 0-2.
    slowness_penalty: factor of the mean square of its change from step to step (TAR). Usual: 0-1.
    average: "sequences" or "tokens": what the loss is a mean over.
    average_weights: None: the weights after the last step are scored, kept and stored; "tail": from the epoch on in
        which `monitor` is worse than its best of more than `average_after` epochs before, the mean of the weights of
        all later steps instead (NT-ASGD with sgd, Merity et al. 2018); "exponential": a mean that forgets, from
        the first step on. Steps themselves are the same, bit for bit. Costs one more copy of the weights.
    average_after: epochs; tail only; None gives 5. Usual: 3-10.
    average_decay: what the mean keeps of itself at each step; exponential only; None gives 0.999. Usual: 0.99-0.9999.
    bucket: whether sequences of like length are batched together (shuffled reproducibly).
    max_seconds: stop after this time, with the best weights; None: no bound.
    max_bad_steps: non-finite steps in a row before the run ends with the last good state.
    diagnose: whether gradients through time, gates, units and update sizes are measured on a sample of steps, for
        `recurra.insight.diagnose`; the steps stay the same, bit for bit. Costs at most a tenth of the time.
    seed: everything random follows from it.
    precision: "float32", or "bfloat16": the products of the recurrent layers, forward and backward, are of
        numbers rounded to bfloat16 and summed in float32; weights, states, gradients and the optimizer stay
        float32, and so do validation and what is stored. About 1.8 times as fast where the processor multiplies
        bfloat16 (`recurra doctor` tells), slower elsewhere. On the CPU; not with layer_norm or zoneout.
    device: "auto", "cpu" or "cuda".
    """

    section: ClassVar[str] = "training"

    epochs: int | str = option(10, (int, str), low=0, high=1_000_000, usual="5-50")
    batch_size: int = option(32, int, low=1, high=1_000_000, usual="16-128")
    batch_tokens: int | None = option(None, int, low=1, optional=True)
    sequence_length: int | None = option(100, int, low=1, optional=True, usual="50-500")
    learning_rate: float | str = option(0.001, (float, str), low=0.0, open_low=True, usual="0.0001-0.01")
    optimizer: str = option("adam", str, choices=OPTIMIZERS)
    momentum: float | None = option(None, float, low=0.0, high=1.0, open_high=True, optional=True)
    weight_decay: float = option(0.0, float, low=0.0, usual="0-0.1")
    decay_recurrent: bool = option(True, bool)
    gradient_clip: float | None = option(5.0, float, low=0.0, open_low=True, optional=True, usual="1-10")
    clip_by: str = option("norm", str, choices=("norm", "value"))
    layer_decay: float = option(1.0, float, low=0.0, high=1.0, open_low=True, usual="0.3-1")
    unfreeze: str = option("all", str, choices=("all", "gradual"))
    accumulate: int = option(1, int, low=1)
    schedule: str = option("constant", str, choices=SCHEDULES)
    decay_every: int | None = option(None, int, low=1, optional=True)
    decay_factor: float | None = option(
        None, float, low=0.0, high=1.0, open_low=True, open_high=True, optional=True
    )
    warmup: float = option(0.0, float, low=0.0, high=1.0, open_high=True, usual="0-0.1")
    patience: int | None = option(None, int, low=1, optional=True, usual="3-10")
    monitor: str | None = option(None, str, optional=True)
    restore_best: bool = option(True, bool)
    class_weight: str | None = option(None, str, choices=("balanced",), optional=True)
    label_smoothing: float = option(0.0, float, low=0.0, high=1.0, open_high=True, usual="0-0.1")
    activation_penalty: float = option(0.0, float, low=0.0, usual="0-2")
    slowness_penalty: float = option(0.0, float, low=0.0, usual="0-1")
    average: str = option("sequences", str, choices=("sequences", "tokens"))
    average_weights: str | None = option(None, str, choices=("tail", "exponential"), optional=True)
    average_after: int | None = option(None, int, low=1, optional=True, usual="3-10")
    average_decay: float | None = option(
        None, float, low=0.0, high=1.0, open_low=True, open_high=True, optional=True, usual="0.99-0.9999"
    )
    bucket: bool = option(True, bool)
    max_seconds: float | None = option(None, float, low=0.0, open_low=True, optional=True)
    max_bad_steps: int = option(10, int, low=1)
    diagnose: bool = option(False, bool)
    seed: int = option(0, int, low=0, high=2**63 - 1)
    precision: str = option("float32", str, choices=("float32", "bfloat16"))
    device: str = option("auto", str, choices=("auto", "cpu", "cuda"))

    def validate(self) -> None:
        """Refuse options that the chosen optimizer or schedule cannot use."""
        if isinstance(self.learning_rate, str) and self.learning_rate != "auto":
            raise SpecError(f"learning_rate must be a number above 0 or 'auto', got {self.learning_rate!r}")
        if isinstance(self.epochs, str) and self.epochs != "auto":
            raise SpecError(f"epochs must be a whole number or 'auto', got {self.epochs!r}")
        if self.momentum is not None and self.optimizer not in ("sgd", "rmsprop"):
            raise SpecError(
                f"momentum has no effect with optimizer={self.optimizer!r}; use 'sgd' or 'rmsprop'"
            )
        for name in ("decay_every", "decay_factor"):
            if getattr(self, name) is not None and self.schedule not in ("step", "plateau"):
                raise SpecError(
                    f"{name} has no effect with schedule={self.schedule!r}; use 'step' or 'plateau'"
                )
        for name, kind in (("average_after", "tail"), ("average_decay", "exponential")):
            if getattr(self, name) is not None and self.average_weights != kind:
                raise SpecError(
                    f"{name} has no effect with average_weights={self.average_weights!r}; use {kind!r}"
                )
        if self.warmup and self.schedule == "one_cycle":
            raise SpecError("warmup has no effect with schedule='one_cycle', which has its own; leave it out")
        if self.clip_by != "norm" and self.gradient_clip is None:
            raise SpecError(
                "clip_by has no effect with gradient_clip=None; give a gradient_clip or leave it out"
            )
        if not self.decay_recurrent and not self.weight_decay:
            raise SpecError(
                "decay_recurrent has no effect with weight_decay=0; give a weight_decay or leave it out"
            )

    @property
    def passes(self) -> int:
        """`epochs` as a number; raises SpecError where it is still "auto", which `planned` turns into one."""
        if isinstance(self.epochs, str):
            raise SpecError("epochs='auto' has no effect here; give a number of epochs")
        return self.epochs

    def planned(
        self, sequences: int, *, steps: int = STEPS, fewest: int = FEWEST_EPOCHS, most: int = MOST_EPOCHS
    ) -> Training:
        """Return the training with "auto" epochs turned into a number, for so many training sequences.

        steps: about how many are taken; fewest, most: how often everything is read.
        """
        if self.epochs != "auto":
            return self
        each = max(1, math.ceil(sequences / (self.batch_size * self.accumulate)))
        return self.replace(epochs=min(max(math.ceil(steps / each), fewest), most))

    def resolved(self) -> Training:
        """Return the training with the optimizer- and schedule-dependent options filled in."""
        decays = self.schedule in ("step", "plateau")
        return self.replace(
            momentum=(self.momentum or 0.0) if self.optimizer in ("sgd", "rmsprop") else None,
            decay_every=(self.decay_every or 3) if decays else None,
            decay_factor=(self.decay_factor or 0.5) if decays else None,
            average_after=(self.average_after or 5) if self.average_weights == "tail" else None,
            average_decay=(self.average_decay or 0.999) if self.average_weights == "exponential" else None,
        )


def set_by_path(specs: Mapping[str, Spec], path: str, value: Any) -> dict[str, Spec]:
    """Return `specs` with one option changed, named as `section.option` ("network.cell_clip")."""
    section, _, name = path.partition(".")
    if section not in specs or not name:
        raise SpecError(f"{path!r} must be section.option{nearest(section, specs)}")
    return {**specs, section: specs[section].replace(**{name: value})}


def spec_from_sections(
    kind: type[Spec], sections: Mapping[str, Mapping[str, Any]], known: Sequence[str]
) -> Spec:
    """Build one spec from a parsed configuration file; refuses sections that nothing reads."""
    for section in sections:
        if section not in known:
            raise SpecError(f"configuration has no section [{section}]{nearest(section, known)}")
    return kind.from_dict(sections.get(kind.section, {}))
