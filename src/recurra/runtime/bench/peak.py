"""The machine's FMA peak, measured in the run whose figures are divided by it."""

from __future__ import annotations

from collections.abc import Iterable

from recurra import kernels
from recurra.kernels import engines

_SECONDS = 0.2
_TURN = 0.02


class Peaks:
    """float32 GF/s of a loop of multiply-adds by number of threads: the highest seen."""

    def __init__(self, threads: Iterable[int]) -> None:
        self.threads = sorted(set(threads))
        self.seen: dict[int, list[float]] = {count: [] for count in self.threads}

    def measure(self) -> None:
        """Measure once more, for every number of threads; nothing where there is no native engine."""
        for count in self.threads:
            self._once(count, _SECONDS)

    def between(self, threads: int) -> float | None:
        """One short measurement between other work, to be set against what runs just before and after it."""
        return self._once(threads, _TURN)

    def _once(self, threads: int, seconds: float) -> float | None:
        native = engines.native() if kernels.engine()["native"] else None
        if native is None:
            return None
        with engines.thread_count(threads):
            self.seen[threads].append(float(native.fma_peak(seconds, threads)))
        return self.seen[threads][-1]

    def of(self, threads: int) -> float | None:
        """GF/s with so many threads; None where it was not measured."""
        return max(self.seen.get(threads, []), default=None)

    @property
    def highest(self) -> float | None:
        """GF/s with the most threads that were measured."""
        return self.of(self.threads[-1]) if self.threads else None

    @property
    def spread(self) -> float:
        """How far the measurements of one number of threads lie apart, as a share: a quiet machine has little."""
        return max((1 - min(found) / max(found) for found in self.seen.values() if found), default=0.0)
