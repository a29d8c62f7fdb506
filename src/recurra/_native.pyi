"""Signatures of the C++ module. Users call `recurra.kernels`, which checks, converts and wraps these.

Arrays are C-contiguous CPU arrays of one dtype (float32, or float64 throughout), int64 for offsets and indices.
Whatever does not fit raises ValueError naming the argument. N tokens, S sequences, I inputs, H hidden units,
G gates (rnn, rnn_relu: 1; lstm: 4, order i f g o; gru: 3, order r z n).
"""

from collections.abc import Sequence
from typing import Any, Literal, TypedDict

from numpy.typing import NDArray

_Real = NDArray[Any]
_Cell = Literal["rnn", "rnn_relu", "lstm", "gru"]
_Precision = Literal["float32", "bfloat16", "int8"]

# ---- module ----------------------------------------------------------------------------------------------------

def engine() -> dict[str, Any]: ...  # native, isa, threads, reason, available
def set_num_threads(n: int) -> None: ...
def get_num_threads() -> int: ...
def default_num_threads() -> int: ...
def set_isa(isa: str) -> None: ...  # for tests; packed weights keep the instruction set they were packed for
def fma_peak(seconds: float = 0.2, threads: int | None = None) -> float: ...  # GF/s, all threads at once
def drop_buffers() -> None: ...

# ---- recurrences -----------------------------------------------------------------------------------------------

class Packed:
    """Weights of one recurrence in the layout that the kernels read. Immutable; copies what it is given.

    `gains` (layer-norm cells): gain_x (G*H,), gain_h (G*H,) and, lstm, gain_c (H,), bias_c (H,).
    `backward=True` also packs what `recur_backward` needs (else that happens in the first backward call).
    `precision` other than "float32": inference only (`recur_forward(save=False)` and `Stepper`).
    """

    def __init__(
        self,
        cell: _Cell,
        w_ih: _Real,
        w_hh: _Real,
        b_ih: _Real | None = None,
        b_hh: _Real | None = None,
        *,
        gain_x: _Real | None = None,
        gain_h: _Real | None = None,
        gain_c: _Real | None = None,
        bias_c: _Real | None = None,
        backward: bool = False,
        precision: _Precision = "float32",
    ) -> None: ...
    @property
    def cell(self) -> str: ...
    @property
    def input_size(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def gates(self) -> int: ...
    @property
    def dtype(self) -> str: ...  # "float32" | "float64"
    @property
    def precision(self) -> str: ...
    @property
    def isa(self) -> str: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def engine(self) -> str: ...  # one line: which path runs, for model.engine

def recur_project(packed: Packed, x: _Real) -> _Real:
    """(N, G*H): the input part of every gate's chain, `b + W_ih x`, to be resumed by `preprojected=True`.

    rnn, lstm, and gru's r and z begin with b_ih + b_hh; gru's n with b_in. Not for layer-norm cells.
    """

def recur_forward(
    packed: Packed,
    x: _Real,  # (N, I); preprojected: (N, G*H)
    offsets: NDArray[Any],  # (S+1,)
    h0: _Real | None = None,  # (S, H)
    c0: _Real | None = None,
    *,
    reverse: bool = False,
    cell_clip: float | None = None,
    recurrent_mask: _Real | None = None,  # (S, H)
    zoneout: float = 0.0,
    zoneout_mask: _Real | None = None,  # (N, H); lstm (N, 2H): for h, then for c
    save: bool = False,
    preprojected: bool = False,
) -> tuple[_Real, _Real, _Real | None, _Real | None, _Real | None, _Real | None]:
    """(y (N,H), h (S,H), c (S,H)|None, gates (N,G*H)|None, cells (N,H)|None, extra|None).

    gates (after their activation; for rnn None: y is its gate), cells and extra only with `save`. extra is what the backward pass needs
    besides: gru (N, H), the linear recurrent part of n; layer-norm cells: opaque.
    """

class Gradients(TypedDict):
    """What `recur_backward` returns; None where not asked for or not applicable."""

    dx: _Real | None  # (N, I)
    dw_ih: _Real | None
    dw_hh: _Real | None
    db_ih: _Real | None
    db_hh: _Real | None
    dh0: _Real  # (S, H)
    dc0: _Real | None  # (S, H), lstm
    steps: _Real | None  # (N, H): the whole gradient that arrives at h of each token (steps=True)
    dgain_x: _Real | None
    dgain_h: _Real | None
    dgain_c: _Real | None
    dbias_c: _Real | None

def recur_backward(
    packed: Packed,
    x: _Real,
    offsets: NDArray[Any],
    y: _Real,
    gates: _Real | None,
    cells: _Real | None,
    extra: _Real | None,
    dy: _Real | None = None,  # (N, H); None: zeros
    dh: _Real | None = None,  # (S, H): gradient of the final state
    dc: _Real | None = None,
    *,
    h0: _Real | None = None,
    c0: _Real | None = None,
    reverse: bool = False,
    cell_clip: float | None = None,
    recurrent_mask: _Real | None = None,
    zoneout: float = 0.0,
    zoneout_mask: _Real | None = None,
    need_dx: bool = True,
    need_weights: bool = True,
    steps: bool = False,
) -> Gradients: ...

class Stepper:
    """A stack of layers and the state of `rows` streams; one call advances them by one step.

    `state` copies out (layers, 1|2, rows, H) (2: h, c for lstm); all layers share cell and H.
    """

    def __init__(
        self, stack: Sequence[Packed], rows: int = 1, cell_clip: float | None = None, zoneout: float = 0.0
    ) -> None: ...
    def step(self, x: _Real, index: NDArray[Any] | None = None) -> _Real:
        """x (rows, I), or (I,) with one row. `index` (K,) int64, distinct: x is (K, I), only these rows move.

        Returns a view of the stepper's own (rows, H), or (K, H), output; the next call overwrites it.
        """
    def state(self) -> _Real: ...
    def load(self, state: _Real) -> None: ...
    def reset(self, index: NDArray[Any] | None = None) -> None: ...
