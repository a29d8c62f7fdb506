"""Honest comparison: cheap baselines on the same splits, several seeds, a paired test, and a verdict."""
