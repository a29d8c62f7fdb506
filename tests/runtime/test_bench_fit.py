"""The benchmark of fit: its stopwatch, and where it says that the time goes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import types
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def stopwatch(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import stopwatch

    now = [0.0]
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: now[0])

    def spend(seconds: float, *inner) -> None:
        now[0] += seconds
        for work in inner:
            work()
        now[0] += seconds

    return stopwatch.Stopwatch, spend


def test_time_in_an_inner_function_is_counted_there_alone(stopwatch):
    made, spend = stopwatch
    watch = made()
    inner = watch.wrap("inner", lambda: spend(1))
    outer = watch.wrap("outer", lambda: spend(10, inner, inner))
    outer()
    spend(100)
    outer()
    assert dict(watch.seconds) == {"outer": 40, "inner": 8}
    assert dict(watch.calls) == {"outer": 2, "inner": 4}


def test_within_a_closed_piece_nothing_is_told_apart(stopwatch):
    made, spend = stopwatch
    watch = made(closed={"scoring"})
    inner = watch.wrap("inner", lambda: spend(1))
    watch.wrap("scoring", lambda: spend(10, inner))()
    inner()
    assert dict(watch.seconds) == {"scoring": 22, "inner": 2}


def test_an_error_leaves_the_watch_in_order(stopwatch):
    made, spend = stopwatch
    watch = made()

    def fail():
        spend(1)
        raise KeyError

    owner = types.SimpleNamespace(work=fail, outer=lambda: owner.work())
    with watch.watching({"work": [(owner, "work")], "outer": [(owner, "outer")]}):
        with pytest.raises(KeyError):
            owner.outer()
        spend(50)
    assert owner.work is fail
    assert dict(watch.seconds) == {"work": 2, "outer": 0}


@pytest.mark.slow
def test_the_parts_of_an_epoch_of_fit_are_told(tmp_path):
    pytest.importorskip("torch")
    words = ["good", "bad", "fine", "dull", "plot", "cast", "scene", "end"]
    with (tmp_path / "reviews.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["text", "label"])
        for i in range(40):
            chosen = [words[(i * 7 + k * k) % len(words)] for k in range(2 + i % 9)]
            table.writerow([" ".join(chosen), "ab"[i % 2]])
    command = [sys.executable, str(BENCHMARKS / "fit_imdb.py"), str(tmp_path / "reviews.csv"), "--hidden-size", "6",
               "--batch-size", "8", "--json"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    record = json.loads(done.stdout)
    assert record["steps"] == 4
    parts = {row["part"] for row in record["breakdown"]}
    assert {"tokenising", "rest of the loop", "scoring of the validation split"} <= parts
    assert sum(row["seconds"] for row in record["breakdown"]) <= record["watched_seconds"]
