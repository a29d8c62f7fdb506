"""The operators. NumPy arrays in, NumPy arrays out; torch tensors in, torch tensors with gradients out.

Every operator checks what it is given (KernelError names the argument), copies what is not contiguous, and
answers for a row whatever the batch, its order and the number of threads. float32 is the native type;
float64 serves checks. Letters: N tokens, S sequences, F features, I input size, O outputs, H units, G
gates, C classes, V vocabulary.
"""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np

from recurra.errors import KernelError, nearest
from recurra.kernels import checks, engines, numpy_native, numpy_reference
from recurra.kernels.checks import float_like, floats, is_tensor
from recurra.kernels.reference import Options
from recurra.kernels.weights import Array, Recurred, RecurWeights

POOLINGS = ("mean", "max", "attention")


def face_of(x: Array) -> ModuleType:
    """The module whose operators run on arrays such as x: NumPy's or torch's, native or the reference."""
    if is_tensor(x):
        from recurra.kernels import torch_face

        return torch_face.face(x)
    return numpy_reference if engines.native() is None else numpy_native


def recur(
    weights: RecurWeights,
    x: Array | None,
    offsets: Array,
    *,
    h0: Array | None = None,
    c0: Array | None = None,
    reverse: bool = False,
    cell_clip: float | None = None,
    recurrent_mask: Array | None = None,
    zoneout: float = 0.0,
    zoneout_mask: Array | None = None,
    gates: bool = False,
    preprojected: Array | None = None,
) -> Recurred:
    """Run one recurrent layer in one direction over a ragged batch; equations in `recurra.kernels.reference`.

    x: (N, I); offsets: (S+1,) int64 from 0 to N; h0, c0: (S, H), zeros where None. reverse: every row is
    walked from its last token to its first; y stays in token order and h is the state after the first
    token. A row of length 0 has no y, and its h is h0. cell_clip: limit of an LSTM's cell state.
    recurrent_mask: (S, H), multiplies the past state in the recurrent product only, already scaled by 1 /
    (1 - p). zoneout: rate at which units keep their old value; with zoneout_mask (N, H), for an LSTM (N,
    2H) first h then c, by that mask of 0 and 1 (training), without it in proportion (inference). gates:
    also answer the gates. preprojected: (N, G*H) rows of `fold_embedding` in the place of x.
    """
    options = Options(reverse=reverse, cell_clip=cell_clip, recurrent_mask=recurrent_mask, zoneout=zoneout,
                      zoneout_mask=zoneout_mask, gates=gates)  # fmt: skip
    given = x if preprojected is None else preprojected
    _check_recur(weights, x, preprojected, options)
    checks.integers("offsets", offsets)
    _check_states(weights, given, offsets.shape[0] - 1, h0, c0, options)
    result: Recurred = face_of(given).recur(weights, x, offsets, h0, c0, options, preprojected)
    return result


def _check_recur(
    weights: RecurWeights, x: Array | None, preprojected: Array | None, options: Options
) -> None:
    if (x is None) == (preprojected is None):
        raise KernelError("exactly one of x and preprojected must be given")
    name, given = ("x", x) if preprojected is None else ("preprojected", preprojected)
    width = weights.input_size if preprojected is None else weights.gates * weights.hidden_size
    floats(name, given, None, width)
    for key in ("w_ih", "w_hh", "b_ih", "b_hh"):
        checks.alike(name, given, key, getattr(weights, key))
    clip = options.cell_clip
    if clip is not None and weights.cell != "lstm":
        raise KernelError(f"cell_clip is for an lstm, got a {weights.cell}; leave it None")
    if clip is not None and not checks.number("cell_clip", clip) > 0:
        raise KernelError(f"cell_clip must be above 0, got {clip}")
    checks.rate("zoneout", options.zoneout)


