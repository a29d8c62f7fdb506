"""Past runs: found, named, compared, and never a reason to fail."""

from __future__ import annotations

import json

import pytest

from recurra.cli.app import run
from recurra.errors import InputError, StorageError
from recurra.evaluation.ledger import chosen_run, differences, past_runs
from tasks.made import small, texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("past")
    inputs, labels = texts(60)
    small("lstm", epochs=1).fit(inputs, labels).save(root / "first", scores={"test": {"accuracy": 0.5}})
    small("gru", epochs=2).fit(inputs, labels).save(
        root / "deep" / "second", scores={"test": {"accuracy": 0.75}}
    )
    (root / "broken").mkdir()
    (root / "broken" / "config.json").write_text("{")
    (root / "first.tmp-1-abc").mkdir()
    (root / "first.tmp-1-abc" / "config.json").write_text("{}")
    return root


def test_models_are_found_and_what_is_broken_is_left_out(folder):
    runs = past_runs(folder)
    assert sorted(run.name for run in runs) == ["deep/second", "first"]
    one = chosen_run(runs, "second")
    assert (one.kind, one.task, one.score) == ("fit", "classifier", ("accuracy", 0.75))
    assert one.options["network.cell"] == "gru"


def test_two_runs_differ_in_their_options_and_scores_alone(folder):
    runs = past_runs(folder)
    found = differences(chosen_run(runs, "first"), chosen_run(runs, "deep/second"))
    assert found["options"]["network.cell"] == ["lstm", "gru"]
    assert found["options"]["training.epochs"] == [1, 2]
    assert "training.seed" not in found["options"]
    assert found["scores"]["accuracy"] == [0.5, 0.75, 0.25]
    assert found["same_data"] is True


def test_an_unknown_or_doubtful_name_is_refused(folder):
    runs = past_runs(folder)
    with pytest.raises(InputError, match="did you mean 'first'"):
        chosen_run(runs, "frist")
    with pytest.raises(StorageError, match="no such folder"):
        past_runs(folder / "absent")


def test_the_verb_lists_and_compares(folder, capsys):
    assert run(["runs", str(folder)]) == 0
    assert "accuracy 0.7500" in capsys.readouterr().out
    assert run(["runs", str(folder), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 2
    assert run(["runs", str(folder), "--diff", "first", "second"]) == 0
    out = capsys.readouterr().out
    assert "network.cell" in out
    assert "(+0.2500)" in out
    assert run(["runs", str(folder), "--diff", "first", "thrid"]) == 2
    assert run(["runs", str(folder / "absent")]) == 2
