"""Penalties on the outputs of the recurrent layers, beside the same in float64 of torch."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from recurra.tasks.penalties import Penalties

OFFSETS = np.array([0, 3, 3, 4, 9])


@pytest.mark.parametrize(("activation", "slowness"), [(2.0, 0.0), (0.0, 1.5), (2.0, 1.5)])
def test_penalties_and_their_gradients_are_those_of_torch(activation, slowness):
    values = np.random.default_rng(0).standard_normal((9, 5)).astype(np.float32)
    losses = torch.arange(4.0)
    ours = torch.from_numpy(values).requires_grad_()
    found = Penalties(activation=activation, slowness=slowness).added(losses, ours, OFFSETS)
    (found / len(found)).sum().backward()
    theirs = torch.from_numpy(values.astype(np.float64)).requires_grad_()
    change = [theirs[b + 1 : e] - theirs[b : e - 1] for b, e in pairwise(OFFSETS) if e - b > 1]
    expected = activation * theirs.pow(2).mean() + slowness * torch.cat(change).pow(2).mean()
    expected.backward()
    np.testing.assert_allclose(found.detach() - losses, float(expected.detach()), rtol=1e-5)
    np.testing.assert_allclose(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)


def test_sequences_of_one_step_do_not_change():
    values = torch.ones(3, 2, requires_grad=True)
    found = Penalties(slowness=1.0).added(torch.zeros(3), values, np.arange(4))
    assert found.tolist() == [0.0, 0.0, 0.0]
    assert not Penalties()
