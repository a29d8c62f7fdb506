"""Scores of a corpus on disk: those of its documents in memory, without holding them there."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import recurra as rc
from recurra.cli.app import run
from recurra.data import corpus as reading
from recurra.data.corpus import Corpus
from recurra.errors import DataError, SpecError
from recurra.runtime import corpus_scores, walking
from recurra.runtime.corpus_scores import score_corpus
from recurra.runtime.neural_cache import NeuralCache
from recurra.tasks import language_problem

NETWORK = rc.Network(hidden_size=4, num_layers=1, embedding_size=3)
TRAINING = rc.Training(epochs=1, batch_size=3, sequence_length=20)
WORDS = ["the", "cat", "sat", "on", "a", "mat", "dög", "and", "log"]


def made_text(words: int, between: str = " ") -> str:
    random = np.random.default_rng(0)
    return between.join(random.choice(WORDS, words)) + between


@pytest.fixture(scope="module")
def model() -> rc.LanguageModel:
    return rc.LanguageModel(NETWORK, TRAINING, rc.Characters()).fit([made_text(300)])


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read, look for documents, run and sum in pieces that these small texts have many of."""
    monkeypatch.setattr(reading, "PIECE", 512)
    monkeypatch.setattr(corpus_scores, "BLOCK", 100)
    monkeypatch.setattr(walking, "CHUNK_TOKENS", 64)
    monkeypatch.setattr(language_problem, "TOGETHER", 50)


@pytest.mark.parametrize("documents", ["whole", "lines"])
@pytest.mark.parametrize("spec", [rc.Characters(), rc.Words(min_count=1), rc.Bytes()], ids=lambda s: s.name)
@pytest.mark.usefixtures("small_pieces")
def test_the_scores_are_those_of_the_documents_in_memory(tmp_path: Path, documents: str, spec) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text(made_text(150) + "\n\n" + made_text(40, "\n") + "never seen", encoding="utf-8")
    fitted = rc.LanguageModel(NETWORK, TRAINING, spec, documents=documents).fit(path)
    expected = fitted.predictor_.scores(list(Corpus.of(path, documents=documents).whole()))
    for found in (fitted.scores(path), score_corpus(fitted.predictor_, Corpus.of(path, documents=documents))):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name] == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value)


def test_validation_in_groups_of_pieces_is_validation_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    training = TRAINING.replace(batch_size=4)
    texts = [made_text(2500)]

    def loss() -> float:
        made = rc.LanguageModel(NETWORK, training, rc.Characters()).fit(texts, validation_data=texts)
        return made.history_.epochs[-1]["validation_loss"]

    at_once = loss()
    monkeypatch.setattr(language_problem, "TOGETHER", 3000)
    assert loss() == pytest.approx(at_once, rel=1e-12)


def peak(work: Callable[[], object]) -> int:
    """Bytes that a piece of work holds at most, beyond what there was."""
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def growth(score: Callable[[Corpus], object], folder: Path) -> int:
    """How much more memory a corpus of four times the length takes."""
    peaks = []
    for words in (5_000, 5_000, 20_000):  # the first warms up what is loaded and packed once
        path = folder / f"{words}.txt"
        path.write_text(made_text(words), encoding="utf-8")
        peaks.append(peak(lambda path=path: score(Corpus.of(path))))
    return peaks[2] - peaks[1]


def test_memory_does_not_grow_with_the_corpus(model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PIECE", 4096)
    monkeypatch.setattr(walking, "CHUNK_TOKENS", 2048)
    more = 15_000 * 4  # characters, roughly: a byte for each would be noticed
    assert growth(lambda corpus: score_corpus(model.predictor_, corpus), tmp_path) < more / 4
    assert growth(lambda corpus: model.predictor_.scores(list(corpus.whole())), tmp_path) > more


def test_a_cache_reads_a_corpus_once_and_holds_no_documents(model, tmp_path, monkeypatch, capsys) -> None:
    """As `evaluate --cache`: the figures are those of the documents in memory."""
    text, read = made_text(300), []
    (tmp_path / "corpus.txt").write_text(text, encoding="utf-8")
    model.save(tmp_path / "m")
    pieces = Corpus.pieces
    monkeypatch.setattr(Corpus, "pieces", lambda self: read.append(self) or pieces(self))
    flags = ["--cache", "window=50", "--cache", "weight=0.2"]
    assert run(["evaluate", str(tmp_path / "m"), str(tmp_path / "corpus.txt"), *flags, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["scores"]
    assert len(read) == 1
    cached = model.predictor_.log_probabilities([text], cache=NeuralCache(window=50, weight=0.2))
    assert found["nats_per_token"] == pytest.approx(-np.mean(cached.values, dtype=np.float64), rel=1e-9)
    assert found["plain"] == pytest.approx(model.predictor_.scores([text])["nats_per_token"], rel=1e-9)


def test_what_has_no_score_is_refused(model, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(DataError, match="at least one token"):
        model.scores(tmp_path / "empty.txt")
    told = rc.LanguageModel(NETWORK, TRAINING, rc.Characters()).fit(["a b", "b a"] * 4, ["x", "y"] * 4)
    (tmp_path / "some.txt").write_text("a b")
    with pytest.raises(SpecError, match="give each text one of 2 labels"):
        told.scores(tmp_path / "some.txt")
