"""The front door: names, directions, degenerate input, and no noise where nothing is wrong."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from recurra import metrics
from recurra.errors import DataError, SpecError
from recurra.metrics import MetricWarning, by_task

RNG = np.random.default_rng(5)
TABLE = RNG.dirichlet(np.ones(3), 40)
LABELS = ["low", "mid", "top"]
TRUTH = np.array(LABELS)[RNG.integers(0, 3, 40)]

CALLS = {
    "classifier": (TRUTH, TABLE, {"labels": LABELS}),
    "multilabel": (TABLE > 0.3, TABLE[::-1], {}),
    "regressor": (TABLE[:, 0], TABLE[:, 1], {}),
    "tagger": ([["B-X", "O"], ["O"]], [["B-X", "O"], ["O"]], {}),
    "language-model": (np.arange(40), np.log(TABLE[:, 0]), {"characters": 100}),
    "forecaster": (TABLE[:, 0], TABLE[:, 1], {}),
    "transcriber": (["a b"], ["a c"], {}),
    "recommender": (np.arange(40), RNG.integers(0, 40, (40, 5)), {"k": 5}),
    "anomaly-detector": (TABLE[:, 0] > 0.5, TABLE[:, 1], {"threshold": 0.3}),
}
ARRAYS = ("classifier", "multilabel", "regressor")


@pytest.mark.parametrize("task", CALLS)
def test_every_score_has_a_direction_and_every_task_a_monitor(task: str) -> None:
    truth, predicted, options = CALLS[task]
    result = metrics.scores(task, truth, predicted, **options)
    assert set(result) <= set(metrics.HIGHER_IS_BETTER)
    assert metrics.DEFAULT_MONITOR[task] in result
    assert all(isinstance(value, float) and math.isfinite(value) for value in result.values())


def test_every_task_with_scores_has_a_monitor_and_is_tried_here() -> None:
    assert set(by_task._BY_TASK) == set(metrics.DEFAULT_MONITOR) == {*CALLS, "translator"}
    assert set(metrics.DEFAULT_MONITOR.values()) <= set(metrics.HIGHER_IS_BETTER)


@pytest.mark.parametrize("task", ARRAYS)
def test_no_rows_give_nan_for_every_score_and_one_warning(task: str) -> None:
    truth, predicted, options = CALLS[task]
    with pytest.warns(MetricWarning) as caught:
        result = metrics.scores(task, truth[:0], predicted[:0], **options)
    assert len(caught) == 1
    assert all(math.isnan(value) for value in result.values())
    assert set(result) == set(metrics.scores(task, truth, predicted, **options))
    assert json.dumps(metrics.json_scores(result), allow_nan=False).count("null") == len(result)


def test_classification_scores_are_those_of_the_single_functions() -> None:
    result = metrics.classification_scores(TRUTH, TABLE, LABELS)
    predicted = np.array(LABELS)[TABLE.argmax(axis=1)]
    assert result["accuracy"] == metrics.accuracy(TRUTH, predicted)
    assert result["f1_macro"] == metrics.averaged_scores(TRUTH, predicted, "macro").f1
    assert result["roc_auc"] == pytest.approx(metrics.roc_auc(TRUTH, TABLE, labels=LABELS))
    assert result["log_loss"] == metrics.log_loss(TRUTH, TABLE, labels=LABELS)


def test_two_classes_have_scores_of_the_second_and_a_threshold() -> None:
    chance = np.array([0.1, 0.3, 0.4, 0.9])
    result = metrics.classification_scores(["n", "y", "y", "y"], chance, ["n", "y"], threshold=0.25)
    assert result["precision"] == result["recall"] == result["f1"] == result["accuracy"] == 1.0
    assert metrics.classification_scores(["n", "y", "y", "y"], chance, ["n", "y"])["recall"] == pytest.approx(
        1 / 3
    )


def test_given_decisions_are_scored() -> None:
    assert metrics.classification_scores([0, 1], [0.6, 0.7], y_pred=[0, 1])["accuracy"] == 1.0


def test_classes_that_do_not_occur_make_no_noise_and_do_not_lower_the_mean() -> None:
    table = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1]])
    assert metrics.classification_scores([0, 1], table)["f1_macro"] == 1.0
    assert metrics.classification_scores([0, 1], table)["roc_auc"] == 1.0


def test_one_class_in_the_truth_gives_nan_for_the_area_and_a_warning() -> None:
    with pytest.warns(MetricWarning, match="ROC AUC is undefined: y_true holds one class only"):
        result = metrics.classification_scores([1, 1], [0.6, 0.7])
    assert math.isnan(result["roc_auc"])
    assert result["accuracy"] == 1.0


def test_a_label_unseen_in_training_is_named() -> None:
    with pytest.raises(
        DataError, match=r"y_true must hold only known labels, got 'tip'; did you mean 'top'\?"
    ):
        metrics.classification_scores(["tip"], TABLE[:1], LABELS)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(SpecError, match=r"got 'clasifier'; did you mean 'classifier'\?"):
        metrics.scores("clasifier", [], [])
    with pytest.raises(SpecError, match="threshold must be None unless there are two classes, got 3"):
        metrics.classification_scores(TRUTH, TABLE, LABELS, threshold=0.3)
    with pytest.raises(SpecError, match=r"got 'acuracy'; did you mean 'accuracy'\?"):
        metrics.higher_is_better("acuracy")


def test_better_follows_the_direction_and_nan_never_wins() -> None:
    assert metrics.is_better("accuracy", 0.9, than=0.8)
    assert metrics.is_better("validation_log_loss", 0.8, than=0.9)
    assert not metrics.is_better("rmse", 1.0, than=1.0)
    assert not metrics.is_better("rmse", math.nan, than=math.nan)
    assert metrics.is_better("rmse", 5.0, than=math.nan)


def test_the_room_loads_neither_torch_nor_scikit_learn() -> None:
    import subprocess
    import sys

    code = "import sys, recurra.metrics; print(sorted({'torch', 'sklearn', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
