"""Cold starts: from starting a fresh Python to the model's first answer, and the memory that this took."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import recurra
from recurra.runtime.bench.models.contender import Contender
from recurra.runtime.bench.models.workload import Workload
from recurra.runtime.export.probes import batch_feed
from recurra.runtime.predictor import Predictor

STARTS = 5
"""Starts that are counted, where the time allows."""

LONGEST = 60.0
"""Seconds after which a start is given up."""


@dataclass(frozen=True, kw_only=True)
class ColdStart:
    """Median milliseconds until the first answer, greatest resident memory in megabytes, and the number of starts."""

    ms: float
    rss_mb: float
    starts: int


def write_inputs(predictor: Predictor, work: Workload, place: Path) -> tuple[Path, Path]:
    """Files with one sequence: as a user of the model has it (a text, else encoded), and padded for the others."""
    probe = work.batches[1][0]
    ours, feed = place / "inputs.npz", place / "feed.npz"
    _save(feed, batch_feed(predictor, probe))
    if work.first is not None:
        ours = place / "inputs.json"
        ours.write_text(json.dumps(work.first))
    else:
        static = {} if probe.static is None else {"static": probe.static}
        values = {"values": np.asarray(probe.batch.values), "offsets": probe.batch.offsets}
        _save(ours, {**values, **static, **probe.batch.columns})
    return ours, feed


def _save(path: Path, arrays: Mapping[str, Any]) -> None:
    np.savez(path, allow_pickle=False, **arrays)


def cold_starts(contenders: Sequence[Contender], until: float) -> tuple[dict[str, ColdStart], list[str]]:
    """Starts of each by name, in turns, until a time of `time.perf_counter`; and what could not be started.

    The first start of each is not counted: it finds files that nobody has read yet, and writes bytecode.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    notes = []
    for each in contenders:
        try:
            _start(each)
            found[each.name] = [_start(each)]
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            notes.append(f"{each.name} could not be started in a fresh process: {error}")
    while found and len(next(iter(found.values()))) < STARTS and time.perf_counter() < until:
        for each in contenders:
            if each.name in found:
                found[each.name].append(_start(each))
    return {name: _summary(starts) for name, starts in found.items()}, notes


def _summary(starts: list[tuple[float, float]]) -> ColdStart:
    ms, rss = zip(*starts, strict=True)
    return ColdStart(ms=statistics.median(ms), rss_mb=statistics.median(rss), starts=len(starts))


def _start(contender: Contender) -> tuple[float, float]:
    """Milliseconds and megabytes of one start."""
    begin = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *contender.start],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(),
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - begin
        _, complaint = process.communicate(timeout=LONGEST)
    if not line:
        raise ValueError((complaint.strip().splitlines() or ["it said nothing"])[-1])
    return seconds * 1e3, json.loads(line)["rss_kb"] * 1024 / 1e6


def _environment() -> dict[str, str]:
    """Ours, with bytecode as an installed package has it, and this very Recurra."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    source = str(Path(recurra.__file__).resolve().parent.parent)
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, [source, kept.get("PYTHONPATH")]))
    return kept
