"""The diagnosis of a training: what was measured, what is wrong in words, and what to do about it."""

from recurra.insight.diagnosis.diagnose import Diagnosis, diagnose
from recurra.insight.diagnosis.finding import Finding

__all__ = ["Diagnosis", "Finding", "diagnose"]
