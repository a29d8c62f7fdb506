"""What a search was worth: its best options against those asked for, on data that it never saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recurra.evaluation.compare import Comparison, compare_parts
from recurra.evaluation.judging import Judge
from recurra.evaluation.runs import Parts
from recurra.evaluation.tuning.search import Search
from recurra.evaluation.verdict import Difference, difference, said
from recurra.ragged import Array
from recurra.tasks.estimator import SequenceEstimator

ASKED, TUNED = "as asked", "tuned"


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """A search with its proof.

    comparison: of both on the test split, beside the baselines; gain: by how much the found options are better
    there, None where the search found nothing better than what was asked for. verdict: that in a sentence.
    """

    search: Search
    comparison: Comparison
    gain: Difference | None
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            **self.comparison.to_dict(),
            "search": self.search.to_dict(),
            "gain": None if self.gain is None else self.gain.to_dict(),
            "tuning_verdict": self.verdict,
        }


def held_out(
    search: Search,
    asked: SequenceEstimator,
    parts: Parts,
    *,
    units: Array | None = None,
    seeds: int = 3,
    baselines: Any = "auto",
    jobs: int = 1,
    cache: str | Path | None = None,
    notes: tuple[str, ...] = (),
    on_row: Callable[[str], None] | None = None,
) -> Tuned:
    """Train the options asked for and those found, with several seeds, and score both on the test split."""
    networks: Mapping[str, SequenceEstimator] = (
        {ASKED: asked} if search.best.asked else {ASKED: asked, TUNED: search.estimator}
    )
    comparison = compare_parts(
        networks,
        parts,
        units=units,
        seeds=seeds,
        baselines=baselines,
        notes=notes,
        jobs=jobs,
        cache=cache,
        on_row=on_row,
    )
    gain = None
    if not search.best.asked:
        gain = difference(comparison.row(TUNED).evidence, comparison.row(ASKED).evidence, ASKED)
    return Tuned(search=search, comparison=comparison, gain=gain, verdict=_verdict(gain, comparison.judge))


def _verdict(gain: Difference | None, judge: Judge) -> str:
    if gain is None:
        return "no draw of the search was better than the options asked for; they stay"
    if gain.shown and gain.value > 0:
        return f"tuning helped: on held-out data it is {said(gain, judge)} better than the options asked for"
    if gain.shown:
        return f"tuning harmed: on held-out data it is {said(gain, judge)} worse than the options asked for"
    return f"tuning made no difference that the held-out data can show ({said(gain, judge)})"
