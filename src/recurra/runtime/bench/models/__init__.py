"""A stored model measured beside the other engines that could answer in its place."""

from recurra.runtime.bench.models.outcome import CASES, Outcome, Row, Winner, winner
from recurra.runtime.bench.models.record import sentences, table, to_json
from recurra.runtime.bench.models.run import bench_model

__all__ = ["CASES", "Outcome", "Row", "Winner", "bench_model", "sentences", "table", "to_json", "winner"]
