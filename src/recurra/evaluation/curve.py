"""How much data matters: the candidate and the baselines on growing parts of the training split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from recurra.evaluation.grid import Grid
from recurra.evaluation.judging import Evidence, Judge
from recurra.evaluation.runs import Job, Run
from recurra.evaluation.verdict import interval
from recurra.ragged import Array

SHARES = (0.125, 0.25, 0.5, 1.0)


def learning_curve(
    grid: Grid, jobs: Sequence[Job], judge: Judge, units: Array | None, *, shares: Sequence[float] = SHARES
) -> dict[str, Any]:
    """{"sizes": training sequences, "rows": {name: {"scores": [...], "low": [...], "high": [...]}}}.

    Every share is trained with the same seeds and tested on the same test split; the parts are stratified.
    """
    sizes = [round(share * len(grid.folds[0]["train"])) for share in shares]
    found = {share: grid.run([replace(job, share=share) for job in jobs]) for share in shares}
    rows: dict[str, Any] = {}
    for name in dict.fromkeys(job.row for job in jobs):
        points = [_point([run for run in found[share] if run.row == name], judge, units) for share in shares]
        rows[name] = {
            key: [point[at] for point in points] for at, key in enumerate(("scores", "low", "high"))
        }
    return {"score": judge.score, "sizes": sizes, "shares": list(shares), "rows": rows}


def _point(runs: Sequence[Run], judge: Judge, units: Array | None) -> tuple[float, float, float]:
    by: dict[int, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.seed, run.fold)):
        by.setdefault(run.seed, []).append(run)
    table = np.stack([np.concatenate([run.ingredients for run in of]) for of in by.values()])
    evidence = Evidence(judge=judge, ingredients=table, units=units)
    return (evidence.score, *interval(evidence))
