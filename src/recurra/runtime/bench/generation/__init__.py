"""A language model that writes, measured beside the other engines that could write in its place."""

from recurra.runtime.bench.generation.outcome import Outcome, Row
from recurra.runtime.bench.generation.record import sentences, table, to_json, winner
from recurra.runtime.bench.generation.run import bench_generation

__all__ = ["Outcome", "Row", "bench_generation", "sentences", "table", "to_json", "winner"]
