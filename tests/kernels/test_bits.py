"""Bit for bit: alone = in a batch = permuted = stepwise, at any number of threads and on any instruction set."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from kernels import promises
from kernels.cases import CELLS, NATIVE, numbers, offsets_of
from recurra import kernels as k
from recurra.kernels import engines

OPERATORS = promises.token_operators()
needs_native = pytest.mark.skipif(not NATIVE, reason="the native engine was not built")


@pytest.mark.parametrize("name", OPERATORS)
def test_alone_is_batch_is_permuted(name):
    promises.check_alone_is_batch_is_permuted(OPERATORS[name])


@pytest.mark.parametrize("name", OPERATORS)
def test_a_row_of_nan_does_not_touch_its_neighbours(name):
    promises.check_nan_stays_in_its_row(OPERATORS[name])


@pytest.mark.parametrize(
    ("cell", "options"),
    [
        *itertools.product(CELLS, [{}, {"zoneout": 0.2}, {"norm": True}, {"norm": True, "zoneout": 0.2}]),
        ("lstm", {"cell_clip": 0.2}),
        ("lstm", {"cell_clip": 0.2, "norm": True, "zoneout": 0.1}),
    ],
    ids=str,
)
def test_stepwise_is_whole(cell, options):
    promises.check_stepwise_is_whole(cell, **options)


def test_a_stack_of_plain_and_normalised_layers_steps_as_a_whole():
    stack = [promises.weights_of("gru", 5, 21, norm=True), promises.weights_of("gru", 21, 21, seed=10)]
    x, one = numbers(3, 9, 5), offsets_of([9])
    whole = k.recur(stack[1], k.recur(stack[0], x, one).y, one).y
    stepper = k.Stepper(stack)
    for t, token in enumerate(x):
        assert stepper.step(token).tobytes() == whole[t : t + 1].tobytes()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("norm", [False, True])
def test_chosen_rows_step_as_if_alone(cell, norm):
    weights = promises.weights_of(cell, 5, 21, norm=norm)
    rate = 0.1 if norm else 0.0
    stepper, lone = k.Stepper([weights], rows=4, zoneout=rate), k.Stepper([weights], zoneout=rate)
    x = numbers(3, 6, 4, 5)
    for t in range(6):
        index = np.array([2, 0, 3] if t % 2 else [2], np.int64)
        y = stepper.step(x[t, index], index)
        assert y[:1].tobytes() == lone.step(x[t, 2]).tobytes()
    stepper.reset(np.array([2]))
    assert not stepper.state[:, :, 2].any()
    assert stepper.state[:, :, 0].any()


@pytest.mark.parametrize("kind", ["mean", "max", "attention"])
def test_pooling_stepwise_is_whole(kind):
    x, scores = numbers(1, 40, 21), 9 * numbers(2, 40)
    accumulator = {"mean": k.MeanAccumulator, "max": k.MaxAccumulator, "attention": k.AttentionAccumulator}[
        kind
    ](21)
    assert not accumulator.result().any()
    for t in range(40):
        accumulator.push(x[t], *([scores[t]] if kind == "attention" else []))
        end = offsets_of([t + 1])
        given = (x[: t + 1], end, scores[: t + 1]) if kind == "attention" else (x[: t + 1], end)
        assert accumulator.result().tobytes() == getattr(k, f"pool_{kind}")(*given).tobytes()
    other = type(accumulator)(21)
    other.load(accumulator.state)
    assert other.result().tobytes() == accumulator.result().tobytes()


@pytest.mark.parametrize("kind", ["mean", "max", "attention"])
def test_pooling_window_by_window_is_whole(kind):
    lengths, cuts = [9, 0, 30, 4], [[3, 0, 30, 0], [6, 0, 0, 0], [0, 0, 0, 4]]
    x, scores, whole = numbers(1, 43, 21), 9 * numbers(2, 43), offsets_of(lengths)
    carried, done = None, np.zeros(4, np.int64)
    for window in cuts:
        rows = [np.arange(whole[s] + done[s], whole[s] + done[s] + n) for s, n in enumerate(window)]
        index, done = np.concatenate(rows), done + window
        given = scores[index] if kind == "attention" else None
        y, carried = k.pool_carried(kind, x[index], offsets_of(window), given, initial=carried)
    given = (x, whole, scores) if kind == "attention" else (x, whole)
    assert y.tobytes() == getattr(k, f"pool_{kind}")(*given).tobytes()
    accumulator = {"mean": k.MeanAccumulator, "max": k.MaxAccumulator, "attention": k.AttentionAccumulator}[
        kind
    ](21, 4)
    accumulator.load(carried)
    assert accumulator.result().tobytes() == y.tobytes()


@needs_native
def test_threads_do_not_matter():
    promises.check_threads_do_not_matter()


@needs_native
def test_instruction_sets_do_not_matter():
    native, before = engines.native(), k.engine()["isa"]
    answers = {}
    try:
        for isa in k.engine()["available"]:
            native.set_isa(isa)
            answers[isa] = promises.fingerprint(steps=1)
    finally:
        native.set_isa(before)
    assert len(set(answers.values())) == 1, answers


@needs_native
def test_the_instruction_set_is_chosen_by_the_environment():
    code = "from recurra.kernels import engine; print(engine()['isa'])"
    for isa in k.engine()["available"]:
        environment = os.environ | {"RECURRA_ISA": isa, "PYTHONPATH": os.pathsep.join(sys.path)}
        run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        assert run.stdout.strip() == isa, run.stderr


@needs_native
def test_memory_that_is_not_contiguous_or_aligned_is_read_rightly():
    x, w = numbers(1, 20, 30), numbers(2, 11, 15)
    assert k.dense(x[:, ::2], w).tobytes() == k.dense(x[:, ::2].copy(), w).tobytes()
    assert k.dense(x[::-1, :15], w).tobytes() == k.dense(x[::-1, :15].copy(), w).tobytes()
    raw = np.zeros(20 * 15 * 4 + 1, np.uint8)
    askew = raw[1:].view(np.float32).reshape(20, 15)
    askew[:] = x[:, :15]
    assert k.dense(askew, w).tobytes() == k.dense(x[:, :15].copy(), w).tobytes()


@needs_native
@pytest.mark.parametrize(
    ("saboteur", "promise"),
    [
        (promises.products_by_blas, lambda: promises.check_alone_is_batch_is_permuted(_dense())),
        (promises.reads_the_row_before, lambda: promises.check_alone_is_batch_is_permuted(OPERATORS["gru"])),
        (promises.reads_the_row_before, lambda: promises.check_nan_stays_in_its_row(OPERATORS["lstm_norm"])),
        (promises.reads_the_row_before, lambda: promises.check_nan_stays_in_its_row(OPERATORS["gru"])),
        (promises.sums_divided_between_threads, promises.check_threads_do_not_matter),
        (promises.forgets_a_state, lambda: promises.check_stepwise_is_whole("lstm")),
    ],
    ids=["blas", "neighbour", "neighbour_norm", "neighbour_nan", "divided_sums", "forgotten_state"],
)
def test_each_promise_fails_under_its_saboteur(saboteur, promise):
    with saboteur(), pytest.raises(AssertionError):
        promise()


def _dense():
    w = numbers(1, 45, promises.INPUTS)
    return lambda x, offsets: [k.dense(np.ascontiguousarray(x), w)]