def _check_states(weights: RecurWeights, x: Array, rows: int, h0: Array | None, c0: Array | None,
                  options: Options) -> None:  # fmt: skip
    units = weights.hidden_size
    zones = 2 * units if weights.cell == "lstm" else units
    if c0 is not None and weights.cell != "lstm":
        raise KernelError(f"c0 is for an lstm, got a {weights.cell}; leave it None")
    for name, array, shape in (
        ("h0", h0, (rows, units)),
        ("c0", c0, (rows, units)),
        ("recurrent_mask", options.recurrent_mask, (rows, units)),
        ("zoneout_mask", options.zoneout_mask, (x.shape[0], zones)),
    ):
        if array is not None:
            float_like("x", x, name, array, *shape)


def recur_engine(weights: RecurWeights) -> str:
    """Which kernel runs a layer of these NumPy weights, in words, and why where it is not the native one."""
    if engines.native() is None:
        return f"the readable reference in NumPy ({engines.engine()['reason']})"
    return str(numpy_native.packed(weights).engine)


def fold_embedding(weights: RecurWeights, table: Array) -> Array:
    """Bias and (normalised) input product of every word of an embedding table (V, I), for `recur(preprojected=...)`.

    Answers (V, G*H); taking a row of it and resuming gives the bits that the embedded word itself gives.
    """
    floats("table", table, None, weights.input_size)
    return face_of(table).fold_embedding(weights, table)


def dense(x: Array, w: Array, b: Array | None = None) -> Array:
    """b + x W^T: x (N, I), w (O, I), b (O,) or None; answers (N, O)."""
    floats("x", x, None, None)
    float_like("x", x, "w", w, None, x.shape[1])
    if b is not None:
        float_like("x", x, "b", b, w.shape[0])
    return face_of(x).dense(x, w, b)


def embed(ids: Array, table: Array) -> Array:
    """Rows of table (V, D) by ids (N,) int64; the gradient is added per word in token order."""
    floats("table", table, None, None)
    checks.integers("ids", ids)
    return face_of(table).gather_rows(table, ids)


def gather_rows(x: Array, index: Array) -> Array:
    """Rows of x (N, F) by index (M,) int64; the gradient is added per row in the order of index."""
    floats("x", x, None, None)
    checks.integers("index", index)
    return face_of(x).gather_rows(x, index)


def pool_mean(x: Array, offsets: Array) -> Array:
    """Mean over the tokens of every row, (S, F): a sum in order, one division; 0 for a row of length 0."""
    return pool_carried("mean", x, offsets)[0]


def pool_max(x: Array, offsets: Array) -> Array:
    """Largest value over the tokens of every row, (S, F); gradient to the first of equals; 0 for length 0."""
    return pool_carried("max", x, offsets)[0]


def pool_attention(x: Array, offsets: Array, scores: Array) -> Array:
    """Mean over the tokens of every row weighted by the softmax of scores (N,) or (N, 1), (S, F); 0 for
    length 0."""
    return pool_carried("attention", x, offsets, scores)[0]


def pool_carried(
    kind: str, x: Array, offsets: Array, scores: Array | None = None, *, initial: Array | None = None
) -> tuple[Array, Array]:
    """The pooling "mean", "max" or "attention" of every row after what came before, and the state since.

    Answers (S, F) and the state (S, F + 1), of an attention (S, F + 3), that an accumulator of `kernels`
    has too (its columns are said there): handed over as `initial`, it gives the bits of one pass over all
    tokens. Gradients flow through x and scores of this call alone.
    """
    if kind not in POOLINGS:
        raise KernelError(f"kind must be a known pooling, got {kind!r}{nearest(kind, POOLINGS)}")
    floats("x", x, None, None)
    checks.integers("offsets", offsets)
    if (scores is None) == (kind == "attention"):
        raise KernelError(f"scores must be given for an attention and for no other pooling, got a {kind}")
    if scores is not None:
        scores = scores.reshape(-1) if len(getattr(scores, "shape", ())) == 2 else scores
        float_like("x", x, "scores", scores, x.shape[0])
    if initial is not None:
        size = x.shape[1] + (3 if kind == "attention" else 1)
        float_like("x", x, "initial", initial, offsets.shape[0] - 1, size)
    made: tuple[Array, Array] = face_of(x).pool(kind, x, offsets, scores, initial)
    return made


