"""The binding under nonsense: wrong shapes, types and offsets are a clear error, never a crash or a misreading."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.cases import NATIVE, numbers, weights_of
from recurra import kernels as k
from recurra.errors import KernelError
from recurra.kernels import engines, numpy_native

pytestmark = pytest.mark.skipif(not NATIVE, reason="the native engine was not built")

SHAPES = st.lists(st.integers(0, 6), min_size=0, max_size=3).map(tuple)
DTYPES = st.sampled_from(
    ["float32", "float32", "float32", "float64", "int64", "int32", "bool", "float16", "uint8"]
)
LAYOUTS = st.sampled_from(["plain", "plain", "reversed", "strided", "fortran", "broadcast"])


@st.composite
def arrays(draw):
    """An array that may or may not fit anywhere."""
    shape, dtype, layout = draw(SHAPES), draw(DTYPES), draw(LAYOUTS)
    x = (np.random.default_rng(draw(st.integers(0, 9))).integers(-2, 7, shape)).astype(dtype)
    if layout == "reversed" and x.ndim:
        return x[::-1]
    if layout == "strided" and x.ndim:
        return np.repeat(x, 2, axis=0)[::2]
    if layout == "fortran":
        return np.asfortranarray(x)
    return np.broadcast_to(x, (2, *shape)) if layout == "broadcast" else x


VALUES = st.one_of(
    arrays(), arrays(), arrays(), st.none(), st.integers(-3, 9), st.floats(), st.just("mean"), st.just([1, 2])
)
NAMES = ["dense", "dense_dx", "dense_dw", "column_sums", "gather_rows", "scatter_rows", "concat_features",
         "take_columns", "unary", "unary_grad", "binary", "scale", "dropout", "binary_cross_entropy", "error_loss",
         "soft", "soft_grad", "cross_entropy", "cross_entropy_grad", "layer_norm", "layer_norm_grad", "pool",
         "pool_grad", "pool_push", "pool_result", "sums_of_squares", "adam", "weighted_mean", "Packed"]  # fmt: skip


@settings(max_examples=600)
@given(name=st.sampled_from(NAMES), arguments=st.lists(VALUES, max_size=8))
def test_native_functions_answer_or_refuse_anything(name, arguments):
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        getattr(engines.native(), name)(*arguments)


KINDS = ["mean", "max", "attention"]


@settings(max_examples=150)
@given(kind=st.sampled_from(KINDS), x=arrays(), offsets=arrays(), scores=st.one_of(st.none(), arrays()))
def test_pooling_answers_or_refuses_anything(kind, x, offsets, scores):
    try:
        y = engines.native().pool(kind, x, offsets, scores)[0]
    except (ValueError, TypeError):
        return
    assert y.shape == (len(offsets) - 1, x.shape[1])


@settings(max_examples=150)
@given(
    x=arrays(), offsets=arrays(), h0=st.one_of(st.none(), arrays()), reverse=st.booleans(), pre=st.booleans()
)
def test_recurrences_answer_or_refuse_anything(x, offsets, h0, reverse, pre):
    packed = numpy_native.packed(weights_of("gru", 3, 2))
    try:
        y = engines.native().recur_forward(packed, x, offsets, h0, reverse=reverse, preprojected=pre)[0]
    except (ValueError, TypeError):
        return
    assert y.shape == (len(x), 2)


@settings(max_examples=100)
@given(name=st.sampled_from(["dense", "layer_norm", "pool_attention", "cross_entropy", "add", "huber"]),
       arguments=st.lists(arrays(), min_size=1, max_size=4))  # fmt: skip
def test_public_operators_answer_or_refuse_anything(name, arguments):
    with suppress(KernelError, TypeError):
        getattr(k, name)(*arguments)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: k.dense(numbers(1, 3, 4), numbers(2, 5, 3)), "w must have shape"),
        (lambda: k.embed(np.array([0, 9]), numbers(1, 9, 2)), "index must be at least 0 and below 9, got 9"),
        (lambda: k.embed(np.array([-1]), numbers(1, 9, 2)), "got -1"),
        (
            lambda: k.cross_entropy(numbers(1, 2, 3), np.array([0, 3])),
            "targets must be at least 0 and below 3",
        ),
        (lambda: k.pool_mean(numbers(1, 4, 2), np.array([0, 5])), "offsets must end at"),
        (lambda: k.pool_mean(numbers(1, 4, 2), np.array([0, 2, 1, 4])), "offsets must never fall"),
        (lambda: k.softmax(np.zeros((3, 0), np.float32)), "last axis of at least one"),
        (lambda: k.sigmoid(np.zeros(3, np.int64)), "x must be float32"),
        (lambda: k.dropout(numbers(1, 3), 1.0, 1), "rate must be at least 0 and below 1"),
        (lambda: k.dropout(numbers(1, 3), 0.5, -1), "seed must be a whole number"),
        (lambda: k.concat_features([]), "at least one array"),
        (lambda: k.add(numbers(1, 3), numbers(1, 4)), "b must have the shape of a"),
        (lambda: k.huber(numbers(1, 3), numbers(1, 3), 0.0), "delta must be above 0"),
        (lambda: k.set_num_threads(0), "n must be a whole number"),
        (
            lambda: k.RecurWeights(cell="lstn", w_ih=None, w_hh=None, b_ih=None, b_hh=None),
            "did you mean 'lstm'",
        ),
        (lambda: k.Stepper([]), "at least one layer"),
        (lambda: k.Stepper([weights_of("gru", 3, 2)]).step(numbers(1, 4)), "must be float32"),
        (lambda: k.Stepper([weights_of("gru", 3, 2)]).load(np.zeros(3)), "state must be float32 of shape"),
        (lambda: k.MeanAccumulator(3).push(numbers(1, 4)), "token must be float32 of shape"),
    ],
)
def test_errors_name_the_argument(run, message):
    with pytest.raises(ValueError, match=message):
        run()


@pytest.mark.skipif(not NATIVE, reason="the native engine was not built")
@pytest.mark.parametrize("columns", [0, 3])
def test_a_result_beyond_memory_is_refused_also_where_it_would_be_empty(columns):
    x, index = np.zeros((0, columns), np.float32), np.zeros(0, np.int64)
    with pytest.raises(ValueError, match="the arguments ask for an array of shape"):
        engines.native().scatter_rows(x, index, 2**62)


def test_memory_past_two_to_the_31_bytes_is_addressed_rightly():
    rows = (5 << 28) // 64
    table = np.zeros((rows, 64), np.float32)  # 5 GiB of address space, of which a few pages are touched
    table[-1], table[(1 << 24) + 7] = 3, 2
    found = k.gather_rows(table, np.array([rows - 1, 0, (1 << 24) + 7]))
    assert found[:, 5].tolist() == [3, 0, 2]


FORKED = """
import os, sys, numpy as np
from recurra import kernels as k
k.set_num_threads(3)
x, w = np.ones((4000, 64), np.float32), np.ones((64, 64), np.float32)
before = k.dense(x, w)
pid = os.fork()
if pid == 0:
    os._exit(0 if np.array_equal(k.dense(x, w), before) and "torch" not in sys.modules else 1)
