"""A tagger that starts from a language model of words: what it knew is kept, what it did not read weighs nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import recurra as rc
from recurra import kernels
from recurra.errors import SpecError
from recurra.graph.recur import Recur
from recurra.graph.run import Flow, Run
from recurra.training.callbacks import Callback
from tasks.made import texts

NETWORK = rc.Network(hidden_size=7, num_layers=2, embedding_size=5, initial_state="learnt")
QUICK = rc.Training(epochs=1, batch_size=8, sequence_length=20, learning_rate=0.01)
WORDS = rc.Tokens(min_count=1, character_size=4, units=3, affix_size=2)


@pytest.fixture(scope="module")
def donor() -> rc.LanguageModel:
    return rc.LanguageModel(NETWORK, QUICK, rc.Words(min_count=1)).fit(texts(60, seed=3)[0])


def tagged(count: int = 30) -> tuple[list[list[str]], list[list[str]]]:
    rows = [[*text.split(), "Zyx"] for text in texts(count)[0]]
    return rows, [["long" if len(word) > 3 else "short" for word in row] for row in rows]


def states(model: Any, row: list[str]) -> np.ndarray:
    """(T, ...) what leaves the recurrent layers at every step."""
    run = Run(cache={}, outputs=[])
    model.model.forward(model.parameters, Flow.of(model.encode([row]), None), run)
    assert run.outputs is not None
    return np.asarray(run.outputs[-1])


@pytest.mark.parametrize("bidirectional", [True, False])
def test_forward_states_are_those_of_the_language_model(donor, bidirectional, tmp_path):
    network = None if bidirectional else NETWORK
    donor.save(tmp_path / "lm")
    row = [word for word in tagged(1)[0][0] if word in donor.encoder_.vocabulary]
    theirs = donor.predictor_
    for given in (donor, tmp_path / "lm", rc.load(tmp_path / "lm")):
        made = rc.Tagger(network, QUICK.replace(epochs=0), WORDS, pretrained=given).fit(*tagged())
        assert made.network_.bidirectional is bidirectional
        assert set(theirs.encoder.vocabulary) <= set(made.encoder_.words)
        table, words = made.parameters_["spell.words.table"], made.encoder_.words
        for place, word in enumerate(theirs.encoder.vocabulary):
            assert (table[words.index(word)] == theirs.parameters["embed.table"][place]).all()
        assert np.abs(table[words.index("zyx")] - table[0]).max() > 0
        found = states(made.predictor_, row)
        expected = alone(theirs, row)
        np.testing.assert_allclose(found[:, :7], expected, rtol=0, atol=1e-6)


def alone(model: Any, row: list[str]) -> np.ndarray:
    """(T, H) the states of the language model's layers, which begin with these words."""
    ids = np.asarray(model.encoder.encode([row]).values)
    vectors = kernels.embed(ids, model.parameters["embed.table"])
    layers = Recur("recur", network=model.network, inputs=vectors.shape[1])
    flow = Flow(values=vectors, offsets=np.array([0, len(ids)]))
    return np.asarray(layers.forward(model.parameters, flow, Run(cache={})).values)


class Kept(Callback):
    """The weights after each epoch."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, np.ndarray]] = []

    def on_epoch(self, event: Any) -> None:
        self.epochs.append({name: value.copy() for name, value in event.parameters.items()})


@pytest.mark.parametrize("head", ["softmax", "crf"])
def test_gradual_unfreezing_begins_with_the_head_and_its_chain(donor, head):
    kept = Kept()
    training = QUICK.replace(epochs=4, unfreeze="gradual", layer_decay=0.5)
    made = rc.Tagger(None, training, WORDS, tags=rc.Tags(head=head), pretrained=donor)
    made.fit(*tagged(), callbacks=[kept])
    layers = made.model_.layers()
    moved = [
        {layers[name] for name, value in after.items() if (value != before[name]).any()}
        for before, after in zip(kept.epochs, kept.epochs[1:], strict=False)
    ]
    assert moved == [
        {"head", "recur.l1"},
        {"head", "recur.l1", "recur.l0"},
        {"head", "recur.l1", "recur.l0", "spell"},
    ]


def test_a_tagger_of_the_same_tokens_takes_over_what_a_classifier_does(donor):
    made = rc.Tagger(None, QUICK.replace(epochs=0), rc.Words(min_count=1), pretrained=donor).fit(*tagged())
    assert made.encoder_ == donor.encoder_
    assert not made.network_.bidirectional
    assert (made.parameters_["recur.weight_hh_l1"] == donor.parameters_["recur.weight_hh_l1"]).all()


def test_a_bundle_needs_no_language_model(donor, tmp_path):
    made = rc.Tagger(None, QUICK, WORDS, pretrained=donor).fit(*tagged())
    loaded = rc.load(made.save(tmp_path / "m"))
    rows = tagged(5)[0]
    assert loaded.outputs(rows).tobytes() == made.predictor_.outputs(rows).tobytes()


def test_what_does_not_fit_is_refused(donor, tmp_path):
    with pytest.raises(SpecError, match="hidden_size must be that of the pretrained model, 7"):
        rc.Tagger(NETWORK.replace(hidden_size=9), QUICK, pretrained=donor).fit(*tagged())
    (tmp_path / "v.txt").write_text("a 1 2 3 4 5\n")
    with pytest.raises(SpecError, match="vectors has no effect with pretrained"):
        rc.Tagger(None, QUICK, vectors=str(tmp_path / "v.txt"), pretrained=donor).fit(*tagged())
    letters = rc.LanguageModel(NETWORK, QUICK, rc.Characters()).fit(texts(20)[0])
    with pytest.raises(
        SpecError, match="must be a language model of words to start a tagger of words, got one of ch"
    ):
        rc.Tagger(None, QUICK, pretrained=letters).fit(*tagged())
    with pytest.raises(SpecError, match="pretrained has no effect on signal"):
        rc.Tagger(None, QUICK, pretrained=donor).fit([np.zeros((3, 1))] * 10, [["a", "b", "a"]] * 10)


def test_the_command_line_starts_from_a_stored_language_model(donor, tmp_path, capsys):
    from recurra.cli.app import run

    rows, tags = tagged()
    lines = [
        "\n".join(f"{w}\t{t}" for w, t in zip(*pair, strict=True)) for pair in zip(rows, tags, strict=True)
    ]
    (tmp_path / "a.conll").write_text("\n\n".join(lines) + "\n")
    donor.save(tmp_path / "lm")
    command = [
        "fit",
        "tagger",
        str(tmp_path / "a.conll"),
        "--input",
        "0",
        "--target",
        "-1",
        "-q",
        "--epochs",
        "1",
    ]
    flags = ["--set", f"task.pretrained={tmp_path / 'lm'}", "--set", "training.unfreeze=gradual"]
    assert run([*command, *flags, "-o", str(tmp_path / "m")]) == 0
    assert rc.load(tmp_path / "m").network.hidden_size == 7
    assert run([*command, "--set", "task.pretrained=nowhere", "-o", str(tmp_path / "n")]) == 2
    assert "nowhere" in capsys.readouterr().err
