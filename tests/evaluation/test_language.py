"""Language models beside n-grams: the same tokens for all, the test over blocks, and verdicts both ways."""

from __future__ import annotations

import json
from itertools import pairwise
from unittest import mock

import numpy as np
import pytest

import recurra as rc
from recurra.cli.app import run
from recurra.data.corpus import Corpus
from recurra.errors import InputError
from recurra.evaluation.kneser_ney import KneserNey
from recurra.evaluation.language import compare_language
from recurra.evaluation.language_runs import NATS, Text, blocks
from recurra.tasks.language_model import learnt_vocabulary
from shared import assert_noticed

SMALL = rc.Network(hidden_size=16, num_layers=1, embedding_size=8)


def table_of(record):
    """What must not depend on how often it was stopped: everything but what a clock said; NaN as a text."""
    rows = [{k: v for k, v in row.items() if k not in ("seconds", "latency_ms")} for row in record["rows"]]
    return json.dumps({**record, "rows": rows}, sort_keys=True)


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
    for flag in (["--folds", "3"], ["--fold-kind", "rolling"], ["--jobs", "2"]):
        assert run(["compare", "language-model", str(corpus), "-o", str(tmp_path / "b"), *flags, *flag]) == 2
        assert f"{flag[0]} has no effect on language models" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def check_more_text_helps_the_ngrams():
    found = compare_language(
        {"lstm": model(inputs=rc.Words(min_count=1))}, [english(700)], learning_curve=True
    )
    curve = found.to_dict()["learning_curve"]
    assert curve["unit"] == "tokens"
    assert curve["sizes"] == [round(share * found.sizes["train"]) for share in (0.125, 0.25, 0.5, 1)]
    scores = curve["rows"]["kneser-ney"]["scores"]
    assert scores[0] > scores[-1]
    for name, row in curve["rows"].items():
        assert len(set(row["scores"])) == 4
        assert row["scores"][-1] == pytest.approx(found.row(name).scores["nats_per_token"], rel=1e-9)


def test_a_learning_curve_is_over_growing_parts_of_the_training_text():
    """Shares that all read the whole text would be noticed."""
    assert_noticed(
        mock.patch.object(Text, "first", lambda self, share: self), check_more_text_helps_the_ngrams
    )


def test_the_parts_of_a_curve_hold_each_other_and_keep_the_tokens_of_all():
    texts = [f"{english(3)}{i}" for i in range(40)]
    whole = Corpus.of(texts)
    encoder = learnt_vocabulary(rc.Words(min_count=1), whole)
    for given in (whole, Corpus.of([" ".join(texts)])):
        parts = [Text(given, encoder, True).first(share) for share in (0.125, 0.25, 0.5, 1.0)]
        for less, more in pairwise(parts):
            assert len(less) < len(more)
            if len(more.documents) > 1:
                assert set(less.documents) < set(more.documents)
                assert np.sum(less.ids.values == 0) == 0
            else:
                assert more.documents[0].startswith(less.documents[0])


def test_a_comparison_goes_on_from_kept_runs_and_begins_anew_when_told(tmp_path, capsys):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(english(300), encoding="utf-8")
    options = {"seeds": 2, "cache": tmp_path / "runs", "learning_curve": True}
    first, again, more = (
        compare_language({"lstm": model()}, corpus, **{**options, "seeds": seeds}) for seeds in (2, 2, 3)
    )
    assert (first.trained, again.trained) == (2 + 2 + 3 * (2 + 2), 0)
    assert more.trained == 1 + 3 * 1
    assert table_of(first.to_dict()) == table_of(again.to_dict())
    assert again.best.generate("the ", length=9) == first.best.generate("the ", length=9)
    corpus.write_text(english(301), encoding="utf-8")
    assert compare_language({"lstm": model()}, corpus, **options).trained == 16


def test_the_command_keeps_runs_and_fresh_trains_them_anew(tmp_path, capsys):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(english(300), encoding="utf-8")
    flags = ["--networks", "gru", "--hidden-size", "8", "--num-layers", "1", "--epochs", "1"]
    arguments = ["compare", "language-model", str(corpus), "-o", str(tmp_path / "out"), *flags]
    arguments.append("--learning-curve")
    told = []
    for more in ([], [], ["--fresh"]):
        assert run([*arguments, *more]) == 0
        told.append(capsys.readouterr().err)
    # The last share of a curve is the comparison itself; with kept runs so are the comparison and the other shares.
    assert [each.count("3 of 3 runs are there already") for each in told] == [1, 5, 1]
    assert "Learning curve" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Training tokens" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_tokens_of_another_model_are_taken_as_they_are():
    texts = [english(5) for _ in range(20)]
    before = model(inputs=rc.Words(min_count=1)).fit([*texts, "unheard of"])
    after = model(inputs=rc.Words(min_count=1)).fit(texts, encoder=before.encoder_)
    assert after.encoder_.vocabulary == before.encoder_.vocabulary
    with pytest.raises(InputError, match="encoder must be one of inputs"):
        model().fit(texts, encoder=before.encoder_)