def layer_norm(x: Array, gain: Array, bias: Array, eps: float = 1e-5) -> Array:
    """Rows of x (N, F) with mean 0 and variance 1 (eps added), times gain (F,), plus bias (F,)."""
    floats("x", x, None, None)
    float_like("x", x, "gain", gain, x.shape[1])
    float_like("x", x, "bias", bias, x.shape[1])
    return face_of(x).layer_norm(x, gain, bias, checks.number("eps", eps))


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), any shape."""
    return face_of(floats_any("x", x)).activation("sigmoid", x)


def tanh(x: Array) -> Array:
    """Hyperbolic tangent, any shape."""
    return face_of(floats_any("x", x)).activation("tanh", x)


def relu(x: Array) -> Array:
    """max(x, 0), any shape; NaN stays."""
    return face_of(floats_any("x", x)).activation("relu", x)


def exp(x: Array) -> Array:
    """e to the x, any shape."""
    return face_of(floats_any("x", x)).activation("exp", x)


def softplus(x: Array) -> Array:
    """log(1 + exp(x)), any shape, without overflow."""
    return face_of(floats_any("x", x)).activation("softplus", x)


def floats_any(name: str, x: Array) -> Array:
    """x where it holds floats of any shape, else KernelError."""
    return floats(name, x, *getattr(x, "shape", ()))


def softmax(x: Array) -> Array:
    """exp(x) over its sum along the last axis; x (..., C), C at least 1."""
    return face_of(_rows_of("x", x)).soft("softmax", x)


def log_softmax(x: Array) -> Array:
    """x minus its logsumexp along the last axis."""
    return face_of(_rows_of("x", x)).soft("log_softmax", x)


def logsumexp(x: Array) -> Array:
    """log of the sum of exp(x) along the last axis, which it removes."""
    return face_of(_rows_of("x", x)).soft("logsumexp", x)


def _rows_of(name: str, x: Array) -> Array:
    floats_any(name, x)
    if len(x.shape) == 0 or x.shape[-1] == 0:
        raise KernelError(f"{name} must have a last axis of at least one element, got shape {tuple(x.shape)}")
    return x


def cross_entropy(
    logits: Array, targets: Array, weight: Array | None = None, label_smoothing: float = 0.0
) -> Array:
    """Loss per row (N,) of logits (N, C) for class targets (N,) int64; `torch.nn.functional`'s with no
    reduction.

    With s = label_smoothing and weight w (C,): (1 - s) w_t (-log p_t) + s / C sum_c w_c (-log p_c).
    """
    floats("logits", logits, None, None)
    _rows_of("logits", logits)
    if weight is not None:
        float_like("logits", logits, "weight", weight, logits.shape[1])
    if not 0.0 <= checks.number("label_smoothing", label_smoothing) <= 1.0:
        raise KernelError(f"label_smoothing must be from 0 to 1, got {label_smoothing}")
    checks.integers("targets", targets, logits.shape[0])
    return face_of(logits).cross_entropy(logits, targets, weight, float(label_smoothing))


def binary_cross_entropy(logits: Array, targets: Array, pos_weight: Array | None = None) -> Array:
    """Loss per element of logits (N, C) for targets in [0, 1] of the same shape.

    (1 - y) x + (1 + (w - 1) y) log(1 + exp(-x)), with w = pos_weight (C,) or 1.
    """
    floats("logits", logits, None, None)
    float_like("logits", logits, "targets", targets, *logits.shape)
    if pos_weight is not None:
        float_like("logits", logits, "pos_weight", pos_weight, logits.shape[1])
    return face_of(logits).binary_cross_entropy(logits, targets, pos_weight)


def squared_error(predictions: Array, targets: Array) -> Array:
    """(prediction - target)^2 per element; both of the same shape."""
    return face_of(_pair(predictions, targets)).error_loss("squared", predictions, targets, 1.0)


def absolute_error(predictions: Array, targets: Array) -> Array:
    """|prediction - target| per element; both of the same shape."""
    return face_of(_pair(predictions, targets)).error_loss("absolute", predictions, targets, 1.0)


def huber(predictions: Array, targets: Array, delta: float = 1.0) -> Array:
    """Huber's loss per element: d^2 / 2 up to |d| = delta, delta (|d| - delta / 2) beyond."""
    if not (checks.number("delta", delta) > 0 and math.isfinite(delta)):
        raise KernelError(f"delta must be above 0, got {delta}")
    return face_of(_pair(predictions, targets)).error_loss("huber", predictions, targets, float(delta))


