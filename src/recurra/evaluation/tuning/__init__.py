"""Searching for options: a space, trials on a nested split, and a search that goes on where it was stopped."""

from recurra.evaluation.tuning.held_out import Tuned, held_out
from recurra.evaluation.tuning.search import Search, TrialRecord, tune
from recurra.evaluation.tuning.space import Share, Space, Whole, default_space

__all__ = ["Search", "Share", "Space", "TrialRecord", "Tuned", "Whole", "default_space", "held_out", "tune"]
