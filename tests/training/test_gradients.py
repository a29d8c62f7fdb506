"""Gradients of a step: one mean over all its sequences, measured before clipping."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from recurra.training.gradients import (
    clip_gradients,
    compute_gradients,
    detached,
    make_leaves,
    norms_by_layer,
)
from training.saboteurs import mean_over_batches
from training.toy import Toy


def gradients_of(problem: Toy, batches: list[np.ndarray]) -> dict[str, np.ndarray]:
    leaves = make_leaves(problem.parameters, "cpu")
    compute_gradients(problem, leaves, batches, seed=1)
    return {name: leaf.grad.numpy().copy() for name, leaf in leaves.items() if leaf.grad is not None}


def check_uneven_batches_equal_one_batch() -> None:
    problem = Toy(dropout=0.0)
    whole = gradients_of(problem, [np.arange(12)])
    parts = gradients_of(problem, [np.arange(11), np.arange(11, 12)])
    for name, value in whole.items():
        assert np.allclose(value, parts[name], rtol=1e-4, atol=1e-6), name


def test_uneven_accumulated_batches_give_the_gradient_of_one_batch() -> None:
    check_uneven_batches_equal_one_batch()


def test_the_accumulation_test_fails_for_a_mean_over_batches() -> None:
    with mean_over_batches(), pytest.raises(AssertionError):
        check_uneven_batches_equal_one_batch()


def test_loss_of_a_step_is_the_weighted_mean_over_all_its_sequences() -> None:
    problem = Toy(dropout=0.0, average="tokens")
    leaves = make_leaves(problem.parameters, "cpu")
    done = compute_gradients(problem, leaves, [np.arange(5), np.arange(5, 20)], seed=1)
    losses, weights, _ = problem.loss(leaves, np.arange(20), seed=1, window=0, state=None)
    assert done.weight == problem.lengths[:20].sum()
    assert done.loss == pytest.approx(float((losses.detach() * weights).sum() / weights.sum()), rel=1e-5)


def test_a_batch_that_weighs_nothing_leaves_no_gradient() -> None:
    problem = Toy(average="tokens")
    empty = np.flatnonzero(problem.lengths == 0)[:2]
    leaves = make_leaves(problem.parameters, "cpu")
    done = compute_gradients(problem, leaves, [empty], seed=1)
    assert (done.loss, done.weight) == (0.0, 0.0)
    assert all(leaf.grad is None for leaf in leaves.values())


def test_windows_that_a_batch_lacks_are_left_out() -> None:
    problem = Toy(window=3, dropout=0.0)
    short = np.flatnonzero(problem.lengths <= 3)[:4]
    long = np.flatnonzero(problem.lengths > 3)[:4]
    leaves = make_leaves(problem.parameters, "cpu")
    first = compute_gradients(problem, leaves, [short, long], seed=1, window=0)
    assert [state is None for state in first.carried] == [False, False]
    second = compute_gradients(problem, leaves, [short, long], seed=1, window=1, carried=first.carried)
    assert [state is None for state in second.carried] == [True, False]
    assert second.weight == 4


def test_carried_states_are_cut_off_from_their_gradients() -> None:
    tensor = torch.ones(2, requires_grad=True) * 2
    state = detached({"a": (tensor, None), "b": [tensor], "c": 3})
    assert not state["a"][0].requires_grad
    assert not state["b"][0].requires_grad
    assert state["a"][1] is None
    assert state["c"] == 3


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_bad_number_makes_the_norm_bad(bad: float) -> None:
    values = torch.zeros(1001)
    values[777] = bad
    leaves = {"w": torch.zeros(1001, requires_grad=True)}
    leaves["w"].grad = values
    assert not math.isfinite(norms_by_layer(leaves, {"w": "all"})[0])


def test_norms_are_those_of_torch_whole_and_per_layer() -> None:
    problem = Toy()
    leaves = make_leaves(problem.parameters, "cpu")
    compute_gradients(problem, leaves, [np.arange(20)], seed=1)
    norm, layers = norms_by_layer(leaves, problem.layers)
    assert norm == pytest.approx(
        float(torch.nn.utils.get_total_norm([leaf.grad for leaf in leaves.values()])), rel=1e-5
    )
    assert set(layers) == {"embed", "recur", "head"}
    assert norm == pytest.approx(math.hypot(*layers.values()))


def test_clipping_by_norm_is_one_factor_and_by_value_each_number() -> None:
    leaves = {name: torch.zeros(2, requires_grad=True) for name in ("a", "b")}
    leaves["a"].grad, leaves["b"].grad = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0])
    assert clip_gradients(leaves, 10.0, "norm", 5.0) == 1.0
    assert clip_gradients(leaves, 1.0, "norm", 5.0) == 0.2
    assert clip_gradients(leaves, None, "norm", 5.0) == 1.0
    assert clip_gradients(leaves, 3.5, "value", 5.0) == 1.0
    assert leaves["a"].grad.tolist() == [3.0, 0.0]
    assert leaves["b"].grad.tolist() == [0.0, 3.5]
