"""Every engine computes what ours computes, on every cell, mode, direction and kind of lengths."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from recurra.runtime.bench import Case, UnequalError, bench
from recurra.runtime.bench.answer import assert_equal
from recurra.runtime.bench.case import longest
from recurra.runtime.bench.engines import ENGINES, OURS
from recurra.runtime.bench.problem import Problem
from runtime.bench_saboteurs import (
    briefly,
    gradient_forgotten,
    not_installed,
    padding_read_first,
    slightly_wrong,
)
from shared import assert_noticed, require

IN_PROCESS = [name for name in ENGINES if name != "keras-jax"]
"""JAX warns of every later fork of its process, so Keras is run in a process of its own."""


@pytest.fixture(autouse=True)
def _briefly():
    with briefly():
        yield


def needs(module: str) -> None:
    require(module, find_spec(module) is not None, f"pip install {module}")


def case(**changes) -> Case:
    usual = {"inputs": 5, "hidden_size": 17, "num_layers": 2, "batch": 4, "steps": 6}
    if changes.get("mode") == "step":
        usual |= {"batch": 1, "steps": 1}
    if "lengths" in changes:
        usual["steps"] = longest(changes["lengths"])
    return Case(**(usual | changes))


def measured(one: Case, *engines: str):
    return bench([one], [OURS, *engines], seconds=0.0)


def assert_all_equal(one: Case, *engines: str) -> None:
    outcome = measured(one, *engines)
    assert outcome.unequal == []
    assert outcome.left_out == {}
    assert {row.engine for row in outcome.rows} == {OURS, *engines}
    assert all(row.ms > 0 and row.difference <= row.tolerance <= 1e-4 for row in outcome.rows)


@pytest.mark.parametrize(
    ("cell", "lengths", "bidirectional"),
    [
        *(
            (cell, lengths, both)
            for cell in ("lstm", "gru")
            for lengths, both in (("uniform", False), ("short", True))
        ),
        ("lstm", "uniform", True),
        ("lstm", "short", False),
        ("rnn", "short", True),
        ("rnn_relu", "short", False),
    ],
)
class TestSequences:
    def test_torch_and_the_loop_infer_the_same(self, cell, lengths, bidirectional):
        needs("torch")
        one = case(cell=cell, lengths=lengths, bidirectional=bidirectional)
        assert_all_equal(one, "torch-padded", "torch-packed", "loop")

    def test_torch_and_the_loop_find_the_same_gradients(self, cell, lengths, bidirectional):
        needs("torch")
        one = case(cell=cell, lengths=lengths, bidirectional=bidirectional, mode="train")
        assert_all_equal(one, "torch-padded", "torch-packed", "loop")

    def test_onnxruntime_infers_the_same(self, cell, lengths, bidirectional):
        needs("onnxruntime")
        assert_all_equal(case(cell=cell, lengths=lengths, bidirectional=bidirectional), "onnxruntime")

    def test_openvino_infers_the_same(self, cell, lengths, bidirectional):
        needs("openvino")
        assert_all_equal(case(cell=cell, lengths=lengths, bidirectional=bidirectional), "openvino")


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "rnn_relu"])
@pytest.mark.parametrize("engine", ["torch-padded", "loop", "onnxruntime", "openvino"])
def test_a_walk_of_single_steps_is_the_same(cell, engine):
    needs({"onnxruntime": "onnxruntime", "openvino": "openvino"}.get(engine, "torch"))
    assert_all_equal(case(cell=cell, mode="step"), engine)


KERAS = """
import json, os
from recurra.runtime.bench import Case, bench
case = Case(cell="gru", mode="train", lengths="short", bidirectional=True, inputs=3, hidden_size=5, num_layers=1,
            batch=3, steps=56, threads=len(os.sched_getaffinity(0)))
