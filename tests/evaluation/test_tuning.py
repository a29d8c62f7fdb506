"""The search: it never sees the test split, keeps what it did, goes on after a kill, and proves what it was worth."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import recurra as rc
from recurra.errors import InputError, LockedError
from recurra.evaluation.tuning import Share, Whole, default_space, held_out, tune
from recurra.evaluation.tuning import search as module
from recurra.evaluation.tuning.search import STUDY, joined
from recurra.evaluation.tuning.space import applied, as_asked, suggested
from recurra.storage import FolderLock
from recurra.tasks.materials import materials
from shared import assert_noticed
from tasks.made import signals, small, texts

optuna = pytest.importorskip("optuna", reason="the extra 'tune' is not installed")

SPACE = {"network.cell": ("gru", "rnn"), "training.learning_rate": Share(low=1e-4, high=0.05, log=True)}


def divided(count: int = 90, make=texts):
    whole = materials(*make(count))
    rows = np.arange(count)
    cut = (rows[: count // 2], rows[count // 2 : 2 * count // 3], rows[2 * count // 3 :])
    return {name: whole.select(part) for name, part in zip(("train", "validation", "test"), cut, strict=True)}


def searched(folder, **options):
    return tune(
        small("lstm", epochs=2), divided(), folder, **{"trials": 4, "folds": 2, "space": SPACE, **options}
    )


def test_options_as_asked_are_scored_first_and_draws_stay_inside_the_space(tmp_path):
    found = searched(tmp_path)
    assert len(found.trials) == 4
    assert found.trials[0].asked
    assert found.trials[0].options == {"network.cell": "lstm", "training.learning_rate": 0.02}
    for trial in found.trials[1:]:
        assert trial.options["network.cell"] in ("gru", "rnn")
        assert 1e-4 <= trial.options["training.learning_rate"] <= 0.05
    complete = [trial for trial in found.trials if trial.state == "complete"]
    assert found.best.score == max(trial.score for trial in complete)
    assert (found.estimator.network.cell == "lstm") == found.best.asked


def test_a_search_goes_on_to_more_trials_and_repeats_none(tmp_path):
    first = searched(tmp_path, trials=3)
    more = searched(tmp_path, trials=5)
    assert more.resumed == 3
    assert more.trials[:3] == first.trials
    assert len({trial.options["training.learning_rate"] for trial in more.trials}) == 5


def test_other_data_or_another_space_is_another_search(tmp_path):
    searched(tmp_path)
    other = tune(small("lstm", epochs=2), divided(60), tmp_path, trials=1, folds=2, space=SPACE)
    assert other.resumed == 0
    narrow = searched(tmp_path, space={"network.cell": ("gru",)}, trials=1)
    assert narrow.resumed == 0


def the_test_split_is_never_seen(tmp_path: Path) -> None:
    folder = tmp_path / str(time.monotonic_ns())
    parts = divided()
    inputs = [*parts["test"].inputs[:-1], "entirely other words"]
    changed = {**parts, "test": materials(inputs, parts["test"].targets)}
    first = tune(small(epochs=2), parts, folder / "a", trials=2, folds=2, space=SPACE)
    second = tune(small(epochs=2), changed, folder / "b", trials=2, folds=2, space=SPACE)
    assert [t.score for t in first.trials] == [t.score for t in second.trials]
    assert [t.loss for t in first.trials] == [t.loss for t in second.trials]


def test_the_test_split_is_never_seen_by_the_search(tmp_path):
    class Peeking:
        def __enter__(self):
            self.kept = module._inner
            module._inner = lambda parts, *options: [{**parts, "validation": parts["test"]}]

        def __exit__(self, *_):
            module._inner = self.kept

    assert_noticed(Peeking(), lambda: the_test_split_is_never_seen(tmp_path))


def test_inner_folds_hold_every_sequence_out_once_and_keep_groups_together():
    parts = divided(90)
    groups = [f"speaker {i % 9}" for i in range(60)]
    folds = module._inner(parts, 3, groups, 0)
    held = [text for fold in folds for text in fold["validation"].inputs]
    assert sorted(held) == sorted([*parts["train"].inputs, *parts["validation"].inputs])
    whole = joined(parts["train"], parts["validation"])
    where = {id(text): group for text, group in zip(whole.inputs, groups, strict=True)}
    for fold in folds:
        train, out = ({where[id(text)] for text in fold[name].inputs} for name in ("train", "validation"))
        assert not train & out


def test_signals_are_joined_with_their_targets_and_static_features():
    first, second = materials(signals(5)[0], [1.0] * 5, np.ones((5, 2))), materials(signals(7)[0], [2.0] * 7)
    whole = joined(first, second)
    assert len(whole) == 12
    np.testing.assert_array_equal(whole.inputs[5], second.inputs[0])
    np.testing.assert_array_equal(whole.targets, [1.0] * 5 + [2.0] * 7)
    assert whole.static is None


def test_hopeless_draws_are_pruned(tmp_path, monkeypatch):
    """From the sixth draw on, one that never learns stands below the median and is stopped."""
    rates = iter([0.02] * 5 + [1e-9] * 5)
    monkeypatch.setattr(module, "suggested", lambda trial, space: {"training.learning_rate": next(rates)})
    said: list[str] = []
    model = small("gru", epochs=8)
    found = tune(model, divided(180), tmp_path, trials=9, folds=2, space=SPACE, on_trial=said.append)
    assert "pruned" in {trial.state for trial in found.trials[6:]}
    assert "pruned" not in {trial.state for trial in found.trials[:6]}
    assert found.best.options["training.learning_rate"] == 0.02


def test_draws_of_the_default_space_make_valid_networks_whatever_they_are():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(40):
        options = suggested(study.ask(), default_space())
        network = applied(small(), options).network
        assert 32 <= network.hidden_size <= 512
        assert network.hidden_size % 16 == 0
        assert (network.output_dropout if network.num_layers == 1 else network.dropout) == options[
            "network.dropout"
        ]
    asked = rc.Classifier(rc.Network(cell_clip=3.0), rc.Training())
    assert applied(asked, {"network.cell": "gru"}).network.cell_clip is None
    assert asked.network.cell_clip == 3.0
    assert as_asked(asked, default_space())["network.dropout"] == 0.3


def test_options_that_are_given_are_not_searched():
    space = default_space(["network.cell", "training.learning_rate"])
    assert "network.cell" not in space
    assert isinstance(space["network.num_layers"], Whole)


def test_the_proof_compares_what_was_found_with_what_was_asked(tmp_path):
    parts = divided(150)
    asked = small("lstm", epochs=6).set_params(training__learning_rate=1e-5)
    found = tune(asked, parts, tmp_path, trials=5, folds=2, space={"training.learning_rate": (1e-5, 0.03)})
    tuned = held_out(found, asked, parts, seeds=2, baselines=["majority"])
    assert {row.name for row in tuned.comparison.rows} >= {"as asked", "tuned", "majority"}
    assert tuned.gain.baseline == "as asked"
    assert tuned.gain.units == 50
    assert tuned.verdict.startswith("tuning")
    record = tuned.to_dict()
    assert record["search"]["best"]["options"] == {"training.learning_rate": 0.03}


def test_a_search_that_finds_nothing_better_says_so(tmp_path):
    parts = divided()
    found = tune(small(epochs=1), parts, tmp_path, trials=1, folds=2, space=SPACE)
    tuned = held_out(found, small(epochs=1), parts, seeds=1, baselines="none")
    assert tuned.gain is None
    assert "they stay" in tuned.verdict


def test_two_searches_in_one_folder_and_impossible_numbers_are_refused(tmp_path):
    with FolderLock(tmp_path), pytest.raises(LockedError):
        searched(tmp_path)
    with pytest.raises(InputError, match="at least 1"):
        searched(tmp_path, trials=0)


SCRIPT = """
import json, sys
sys.path.insert(0, {tests!r})
from evaluation.test_tuning import slow_search
print(json.dumps(slow_search({folder!r}).to_dict()))
"""


def slow_search(folder):
    return tune(small("lstm", epochs=12), divided(120), folder, trials=6, folds=2, space=SPACE)


def _started(folder: Path) -> subprocess.Popen[str]:
    script = SCRIPT.format(tests=str(Path(__file__).resolve().parents[1]), folder=str(folder))
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_search_killed_in_the_middle_goes_on(tmp_path):
    process = _started(tmp_path)
    deadline = time.monotonic() + 60
    while _finished(tmp_path) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    before = _kept(tmp_path)
    assert 2 <= len(before) < 6, "the kill must fall into the middle"
    found = json.loads(_started(tmp_path).communicate(timeout=200)[0])
    assert found["resumed"] == len(before)
    assert found["trials"][: len(before)] == before
    assert len(found["trials"]) == 6


def _finished(folder: Path) -> int:
    """Trials that ended, read without Optuna: it would make the tables that the search is just making."""
    try:
        with closing(sqlite3.connect(f"file:{folder / STUDY}?mode=ro", uri=True)) as database:
            (count,) = database.execute(
                "select count(*) from trials where state in ('COMPLETE', 'PRUNED')"
            ).fetchone()
    except sqlite3.Error:
        return 0
    return int(count)


def _kept(folder: Path) -> list[dict[str, object]]:
    storage = f"sqlite:///{folder / STUDY}"
    (name,) = optuna.get_all_study_names(storage)
    study = optuna.load_study(study_name=name, storage=storage)
    return [trial.to_dict() for trial in module._records(study)]
