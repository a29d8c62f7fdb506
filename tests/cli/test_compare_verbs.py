"""`recurra compare` and `recurra tune` at the command line: folds, groups, kept runs, configuration, refusals."""

from __future__ import annotations

import csv
import json
import tomllib

import pytest

from recurra.cli.app import run
from recurra.cli.options import choices
from recurra.errors import InputError
from recurra.evaluation.config_text import config_text
from tasks.made import texts

SMALL = ["--hidden-size", "4", "--num-layers", "1", "--embedding-size", "4", "--epochs", "1", "-q"]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "writer"])
        writer.writerows([*row, f"w{at % 12}"] for at, row in enumerate(zip(*texts(96), strict=True)))
    return path


def record_of(capsys, *arguments: str):
    code = run([*arguments, "--json"])
    out, err = capsys.readouterr()
    assert code == 0, err
    return json.loads(out)


def test_folds_by_group_with_a_learning_curve_come_to_the_report(table, tmp_path, capsys):
    record = record_of(
        capsys,
        *(
            "compare",
            "classifier",
            str(table),
            "-o",
            str(tmp_path / "c"),
            "--input",
            "text",
            "--target",
            "label",
        ),
        *("--networks", "gru", "--seeds", "1", "--folds", "3", "--group", "writer", "--learning-curve"),
        *("--baselines", "majority,naive Bayes", *SMALL),
    )
    assert record["folds"] == 3
    assert record["main_score"] == "accuracy"
    assert {one["baseline"] for one in record["differences"]} == {"majority", "naive Bayes"}
    assert all(one["units"] == 12 for one in record["differences"])
    assert set(record["learning_curve"]["rows"]) == {record["winner"], "majority", "naive Bayes"}
    page = (tmp_path / "c" / "report.html").read_text()
    for words in ("Difference to every baseline", "Learning curve", "Mean ranks over folds"):
        assert words in page
    assert run(["predict", str(tmp_path / "c"), "--text", "good"]) == 0


def test_the_same_comparison_again_trains_nothing_and_a_fresh_one_everything(table, tmp_path, capsys):
    command = [
        "compare",
        "classifier",
        str(table),
        "-o",
        str(tmp_path / "c"),
        "--networks",
        "rnn",
        "--seeds",
        "2",
    ]
    command += ["--baselines", "majority", "--input", "text", "--target", "label", *SMALL[:-1]]
    assert run(command) == 0
    capsys.readouterr()
    assert run(command) == 0
    # Two seeds and the baseline.
    assert "3 of 3 runs are there already" in capsys.readouterr().err
    assert run([*command, "--fresh"]) == 0
    assert "there already" not in capsys.readouterr().err


def test_a_search_leaves_a_model_a_configuration_and_its_trials(table, tmp_path, capsys):
    pytest.importorskip("optuna", reason="the extra 'tune' is not installed")
    data = [str(table), "--input", "text", "--target", "label"]
    record = record_of(
        capsys,
        *("tune", "classifier", *data, "-o", str(tmp_path / "t"), "--trials", "3", "--folds", "2"),
        *("--seeds", "1", "--baselines", "majority", *SMALL),
    )
    assert len(record["search"]["trials"]) == 3
    assert record["search"]["trials"][0]["asked"]
    # What was given is not searched.
    assert all("network.hidden_size" not in trial["options"] for trial in record["search"]["trials"])
    assert record["tuning_verdict"]
    assert {"recurra.toml", "trials.json", "report.html"} <= {
        path.name for path in (tmp_path / "t").iterdir()
    }
    assert "The search" in (tmp_path / "t" / "report.html").read_text()
    config = ["--config", record["config"], "--epochs", "1", "-q"]
    assert run(["fit", "classifier", str(table), "-o", str(tmp_path / "m"), *config]) == 0
    capsys.readouterr()
    kinds = {run_["name"]: run_["kind"] for run_ in record_of(capsys, "runs", str(tmp_path))["runs"]}
    assert kinds == {"t": "tune", "m": "fit"}


REFUSED = [
    (["--folds", "3", "--test", "DATA"], "--test has no effect with --folds 3"),
    (["--folds", "3", "--order", "writer"], "--order has no effect with --folds 3"),
    (["--baselines", "majorty"], "did you mean 'majority'"),
    (["--folds", "200"], "k must lie between 2 and"),
    (["--folds", "3", "--group", "riter"], "no column 'riter'"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED, ids=lambda v: v if isinstance(v, str) else "")
def test_impossible_comparisons_are_refused_in_a_line_before_training(
    arguments, words, table, tmp_path, capsys
):
    named = [str(table) if a == "DATA" else a for a in arguments]
    command = [
        "compare",
        "classifier",
        str(table),
        "-o",
        str(tmp_path / "c"),
        "--input",
        "text",
        "--target",
        "label",
    ]
    assert run([*command, *named, *SMALL]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert words in error
    assert not (tmp_path / "c").exists()


def test_a_configuration_is_read_back_as_it_was_written(tmp_path):
    sections = {
        "data": {"input": ["a", 'say "b"'], "separator": "\t", "quote": ""},
        "network": {"cell": "gru", "dropout": None, "layer_norm": True},
        "training": {"learning_rate": 3e-05, "epochs": 7, "sequence_length": None},
        "input": {},
    }
    path = tmp_path / "recurra.toml"
    path.write_text(config_text(sections, comments=["of a\ntest"]), encoding="utf-8")
    assert tomllib.loads(path.read_text())["training"]["learning_rate"] == 3e-05
    made = choices(path, None, {})
    assert made.data == sections["data"]
    assert made.network == sections["network"]
    assert made.training == sections["training"]
    with pytest.raises(InputError, match="texts, numbers and lists"):
        config_text({"data": {"x": object()}})
