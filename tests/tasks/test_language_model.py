"""Language models: what they learn, what they promise, and what they refuse."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import recurra as rc
from recurra.graph.run import tensors
from recurra.kernels import get_num_threads, set_num_threads
from recurra.runtime import walking as runtime
from recurra.tasks import language_problem, streams

NETWORK = rc.Network(hidden_size=8, num_layers=2, embedding_size=5)
TRAINING = rc.Training(epochs=2, batch_size=3, sequence_length=7, learning_rate=0.01)
TEXT = "the cat sat on the mat; the dog sat on the log. " * 12
TEXTS = [TEXT[i : i + 40 + i] for i in range(0, 30, 3)]


@pytest.fixture(scope="module")
def model() -> rc.LanguageModel:
    return rc.LanguageModel(NETWORK, TRAINING, rc.Characters()).fit(TEXTS)


def losses_in_training(model: rc.LanguageModel, tmp_path: Path, corpus, streams: int = 1):
    """Losses of every token as training sees them, window after window, without dropout and updates."""
    from recurra.data.corpus import Corpus
    from recurra.data.token_file import write_tokens

    tokens = write_tokens(tmp_path / "ids", Corpus.of(corpus), model.encoder_)
    training = model.training_.replace(batch_size=streams)
    model.training_ = training
    problem = model._problem(tokens, None, training)
    parameters = tensors(model.parameters_)
    index, state, found = np.arange(streams), None, []
    for window in range(problem.windows(index)):
        losses, weights, state = problem.loss(parameters, index, seed=5 + window, window=window, state=state)
        assert torch.all(weights == 1.0)
        found.append(losses.detach().numpy())
    return np.concatenate(found)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("start", ["zero", "learnt"])
def test_windows_with_carried_state_give_the_bits_of_whole_documents(tmp_path, cell, start):
    network = NETWORK.replace(cell=cell, initial_state=start, dropout=0.0)
    made = rc.LanguageModel(network, TRAINING.replace(epochs=1), rc.Characters()).fit(TEXTS)
    whole = -np.asarray(made.log_probabilities(TEXTS).values)
    assert losses_in_training(made, tmp_path, TEXTS).tobytes() == whole.tobytes()


def test_state_that_is_not_carried_would_be_seen(tmp_path, monkeypatch):
    made = rc.LanguageModel(NETWORK.replace(dropout=0.0), TRAINING.replace(epochs=1)).fit(TEXTS)
    whole = -np.asarray(made.log_probabilities(TEXTS).values)

    def forgotten(held, window):
        taken = taken_over(held, window)
        return {
            name: tuple(part * 0 if part is not None else None for part in p) for name, p in taken.items()
        }

    taken_over = language_problem.taken_over
    monkeypatch.setattr(language_problem, "taken_over", forgotten)
    assert losses_in_training(made, tmp_path, TEXTS).tobytes() != whole.tobytes()


def test_marks_that_do_not_reset_would_be_seen(tmp_path, monkeypatch):
    made = rc.LanguageModel(NETWORK.replace(dropout=0.0), TRAINING.replace(epochs=1)).fit(TEXTS)
    whole = -np.asarray(made.log_probabilities(TEXTS).values)
    cut = language_problem.Streams.cut
    never = lambda rows: np.zeros(len(rows), bool)  # noqa: E731
    monkeypatch.setattr(language_problem.Streams, "cut", lambda self, i, b, e, _: cut(self, i, b, e, never))
    assert losses_in_training(made, tmp_path, TEXTS).tobytes() != whole.tobytes()


def test_it_learns_what_follows_what():
    training = rc.Training(epochs=25, batch_size=8, sequence_length=20, learning_rate=0.02)
    made = rc.LanguageModel(rc.Network(hidden_size=24, num_layers=1), training).fit([TEXT * 3])
    assert made.history_.epochs[0]["validation_perplexity"] > 3
    assert made.scores([TEXT])["perplexity"] < 1.5


def test_a_text_alone_in_a_batch_and_in_stretches_gets_the_same_bits(model, monkeypatch):
    predictor = model.predictor_
    together = predictor.log_probabilities(TEXTS)
    order = np.random.default_rng(0).permutation(len(TEXTS))
    permuted = predictor.log_probabilities([TEXTS[i] for i in order])
    monkeypatch.setattr(runtime, "CHUNK_TOKENS", 9)
    for place, row in enumerate(order):
        alone = predictor.log_probabilities([TEXTS[row]])[0]
        assert alone.tobytes() == together[row].tobytes() == permuted[place].tobytes()


def test_the_next_token_has_a_distribution(model):
    batch = model.predictor_.encode(TEXTS[:2])
    logits = np.concatenate(list(model.predictor_.walk(batch))).astype(np.float64)
    probabilities = np.exp(logits - logits.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    following = np.append(np.asarray(batch.values)[1:], model.predictor_.boundary)
    following[batch.offsets[1:] - 1] = model.predictor_.boundary
    found = np.log(probabilities[np.arange(len(following)), following])
    np.testing.assert_allclose(np.asarray(model.log_probabilities(TEXTS[:2]).values), found, rtol=1e-5)


def test_scores_are_those_of_the_log_probabilities(model):
    scores, found = model.scores(TEXTS), np.asarray(model.log_probabilities(TEXTS).values, np.float64)
    characters = sum(map(len, TEXTS))
    assert scores["tokens"] == characters
    assert len(found) == characters + len(TEXTS)
    assert scores["nats_per_token"] == pytest.approx(-found.mean())
    assert scores["perplexity"] == pytest.approx(np.exp(-found.mean()))
    assert scores["bits_per_character"] == pytest.approx(-found.sum() / np.log(2) / characters)
    assert scores["unit"] == "characters"
    records = list(model.predictor_.records(TEXTS))
    assert sum(r["log_probability"] for r in records) == pytest.approx(found.sum())
    assert [r["nats_per_token"] for r in records] == pytest.approx(model.predict(TEXTS).tolist())


def test_a_stored_model_scores_with_the_same_bits_without_torch(model, tmp_path):
    model.save(tmp_path / "m")
    assert rc.load(tmp_path / "m").scores(TEXTS) == model.scores(TEXTS)
    assert rc.LanguageModel.load(tmp_path / "m").scores(TEXTS) == model.scores(TEXTS)
    code = (
        "import sys, recurra as rc; rc.load(sys.argv[1]).scores(['the cat']); print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "m")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_training_gives_the_same_bits_at_any_thread_count():
    before, found = get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            set_num_threads(threads)
            made = rc.LanguageModel(NETWORK, TRAINING).fit(TEXTS)
            found.append({name: value.tobytes() for name, value in made.parameters_.items()})
    finally:
        set_num_threads(before)
    assert found[0] == found[1] == found[2]


CHILD = """
import functools, os, signal, sys
import numpy as np
import recurra as rc
from recurra.tasks import language_model
from recurra.training.callbacks import Callback