status = os.waitpid(pid, 0)[1]
assert np.array_equal(k.dense(x, w), before)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_fork_after_use_works_in_a_process_without_torch():
    run = subprocess.run([sys.executable, "-c", FORKED], timeout=60, env={"PYTHONPATH": ":".join(sys.path)})
    assert run.returncode == 0


THREADED = """
import threading, numpy as np
from recurra import kernels as k
k.set_num_threads(3)
x, w = np.random.default_rng(0).standard_normal((3000, 64)).astype("f"), np.ones((64, 64), np.float32)
expected, wrong = k.dense(x, w), []
def work():
    for _ in range(40):
        if not np.array_equal(k.dense(x, w), expected):
            wrong.append(1)
threads = [threading.Thread(target=work) for _ in range(6)]
[t.start() for t in threads]; [t.join() for t in threads]
assert not wrong
"""


def test_several_python_threads_may_call_at_once():
    subprocess.run(
        [sys.executable, "-c", THREADED], timeout=60, check=True, env={"PYTHONPATH": ":".join(sys.path)}
    )


def test_the_callers_floating_point_state_is_left_alone():
    tiny = np.full(4000, 1e-39, np.float32)
    k.scale(tiny, 1.0)
    assert (tiny * np.float32(1)).all()


def test_subnormals_count_as_zero_inside():
    assert not k.scale(np.full(8, 1e-39, np.float32), 1.0).any()
