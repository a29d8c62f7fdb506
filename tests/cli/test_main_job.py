"""fit, evaluate, predict, compare and inspect at the command line, and how they refuse bad input."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from recurra.cli.app import run
from tasks.made import signals, texts

SMALL = ["--hidden-size", "4", "--num-layers", "1", "--embedding-size", "4", "--epochs", "1"]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(zip(*texts(80), strict=True))
    return path


@pytest.fixture(scope="module")
def bundle(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "m"
    assert run(["fit", "classifier", str(table), "-o", str(folder), "-q", "--unit", "words", *SMALL]) == 0
    return folder


def spoken(capsys, *arguments: str) -> tuple[int, str, str]:
    code = run(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def test_fit_leaves_a_bundle_with_history_metrics_and_report(bundle):
    names = {path.name for path in bundle.iterdir()}
    assert {"config.json", "model.safetensors", "manifest.json", "tokenizer.json", "README.md"} <= names
    assert {"history.jsonl", "metrics.json", "report.html"} <= names
    assert not bundle.with_name("m.training").exists()


def test_fit_prints_one_json_object_and_nothing_else(table, tmp_path, capsys):
    code, out, _ = spoken(
        capsys, "fit", "classifier", str(table), "-o", str(tmp_path / "m"), "--json", *SMALL
    )
    record = json.loads(out)
    assert code == 0
    assert {"model", "task", "scores", "seconds", "epochs", "report"} <= set(record)
    assert 0 <= record["scores"]["accuracy"] <= 1
    assert {"mean_right", "mean_wrong", "gap"} <= set(record["confidence"])


def test_fit_diagnoses_its_training_on_request(table, tmp_path, capsys):
    base = ["fit", "classifier", str(table), "--cell", "rnn_relu", "--learning-rate", "30", *SMALL]
    target = tmp_path / "m"
    code, out, _ = spoken(capsys, *base, "-o", str(target), "--diagnose", "--epochs", "4", "--json")
    found = json.loads(out)["diagnosis"]
    assert code == 0
    assert "learning rate too high" in {finding["name"] for finding in found["findings"]}
    assert found["measures"]["probes"] >= 1
    page = (target / "report.html").read_text()
    assert "Diagnosis of the training" in page
    assert found["findings"][0]["advice"].split(",")[0].replace("'", "&#39;") in page
    lines = [json.loads(line) for line in (target / "history.jsonl").read_text().splitlines()]
    assert "probe" in {line["kind"] for line in lines}
    asked = ["--set", "training.diagnose=true", "--quiet"]
    code, out, _ = spoken(capsys, *base, "-o", str(tmp_path / "n"), *asked)
    assert code == 0
    assert "problem: The learning rate is too high" in out


def test_evaluate_scores_a_bundle(bundle, table, capsys):
    code, out, _ = spoken(capsys, "evaluate", str(bundle), str(table), "--json")
    record = json.loads(out)
    assert code == 0
    assert (record["task"], record["rows"]) == ("classifier", 80)
    assert "accuracy" in record["scores"]


def test_predict_answers_texts_files_and_standard_input_alike(bundle, table, tmp_path, capsys, monkeypatch):
    items = texts(80)[0][:3]
    _, by_text, _ = spoken(capsys, "predict", str(bundle), *[a for item in items for a in ("--text", item)])
    plain = tmp_path / "new.csv"
    plain.write_text("text\n" + "\n".join(items) + "\n")
    _, by_file, _ = spoken(capsys, "predict", str(bundle), str(plain))
    monkeypatch.setattr("sys.stdin", (json.dumps({"text": item}) for item in items))
    _, by_lines, _ = spoken(capsys, "predict", str(bundle), "-")
    assert by_text == by_file == by_lines
    assert set(json.loads(by_text.splitlines()[0])) == {"label", "probability", "probabilities"}


def test_predict_and_evaluate_never_load_torch(bundle, table):
    code = (
        "import sys; from recurra.cli.app import run\n"
        f"assert run(['predict', {str(bundle)!r}, '--text', 'good bad']) == 0\n"
        f"assert run(['evaluate', {str(bundle)!r}, {str(table)!r}]) == 0\n"
        "assert not {'torch', 'sklearn', 'polars', 'pandas', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_compare_prints_rows_verdict_and_report(table, tmp_path, capsys):
    code, out, _ = spoken(
        capsys,
        *("compare", "classifier", str(table), "-o", str(tmp_path / "c"), "--json", "-q"),
        *("--networks", "gru,lstm", "--seeds", "2", *SMALL),
    )
    record = json.loads(out)
    assert code == 0
    kinds = {row["name"]: row["kind"] for row in record["rows"]}
    assert {name for name, kind in kinds.items() if kind == "recurrent"} >= {"gru", "lstm"}
    assert {name for name, kind in kinds.items() if kind == "baseline"} >= {"majority", "tf-idf + logistic"}
    for row in record["rows"]:
        assert {"name", "kind", "scores", "intervals", "parameters", "seconds"} <= set(row)
    assert record["verdict"]
    assert (tmp_path / "c" / "report.html").is_file()
    assert run(["predict", str(tmp_path / "c"), "--text", "good"]) == 0


def test_configuration_file_flags_and_set_are_merged(table, tmp_path, capsys):
    config = tmp_path / "recurra.toml"
    config.write_text(
        '[network]\ncell = "gru"\nhidden_size = 3\nnum_layers = 1\n'
        '[training]\nepochs = 1\n[input]\nkind = "characters"\n'
    )
    arguments = ["fit", "classifier", str(table), "-o", str(tmp_path / "m"), "--config", str(config), "-q"]
    code, _, _ = spoken(capsys, *arguments, "--hidden-size", "5", "--set", "network.embedding_size=6")
    stored = json.loads((tmp_path / "m" / "config.json").read_text())
    assert code == 0
    assert (stored["network"]["cell"], stored["network"]["hidden_size"]) == ("gru", 5)
    assert stored["network"]["embedding_size"] == 6
    assert stored["input"]["kind"] == "characters"


def test_a_long_table_with_categories_and_static_features(tmp_path, capsys):
    generator = np.random.default_rng(0)
    path = tmp_path / "visits.csv"
    lines = ["visit,when,page,seconds,age,bought"]
    for visit in range(60):
        bought = visit % 2
        for step in range(int(generator.integers(2, 7))):
            page = generator.choice(["cart", "home"] if bought else ["home", "help"])
            lines.append(
                f"v{visit},{step},{page},{generator.random():.3f},{20 + visit % 30},{'yes' if bought else 'no'}"
            )
    path.write_text("\n".join(lines) + "\n")
    code, out, err = spoken(
        capsys,
        *(
            "fit",
            "classifier",
            str(path),
            "-o",
            str(tmp_path / "m"),
            "--json",
            "-q",
            "--sequence-id",
            "visit",
        ),
        *("--time", "when", "--input", "page", "--input", "seconds", "--static", "age", "--target", "bought"),
        *("--cell", "gru", "--hidden-size", "8", "--num-layers", "1", "--epochs", "15"),
        *("--learning-rate", "0.02", "--batch-size", "8"),
    )
    assert code == 0, err
    assert json.loads(out)["scores"]["accuracy"] > 0.8
    assert spoken(capsys, "evaluate", str(tmp_path / "m"), str(path))[0] == 0


def test_signals_in_an_npz_file(tmp_path, capsys):
    inputs, labels = signals(40)
    path = tmp_path / "signals.npz"
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in inputs])])
    np.savez(path, values=np.concatenate(inputs), offsets=offsets, targets=np.array(labels))
    flags = ["--hidden-size", "4", "--num-layers", "1", "--epochs", "1", "-q"]
    assert spoken(capsys, "fit", "classifier", str(path), "-o", str(tmp_path / "m"), *flags)[0] == 0


def test_inspect_tells_what_is_in_the_data(table, capsys):
    code, out, _ = spoken(capsys, "inspect", str(table), "--json")
    assert code == 0
    assert json.loads(out)
    assert spoken(capsys, "inspect", str(table))[0] == 0


BAD = [
    (["fit", "classifier", "NOWHERE.csv", "-o", "OUT"], "NOWHERE.csv"),
    (["fit", "classifer", "TABLE", "-o", "OUT"], "did you mean 'classifier'"),
    (["fit", "classifier", "TABLE", "-o", "OUT", "--input", "txt"], "text"),
    (["fit", "classifier", "TABLE", "-o", "OUT", "--hidden-size", "0"], "hidden_size"),
    (["fit", "classifier", "TABLE", "-o", "OUT", "--dropout", "1.2"], "dropout"),
    (["fit", "classifier", "TABLE", "-o", "OUT", "--set", "network.hiden_size=3"], "hidden_size"),
    (["fit", "classifier", "TABLE", "-o", "OUT", "--set", "netwrk.hidden_size=3"], "network"),
    (["fit", "classifier", "TABLE", "-o", "OUT", "--config", "none.toml"], "none.toml"),
    (["fit", "classifier", "TABLE"], "output"),
    (["fit", "regressor", "TABLE", "-o", "OUT"], "label"),
    (["fit", "classifier", "TABLE", "-o", "OUT", "--unit", "signal"], "does not fit"),
    (["evaluate", "NOWHERE", "TABLE"], "NOWHERE"),
    (["predict", "TABLE", "--text", "x"], "reviews.csv"),
    (["compare", "classifier", "TABLE", "-o", "OUT", "--networks", "lsmt"], "did you mean 'lstm'"),
    (["compare", "classifier", "TABLE", "-o", "OUT", "--baselines", "majorty"], "did you mean 'majority'"),
    (["nosuch"], "nosuch"),
    (["inspect", "EMPTY"], "empty"),
    (["fit", "classifier", "ONECLASS", "-o", "OUT"], "class"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), BAD, ids=lambda a: " ".join(a) if isinstance(a, list) else ""
)
def test_bad_usage_is_one_line_and_exit_code_2_and_leaves_nothing(
    arguments, message, table, tmp_path, capsys
):
    empty, one = tmp_path / "empty.csv", tmp_path / "one.csv"
    empty.write_text("text,label\n")
    one.write_text("text,label\n" + "some words,yes\n" * 30)
    places = {"TABLE": table, "OUT": tmp_path / "out", "EMPTY": empty, "ONECLASS": one}
    code, out, err = spoken(capsys, *[str(places.get(a, a)) for a in arguments])
    said = [line for line in err.splitlines() if line.startswith("error")]
    assert code == 2
    assert len(said) == 1
    assert message.lower() in said[0].lower()
    assert not out
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_a_closed_pipe_ends_quietly(bundle):
    command = f"{sys.executable} -m recurra predict {bundle} - | head -c 5"
    lines = "good bad\n" * 3000
    done = subprocess.run(["bash", "-c", command], input=lines, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
