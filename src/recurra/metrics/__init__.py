"""Scores, calibration and their like: plain functions on arrays, without torch.

`scores(task, ...)` is the front door; the files beside this one hold the single scores.
"""

from recurra.metrics.by_task import (
    DEFAULT_MONITOR,
    HIGHER_IS_BETTER,
    classification_scores,
    higher_is_better,
    is_better,
    json_scores,
    multilabel_scores,
    regression_scores,
    scores,
)
from recurra.metrics.calibration import (
    CalibrationCurve,
    Confidence,
    brier,
    calibration_curve,
    confidence_summary,
    expected_calibration_error,
    log_loss,
)
from recurra.metrics.checks import MetricWarning
from recurra.metrics.classification import (
    AveragedScores,
    ClassScores,
    accuracy,
    averaged_scores,
    balanced_accuracy,
    class_scores,
    confusion_matrix,
    hamming_loss,
)
from recurra.metrics.curves import (
    PrecisionRecallCurve,
    RocCurve,
    average_precision,
    pr_curve,
    roc_auc,
    roc_curve,
)
from recurra.metrics.regression import mae, mape, mse, r2, residuals, rmse
from recurra.metrics.thresholds import Threshold, cheapest_class, choose_threshold, choose_thresholds, decide

__all__ = [
    "DEFAULT_MONITOR",
    "HIGHER_IS_BETTER",
    "AveragedScores",
    "CalibrationCurve",
    "ClassScores",
    "Confidence",
    "MetricWarning",
    "PrecisionRecallCurve",
    "RocCurve",
    "Threshold",
    "accuracy",
    "average_precision",
    "averaged_scores",
    "balanced_accuracy",
    "brier",
    "calibration_curve",
    "cheapest_class",
    "choose_threshold",
    "choose_thresholds",
    "class_scores",
    "classification_scores",
    "confidence_summary",
    "confusion_matrix",
    "decide",
    "expected_calibration_error",
    "hamming_loss",
    "higher_is_better",
    "is_better",
    "json_scores",
    "log_loss",
    "mae",
    "mape",
    "mse",
    "multilabel_scores",
    "pr_curve",
    "r2",
    "regression_scores",
    "residuals",
    "rmse",
    "roc_auc",
    "roc_curve",
    "scores",
]
