"""Runs that are kept: a comparison goes on where it was killed, in one process or several, to the same table."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import recurra as rc
from recurra.errors import InputError, Interrupted
from recurra.evaluation import store as module
from recurra.evaluation.compare import compare
from recurra.evaluation.store import RunStore
from shared import assert_noticed
from tasks.made import small, texts

TIMED = ("seconds", "latency_ms")


def table_of(record):
    """What must not depend on how often it was stopped: everything but what a clock said."""
    return {
        **{k: v for k, v in record.items() if k not in ("rows", "model", "report")},
        "rows": [{k: v for k, v in row.items() if k not in TIMED} for row in record["rows"]],
    }


def compared(cache=None, **options):
    networks = {"lstm": small("lstm", epochs=2), "rnn": small("rnn", epochs=1)}
    options = {"seeds": 2, "baselines": ["majority", "mlp"], **options}
    return compare(networks, *texts(90), cache=cache, **options)


@pytest.fixture(scope="module")
def plain():
    return compared()


def test_a_comparison_from_kept_runs_has_the_same_table_and_trains_nothing(plain, tmp_path):
    first = compared(tmp_path)
    again = compared(tmp_path)
    assert (first.trained, again.trained) == (7, 0)
    assert table_of(first.to_dict()) == table_of(plain.to_dict()) == table_of(again.to_dict())
    assert again.row("lstm").seconds == first.row("lstm").seconds
    held = again.parts["test"]
    assert again.best.score(held.inputs, held.targets) == first.best.score(held.inputs, held.targets)
    assert [len(h.epochs) for h in again.row("lstm").histories] == [2, 2]


def test_another_seed_network_or_baseline_trains_only_what_is_new(tmp_path):
    compared(tmp_path, baselines=["majority"])
    assert compared(tmp_path, baselines=["majority"], seeds=3).trained == 2
    assert compared(tmp_path, baselines=["majority", "naive Bayes"]).trained == 1
    one = {"other name": small("lstm", epochs=2)}
    renamed = compare(one, *texts(90), seeds=2, baselines=["majority"], cache=tmp_path)
    assert renamed.trained == 0
    assert renamed.winner == "other name"


def changed_data_and_options_are_new_runs(tmp_path: Path) -> None:
    inputs, labels = texts(60)
    folder = tmp_path / str(time.monotonic_ns())
    options = {"seeds": 1, "baselines": "none", "cache": folder}
    compare({"a": small(epochs=1)}, inputs, labels, **options)
    wider = small(epochs=1).set_params(network__hidden_size=9)
    assert compare({"a": wider}, inputs, labels, **options).trained == 1
    assert compare({"a": small(epochs=1)}, [*inputs[:-1], "film"], labels, **options).trained == 1


def test_changed_data_and_options_are_new_runs(tmp_path):
    class Forgetful:
        def __enter__(self):
            self.kept = module.data_fingerprint
            from recurra.evaluation import grid

            self.grid = grid
            grid.data_fingerprint = lambda parts: "always the same"

        def __exit__(self, *_):
            self.grid.data_fingerprint = self.kept

    assert_noticed(Forgetful(), lambda: changed_data_and_options_are_new_runs(tmp_path))


def test_a_changed_source_is_another_code_version(tmp_path, monkeypatch):
    before = module.code_version()
    module.code_version.cache_clear()
    monkeypatch.setattr(rc, "__version__", "0.0.0")
    assert module.code_version() != before
    module.code_version.cache_clear()


def test_a_run_that_was_damaged_is_done_again(plain, tmp_path):
    compared(tmp_path)
    (place,) = tmp_path.glob("lstm-1-0-*/answers.safetensors")
    place.write_bytes(place.read_bytes()[:-3])
    (model,) = tmp_path.glob("lstm-1-1-*.model")
    (model / "config.json").unlink()
    again = compared(tmp_path)
    assert again.trained == 2
    assert table_of(again.to_dict()) == table_of(plain.to_dict())


def test_two_processes_give_the_table_of_one_and_time_every_row_alone(plain, tmp_path):
    said: list[str] = []
    beside = compared(tmp_path, jobs=2, on_row=said.append)
    assert table_of(beside.to_dict()) == table_of(plain.to_dict())
    assert sum("timed again, by itself" in line for line in said) == 4
    assert compared(tmp_path, jobs=2).trained == 0


def test_a_signal_in_the_middle_says_what_is_kept(plain, tmp_path, monkeypatch):
    from recurra.evaluation import compare as comparing

    calls = []

    def stopped(job, parts, **options):
        calls.append(job)
        if len(calls) == 3:
            raise Interrupted("training was stopped", 130)
        return execute(job, parts, **options)

    execute = comparing.execute
    monkeypatch.setattr(comparing, "execute", stopped)
    with pytest.raises(Interrupted, match=r"2 of 7 runs are kept in .* goes on from there") as caught:
        compared(tmp_path)
    assert caught.value.exit_code == 130
    again = compared(tmp_path)
    assert again.trained == 5
    assert table_of(again.to_dict()) == table_of(plain.to_dict())


def test_jobs_must_be_at_least_one():
    with pytest.raises(InputError, match="jobs must be at least 1"):
        compared(jobs=0)


SCRIPT = """
import json, sys
sys.path.insert(0, {tests!r})
from evaluation.test_kept_runs import slow_compared
print(json.dumps(slow_compared({folder!r}).to_dict()))
"""


def slow_compared(folder):
    return compare({"lstm": small(epochs=30)}, *texts(120), seeds=5, baselines=["majority"], cache=folder)


def _started(folder) -> subprocess.Popen[str]:
    script = SCRIPT.format(tests=str(Path(__file__).resolve().parents[1]), folder=str(folder))
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def _kept(folder: Path) -> int:
    return len(_records(folder))


def _records(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*/run.json") if ".tmp-" not in path.parent.name]


@pytest.mark.slow
def test_a_comparison_killed_in_the_middle_goes_on_to_the_same_table(tmp_path):
    whole = json.loads(_started(tmp_path / "whole").communicate(timeout=200)[0])
    folder = tmp_path / "killed"
    process = _started(folder)
    deadline = time.monotonic() + 100
    while _kept(folder) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    kept = {path: path.stat().st_mtime_ns for path in _records(folder)}
    assert 2 <= len(kept) < 6, "the kill must fall into the middle"
    resumed = json.loads(_started(folder).communicate(timeout=200)[0])
    assert table_of(resumed) == table_of(whole)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert _kept(folder) == 6


def test_a_folder_that_holds_nothing_readable_is_no_run(tmp_path):
    from recurra.evaluation.runs import Job

    store = RunStore(tmp_path)
    job = Job(row="a b/c", kind="recurrent", fold=0, seed=0, estimator=small())
    assert store.load(job, "0" * 64) is None
    store.place(job, "0" * 64).mkdir(parents=True)
    assert store.place(job, "0" * 64).parent == tmp_path
    assert store.load(job, "0" * 64) is None
