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

# which functions there are, with which arguments; recurra.kernels.engines names the same number
interface: int

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

    `recur_backward` wants `backward=True` (and needs no `forward`); everything else wants `forward=True`.
    `precision`: "bfloat16": both factors of every product are rounded to it, sums are float32; the same bits on
    every instruction set. "int8": inference only (`recur_forward` without save, preprojected and recurrent_mask,
    and `Stepper`); one scale per gate row; activations quantised per row and step; sums exact.
    gain_x, gain_h (and for an lstm gain_c, bias_c): of a layer-normalised cell, float32 or float64.
    """

    def __init__(
        self,
        cell: _Cell,
        w_ih: _Real,
        w_hh: _Real,
        b_ih: _Real | None = None,
        b_hh: _Real | None = None,
        *,
        forward: bool = True,
        backward: bool = False,
        precision: _Precision = "float32",
        gain_x: _Real | None = None,  # (G*H,)
        gain_h: _Real | None = None,
        gain_c: _Real | None = None,  # (H,)
        bias_c: _Real | None = None,
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
    def normalised(self) -> bool: ...
    @property
    def isa(self) -> str: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def engine(self) -> str: ...  # one line: which path runs, for model.engine

def recur_project(packed: Packed, x: _Real) -> _Real:
    """(N, G*H): the input part of every gate's chain, `b + W_ih x`, to be resumed by `preprojected=True`.

    rnn, lstm, and gru's r and z begin with b_ih + b_hh; gru's n with b_in. Layer-normalised: the biases are added
    after the norm.
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
    save: bool = False,
    preprojected: bool = False,
    zoneout: float = 0.0,
    zoneout_mask: _Real | None = None,  # (N, H), lstm (N, 2H)
) -> tuple[_Real, _Real, _Real | None, _Real | None, _Real | None, _Real | None]:
    """(y (N,H), h (S,H), c (S,H)|None, gates (N,G*H)|None, cells (N,H)|None, extra|None).

    gates (after their activation; for a plain rnn without zoneout None: y is its gate), cells and extra only with
    `save`. extra: what the backward pass needs besides, a row per token: gru (N, H), the linear recurrent part of n;
    of a layer-normalised cell after it both products normalised, G*H each, and the norms' own numbers.
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
    dgain_x: _Real | None  # these four: of a layer-normalised cell, the last two of an lstm
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
    need_dx: bool = True,
    need_weights: bool = True,
    steps: bool = False,
    zoneout: float = 0.0,
    zoneout_mask: _Real | None = None,
) -> Gradients: ...

class Stepper:
    """A stack of layers and the state of `rows` streams; one call advances them by one step.

    `state` copies out (layers, 1|2, rows, H) (2: h, c for lstm), or some rows by index; all layers share cell and
    H.
    """

    def __init__(
        self, stack: Sequence[Packed], rows: int = 1, cell_clip: float | None = None, zoneout: float = 0.0
    ) -> None: ...
    def step(self, x: _Real, index: NDArray[Any] | None = None) -> _Real:
        """x (rows, I), or (I,) with one row. `index` (K,) int64, distinct: x is (K, I), only these rows move.

        Returns a view of the stepper's own (rows, H), or (K, H), output; the next call overwrites it.
        """
    def state(self, index: NDArray[Any] | None = None) -> _Real: ...
    def load(self, state: _Real, index: NDArray[Any] | None = None) -> None: ...
    def reset(self, index: NDArray[Any] | None = None) -> None: ...

class RowScaler:
    """Rows of F numbers to float32 features: `(x - center) / scale` in float64, `fill` where missing (NaN), then one
    column per `masked` feature that is 1 where it was missing. All arrays (F,) float64; masked: positions.
    """

    def __init__(
        self, center: _Real, scale: _Real, fill: _Real, masked: Sequence[int], missing: bool = True
    ) -> None: ...
    def row(self, x: _Real) -> bool:
        """Whether x (F,), float32 or float64 of any strides, was written to `out`; else it needs a look."""
    def rows(self, x: _Real) -> _Real | None: ...  # (n, F) -> (n, width), or None
    @property
    def out(self) -> _Real: ...  # (1, width), the scaler's own: the next `row` overwrites it

# ---- products, rows, sums --------------------------------------------------------------------------------------

def dense(x: _Real, w: _Real, b: _Real | None = None) -> _Real: ...  # (N, I), (O, I), (O,) -> (N, O)
def dense_dx(dy: _Real, w: _Real) -> _Real: ...  # (N, O), (O, I) -> (N, I)
def dense_dw(
    dy: _Real, x: _Real, bias: bool = False
) -> tuple[_Real, _Real | None]: ...  # (N, O), (N, I) -> (O, I) and with bias (O,); blocks of 128 tokens
def column_sums(x: _Real) -> _Real: ...  # (N, F) -> (F,), blocks of 256 rows
def gather_rows(x: _Real, index: NDArray[Any]) -> _Real: ...
def scatter_rows(dy: _Real, index: NDArray[Any], rows: int) -> _Real: ...  # added in the order of index
def concat_features(parts: Sequence[_Real]) -> _Real: ...
def take_columns(x: _Real, begin: int, end: int) -> _Real: ...

# ---- one element at a time (any shape of at most 4 axes) -------------------------------------------------------

_Unary = Literal["sigmoid", "tanh", "relu", "exp", "softplus"]

def unary(op: _Unary, x: _Real) -> _Real: ...
def unary_grad(op: _Unary, held: _Real, dy: _Real) -> _Real: ...  # held: the output; softplus: the input
def binary(op: Literal["add", "mul"], a: _Real, b: _Real) -> _Real: ...  # b like a, or one row of it
def scale(x: _Real, factor: float) -> _Real: ...
def dropout(x: _Real, rate: float, seed: int) -> _Real: ...
def binary_cross_entropy(
    logits: _Real, targets: _Real, pos_weight: _Real | None = None, dloss: _Real | None = None
) -> _Real: ...  # with dloss: the gradient of the logits
def error_loss(
    kind: Literal["squared", "absolute", "huber"],
    predictions: _Real,
    targets: _Real,
    delta: float,
    dloss: _Real | None = None,
) -> _Real: ...

# ---- rows of scores, norm, pooling -----------------------------------------------------------------------------

_Soft = Literal["softmax", "log_softmax", "logsumexp"]
_Pooling = Literal["mean", "max", "attention"]

def soft(op: _Soft, x: _Real) -> _Real: ...
def soft_grad(op: _Soft, held: _Real, dy: _Real, lse: _Real | None = None) -> _Real: ...
def crf_loss(
    emissions: _Real, offsets: NDArray[Any], tags: NDArray[Any], transitions: _Real, start: _Real, end: _Real
) -> tuple[_Real, _Real, _Real]: ...
def crf_grad(
    emissions: _Real,
    offsets: NDArray[Any],
    tags: NDArray[Any],
    transitions: _Real,
    start: _Real,
    end: _Real,
    all: _Real,
    truth: _Real,
    dloss: _Real,
) -> tuple[_Real, _Real, _Real]: ...
def crf_marginals(
    emissions: _Real, offsets: NDArray[Any], transitions: _Real, start: _Real, end: _Real
) -> _Real: ...
def viterbi(
    emissions: _Real, offsets: NDArray[Any], transitions: _Real, start: _Real, end: _Real
) -> tuple[_Real, _Real]: ...
def cross_entropy(
    logits: _Real, targets: NDArray[Any], weight: _Real | None = None, label_smoothing: float = 0.0
) -> tuple[_Real, _Real]: ...  # losses (N,), kept (N, 2) for the gradient
def cross_entropy_grad(
    logits: _Real,
    targets: NDArray[Any],
    weight: _Real | None,
    label_smoothing: float,
    kept: _Real,
    dloss: _Real,
) -> _Real: ...
def layer_norm(x: _Real, gain: _Real, bias: _Real, eps: float) -> tuple[_Real, _Real]: ...  # y, kept (N, 2)
def layer_norm_grad(x: _Real, gain: _Real, kept: _Real, dy: _Real) -> tuple[_Real, _Real, _Real]: ...
def pool(
    op: _Pooling,
    x: _Real,
    offsets: NDArray[Any],
    scores: _Real | None = None,
    initial: _Real | None = None,
    carry: bool = False,
) -> tuple[_Real, _Real, _Real | None]: ...  # y (S, F), kept for the gradient, state (S, F + 1 | F + 3)
def pool_grad(
    op: _Pooling, x: _Real, offsets: NDArray[Any], scores: _Real | None, y: _Real, kept: _Real, dy: _Real
) -> tuple[_Real, _Real | None]: ...  # dx, dscores
def pool_push(
    op: _Pooling, state: _Real, x: _Real, scores: _Real | None = None, index: NDArray[Any] | None = None
) -> None: ...  # one more token; changes state (R, F + 1 | F + 3)
def pool_result(op: _Pooling, state: _Real) -> _Real: ...

# ---- training --------------------------------------------------------------------------------------------------

def sums_of_squares(arrays: Sequence[_Real]) -> NDArray[Any]: ...  # (len(arrays),) float64
def adam(
    parameter: _Real,
    gradient: _Real,
    first: _Real,
    second: _Real,
    rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    step: int,
    decay: float,
    decoupled: bool,
    scale: float,
) -> None: ...  # in place
def weighted_mean(values: _Real, weights: _Real | None = None, dmean: _Real | None = None) -> _Real: ...
