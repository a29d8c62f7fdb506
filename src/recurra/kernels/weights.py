"""Records of the recurrences: the weights that go in and the results that come out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from recurra.errors import KernelError, nearest

Array: TypeAlias = Any
"""A NumPy array or a torch tensor; an operator answers in the kind it was asked in."""

GATES: dict[str, int] = {"rnn": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}
"""The cells and their number of gates G."""

GATE_NAMES: dict[str, tuple[str, ...]] = {
    "rnn": (),
    "rnn_relu": (),
    "lstm": ("input", "forget", "candidate", "output"),
    "gru": ("reset", "update", "candidate"),
}
"""The gates of each cell in their stored order. An rnn has none; a candidate is a tanh, the others are in 0 to 1."""


PRECISIONS = ("float32", "bfloat16", "int8")


@dataclass(frozen=True, kw_only=True, eq=False)
class NormWeights:
    """Gains of a layer-normalised cell (Ba, Kiros and Hinton 2016); the biases are the cell's own.

    gain_x, gain_h: (G*H,) for the input and the recurrent product; gain_c, bias_c: (H,) for the cell state
    that an LSTM shows to its output gate, None for the other cells.
    """

    gain_x: Array
    gain_h: Array
    gain_c: Array | None = None
    bias_c: Array | None = None


NORM_NAMES = ("gain_x", "gain_h", "gain_c", "bias_c")
"""The arrays of `NormWeights`, in the order in which the engine takes them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RecurWeights:
    """Weights of one recurrent layer in one direction, in torch's layout and gate order.

    cell: "rnn" (tanh), "rnn_relu", "lstm" (gates i, f, g, o) or "gru" (gates r, z, n; linear before reset).
    w_ih: (G*H, I), w_hh: (G*H, H), b_ih and b_hh: (G*H,); norm: gains of a layer-normalised cell or None.
    precision: "float32"; "bfloat16": the products are of numbers rounded to it (weights, x, h and, in the
    backward pass, gate gradients), summed in float32, all else is float32; or for inference on NumPy arrays
    with the native engine "int8" (one scale per gate row, activations quantised per row and step).

    The packed form that the native engine makes of NumPy weights is kept here, so the arrays must not be
    changed in place after the first use: make a new record instead.
    """

    cell: str
    w_ih: Array
    w_hh: Array
    b_ih: Array
    b_hh: Array
    norm: NormWeights | None = None
    precision: str = "float32"
    packed: dict[str, Any] = field(default_factory=dict, repr=False, compare=False, init=False)

    def __post_init__(self) -> None:
        if self.cell not in GATES:
            raise KernelError(
                f"cell must be a known recurrence, got {self.cell!r}{nearest(self.cell, GATES)}"
            )
        if self.precision not in PRECISIONS:
            raise KernelError(
                f"precision must be known, got {self.precision!r}{nearest(self.precision, PRECISIONS)}"
            )
        if self.precision != "float32" and self.norm is not None:
            raise KernelError(f"precision of a layer-normalised cell must be float32, got {self.precision}")
        self._check_shapes()

    @property
    def input_size(self) -> int:
        """Features I of one input token."""
        return int(self.w_ih.shape[1])

    @property
    def hidden_size(self) -> int:
        """Units H."""
        return int(self.w_hh.shape[1])

    @property
    def gates(self) -> int:
        """Gates G of the cell."""
        return GATES[self.cell]

    def _check_shapes(self) -> None:
        if len(self.w_hh.shape) != 2 or len(self.w_ih.shape) != 2:
            raise KernelError(
                "w_ih and w_hh must be matrices, "
                f"got shapes {tuple(self.w_ih.shape)} and {tuple(self.w_hh.shape)}"
            )
        rows, units = self.gates * self.hidden_size, self.hidden_size
        expected: dict[str, tuple[Array | None, tuple[int, ...]]] = {
            "w_hh": (self.w_hh, (rows, units)),
            "w_ih": (self.w_ih, (rows, self.input_size)),
            "b_ih": (self.b_ih, (rows,)),
            "b_hh": (self.b_hh, (rows,)),
        }
        if self.norm is not None:
            expected |= self._norm_shapes(self.norm, rows, units)
        for name, (array, shape) in expected.items():
            if array is None or tuple(array.shape) != shape:
                got = None if array is None else tuple(array.shape)
                raise KernelError(
                    f"{name} of a {self.cell} with {units} units must have shape {shape}, got {got}"
                )

    def _norm_shapes(
        self, norm: NormWeights, rows: int, units: int
    ) -> dict[str, tuple[Array | None, tuple[int, ...]]]:
        shapes: dict[str, tuple[Array | None, tuple[int, ...]]] = {
            "norm.gain_x": (norm.gain_x, (rows,)),
            "norm.gain_h": (norm.gain_h, (rows,)),
        }
        if self.cell == "lstm":
            shapes |= {"norm.gain_c": (norm.gain_c, (units,)), "norm.bias_c": (norm.bias_c, (units,))}
        return shapes


@dataclass(frozen=True, kw_only=True, eq=False)
class Recurred:
    """What a recurrence answers for a ragged batch of N tokens in S sequences.

    y: (N, H) hidden state after every token, in token order; h: (S, H) last state (first token's,
    reversed); c: (S, H) last cell state of an LSTM, else None. Only on request (`gates=True`): gates (N,
    G*H) after their activations, cells (N, H) of an LSTM, linear (N, H) the recurrent part of a GRU's
    candidate before the reset.
    """

    y: Array
    h: Array
    c: Array | None = None
    gates: Array | None = None
    cells: Array | None = None
    linear: Array | None = None

    def named_gates(self, cell: str) -> dict[str, Array]:
        """The gates by name, each (N, H); none of an rnn, and none where they were not asked for."""
        units = self.y.shape[1]
        if self.gates is None:
            return {}
        gates = self.gates
        return {
            name: gates[:, place * units : (place + 1) * units] for place, name in enumerate(GATE_NAMES[cell])
        }
