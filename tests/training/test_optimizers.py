"""Update rules against torch.optim, and what decays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recurra.errors import CorruptBundleError
from recurra.spec import Training
from recurra.training.optimizers import make_optimizer
from training.saboteurs import decaying_biases

ROLES = {"w": "weight", "u": "recurrent", "b": "bias", "g": "norm", "e": "embedding", "h": "state"}


def leaves(dtype: torch.dtype = torch.float64) -> dict[str, torch.Tensor]:
    random = np.random.default_rng(0)
    return {name: torch.tensor(random.normal(size=(5, 3)), dtype=dtype, requires_grad=True) for name in ROLES}


def with_gradients(parameters: dict[str, torch.Tensor], seed: int) -> None:
    random = np.random.default_rng(seed)
    for parameter in parameters.values():
        parameter.grad = torch.tensor(random.normal(size=(5, 3)), dtype=parameter.dtype)


def oracle(training: Training, parameters: dict[str, torch.Tensor]) -> torch.optim.Optimizer:
    spared = [parameter for name, parameter in parameters.items() if ROLES[name] in ("bias", "norm", "state")]
    others = [
        parameter for name, parameter in parameters.items() if ROLES[name] not in ("bias", "norm", "state")
    ]
    groups: list[dict[str, Any]] = [
        {"params": spared, "weight_decay": 0.0},
        {"params": others, "weight_decay": training.weight_decay},
    ]
    kinds = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "sgd": torch.optim.SGD,
        "rmsprop": torch.optim.RMSprop,
    }
    extra = {"momentum": training.momentum} if training.momentum else {}
    return kinds[training.optimizer](groups, lr=0.01, foreach=False, **extra)  # type: ignore[arg-type]


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(
    ("optimizer", "momentum"),
    [("adam", None), ("adamw", None), ("sgd", None), ("sgd", 0.9), ("rmsprop", None), ("rmsprop", 0.9)],
)
def test_update_is_that_of_torch(optimizer: str, momentum: float | None, decay: float) -> None:
    training = Training(optimizer=optimizer, momentum=momentum, weight_decay=decay)
    ours, theirs = leaves(), leaves()
    own, other = make_optimizer(training, ours, ROLES), oracle(training, theirs)
    for seed in range(20):
        with_gradients(ours, seed)
        with_gradients(theirs, seed)
        own.step(0.01, scale=0.5)
        for parameter in theirs.values():
            parameter.grad.mul_(0.5)  # type: ignore[union-attr]
        other.step()
    for name in ROLES:
        assert torch.allclose(ours[name], theirs[name], rtol=1e-12, atol=1e-14), name


def check_only_weights_decay(**options: Any) -> set[str]:
    """Return which parameters change under zero gradients and weight decay."""
    parameters = leaves()
    before = {name: value.detach().clone() for name, value in parameters.items()}
    optimizer = make_optimizer(Training(optimizer="sgd", weight_decay=0.1, **options), parameters, ROLES)
    for parameter in parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step(0.1)
    return {name for name in ROLES if not torch.equal(before[name], parameters[name].detach())}


def test_biases_norms_and_states_never_decay_and_recurrent_weights_by_choice() -> None:
    assert check_only_weights_decay() == {"w", "u", "e"}
    assert check_only_weights_decay(decay_recurrent=False) == {"w", "e"}


def test_the_decay_test_fails_where_biases_decay() -> None:
    with decaying_biases(), pytest.raises(AssertionError):
        assert check_only_weights_decay() == {"w", "u", "e"}


def test_a_parameter_without_gradient_is_left_alone() -> None:
    parameters = leaves()
    with_gradients(parameters, 0)
    parameters["w"].grad = None
    before = parameters["w"].detach().clone()
    make_optimizer(Training(weight_decay=0.1), parameters, ROLES).step(0.1)
    assert torch.equal(before, parameters["w"].detach())


def test_slots_of_another_optimizer_are_refused() -> None:
    parameters = leaves()
    adam = make_optimizer(Training(), parameters, ROLES)
    sgd = make_optimizer(Training(optimizer="sgd"), parameters, ROLES)
    with pytest.raises(CorruptBundleError, match="mean"):
        adam.load(sgd.slots, 3)


def test_subnormal_slots_are_flushed_and_the_mode_is_put_back() -> None:
    parameters = {"w": torch.zeros(4, requires_grad=True)}
    optimizer = make_optimizer(Training(), parameters, {"w": "weight"})
    parameters["w"].grad = torch.full((4,), 1e-30)
    optimizer.step(0.1)
    for _ in range(300):
        parameters["w"].grad = torch.zeros(4)
        optimizer.step(0.1)
    assert optimizer.slots["w"]["mean"].tolist() == [0.0] * 4
    smallest = float(np.finfo(np.float64).tiny)
    assert smallest * 0.5 != 0.0
