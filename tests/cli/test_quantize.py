"""`recurra quantize` and `recurra export --precision`: what they write, say and refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest

from contracts.models import LABELS, TEXTS
from recurra.cli.app import run
from recurra.runtime.store import load_predictor, save_predictor
from runtime.streaming import model_of, words


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    reading = {"input": ["text"], "target": ["label"]}
    save_predictor(
        model_of(words(), "mean", hidden_size=48),
        folder / "m",
        training={},
        scores={},
        data={"reading": reading},
    )
    rows = [f'"{text}",{label}' for text, label in zip(TEXTS, LABELS, strict=True) if text]
    (folder / "data.csv").write_text("text,label\n" + "\n".join(rows * 3) + "\n")
    return folder


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_export_writes_a_smaller_bundle_that_predicts(precision, place, capsys):
    assert run(["export", str(place / "m"), "--precision", precision, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["folder"] == str((place / f"m-{precision}").resolve())
    assert told["megabytes"]["to"] < told["megabytes"]["from"]
    small, full = load_predictor(told["folder"]), load_predictor(place / "m")
    assert small.precision == precision
    assert 0 < np.abs(small.predict_proba(TEXTS) - full.predict_proba(TEXTS)).max() < 0.05


def test_quantize_tells_every_precision_and_writes_the_recommended(place, capsys):
    arguments = ["quantize", str(place / "m"), str(place / "data.csv"), "--json", "-o", str(place / "out")]
    assert run(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["precision"] for row in told["rows"]] == ["float32", "bfloat16", "int8"]
    assert all(
        row["megabytes"] > 0 and row["ms_per_sequence"] > 0 and row["step_us"] > 0 for row in told["rows"]
    )
    assert load_predictor(told["written"]).precision == told["recommended"]


def test_quantize_shows_a_table_and_what_to_ship(place, capsys):
    assert run(["quantize", str(place / "m"), str(place / "data.csv")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:5]] == ["float32", "bfloat16", "int8"]
    assert lines[-1].startswith("ship ")


REFUSED = [
    (["export", "MODEL", "--precision", "int4"], "precision must be one of float32, bfloat16, int8"),
    (["export", "MODEL", "--precision", "int8", "--format", "onnx"], "leave one of them out"),
    (["export", "MODEL", "--precision", "int8", "-o", "MODEL"], "another folder than the model's own"),
    (["quantize", "SMALL", "DATA"], "stored in int8 already"),
    (["quantize", "MODEL", "UNLABELLED"], "no target column to score against"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=lambda each: str(each))
def test_what_cannot_be_is_one_line_and_exit_code_2(arguments, message, place, capsys):
    run(["export", str(place / "m"), "--precision", "int8", "-o", str(place / "small")])
    (place / "bare.csv").write_text("text\none two\nthree\n")
    names = {
        "MODEL": place / "m",
        "SMALL": place / "small",
        "DATA": place / "data.csv",
        "UNLABELLED": place / "bare.csv",
    }
    capsys.readouterr()
    assert run([str(names.get(each, each)) for each in arguments]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert message in err
    assert err.count("\n") == 1


def test_an_int8_model_is_not_exported_as_a_graph(place, tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    run(["export", str(place / "m"), "--precision", "int8", "-o", str(tmp_path / "small")])
    capsys.readouterr()
    assert run(["export", str(tmp_path / "small"), "--format", "onnx", "-o", str(tmp_path / "graph")]) == 2
    assert "export the float32 model" in capsys.readouterr().err
    assert not (tmp_path / "graph").exists()