folder, stop, text = sys.argv[1], int(sys.argv[2]), sys.argv[3]
language_model.fit = functools.partial(language_model.fit, checkpoint_steps=2)

class Kill(Callback):
    def on_step(self, event):
        if event.total == stop:
            os.kill(os.getpid(), signal.SIGKILL)

network = rc.Network(hidden_size=8, num_layers=2, embedding_size=5, dropout=0.3)
training = rc.Training(epochs=2, batch_size=3, sequence_length=7, learning_rate=0.01, schedule="one_cycle")
made = rc.LanguageModel(network, training).fit([text], folder=folder, resume=True, callbacks=[Kill()])
np.savez(folder + "/weights.npz", **made.parameters_)
print(made.fitted_.steps)
"""


def test_a_killed_run_goes_on_in_the_middle_of_an_epoch_with_the_same_bits(tmp_path):
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}

    def run(folder: str, stop: int) -> subprocess.CompletedProcess[str]:
        (tmp_path / folder).mkdir(exist_ok=True)
        command = [sys.executable, str(script), str(tmp_path / folder), str(stop), TEXT]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    def weights(folder: str) -> dict[str, bytes]:
        with np.load(tmp_path / folder / "weights.npz") as found:
            return {name: found[name].tobytes() for name in found.files}

    whole = run("whole", 0)
    assert whole.returncode == 0, whole.stderr
    steps = int(whole.stdout)
    for stop in (steps // 4, steps // 2 + 5):
        assert run("killed", stop).returncode == -signal.SIGKILL
    assert run("killed", 0).returncode == 0
    assert weights("killed") == weights("whole")


@pytest.mark.parametrize(
    ("network", "training", "options", "message"),
    [
        ({"bidirectional": True}, {}, {}, "must not see what it is to predict"),
        ({}, {"batch_tokens": 5}, {}, "batch_tokens has no effect"),
        ({}, {"bucket": False}, {}, "bucket has no effect"),
        ({}, {"average": "tokens"}, {}, "average has no effect"),
        ({}, {"class_weight": "balanced"}, {}, "class_weight has no effect"),
        ({}, {}, {"inputs": rc.Signal()}, "inputs must be Characters"),
        ({}, {}, {"inputs": rc.Characters(max_length=5)}, "max_length would cut"),
        ({}, {}, {"validation": 1.0}, "validation must be a share"),
        ({}, {}, {"documents": "pages"}, "documents must be one of"),
    ],
)
def test_what_has_no_meaning_is_refused(network, training, options, message):
    made = rc.LanguageModel(NETWORK.replace(**network), TRAINING.replace(**training), **options)
    with pytest.raises(rc.errors.SpecError, match=message):
        made.fit(TEXTS)


def test_a_vocabulary_of_one_and_documents_shorter_than_a_window_are_learnt():
    made = rc.LanguageModel(NETWORK, TRAINING).fit(["aa", "a", "aaa", "aaaa"])
    assert made.encoder_.vocabularies == {"tokens": 2}
    assert np.isfinite(made.scores(["a"])["perplexity"])
    assert made.scores(["b"])["unknown_rate"] == 1.0


def test_a_file_is_one_document_whose_end_is_not_predicted(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text(TEXT)
    made = rc.LanguageModel(NETWORK, TRAINING).fit(path)
    assert not made.predictor_.ends
    assert len(made.log_probabilities(["the cat"]).values) == 7
    lines = rc.LanguageModel(NETWORK, TRAINING, documents="lines")
    path.write_text(TEXT.replace(". ", ".\n"))
    assert lines.fit(path).predictor_.ends
    assert len(lines.log_probabilities(["the cat"]).values) == 8


REGULARISED = NETWORK.replace(
    dropout=0.2,
    input_dropout=0.2,
    output_dropout=0.2,
    locked_dropout=True,
    weight_dropout=0.4,
    embedding_dropout=0.1,
    tied_embedding=True,
)


@pytest.mark.parametrize("embedding_size", [5, 8])
def test_a_regularised_model_with_tied_embeddings_is_stored_and_answers_alike(tmp_path, embedding_size):
    training = TRAINING.replace(activation_penalty=2.0, slowness_penalty=1.0, weight_decay=1e-6)
    made = rc.LanguageModel(REGULARISED.replace(embedding_size=embedding_size), training).fit(TEXTS)
    assert "head.weight" not in made.parameters_
    assert ("project.weight" in made.parameters_) == (embedding_size != 8)
    made.save(tmp_path / "m")
    assert rc.load(tmp_path / "m").scores(TEXTS) == made.scores(TEXTS)


def test_locked_dropout_drops_the_same_units_in_all_steps_of_a_sequence():
    from recurra.graph.run import Flow, Run

    offsets = np.array([0, 4, 9])
    flow = Flow(values=np.ones((9, 50), np.float32), offsets=offsets)
    locked = Run(training=True, seed=3).dropped(flow, 0.5, "here", locked=True)
    assert set(np.unique(locked)) == {0.0, 2.0}
    for begin, end in ((0, 4), (4, 9)):
        assert (locked[begin:end] == locked[begin]).all()
    assert (locked[0] != locked[4]).any()
    free = Run(training=True, seed=3).dropped(flow, 0.5, "here")
    assert not (free[:4] == free[0]).all()


def test_embedding_dropout_leaves_whole_words_out():
    from recurra.graph.embed import Embed
    from recurra.graph.run import Flow, Run

    node = Embed("embed", vocabulary=40, size=6, dropout=0.5)
    flow = Flow(values=np.tile(np.arange(40), 2), offsets=np.array([0, 80]))
    table = {"embed.table": np.ones((40, 6), np.float32)}
    values = node.forward(table, flow, Run(training=True, seed=1)).values
    assert set(np.unique(values)) == {0.0, 2.0}
    assert (values == values[:, :1]).all()
    assert (values[:40] == values[40:]).all()
    assert (node.forward(table, flow, Run()).values == 1.0).all()


@pytest.mark.parametrize("made", [rc.Classifier, rc.Regressor])
def test_only_a_language_model_ties_its_embedding(made):
    with pytest.raises(rc.errors.SpecError, match="tied_embedding needs"):
        made(rc.Network(tied_embedding=True), inputs=rc.Words(min_count=1)).fit(TEXTS, [0.0, 1.0] * 5)


def test_its_arguments_are_those_of_scikit_learn(model):
    from sklearn.base import clone

    again = clone(rc.LanguageModel(NETWORK, documents="lines"))
    assert again.get_params()["documents"] == "lines"
    assert again.set_params(network__cell="gru").network.cell == "gru"
    assert model.summary().parameters == sum(v.size for v in model.parameters_.values())


# ---- what is usual -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [rc.Characters, rc.Bytes, rc.Words, rc.BPE])
def test_left_to_itself_it_takes_what_suits_its_unit_and_its_corpus(unit, tmp_path):
    spec = unit(vocab_size=300) if unit is rc.BPE else unit()
    spelled = unit in (rc.Characters, rc.Bytes)
    model = rc.LanguageModel(inputs=spec, validation=0.0)
    few = model.set_params(training__max_seconds=0.001)
    found = few.fit([TEXT]).network_
    assert (found.hidden_size, found.tied_embedding) == ((256, False) if spelled else (200, True))
    assert found.output_dropout > 0
    assert (found.input_dropout > 0) != spelled
    assert few.training_.epochs == 20  # few windows: read as often as may be
    assert few.training_.sequence_length == (100 if spelled else 50)
    assert rc.load(few.save(tmp_path / "m")).config["training"]["epochs"] == 20


def test_epochs_by_themselves_are_about_so_many_windows():
    training = rc.Training(epochs="auto", batch_size=16, sequence_length=100)
    for tokens, epochs in ((1_000, 20), (360_000, 18), (2_600_000, 3), (90_000_000, 3)):
        assert streams.planned_in_windows(training, tokens).epochs == epochs
    assert streams.planned_in_windows(training.replace(epochs=7), 10).epochs == 7


def test_an_adaptive_softmax_has_no_usual_network_of_one_matrix():
    assert not rc.LanguageModel.usual_network(rc.Words(), "adaptive").tied_embedding
    assert rc.LanguageModel.default("network") == rc.LanguageModel.usual_network(rc.Characters())
