"""What a model gets wrong: which sequences, which groups of them, which classes, and which labels are odd."""

from recurra.insight.errors.analysis import ClassErrors, Mistake, Residual, ResidualErrors, error_analysis
from recurra.insight.errors.groups import Group
from recurra.insight.errors.labels import LabelIssue, LabelIssues, cross_validated_probabilities, label_issues
from recurra.insight.errors.words import Pair, TypicalWord, typical_words

__all__ = [
    "ClassErrors",
    "Group",
    "LabelIssue",
    "LabelIssues",
    "Mistake",
    "Pair",
    "Residual",
    "ResidualErrors",
    "TypicalWord",
    "cross_validated_probabilities",
    "error_analysis",
    "label_issues",
    "typical_words",
]
