"""Training steps of a stored model's architecture, measured beside the loops that are usual in torch."""

from recurra.evaluation.bench.outcome import Outcome, Row
from recurra.evaluation.bench.record import sentences, table, to_json, winner
from recurra.evaluation.bench.run import bench_training

__all__ = ["Outcome", "Row", "bench_training", "sentences", "table", "to_json", "winner"]
