"""`recurra ensemble`, and every verb on what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recurra.cli.app import run
from recurra.runtime.store import load_predictor, save_predictor
from runtime.streaming import characters, model_of, words

READING = {"reading": {"input": "text", "target": "label"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("ensembles")
    models = {"a": model_of(words(), "mean", seed=1), "b": model_of(words(), "last", seed=2, cell="gru")}
    models["c"] = model_of(characters(), seed=3)
    for name, model in models.items():
        save_predictor(model, path / name, training={"seed": 1}, scores={}, data=READING)
    (path / "data.csv").write_text("text,label\none two three,a\nfive zzz,b\nsix,c\none one,a\n")
    assert run(["ensemble", str(path / "a"), str(path / "b"), "-o", str(path / "both")]) == 0
    return path


def test_joining_says_what_was_written_and_whether_it_streams(folder, tmp_path, capsys):
    assert run(["ensemble", str(folder / "a"), str(folder / "c"), "-o", str(tmp_path / "m")]) == 0
    assert "it cannot be streamed" in capsys.readouterr().out
    models = [str(folder / "a"), str(folder / "b")]
    assert run(["ensemble", *models, "-o", str(tmp_path / "n"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"model": str(tmp_path / "n"), "task": "classifier", "members": models, "streams": True}


def test_an_ensemble_is_evaluated_and_predicts(folder, capsys):
    assert run(["evaluate", str(folder / "both"), str(folder / "data.csv"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"] == 4
    assert 0 <= told["scores"]["accuracy"] <= 1
    assert run(["predict", str(folder / "both"), str(folder / "data.csv")]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    expected = list(load_predictor(folder / "both").records(["one two three", "five zzz", "six", "one one"]))
    assert [line["probabilities"] for line in lines] == [line["probabilities"] for line in expected]


def test_an_ensemble_is_streamed(folder, capsys, monkeypatch):
    source = b'{"key": "k", "input": "one two"}\n{"key": "k", "input": "five"}\n'
    out = run_stream(["stream", str(folder / "both")], source)
    answers = [json.loads(line) for line in out.splitlines()]
    assert [answer["steps"] for answer in answers] == [2, 3]
    (expected,) = load_predictor(folder / "both").records(["one two five"])
    assert answers[-1]["probabilities"] == expected["probabilities"]


def run_stream(arguments: list[str], source: bytes) -> bytes:
    import subprocess
    import sys

    command = [sys.executable, "-m", "recurra", *arguments]
    return subprocess.run(command, input=source, capture_output=True, check=True).stdout


def test_an_ensemble_is_verified(folder, capsys):
    assert run(["verify", str(folder / "both"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["passed"]
    assert any(check["name"].startswith("member 2: ") for check in told["checks"])
    assert "## Verification" in (folder / "both" / "README.md").read_text()


REFUSED = [
    (["export", "BOTH"], "do it with its members"),
    (["export", "BOTH", "--format", "torch-export"], "do it with its members"),
    (["export", "BOTH", "--precision", "int8"], "do it with its members"),
    (["ensemble", "A", "A", "-o", "OUT"], "got one twice"),
    (["ensemble", "A", "B", "-o", "A"], "--output must be another folder"),
    (["ensemble", "A", "-o", "OUT"], "has 2 to 64 models, got 1"),
    (["ensemble", "A", "BOTH", "-o", "OUT"], "got an ensemble; give its members"),
    (["ensemble", "A", "NOTHING", "-o", "OUT"], "NOTHING"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=lambda each: str(each)[:40])
def test_what_cannot_be_is_one_line_and_nothing_is_written(arguments, message, folder, tmp_path, capsys):
    places = {"A": folder / "a", "B": folder / "b", "BOTH": folder / "both", "OUT": tmp_path / "out"}
    places["NOTHING"] = folder / "NOTHING"
    before = sorted(folder.iterdir())
    assert run([str(places.get(each, each)) for each in arguments]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert sorted(folder.iterdir()) == before
