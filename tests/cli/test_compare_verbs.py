"""`recurra compare` and `recurra tune` at the command line: folds, groups, kept runs, configuration, refusals."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import pty
import subprocess
import sys
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
        writer.writerow(["text", "label", "writer", "day"])
        writer.writerows([*row, f"w{at % 12}", at] for at, row in enumerate(zip(*texts(96), strict=True)))
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


@pytest.mark.parametrize(("kind", "tested"), [("expanding", 48), ("rolling", 48), ("blocked", 96)])
def test_folds_in_time_order_test_what_is_later_and_say_so(kind, tested, table, tmp_path, capsys):
    record = record_of(
        capsys,
        *("compare", "classifier", str(table), "-o", str(tmp_path / "c"), "--input", "text"),
        *("--target", "label", "--networks", "rnn", "--seeds", "1", "--baselines", "majority"),
        *("--folds", "3", "--order", "day", "--gap", "2", "--fold-kind", kind, *SMALL),
    )
    assert record["folds"] == 3
    assert f"3 {kind} folds in time order, gap 2; {tested} of 96 sequences are tested" in record["notes"][0]
    # Neighbours in time are one unit: 2 * ceil(48 ** (1 / 3)) = 8 and 2 * ceil(96 ** (1 / 3)) = 10 of them.
    assert record["differences"][0]["units"] == 3 * 2 if tested == 48 else 3 * 4


def test_a_terminal_shows_the_whole_grid_and_the_training_that_is_on(table, tmp_path):
    command = [
        sys.executable,
        "-m",
        "recurra",
        "compare",
        "classifier",
        str(table),
        "-o",
        str(tmp_path / "c"),
    ]
    command += ["--input", "text", "--target", "label", "--networks", "rnn", "--seeds", "2", *SMALL[:-3]]
    command += ["--baselines", "majority", "--epochs", "150"]  # long enough to be drawn
    leader, follower = pty.openpty()
    done = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=follower)
    os.close(follower)
    shown = b""
    with contextlib.suppress(OSError):  # the terminal is closed when the last writer is gone
        while part := os.read(leader, 65536):
            shown += part
    os.close(leader)
    assert done.wait() == 0
    screen = shown.decode()
    for words in ("runs", "epochs", "rnn, fold 1, seed 1", "[3/3] majority", "2/3"):
        assert words in screen


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
    (["--folds", "3", "--order", "day", "--fold-kind", "rollin"], "did you mean 'rolling'"),
    (["--folds", "3", "--order", "day", "--group", "writer"], "leave one of them out"),
    (["--folds", "3", "--fold-kind", "rolling"], "--fold-kind rolling needs --folds above 1 and --order"),
    (["--order", "day", "--fold-kind", "rolling"], "--fold-kind rolling needs --folds above 1 and --order"),
    (["--folds", "3", "--gap", "2"], "--gap 2 has no effect without --order"),
    (["--gap", "2"], "gap=2 has no effect on a split that is not by time"),
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