outcome = bench([case], ["recurra", "keras-jax"], seconds=0.0)
print(json.dumps([outcome.unequal, outcome.left_out, [row.engine for row in outcome.rows]]))
"""


@pytest.mark.slow
def test_keras_on_jax_computes_the_same():
    needs("keras")
    needs("jax")
    done = subprocess.run([sys.executable, "-c", KERAS], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [[], {}, ["recurra", "keras-jax"]]


@pytest.mark.parametrize("numbers", ["subnormal-inputs", "subnormal-weights"])
@pytest.mark.parametrize("mode", ["forward", "train", "step"])
def test_answers_to_subnormal_numbers_are_nothing_to_everybody(numbers, mode):
    needs("torch")
    one = case(cell="gru", mode=mode, numbers=numbers)
    assert_all_equal(one, "torch-padded", "loop")


def test_an_answer_to_subnormal_numbers_that_is_something_is_noticed():
    nothing, less = np.zeros(3, np.float32), np.full(3, 1e-40, np.float32)
    assert assert_equal("it", {"y": less}, {"y": nothing}, 1e-5) < 1e-5
    with pytest.raises(UnequalError, match="in y"):
        assert_equal("it", {"y": np.full(3, 1e-20, np.float32)}, {"y": nothing}, 1e-5)


def test_an_engine_that_is_slightly_wrong_is_noticed_and_not_timed():
    needs("torch")
    one = case(lengths="short")
    assert_noticed(slightly_wrong("loop"), lambda: assert_all_equal(one, "loop"))
    with slightly_wrong("loop"):
        outcome = measured(one, "loop", "torch-packed")
    assert [row.engine for row in outcome.rows] == [OURS, "torch-packed"]
    assert "loop differs by 1.0e-03 in y" in outcome.unequal[0]


def test_padding_that_is_read_first_is_noticed():
    needs("torch")
    one = case(lengths="short", bidirectional=True)
    assert_noticed(padding_read_first(), lambda: assert_all_equal(one, "torch-padded"))


def test_a_forgotten_gradient_is_noticed():
    needs("torch")
    assert_noticed(gradient_forgotten(), lambda: assert_all_equal(case(mode="train"), "loop"))


def test_our_own_error_is_no_peers_to_hide():
    with slightly_wrong(OURS):
        outcome = measured(case())
    # Both sides of the comparison are wrong alike, so a peer is what brings it to light.
    assert outcome.unequal == []
    needs("torch")
    with slightly_wrong(OURS):
        assert "loop differs" in measured(case(), "loop").unequal[0]


@pytest.mark.parametrize(
    ("module", "engine", "command"),
    [
        ("onnxruntime", "onnxruntime", "pip install 'recurra[onnx]'"),
        ("onnx", "onnxruntime", "pip install 'recurra[onnx]'"),
        ("openvino", "openvino", "pip install openvino"),
        ("torch", "torch-packed", "pip install 'recurra[train]'"),
        ("torch", "loop", "pip install 'recurra[train]'"),
    ],
)
def test_a_peer_that_is_not_installed_is_a_sentence(module, engine, command):
    with not_installed(module):
        outcome = measured(case(), engine)
    assert list(outcome.left_out) == [f"{module} is not installed; {command}"]
    assert [row.engine for row in outcome.rows] == [OURS]


def test_keras_is_left_out_where_it_would_use_other_threads():
    many = len(__import__("os").sched_getaffinity(0)) + 1
    outcome = measured(case(threads=many), "keras-jax")
    assert "keras-jax cannot be told its number of threads" in next(iter(outcome.left_out))


def test_a_peer_that_fails_is_a_sentence_and_we_are_not(monkeypatch):
    needs("torch")
    from recurra.runtime.bench.engines import loop, ours

    def broken(problem):
        raise RuntimeError("no room\nleft")

    monkeypatch.setattr(loop, "prepare", broken)
    assert list(measured(case(), "loop").left_out) == ["loop failed: RuntimeError: no room left"]
    monkeypatch.setattr(ours, "prepare", broken)
    with pytest.raises(RuntimeError, match="no room"):
        measured(case(), "loop")


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_lower_precision_is_compared_with_float32(dtype):
    needs("torch")
    outcome = measured(case(dtype=dtype), "torch-padded")
    assert {row.engine for row in outcome.rows} >= {"torch-padded"}
    # Above what float32 leaves: otherwise the weights were never rounded.
    assert all(1e-4 < row.difference <= row.tolerance for row in outcome.rows)


def test_threads_of_torch_and_of_the_kernels_are_put_back():
    needs("torch")
    import torch

    from recurra import kernels

    before = torch.get_num_threads(), kernels.get_num_threads()
    measured(case(threads=3), "torch-padded")
    assert (torch.get_num_threads(), kernels.get_num_threads()) == before


def test_padded_tokens_come_back_in_order():
    problem = Problem(case(lengths="short"))
    padded = problem.padded(problem.x)
    assert padded.shape == (problem.lengths.max(), 4, 5)
    assert np.array_equal(problem.tokens(padded), problem.x)
    assert not padded[~problem.mask].any()
    turned = np.take_along_axis(padded, problem.turned[:, :, None], axis=0)
    row, length = 1, problem.lengths[1]
    assert np.array_equal(turned[:length, row], padded[:length, row][::-1])


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"y": np.ones((2, 3))}, "shapes differ"),
        ({"z": np.ones((2, 2))}, "no result in common"),
        ({"y": np.full((2, 2), np.nan)}, "differs by inf in y"),
        ({"y": np.full((2, 2), 1.1)}, "differs by 1.0e-01 in y"),
    ],
)
def test_unequal_answers_are_refused(found, message):
    with pytest.raises(UnequalError, match=message):
        assert_equal("it", found, {"y": np.ones((2, 2))}, 1e-3)


def test_equal_answers_give_their_difference():
    assert assert_equal("it", {"y": np.full(3, 1.0001)}, {"y": np.ones(3)}, 1e-3) == pytest.approx(1e-4)
    assert assert_equal("it", {"y": np.zeros(3)}, {"y": np.zeros(3)}, 0.0) == 0.0
