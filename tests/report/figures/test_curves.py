from __future__ import annotations

import math
from functools import cache

import pytest

from recurra.report.figure import Figure
from recurra.report.figures.curves import best_epoch, measures, training_curves

EPOCHS = [
    {"epoch": 1, "train_loss": 0.9, "validation_loss": 0.8, "validation_accuracy": 0.6, "gradient_norm": 2.0,
     "gradient_norm_max": 5.0, "learning_rate": 0.001, "best": True, "partial": False, "seconds": 1.0, "step": 10},
    {"epoch": 2, "train_loss": 0.5, "validation_loss": 0.6, "validation_accuracy": 0.7, "gradient_norm": 1.0,
     "gradient_norm_max": 3.0, "learning_rate": 0.001, "best": True},
    {"epoch": 3, "train_loss": 0.3, "validation_loss": 0.7, "validation_accuracy": 0.72, "gradient_norm": None,
     "gradient_norm_max": 2.0, "learning_rate": 0.0005, "best": False},
]  # fmt: skip


@cache
def drawn() -> tuple[Figure, ...]:
    return training_curves({"a": EPOCHS})


def test_one_figure_per_measure_with_loss_first_and_bookkeeping_left_out() -> None:
    assert measures({"a": EPOCHS}) == ["loss", "accuracy", "gradient_norm", "learning_rate"]
    titles = [figure.title for figure in drawn()]
    assert titles == [
        "Loss by epoch", "Accuracy by epoch", "Gradient norm while training", "Learning rate while training",
    ]  # fmt: skip


def test_every_model_is_in_every_figure_and_in_its_numbers() -> None:
    for figure in training_curves({"a": EPOCHS, "b": EPOCHS[:2], "c": EPOCHS[:1]}):
        assert all(any(column.startswith(f"{model}: ") for column in figure.data) for model in "abc")
        assert all(f"{model}, from" in figure.alt for model in "abc")


def test_numbers_have_a_row_per_epoch_and_gaps_where_nothing_was_recorded() -> None:
    norm = drawn()[2]
    assert norm.data == {
        "epoch": [1, 2, 3], "gradient_norm_max": [5.0, 3.0, 2.0], "gradient_norm": [2.0, 1.0, None],
    }  # fmt: skip


def _loss(epochs: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{"epoch": epoch["epoch"], "validation_loss": epoch["validation_loss"]} for epoch in epochs]


def test_models_with_different_numbers_of_epochs_share_the_rows() -> None:
    loss = training_curves({"a": _loss(EPOCHS), "b": _loss(EPOCHS[:1])})[0]
    assert loss.data["b: validation_loss"] == [0.8, None, None]


def test_the_best_epoch_is_the_last_one_marked_else_the_lowest_validation_loss() -> None:
    assert best_epoch(EPOCHS) == 1
    unmarked = [{key: value for key, value in epoch.items() if key != "best"} for epoch in EPOCHS]
    assert best_epoch([*unmarked, {"validation_loss": 0.1}]) == 3
    assert best_epoch([{"train_loss": 1.0}]) is None
    assert "0.600 at the best epoch, 2" in drawn()[0].alt


def test_plain_loss_and_score_names_are_the_training_curves() -> None:
    loss = training_curves(
        {"a": [{"loss": 1.0, "validation_loss": 0.9}, {"loss": 0.5, "validation_loss": 0.8}]}
    )[0]
    assert list(loss.data) == ["epoch", "loss", "validation_loss"]
    assert "Loss on validation from 0.900 to 0.800" in loss.alt


@pytest.mark.parametrize("bad", [math.nan, math.inf, None, "x"])
def test_values_that_are_not_finite_leave_a_gap(bad: object) -> None:
    (loss,) = training_curves({"a": [{"train_loss": 1.0}, {"train_loss": bad}, {"train_loss": 0.5}]})
    assert loss.data["train_loss"] == [1.0, None, 0.5]


def test_a_run_that_recorded_nothing_finite_has_no_figure() -> None:
    assert training_curves({"a": [{"train_loss": math.nan}], "b": []}) == ()


def test_a_single_epoch_is_drawn_as_a_mark() -> None:
    (loss,) = training_curves({"a": [{"train_loss": 1.0}]})
    assert "<use" in loss.svg


def test_twenty_models_of_200_epochs_stay_small() -> None:
    long = [{"epoch": i, "train_loss": 1 / (i + 1), "validation_loss": 1.1 / (i + 1)} for i in range(1, 201)]
    (loss,) = training_curves({f"model {i}": long for i in range(20)})
    assert len(loss.svg) < 150_000


def test_as_many_scores_as_wanted_are_drawn_the_most_telling_first() -> None:
    epoch = {
        "validation_recall": 0.1,
        "validation_log_loss": 0.4,
        "validation_accuracy": 0.5,
        "train_loss": 1.0,
    }
    assert measures({"a": [epoch]}, 1) == ["loss", "accuracy"]
    assert measures({"a": [epoch]}) == ["loss", "accuracy", "log_loss", "recall"]


def test_a_logarithmic_axis_has_plain_numbers() -> None:
    (loss,) = training_curves({"a": [{"train_loss": 10.0}, {"train_loss": 0.01}]})
    assert ">0.01<" in loss.svg
    assert "math" not in loss.svg
