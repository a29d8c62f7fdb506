"""fit --conformal, predict --coverage and evaluate of a calibrated model at the command line."""

from __future__ import annotations

import csv
import json

import pytest

from recurra.cli.app import run
from tasks.made import texts

SMALL = ["--hidden-size", "4", "--num-layers", "1", "--embedding-size", "4", "--epochs", "1", "-q"]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    rows = [
        (text, label, f"person {place // 4}")
        for place, (text, label) in enumerate(zip(*texts(200), strict=True))
    ]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label", "person"), *rows])
    return path


@pytest.fixture(scope="module")
def bundle(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "m"
    flags = ["--conformal", "0.8", "--max-error", "0.49"]
    assert run(["fit", "classifier", str(table), "--group", "person", "-o", str(folder), *flags, *SMALL]) == 0
    return folder


def test_half_of_validation_is_set_aside_for_calibration(bundle):
    config = json.loads((bundle / "config.json").read_text())
    sizes = config["data"]["sizes"]
    assert sizes["validation"] == config["options"]["conformal"]["rows"] == 20
    assert sizes["train"] + sizes["validation"] + sizes["test"] == 180


def test_predict_gives_sets_at_any_coverage(bundle, capsys):
    sizes = []
    for coverage in ("0.5", "0.9"):
        assert run(["predict", str(bundle), "--text", "good the bad", "--coverage", coverage]) == 0
        record = json.loads(capsys.readouterr().out)
        assert isinstance(record["abstains"], bool)
        sizes.append(len(record["set"]))
    assert sizes[0] <= sizes[1]


def test_evaluate_reports_the_measured_coverage(bundle, table, capsys):
    assert run(["evaluate", str(bundle), str(table), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert 0 <= scores["set_coverage"] <= 1
    assert 0 <= scores["set_size"] <= 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--conformal", "90"], "--conformal must lie between 0 and 1"),
        (["--max-error", "0.1"], "--max-error has no effect without --conformal"),
        (["--conformal", "0.9", "--max-error", "2"], "--max-error must lie between 0 and 1"),
    ],
)
def test_promises_that_cannot_be_kept_are_refused_before_training(table, tmp_path, capsys, flags, message):
    assert run(["fit", "classifier", str(table), "-o", str(tmp_path / "m"), *flags, *SMALL]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_a_coverage_from_a_model_without_calibration_is_refused(table, tmp_path, capsys):
    assert run(["fit", "classifier", str(table), "-o", str(tmp_path / "m"), *SMALL]) == 0
    capsys.readouterr()
    assert run(["predict", str(tmp_path / "m"), "--text", "good", "--coverage", "0.9"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "promises no coverage: leave --coverage out" in err
