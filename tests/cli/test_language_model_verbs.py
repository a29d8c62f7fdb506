"""`fit language-model` and `evaluate` as a person calls them."""

from __future__ import annotations

import json

import pytest

import recurra as rc
from recurra.cli.app import run

TEXT = "the cat sat on the mat; the dog sat on the log.\n" * 40
QUICK = (
    *("--hidden-size", "8", "--num-layers", "1", "--epochs", "1", "--batch-size", "4"),
    *("--sequence-length", "20", "--learning-rate", "0.01"),
)


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text(TEXT)
    return str(path)


@pytest.mark.parametrize("unit", ["characters", "words", "bpe", "bytes"])
def test_fit_and_evaluate_say_the_scores(corpus, tmp_path, capsys, unit):
    folder = str(tmp_path / "m")
    options = ("--set", "input.vocab_size=60") if unit == "bpe" else ()
    assert (
        run(["fit", "language-model", corpus, "--unit", unit, "-o", folder, "--json", *QUICK, *options]) == 0
    )
    fitted = json.loads(capsys.readouterr().out)
    assert fitted["task"] == "language_model"
    assert fitted["scores"]["unit"] == unit
    assert run(["evaluate", folder, corpus, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    scores = rc.load(folder).scores([TEXT])
    for name in ("perplexity", "nats_per_token", "bits_per_character"):
        assert found["scores"][name] == scores[name]
    assert found["scores"]["characters"] == len(TEXT)


def test_what_is_not_asked_for_is_as_usual_for_the_unit(corpus, tmp_path, capsys):
    for unit, softmax in (("words", "full"), ("words", "adaptive"), ("characters", "full")):
        folder = tmp_path / f"{unit}-{softmax}"
        more = (
            ("--set", "task.softmax=adaptive", "--set", "task.cutoffs=[3]") if softmax == "adaptive" else ()
        )
        asked = ["fit", "language-model", corpus, "--unit", unit, "-o", str(folder), "--quiet", *more]
        assert run([*asked, "--hidden-size", "8", "--epochs", "1"]) == 0
        capsys.readouterr()
        stored = json.loads((folder / "config.json").read_text())
        network, training = stored["network"], stored["training"]
        usual = rc.LanguageModel.usual_network(rc.Words() if unit == "words" else None, softmax)
        assert network == usual.replace(hidden_size=8).resolved().to_dict()
        assert (training["schedule"], training["batch_size"], training["epochs"]) == ("one_cycle", 16, 1)


def test_documents_and_tables_are_read_as_asked(corpus, tmp_path, capsys):
    table = tmp_path / "texts.csv"
    table.write_text("text\n" + "\n".join(f'"a text, number {i}"' for i in range(12)))
    for data, options, rows in (
        (corpus, ("--documents", "lines"), 40),
        (str(table), ("--input", "text"), 12),
    ):
        folder = str(tmp_path / f"m{rows}")
        assert run(["fit", "language-model", data, "-o", folder, "--quiet", *options, *QUICK]) == 0
        capsys.readouterr()
        assert run(["evaluate", folder, data, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["rows"] == rows


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--unit", "syllables"], "unit must be one of"),
        (["--documents", "pages"], "documents must be one of"),
        (["--target", "label"], "has no effect on running text"),
        (["--pooling", "max"], "no option 'pooling'"),
        (["--bidirectional"], "must not see what it is to predict"),
        (["--conformal", "0.9"], "no effect on a language model"),
        (["--set", "data.test=2"], "must be a share"),
        (["--encoding", "utf-9"], "encoding 'utf-9' is unknown"),
    ],
)
def test_bad_use_is_one_line_and_leaves_nothing(corpus, tmp_path, capsys, arguments, message):
    assert run(["fit", "language-model", corpus, "-o", str(tmp_path / "m"), *QUICK, *arguments]) == 2
    told = capsys.readouterr().err.strip()
    assert message in told
    assert "Traceback" not in told
    assert not (tmp_path / "m").exists()


def test_bad_bytes_in_the_middle_of_a_file_are_named(tmp_path, capsys):
    path = tmp_path / "bad.txt"
    path.write_bytes(TEXT.encode() + b"\xff" + TEXT.encode())
    assert run(["fit", "language-model", str(path), "-o", str(tmp_path / "m"), *QUICK]) == 2
    assert f"byte {len(TEXT)} (0xff)" in capsys.readouterr().err