def _pair(predictions: Array, targets: Array) -> Array:
    floats_any("predictions", predictions)
    float_like("predictions", predictions, "targets", targets, *predictions.shape)
    return predictions


def block_sum(x: Array) -> Array:
    """Sum over the first axis of x (N,) or (N, F): blocks of 256 in order, then over the blocks in order."""
    floats_any("x", x)
    if len(x.shape) not in (1, 2):
        raise KernelError(f"x must have shape (N,) or (N, F), got {tuple(x.shape)}")
    return face_of(x).block_sum(x)


def weighted_mean(values: Array, weights: Array | None = None) -> Array:
    """Mean of all values as an array of no axes; with weights of the same shape, sum(w v) / sum(w).

    Sums run in blocks of 256 in order. The mean of nothing, and of weights that sum to 0, is 0.
    """
    floats_any("values", values)
    if weights is not None:
        float_like("values", values, "weights", weights, *values.shape)
    return face_of(values).weighted_mean(values, weights)


def dropout(x: Array, rate: float, seed: int) -> Array:
    """x with elements zeroed at this rate, the others scaled by 1 / (1 - rate).

    What is kept is a pure function of seed and flat index, so it is the same whatever the threads are, for
    NumPy and torch alike; the backward pass computes it again. rate 0 answers x itself.
    """
    floats_any("x", x)
    if checks.rate("rate", rate) == 0.0:
        return x
    return face_of(x).dropout(x, rate, _seed(seed))


def dropout_mask(shape: tuple[int, ...], rate: float, seed: int) -> np.ndarray:
    """The float32 mask that `dropout` multiplies by: 0 or 1 / (1 - rate) per element of this shape."""
    ones = np.ones(shape, np.float32)
    return ones if checks.rate("rate", rate) == 0.0 else face_of(ones).dropout(ones, rate, _seed(seed))


def _seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 1 << 64:
        raise KernelError(f"seed must be a whole number from 0 to 2**64 - 1, got {seed!r}")
    return int(seed)


def concat_features(parts: list[Array]) -> Array:
    """Arrays (N, F1), (N, F2), ... joined side by side to (N, F1 + F2 + ...)."""
    if not parts:
        raise KernelError("parts must hold at least one array, got none")
    floats("parts[0]", parts[0], None, None)
    for place, part in enumerate(parts[1:], start=1):
        float_like("parts[0]", parts[0], f"parts[{place}]", part, parts[0].shape[0], None)
    return parts[0] if len(parts) == 1 else face_of(parts[0]).concat_features(list(parts))


def add(a: Array, b: Array) -> Array:
    """a + b of the same shape, or a (N, F) plus a row b (F,)."""
    return face_of(_mates(a, b)).binary("add", a, b)


def mul(a: Array, b: Array) -> Array:
    """a * b of the same shape, or a (N, F) times a row b (F,)."""
    return face_of(_mates(a, b)).binary("mul", a, b)


def _mates(a: Array, b: Array) -> Array:
    floats_any("a", a)
    floats_any("b", b)
    checks.alike("a", a, "b", b)
    if tuple(b.shape) != tuple(a.shape) and not (len(a.shape) == 2 and tuple(b.shape) == (a.shape[1],)):
        raise KernelError(
            f"b must have the shape of a, {tuple(a.shape)}, or that of its rows, got {tuple(b.shape)}"
        )
    return a


def scale(x: Array, factor: float) -> Array:
    """x times a number."""
    return face_of(floats_any("x", x)).scale(x, checks.number("factor", factor))
