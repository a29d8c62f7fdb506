"""The drawings of a report: each function takes plain data and returns a `Figure`."""

from recurra.report.figures.balance import class_balance
from recurra.report.figures.bars import group_scores, signed_bars
from recurra.report.figures.calibration import calibration
from recurra.report.figures.comparing import critical_difference, leads, learning_curves
from recurra.report.figures.confidence import confidence_histogram, confidence_scatter
from recurra.report.figures.confusion import confusion
from recurra.report.figures.curves import best_epoch, training_curves
from recurra.report.figures.distribution import unit_quantiles, value_histogram
from recurra.report.figures.faithfulness import erasing_curves
from recurra.report.figures.forming import forming
from recurra.report.figures.heatmap import heatmap
from recurra.report.figures.lengths import length_box, length_histogram
from recurra.report.figures.projection import projection
from recurra.report.figures.ranking import precision_recall, roc
from recurra.report.figures.residuals import predicted_and_true, residuals
from recurra.report.figures.scores import scores_with_intervals

__all__ = [
    "best_epoch",
    "calibration",
    "class_balance",
    "confidence_histogram",
    "confidence_scatter",
    "confusion",
    "critical_difference",
    "erasing_curves",
    "forming",
    "group_scores",
    "heatmap",
    "leads",
    "learning_curves",
    "length_box",
    "length_histogram",
    "precision_recall",
    "predicted_and_true",
    "projection",
    "residuals",
    "roc",
    "scores_with_intervals",
    "signed_bars",
    "training_curves",
    "unit_quantiles",
    "value_histogram",
]
