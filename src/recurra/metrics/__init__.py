"""Scores, calibration, conformal prediction and significance: plain functions on arrays, without torch.

`scores(task, ...)` is the front door; the files beside this one hold the single scores: `classification`,
`curves`, `calibration`, `thresholds`, `regression`, `spans`, `text`, `forecasting`, `ranking`; `conformal`
and `abstention` promise coverage and error rates; `significance` tests differences.
"""

from recurra.metrics.by_task import (
    DEFAULT_MONITOR,
    HIGHER_IS_BETTER,
    classification_scores,
    detection_scores,
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
from recurra.metrics.forecasting import forecast_scores
from recurra.metrics.ranking import recommendation_scores
from recurra.metrics.regression import mae, mape, mse, r2, residuals, rmse
from recurra.metrics.spans import span_scores, tagging_scores
from recurra.metrics.text import generation_scores, language_model_scores, transcription_scores
from recurra.metrics.thresholds import (
    Threshold,
    cheapest_class,
    choose_threshold,
    choose_thresholds,
    decide,
)

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
    "detection_scores",
    "expected_calibration_error",
    "forecast_scores",
    "generation_scores",
    "hamming_loss",
    "higher_is_better",
    "is_better",
    "json_scores",
    "language_model_scores",
    "log_loss",
    "mae",
    "mape",
    "mse",
    "multilabel_scores",
    "pr_curve",
    "r2",
    "recommendation_scores",
    "regression_scores",
    "residuals",
    "rmse",
    "roc_auc",
    "roc_curve",
    "scores",
    "span_scores",
    "tagging_scores",
    "transcription_scores",
]
