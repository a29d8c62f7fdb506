"""Language models beside n-grams: the same tokens for all, the test over blocks, and verdicts both ways."""

from __future__ import annotations

import json

import numpy as np
import pytest

import recurra as rc
from recurra.cli.app import run
from recurra.errors import InputError
from recurra.evaluation.kneser_ney import KneserNey
from recurra.evaluation.language import NATS, blocks, compare_language

SMALL = rc.Network(hidden_size=16, num_layers=1, embedding_size=8)


def model(epochs=1, **options):
    training = rc.Training(epochs=epochs, batch_size=8, sequence_length=20, learning_rate=0.02, seed=3)
    return rc.LanguageModel(SMALL, training, **options)


def brackets(count):
    """Text in which what closes was opened long before: a network can keep it, an n-gram of 9 cannot."""
    draw = np.random.Generator(np.random.Philox(0))
    pairs = ["<>", "[]", "{}", "()"]
    return "".join(p[0] + "." * 14 + p[1] for p in (pairs[i] for i in draw.integers(0, 4, count)))


def english(count):
    draw = np.random.Generator(np.random.Philox(1))
    words = ["the cat ", "sat on ", "a mat. ", "and then ", "it slept. "]
    return "".join(words[i] for i in draw.integers(0, 5, count))


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "english.txt"
    path.write_text(english(500), encoding="utf-8")
    return compare_language({"lstm": model()}, path)


def test_all_rows_are_scored_on_the_same_tokens(outcome):
    text = english(500)
    held = text[len(text) - round(0.1 * len(text)) :]
    assert outcome.sizes["test"] == len(held)
    assert sum(outcome.sizes.values()) == len(text)
    row = outcome.row("lstm")
    found = row.estimator.predictor_.log_probabilities([held]).values
    assert row.scores["nats_per_token"] == pytest.approx(-np.mean(found, dtype=np.float64), rel=1e-9)
    np.testing.assert_array_equal(row.answers[0], found)


def test_the_baselines_are_the_ngrams_of_the_training_text(outcome):
    text = english(500)
    test, held = round(0.1 * len(text)), round(0.1 / 0.9 * (len(text) - round(0.1 * len(text))))
    parts = {"train": text[: len(text) - test - held], "test": text[len(text) - test :]}
    encoder = outcome.best.encoder_
    ids = {name: encoder.encode([part]) for name, part in parts.items()}
    for name, order in (("unigram", 1), ("kneser-ney", None)):
        (made,) = outcome.row(name).parts
        order = order or int(made.rpartition(" ")[2])
        ngrams = KneserNey.fit(ids["train"], outcome.best.head_.outputs, order)
        wanted = -ngrams.log_probabilities(ids["test"]).mean()
        assert outcome.row(name).scores["nats_per_token"] == pytest.approx(wanted, rel=1e-9)


def test_an_untrained_network_is_not_justified(outcome):
    assert outcome.verdict.startswith("a recurrent model is not justified here: kneser-ney beats lstm")
    assert outcome.row("unigram").scores["perplexity"] > outcome.row("kneser-ney").scores["perplexity"]


def test_a_network_that_remembers_beats_the_ngrams():
    asked = rc.LanguageModel(
        rc.Network(hidden_size=32, num_layers=1, embedding_size=16),
        rc.Training(epochs=12, batch_size=16, sequence_length=48, learning_rate=0.02),
    )
    found = compare_language({"lstm": asked}, [brackets(1500)])
    assert found.verdict.startswith("lstm beats kneser-ney, the strongest of 2 baselines,")
    assert (
        found.row("lstm").scores["nats_per_token"] < 0.25 < found.row("kneser-ney").scores["nats_per_token"]
    )


def test_blocks_hold_every_token_once():
    values = -np.arange(1000, dtype=np.float32)
    made = blocks(values)
    assert made.shape == (20, 2)
    assert made.sum(axis=0).tolist() == [float(np.arange(1000).sum()), 1000.0]
    assert NATS.combine(made.mean(axis=0)) == pytest.approx(np.arange(1000).mean())
    assert blocks(values[:3]).shape == (1, 2)


def test_documents_have_their_ends_foretold_by_all():
    texts = [english(4) for _ in range(60)]
    found = compare_language({"gru": model()}, texts, baselines=["kneser-ney"])
    ends = found.row("gru").estimator.predictor_.ends
    assert ends
    test = sum(len(text) for text in texts[:6])
    assert found.sizes["test"] == test + 6


def test_networks_of_other_tokens_and_unknown_baselines_are_refused():
    with pytest.raises(InputError, match="networks must read the same tokens"):
        compare_language({"a": model(), "b": model(inputs=rc.Words())}, ["the cat"])
    with pytest.raises(InputError, match="baselines must be 'auto', 'all', 'none' or of language models"):
        compare_language({"a": model()}, ["the cat"], baselines="tf-idf + logistic")
    with pytest.raises(InputError, match="must not be named as a baseline"):
        compare_language({"unigram": model()}, ["the cat"])


def test_the_command_compares_saves_and_tells(tmp_path, capsys):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(english(600), encoding="utf-8")
    flags = ["--networks", "gru", "--hidden-size", "8", "--num-layers", "1", "--epochs", "1", "--quiet"]
    output = tmp_path / "out"
    assert run(["compare", "language-model", str(corpus), "-o", str(output), *flags, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["kind"]) for row in told["rows"]] == [
        ("gru", "recurrent"),
        ("unigram", "baseline"),
        ("kneser-ney", "baseline"),
    ]
    assert "kneser-ney" in (output / "report.html").read_text(encoding="utf-8")
    assert rc.load(output).generate("the ", length=5)
    for flag in (["--folds", "3"], ["--learning-curve"], ["--jobs", "2"]):
        assert run(["compare", "language-model", str(corpus), "-o", str(tmp_path / "b"), *flags, *flag]) == 2
        assert "has no effect on language models" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()
