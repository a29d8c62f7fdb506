"""The bench of training: the usual ways in torch begin with our losses, and one that does not is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from recurra.cli.app import run
from recurra.errors import DataError, SpecError
from recurra.evaluation.bench import (
    Outcome,
    bench_training,
    lesson,
    sentences,
    table,
    to_json,
    usual,
    usual_losses,
    winner,
)
from recurra.evaluation.bench.trainees import ours
from recurra.evaluation.bench.usual_chain import chain_losses
from recurra.kernels.engines import thread_count
from recurra.runtime.bench.models import torch_eager
from recurra.runtime.condition import Condition
from recurra.runtime.quantize import quantized
from recurra.runtime.store import save_predictor
from recurra.spec import Training
from recurra.training import loop
from runtime.bench_saboteurs import briefly
from runtime.language_models import writer
from runtime.quick_bench import without_flair
from runtime.streaming import model_of, numbers, plain_signal, words
from runtime.taggers import TAGS, WORDS, tagger

PADDED_AND_PACKED = {"recurra", "torch-padded", "torch-packed"}


@pytest.fixture(autouse=True)
def _briefly() -> Iterator[None]:
    """One turn of a round of short sequences, one thread."""
    short = mock.patch.multiple(lesson, MADE=(2, 9), SENTENCES=(2, 9))
    with briefly(), short, without_flair(), thread_count(1):
        yield


def trained(model: Any, **training: Any) -> Any:
    """As if it had been trained with these options."""
    options = Training(**{"batch_size": 3, **training}).to_dict()
    return replace(model, config={**model.config, "training": options})


def measured(model: Any, *given: Any, **options: Any) -> Outcome:
    return bench_training(trained(model), *given, seconds=0.0, **options)


def engines(outcome: Outcome) -> set[str]:
    return {row.engine for row in outcome.rows}


# ---- everybody learns the same -------------------------------------------------------------------------------------

MODELS: dict[str, Any] = {
    "classifier, last, dropout": lambda: model_of(words(), "last", dropout=0.3, input_dropout=0.5),
    "both directions, max": lambda: model_of(words(), "max", bidirectional=True),
    "both directions, last, states learnt": lambda: model_of(
        words(), "last", bidirectional=True, cell="gru", initial_state="learnt"
    ),
    "signal, attention, static": lambda: model_of(plain_signal(), "attention", static=True, cell="rnn_relu"),
    "tagger, chain, spelt": lambda: tagger(bidirectional=True, affixes=1),
    "tagger, two chains": lambda: tagger(columns=(TAGS, ("x", "y", "z")), schemes=("bio", None)),
    "tagger, softmax": lambda: tagger(crf=False, num_layers=1),
    "two numbers per step": lambda: tagger(kind="events", numbers=2),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_usual_ways_begin_with_our_losses(name):
    outcome = measured(MODELS[name]())
    assert outcome.unequal == []
    assert outcome.notes == []
    assert engines(outcome) == PADDED_AND_PACKED
    assert all(0 <= row.difference < 1e-5 for row in outcome.rows)
    assert (outcome.steps, outcome.sequences, outcome.made) == (4, 12, True)
    for row in outcome.rows:
        assert row.tokens_per_second / row.sequences_per_second == pytest.approx(outcome.tokens / 12)
        assert row.ms_per_step * 4 * row.sequences_per_second == pytest.approx(12e3)


LANGUAGE: dict[str, dict[str, Any]] = {
    "characters": {"weight_dropout": 0.3, "embedding_dropout": 0.1},
    "words, states learnt": {"unit": "words", "initial_state": "learnt"},
    "one matrix for both ends, behind a layer": {"tied_embedding": True, "embedding_size": 8, "cell": "gru"},
}


@pytest.mark.parametrize("name", LANGUAGE)
def test_the_usual_loop_of_a_language_model_hands_its_state_on_like_ours(name):
    model = trained(writer(scale=1.0, **LANGUAGE[name]), sequence_length=12)
    outcome = bench_training(model, seconds=0.0)
    assert outcome.unequal == []
    assert engines(outcome) == {"recurra", "torch"}
    assert all(row.difference < 1e-5 for row in outcome.rows)
    assert (outcome.unit, outcome.steps, outcome.sequences, outcome.tokens) == ("tokens", 4, 3, 4 * 3 * 12)


def test_a_round_really_trains():
    model = trained(model_of(words(), "mean"))
    made = lesson.lesson_of(model)
    rounds = {"recurra": ours(made), **usual.usual_rounds(made)}
    losses = {name: [once() for _ in range(12)] for name, once in rounds.items()}
    for found in losses.values():
        assert np.mean(found[-1]) < 0.9 * np.mean(found[0])
        np.testing.assert_allclose(found, losses["recurra"], rtol=1e-3)


# ---- who is wrong is named -----------------------------------------------------------------------------------------


def padding_read_by_the_backward_direction() -> Any:
    """The common fault: `bidirectional=True` over padded rows."""
    honest = torch_eager.program()

    def network(torch: Any, shape: Any, reading: str = "") -> Any:
        made = honest.network(torch, shape, "packed")
        if reading == "padded":
            made.read = lambda x, lengths: (made.stack(x)[0],) * 2
        return made

    return mock.patch.object(torch_eager, "program", return_value=mock.Mock(network=network))


def test_padding_that_is_read_first_is_noticed():
    data = [f"{'good ' * count}film" for count in (1, 2, 9, 4, 5, 1)]
    model = model_of(words(), "max", bidirectional=True)
    labels = [model.target.classes[place % 2] for place in range(len(data))]
    assert measured(model, data, labels).unequal == []
    with padding_read_by_the_backward_direction():
        outcome = measured(model, data, labels)
    assert len(outcome.unequal) == 1
    assert "torch-padded: the losses of the first steps differ by" in outcome.unequal[0]
    assert engines(outcome) == {"recurra", "torch-packed"}


def test_a_state_that_is_not_handed_on_is_noticed():
    honest = torch_eager.network

    def forgetting(*arguments: Any) -> Any:
        made = honest(*arguments)
        real = made.stack.forward
        made.stack.forward = lambda x, state=None: real(x)
        return made

    model = trained(writer(scale=3.0), sequence_length=12)
    with mock.patch.object(torch_eager, "network", forgetting):
        outcome = bench_training(model, seconds=0.0)
    assert "torch: the losses" in outcome.unequal[0]
    assert engines(outcome) == {"recurra"}


def test_a_chain_without_its_mask_is_noticed():
    def unmasked(emissions: Any, tags: Any, lengths: Any, *scores: Any) -> Any:
        return chain_losses(emissions, tags, lengths * 0 + tags.shape[1], *scores)

    with mock.patch.object(usual_losses, "chain_losses", unmasked):
        outcome = measured(tagger(bidirectional=True))
    assert len(outcome.unequal) == 2
    assert engines(outcome) == {"recurra"}


def test_steps_of_another_size_are_noticed():
    with mock.patch.object(loop, "rate_at", return_value=0.002):
        outcome = measured(model_of(words(), "mean"))
    assert len(outcome.unequal) == 2
    assert engines(outcome) == {"recurra"}


# ---- data ----------------------------------------------------------------------------------------------------------


def test_the_users_sequences_are_drawn_cut_and_counted():
    data = [numbers(length, 2) for length in (5, 0, 30, *([7] * 14))]
    model = trained(model_of(plain_signal(), "mean"), sequence_length=6)
    labels = [model.target.classes[place % 2] for place in range(len(data))]
    outcome = bench_training(model, data, labels, seconds=0.0)
    assert outcome.notes == ["12 of 17 sequences, drawn at random"]
    assert (outcome.sequences, outcome.made) == (12, False)
    assert outcome.tokens <= 6 * 12


def test_a_text_that_is_too_short_is_read_again_and_that_is_told():
    model = trained(writer(scale=1.0), sequence_length=12)
    outcome = bench_training(model, ["the cat sat", " on the mat"], seconds=0.0)
    assert outcome.notes == ["all, again and again, of 22 tokens"]
    assert outcome.tokens == 3 * 4 * 12
    with pytest.raises(DataError, match="at least two tokens"):
        bench_training(model, ["t"], seconds=0.0)


def test_tags_that_are_not_known_leave_the_usual_loops_out():
    model = tagger(bidirectional=True)
    tags = ["O"] * (len(WORDS) - 1) + [None]
    outcome = measured(model, [WORDS, WORDS[:2]], [tags, ["O", "B-a"]])
    assert outcome.notes[0] == (
        "left out: torch: the usual loops know no steps without a target, and some here have none"
    )
    assert "nobody to compare with" in outcome.notes


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((["a film"],), "training needs a target for each sequence"),
        ((["", ""], ["a", "b"]), "at least one step to learn from"),
    ],
)
def test_unusable_data_are_refused(given, message):
    with pytest.raises(DataError, match=message):
        measured(model_of(words(), "mean"), *given)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lambda: model_of(words(), "max", layer_norm=True), "torch.nn has no layer_norm"),
        (lambda: writer("words", head={"cutoffs": (3, 8)}), "the model an adaptive softmax"),
    ],
)
def test_what_torch_cannot_be_leaves_it_out_with_the_reason(model, reason):
    outcome = bench_training(trained(model(), sequence_length=5), seconds=0.0)
    assert engines(outcome) == {"recurra"}
    assert reason in outcome.notes[0]
    assert outcome.notes[1] == "nobody to compare with"


def test_models_that_are_not_measured_are_refused():
    told = writer(head={"condition": Condition.fit(["red", "blue"], 2)}, initial_state="learnt")
    for model, message in (
        (told, "does not measure a model under conditions"),
        (quantized(trained(model_of(words(), "mean")), "int8"), "int8 weights, which are not trained"),
    ):
        with pytest.raises(SpecError, match=message):
            measured(model)
    with pytest.raises(SpecError, match="did you mean 'torch-packed'"):
        measured(model_of(words(), "mean"), only=["torch-paked"])


def test_only_keeps_an_engine_beside_ours():
    outcome = measured(model_of(words(), "mean"), only=["torch-packed"])
    assert engines(outcome) == {"recurra", "torch-packed"}


def test_threads_of_torch_are_put_back():
    before = torch.get_num_threads()
    measured(model_of(words(), "mean"), only=["torch-padded"])
    assert torch.get_num_threads() == before


# ---- the command line ----------------------------------------------------------------------------------------------


def stored(model: Any, folder: Any, **training: Any) -> str:
    options = Training(**{"batch_size": 3, **training}).to_dict()
    save_predictor(model, folder, training=options, scores={}, data={"reading": {}})
    return str(folder)


def turned_gradients() -> Any:
    """The usual loop climbs."""

    def turn(parameters: Any, clip: float) -> None:
        for parameter in parameters:
            parameter.grad.neg_()

    return mock.patch.object(usual.nn.utils, "clip_grad_norm_", turn)


def test_the_command_prints_one_object_or_a_table(tmp_path, capsys):
    model = model_of(words(), "mean")
    labels = model.target.classes
    path = tmp_path / "reviews.csv"
    path.write_text(
        "text,label\n" + "".join(f"good bad film {'so ' * i},{labels[i % 2]}\n" for i in range(12))
    )
    asked = ["bench", stored(model, tmp_path / "m"), str(path), "--for", "training", "--seconds", "0"]
    asked += ["--input", "text", "--target", "label", "--threads", "1"]
    assert run([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["engine"] for row in told["rows"]} == PADDED_AND_PACKED
    assert set(told["rows"][0]) == {
        "engine", "ms_per_step", "sequences_per_second", "tokens_per_second", "difference"
    }  # fmt: skip
    assert (told["winner"]["case"], told["made"], told["unit"]) == ("training", False, "sequences")
    assert run([*asked, "--only", "torch-packed"]) == 0
    out = capsys.readouterr().out
    assert "sequences a second" in out
    assert "for training: " in out


def test_the_command_reads_text_for_a_language_model_and_fails_where_a_way_is_wrong(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("the cat sat on the mat. " * 9)
    folder = stored(writer(scale=3.0), tmp_path / "m", sequence_length=12)
    asked = [
        "bench",
        folder,
        str(tmp_path / "a.txt"),
        "--for",
        "training",
        "--seconds",
        "0",
        "--threads",
        "1",
    ]
    assert run([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["made"] is False
    assert told["notes"] == ["the first 144 of 216 tokens"]
    with turned_gradients():
        assert run([*asked, "--json"]) == 1
    out, err = capsys.readouterr()
    assert [row["engine"] for row in json.loads(out)["rows"]] == ["recurra"]
    assert "torch: the losses of the first steps differ" in err
    assert run([*asked, "--plot", "a.svg"]) == 2
    assert "--plot has no effect on --for training" in capsys.readouterr().err


def test_what_is_told_holds_every_row():
    outcome = measured(model_of(words(), "mean"))
    assert len(table(outcome).rows) == 3
    assert len(to_json(outcome)["rows"]) == 3
    assert winner(outcome)["engine"] in PADDED_AND_PACKED
    assert any("12 sequences" in sentence for sentence in sentences(outcome))
