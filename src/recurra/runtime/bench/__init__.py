"""Measuring the kernels against what is installed: equality is asserted before anything is timed."""

from recurra.runtime.bench.answer import UnequalError
from recurra.runtime.bench.case import Case
from recurra.runtime.bench.engines import ENGINES, LeftOutError
from recurra.runtime.bench.grid import chosen, full, quick
from recurra.runtime.bench.record import sentences, table, to_json
from recurra.runtime.bench.run import Outcome, Timed, bench

__all__ = [
    "ENGINES",
    "Case",
    "LeftOutError",
    "Outcome",
    "Timed",
    "UnequalError",
    "bench",
    "chosen",
    "full",
    "quick",
    "sentences",
    "table",
    "to_json",
]
