"""Every option of Training does something: it changes the bits or the history, or raises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from recurra.errors import DivergedError, SpecError
from recurra.spec import Training
from recurra.training import fit
from training.toy import Toy, fitted_to_compare

BASE = Training(epochs=3, batch_size=8, learning_rate=0.02)

TAIL = {
    "average_weights": "tail", "epochs": 8, "learning_rate": 3.0, "optimizer": "sgd", "restore_best": False
}  # fmt: skip
CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "epochs": ({}, {"epochs": 2}),
    "batch_size": ({}, {"batch_size": 9}),
    "batch_tokens": ({}, {"batch_tokens": 30}),
    "sequence_length": ({}, {"sequence_length": 3}),
    "learning_rate": ({}, {"learning_rate": "auto"}),
    "optimizer": ({}, {"optimizer": "adamw", "weight_decay": 0.1}),
    "momentum": ({"optimizer": "sgd"}, {"momentum": 0.5}),
    "weight_decay": ({}, {"weight_decay": 0.1}),
    "decay_recurrent": ({"weight_decay": 0.1}, {"decay_recurrent": False}),
    "gradient_clip": ({}, {"gradient_clip": 0.1}),
    "clip_by": ({"gradient_clip": 0.1}, {"clip_by": "value"}),
    "accumulate": ({}, {"accumulate": 2}),
    "schedule": ({}, {"schedule": "cosine"}),
    "decay_every": ({"schedule": "step"}, {"decay_every": 1}),
    "decay_factor": ({"schedule": "step", "decay_every": 1}, {"decay_factor": 0.1}),
    "warmup": ({}, {"warmup": 0.3}),
    "patience": ({"learning_rate": 1e-7}, {"patience": 1}),
    "monitor": ({}, {"monitor": "loss"}),
    "restore_best": ({"learning_rate": 1e-7}, {"restore_best": False}),
    "class_weight": ({}, {"class_weight": "balanced"}),
    "label_smoothing": ({}, {"label_smoothing": 0.1}),
    "average": ({}, {"average": "tokens"}),
    "average_weights": ({}, {"average_weights": "exponential"}),
    "average_after": (TAIL, {"average_after": 1}),
    "average_decay": ({"average_weights": "exponential"}, {"average_decay": 0.5}),
    "bucket": ({}, {"bucket": False}),
    "max_seconds": ({}, {"max_seconds": 1e-6}),
    "diagnose": ({}, {"diagnose": True}),
    "seed": ({}, {"seed": 1}),
}


def changes_max_bad_steps() -> None:
    counts = []
    for limit in (1, 3):
        problem = Toy()
        problem.poisoned = set(range(1, 99))
        with pytest.raises(DivergedError) as caught:
            fit(problem, BASE.replace(max_bad_steps=limit))
        counts.append(caught.value.fitted.steps)
    assert counts == [1, 3]


def changes_device() -> None:
    assert fit(Toy(), BASE.replace(epochs=0, device="cpu")).device == "cpu"
    if torch.cuda.is_available():
        assert fit(Toy(), BASE.replace(epochs=0)).device == "cuda"
    else:
        assert fit(Toy(), BASE.replace(epochs=0)).device == "cpu"
        with pytest.raises(SpecError, match="device must be 'auto' or 'cpu' here"):
            fit(Toy(), BASE.replace(device="cuda"))


OF_PROBLEMS = ("activation_penalty", "slowness_penalty", "unfreeze", "layer_decay", "precision")
"""What a task's own problem does with: walked with real models in tests/contracts/test_every_field.py."""

APART: dict[str, Callable[[], None]] = {"max_bad_steps": changes_max_bad_steps, "device": changes_device}


def outcome(training: Training) -> dict[str, Any]:
    fitted = fit(Toy.of(training), training)
    return {**fitted_to_compare(fitted), "monitor": fitted.monitor}


def test_every_field_is_walked() -> None:
    assert set(CHANGES) | set(APART) | set(OF_PROBLEMS) == set(Training.names())


@pytest.mark.parametrize("name", CHANGES)
def test_changing_a_field_changes_the_outcome(name: str) -> None:
    common, change = CHANGES[name]
    base = BASE.replace(**common)
    assert outcome(base.replace(**change)) != outcome(base)


@pytest.mark.parametrize("name", APART)
def test_changing_a_field_changes_what_happens(name: str) -> None:
    APART[name]()
