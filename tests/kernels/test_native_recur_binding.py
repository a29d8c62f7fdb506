"""What is wrong is refused with a clear sentence, never a crash; forks and Python threads are safe."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

native = pytest.importorskip("recurra._native", reason="the C++ kernels are not built")


def lstm(inputs=4, hidden=6, backward=False):
    rng = np.random.default_rng(0)
    rows = 4 * hidden
    w = [rng.normal(size=s).astype(np.float32) for s in ((rows, inputs), (rows, hidden), (rows,), (rows,))]
    return native.Packed("lstm", *w, backward=backward)


X = np.zeros((5, 4), np.float32)
OFFSETS = np.array([0, 2, 5])

WRONG = [
    ("x must be float32", {"x": np.zeros((5, 3), np.float32)}),
    ("x must be float32 or float64", {"x": np.zeros((5, 4), np.int32)}),
    ("dtype of the weights", {"x": np.zeros((5, 4))}),
    ("x must be float32", {"x": np.zeros(5, np.float32)}),
    ("x must be contiguous", {"x": np.zeros((4, 5), np.float32).T}),
    ("x must be contiguous", {"x": np.zeros((10, 4), np.float32)[::2]}),
    ("offsets must be int64", {"offsets": np.array([0, 5], np.int32)}),
    ("offsets must be int64", {"offsets": np.array([[0, 5]])}),
    ("offsets must never fall", {"offsets": np.array([0, 4, 3, 5])}),
    ("offsets must end at", {"offsets": np.array([0, 6])}),
    ("offsets must end at", {"offsets": np.array([0, 4])}),
    ("offsets must begin with 0", {"offsets": np.array([1, 5])}),
    ("offsets must hold", {"offsets": np.array([], np.int64)}),
    ("h0 must be", {"h0": np.zeros((3, 6), np.float32)}),
    ("c0 must be", {"c0": np.zeros((2, 6))}),
    ("recurrent_mask must be", {"recurrent_mask": np.zeros((2, 5), np.float32)}),
    ("cell_clip must be greater", {"cell_clip": 0.0}),
    ("cell_clip must be greater", {"cell_clip": float("nan")}),
    ("x \\(preprojected\\) must be", {"preprojected": True}),
    ("zoneout must be at least 0 and below 1", {"zoneout": 1.0}),
    ("zoneout must be at least 0 and below 1", {"zoneout": float("nan")}),
    ("zoneout_mask must be", {"zoneout_mask": np.zeros((5, 6), np.float32)}),
]


@pytest.mark.parametrize(("message", "change"), WRONG)
def test_a_wrong_argument_is_named(message, change):
    arguments = {"x": X, "offsets": OFFSETS} | change
    with pytest.raises(ValueError, match=message):
        native.recur_forward(lstm(), **arguments)


def test_options_of_an_lstm_are_refused_for_other_cells():
    packed = native.Packed("rnn", np.zeros((6, 4), np.float32), np.zeros((6, 6), np.float32))
    with pytest.raises(ValueError, match="c0 is for lstm only"):
        native.recur_forward(packed, X, OFFSETS, None, np.zeros((2, 6), np.float32))
    with pytest.raises(ValueError, match="cell_clip is for lstm only"):
        native.recur_forward(packed, X, OFFSETS, cell_clip=1.0)


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("cell must be one of", ("elman", (6, 4), (6, 6))),
        ("w_hh must be", ("rnn", (6, 4), (6, 5))),
        ("w_ih must be", ("rnn", (7, 4), (6, 6))),
        ("w_ih must be", ("rnn", (6, 0), (6, 6))),
        ("w_hh must be", ("rnn", (0, 4), (0, 0))),
        ("b_ih must be", ("rnn", (6, 4), (6, 6), (5,))),
    ],
)
def test_wrong_weights_are_refused(message, arguments):
    cell, *shapes = arguments
    with pytest.raises(ValueError, match=message):
        native.Packed(cell, *(np.zeros(s, np.float32) for s in shapes))


GAINS = {"gain_x": 24, "gain_h": 24, "gain_c": 6, "bias_c": 6}


@pytest.mark.parametrize(
    ("message", "cell", "change"),
    [
        ("gain_x and gain_h must be given both", "lstm", {"gain_h": None}),
        ("gain_c and bias_c must be given for a layer-normalised lstm", "lstm", {"bias_c": None}),
        ("gain_c and bias_c must be given for a layer-normalised lstm", "gru", {"gain_x": 18, "gain_h": 18}),
        ("gain_c and bias_c must be given", "lstm", {"gain_x": None, "gain_h": None}),
        ("gain_h must be", "lstm", {"gain_h": 23}),
        ("gain_x must be", "gru", {"gain_c": None, "bias_c": None}),
        ("precision of a layer-normalised cell", "lstm", {"precision": "bfloat16"}),
        ("precision of a layer-normalised cell", "lstm", {"precision": "int8"}),
    ],
)
def test_gains_that_do_not_fit_are_refused(message, cell, change):
    rows = {"lstm": 24, "gru": 18}[cell]
    sizes = GAINS | {key: value for key, value in change.items() if key != "precision"}
    gains = {key: None if n is None else np.ones(n, np.float32) for key, n in sizes.items()}
    precision = change.get("precision", "float32")
    w = np.zeros((rows, 4), np.float32), np.zeros((rows, 6), np.float32)
    with pytest.raises(ValueError, match=message):
        native.Packed(cell, *w, **gains, precision=precision)


def test_zoneout_wants_all_the_bits():
    w = np.zeros((24, 4), np.float32), np.zeros((24, 6), np.float32)
    for precision in ("bfloat16", "int8"):
        packed = native.Packed("lstm", *w, precision=precision)
        with pytest.raises(ValueError, match="zoneout wants float32"):
            native.recur_forward(packed, X, OFFSETS, zoneout=0.1)
        with pytest.raises(ValueError, match="zoneout wants float32"):
            native.Stepper([packed], zoneout=0.1)
    with pytest.raises(ValueError, match="zoneout must be"):
        native.Stepper([lstm()], zoneout=-0.1)
    with pytest.raises(ValueError, match="norm, layer 1 differs"):
        native.Stepper([lstm(hidden=4), normalised(4, 4)])


def normalised(inputs, hidden):
    gains = {"gain_x": 4 * hidden, "gain_h": 4 * hidden, "gain_c": hidden, "bias_c": hidden}
    w = np.zeros((4 * hidden, inputs), np.float32), np.zeros((4 * hidden, hidden), np.float32)
    return native.Packed("lstm", *w, backward=True, **{k: np.ones(n, np.float32) for k, n in gains.items()})


def test_the_backward_pass_of_a_normalised_cell_wants_what_it_kept():
    packed = normalised(4, 6)
    y, _, _, gates, cells, extra = native.recur_forward(packed, X, OFFSETS, save=True)
    with pytest.raises(ValueError, match="extra is needed"):
        native.recur_backward(packed, X, OFFSETS, y, gates, cells, None, y)
    with pytest.raises(ValueError, match="extra must be"):
        native.recur_backward(packed, X, OFFSETS, y, gates, cells, np.ascontiguousarray(extra[:, :6]), y)


def test_the_backward_pass_wants_what_the_forward_pass_saved():
    packed = lstm(backward=True)
    y, _, _, gates, cells, _ = native.recur_forward(packed, X, OFFSETS, save=True)
    with pytest.raises(ValueError, match="gates is needed"):
        native.recur_backward(packed, X, OFFSETS, y, None, cells, None, y)
    with pytest.raises(ValueError, match="dy must be"):
        native.recur_backward(packed, X, OFFSETS, y, gates, cells, None, y[:3])
    with pytest.raises(ValueError, match="backward=True"):
        native.recur_backward(lstm(), X, OFFSETS, y, gates, cells, None, y)


def test_a_stepper_refuses_rows_that_it_does_not_have():
    stepper = native.Stepper([lstm()], 3)
    for index, message in (([3], "must lie in"), ([-1], "must lie in"), ([1, 1], "twice")):
        with pytest.raises(ValueError, match=message):
            stepper.step(np.zeros((len(index), 4), np.float32), np.array(index))
    with pytest.raises(ValueError, match="x must be"):
        stepper.step(np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match="state must be"):
        stepper.load(np.zeros((1, 2, 3, 5), np.float32))
    with pytest.raises(ValueError, match="at least one layer"):
        native.Stepper([])
    with pytest.raises(ValueError, match="layer 1 must take"):
        native.Stepper([lstm(), lstm()])


shapes = st.lists(st.integers(0, 7), min_size=0, max_size=3).map(tuple)
dtypes = st.sampled_from([np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_, np.complex64])
arrays = st.builds(lambda s, d: np.zeros(s, d), shapes, dtypes)
some_offsets = st.lists(st.integers(-3, 9), max_size=5).map(lambda v: np.array(v, np.int64))


@settings(max_examples=150, deadline=None)
@given(
    x=arrays, offsets=st.one_of(some_offsets, arrays), h0=st.one_of(st.none(), arrays), reverse=st.booleans(),
    gates=st.one_of(st.none(), arrays), mask=st.one_of(st.none(), arrays),
)  # fmt: skip
def test_arrays_that_disagree_never_crash(x, offsets, h0, reverse, gates, mask):
    packed = lstm(backward=True)
    with contextlib.suppress(ValueError):
        native.recur_forward(packed, x, offsets, h0, reverse=reverse, recurrent_mask=mask, save=True)
    with contextlib.suppress(ValueError):
        native.recur_backward(packed, x, offsets, x, gates, gates, None, x, h0=h0, recurrent_mask=mask)


def test_no_tokens_and_no_sequences_are_fine():
    packed = lstm(backward=True)
    empty, none = np.zeros((0, 4), np.float32), np.array([0])
    for offsets, rows in ((none, 0), (np.array([0, 0, 0]), 2)):
        saved = native.recur_forward(packed, empty, offsets, save=True)
        assert saved[0].shape == (0, 6)
        assert saved[1].shape == (rows, 6)
        grads = native.recur_backward(packed, empty, offsets, saved[0], *saved[3:], None)
        assert not grads["dw_hh"].any()


def test_two_python_threads_get_the_bits_that_one_gets():
    packed, offsets = lstm(30, 64), np.array([0, 40, 90, 130, 200])
    xs = [np.random.default_rng(i).normal(size=(200, 30)).astype(np.float32) for i in range(4)]
    expected = [native.recur_forward(packed, x, offsets)[0] for x in xs]
    got: list = [None] * 4

    def work(i):
        for _ in range(20):
            got[i] = native.recur_forward(packed, xs[i], offsets)[0]

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


FORK = """
    import os, sys
    import numpy as np
    from recurra import _native as native
    native.set_num_threads(2)
    rng = np.random.default_rng(0)
    w = [rng.normal(size=s).astype(np.float32) for s in ((256, 30), (256, 64))]
    packed = native.Packed("lstm", *w)
    x, offsets = rng.normal(size=(400, 30)).astype(np.float32), np.array([0, 100, 200, 400])
    here = native.recur_forward(packed, x, offsets)[0]
    child = os.fork()
    if child == 0:
        there = native.recur_forward(packed, x, offsets)[0]
        os._exit(0 if np.array_equal(here, there) else 3)
    _, status = os.waitpid(child, 0)
    assert np.array_equal(here, native.recur_forward(packed, x, offsets)[0])
    assert "torch" not in sys.modules
    sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_goes_on_working():
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(FORK)], timeout=120, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("variables", "isa", "threads"),
    [
        ({"RECURRA_ISA": "portable", "RECURRA_NUM_THREADS": "3"}, "portable", 3),
        ({"OMP_NUM_THREADS": "2"}, None, 2),
        ({"OMP_NUM_THREADS": "2", "RECURRA_NUM_THREADS": "1"}, None, 1),
    ],
)
def test_the_environment_chooses_instruction_set_and_threads(variables, isa, threads):
    code = "from recurra import _native as n; e = n.engine(); print(e['isa'], e['threads'])"
    kept = {
        k: v
        for k, v in os.environ.items()
        if k not in {"OMP_NUM_THREADS", "RECURRA_NUM_THREADS", "RECURRA_ISA"}
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=kept | variables,
        timeout=60,
        check=True,
        capture_output=True,
        text=True,
    )
    got_isa, got_threads = done.stdout.split()
    assert int(got_threads) == threads
    assert isa in (None, got_isa)


def test_subnormals_are_flushed_inside_and_the_callers_setting_comes_back():
    tiny = np.full((1, 4), 1e-40, np.float32)
    packed = native.Packed("rnn_relu", np.ones((6, 4), np.float32), np.zeros((6, 6), np.float32))
    assert not native.recur_forward(packed, tiny, np.array([0, 1]))[0].any()
    assert (tiny + tiny).all()
