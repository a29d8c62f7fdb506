"""`recurra generate`: the text as it comes, the JSON, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.models import network
from contracts.models import predictor as classifier
from recurra.cli.app import run
from recurra.runtime.store import load_predictor, save_predictor
from runtime.language_models import writer


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "writer"
    save_predictor(writer(ends=False), folder, training={}, scores={}, data={})
    return str(folder)


def test_the_prompt_and_the_text_are_printed(bundle, capsys):
    assert run(["generate", bundle, "--prompt", "the cat", "--length", "40", "--temperature", "0.8"]) == 0
    out = capsys.readouterr().out
    model = load_predictor(bundle)
    assert out == "the cat" + model.generate("the cat", length=40, temperature=0.8, seed=0) + "\n"
    assert run(["generate", bundle, "--prompt", "the cat", "--length", "40", "--temperature", "0.8"]) == 0
    assert capsys.readouterr().out == out
    assert run(["generate", bundle, "--length", "40", "--seed", "1"]) == 0
    assert capsys.readouterr().out == model.generate("", length=40, seed=1) + "\n"


def test_json_holds_every_text_of_every_prompt(bundle, capsys):
    flags = ["--prompt", "the", "--prompt", "a ", "--count", "2", "--beam", "3", "--length", "10"]
    assert run(["generate", bundle, *flags, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    wanted = load_predictor(bundle).generations(["the", "a "], beam=3, count=2, length=10)
    assert [text["prompt"] for text in told["texts"]] == ["the", "the", "a ", "a "]
    assert [text["text"] for text in told["texts"]] == [each.text for made in wanted for each in made]
    assert all(text["ended"] == "length" and text["score"] < 0 for text in told["texts"])
    assert run(["generate", bundle, *flags]) == 0
    out = capsys.readouterr().out
    assert out.startswith("--- 1\nthe")
    assert out.count("---") >= 4


def test_rules_are_passed_on(bundle, capsys):
    rules = ["--ban", "t", "--stop", "m", "--require", "dog", "--beam", "2", "--length", "40"]
    more = ["--length-penalty", "0.2", "--repetition-penalty", "1.2", "--repetition-window", "9"]
    assert run(["generate", bundle, "--json", *rules, *more]) == 0
    (text,) = json.loads(capsys.readouterr().out)["texts"]
    model = load_predictor(bundle)
    asked = {"banned": ["t"], "stop": ["m"], "required": ["dog"], "beam": 2, "length": 40}
    kept = {"length_penalty": 0.2, "repetition_penalty": 1.2, "repetition_window": 9}
    assert text["text"] == model.generate("", **asked, **kept)
    assert run(["generate", bundle, "--top-k", "3", "--top-p", "0.9", "--length", "20"]) == 0
    assert capsys.readouterr().out == model.generate("", top_k=3, top_p=0.9, length=20) + "\n"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--beam", "3", "--seed", "1"], "seed has no effect with beam search"),
        (["--temperature", "-1"], "temperature must be a number of at least 0"),
        (["--length", "0"], "length must be a whole number of at least 1"),
        (["--stop", "ß"], "stop holds 'ß', which this model cannot write"),
        (["--require", "dog"], "required needs beam search"),
    ],
)
def test_bad_requests_are_one_line(bundle, capsys, flags, message):
    assert run(["generate", bundle, "--prompt", "the", *flags]) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""


def test_a_model_that_writes_nothing_is_refused(tmp_path, capsys):
    save_predictor(classifier(network("gru", False, 1)), tmp_path / "m", training={}, scores={}, data={})
    assert run(["generate", str(tmp_path / "m")]) == 2
    assert "is a classifier, which writes nothing" in capsys.readouterr().err


def test_the_command_loads_no_torch(bundle):
    code = (
        "import sys; from recurra.cli.app import run;"
        f"code = run(['generate', {bundle!r}, '--length', '5']); assert code == 0;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "corpus.txt"
    path.write_text("the dog, the hat and the cat sat on a big red mat! " * 8, encoding="utf-8")
    return str(path)


def test_a_cache_and_learning_on_are_measured_beside_the_plain_model(bundle, corpus, capsys):
    plain = load_predictor(bundle).scores([Path(corpus).read_text()])["nats_per_token"]
    found = []
    ways = (
        ["--cache", "window=100", "--cache", "weight=0.3"],
        ["--dynamic", "learning_rate=1e-3", "--dynamic", "stretch=10", "--training-text", corpus],
    )
    for flags in ways:
        assert run(["evaluate", bundle, corpus, *flags, "--json"]) == 0
        scores = json.loads(capsys.readouterr().out)["scores"]
        assert scores["plain"] == pytest.approx(plain, rel=1e-9)
        found.append(scores["nats_per_token"])
    assert found[0] < plain
    assert found[1] < plain
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--cache", "window"], "--cache must be option=value with one of window, weight, flatness"),
        (["--cache", "windw=3"], "NeuralCache has no option 'windw'; did you mean 'window'"),
        (["--dynamic", "decay=0.1"], "--dynamic and --training-text need each other"),
        (["--training-text", "x.txt"], "--dynamic and --training-text need each other"),
        (["--dynamic", "decay=0.1", "--training-text", "x.txt"], "x.txt does not exist"),
        (["--cache", "window=3", "--training-text", "x.txt"], "no effect with --cache"),
        (["--cache", "window=3", "--dynamic", "decay=0.1"], "one at a time"),
    ],
)
def test_ways_of_attending_that_do_not_fit_are_refused(bundle, corpus, capsys, flags, message):
    assert run(["evaluate", bundle, corpus, *flags]) == 2
    assert message in capsys.readouterr().err


def test_predict_ranks_texts_by_their_surprise(bundle, tmp_path, capsys):
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "the cat sat"}\n{"text": "tac eht tas"}\n', encoding="utf-8")
    assert run(["predict", bundle, str(path), "--input", "text"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    wanted = list(load_predictor(bundle).records(["the cat sat", "tac eht tas"]))
    assert told == wanted
    assert run(["predict", bundle, "--text", "the cat sat"]) == 0
    assert json.loads(capsys.readouterr().out) == wanted[0]
