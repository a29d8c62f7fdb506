"""Flair beside Recurra: the same answers, tags and losses before it is timed, and who cannot be compared is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from typing import Any
from unittest import mock

import numpy as np
import pytest

from recurra.cli.app import run
from recurra.evaluation.bench import Outcome, bench_training, lesson, sentences
from recurra.evaluation.bench.trainees import ours
from recurra.evaluation.bench.usual_flair import flair_round
from recurra.kernels.engines import thread_count
from recurra.runtime.bench.models import bench_model, flair_tagger
from recurra.runtime.bench.models.cold import write_inputs
from recurra.runtime.bench.models.workload import workload
from recurra.runtime.export.probes import made_probe
from recurra.runtime.store import save_predictor
from recurra.spec import Training
from runtime.bench_saboteurs import briefly, not_installed
from runtime.quick_bench import few_and_short, start_once, without_programs, without_starts
from runtime.streaming import model_of, words
from runtime.taggers import TAGS, WORDS, tagger
from shared import assert_noticed, require

MODELS: dict[str, dict[str, Any]] = {
    "chain with rules, beginnings and endings": {"affixes": 2},
    "both directions, GRU": {"bidirectional": True, "cell": "gru"},
    "softmax, both directions": {"crf": False, "bidirectional": True, "schemes": (None,)},
    "chain without rules, RNN, one layer": {"cell": "rnn_relu", "schemes": (None,), "num_layers": 1},
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "two columns": ({"columns": (TAGS, ("x", "y")), "schemes": ("bio", None)}, "gives one tag per word"),
    "learnt states": ({"initial_state": "learnt"}, "begins with zeros, whatever it has learnt"),
    "normalised": ({"layer_norm": True}, "torch.nn has no layer_norm"),
}


@pytest.fixture(autouse=True)
def _briefly() -> Iterator[None]:
    """Few and short sequences, one turn, one thread, no other programs and no fresh processes."""
    short = mock.patch.multiple(lesson, MADE=(2, 9), SENTENCES=(1, 9))
    with briefly(), short, few_and_short(), without_programs(), without_starts(), thread_count(1):
        yield


@pytest.fixture
def flair() -> None:
    """Flair, which needs an environment of its own: `make bench-flair`."""
    require("flair", find_spec("flair") is not None, "make bench-flair makes an environment with it")


def learnt(model: Any) -> Any:
    """As if it had been trained."""
    return replace(model, config={**model.config, "training": Training(batch_size=3).to_dict()})


def answered(**options: Any) -> Any:
    return bench_model(
        tagger(scale=1.2, **options), [WORDS, [], WORDS[:3]], seconds=0.0, only=["float32", "recurra,flair"]
    )


def trained(**options: Any) -> Outcome:
    return bench_training(learnt(tagger(scale=1.2, **options)), seconds=0.0, only=["flair"])


def engines(outcome: Any) -> set[str]:
    return {row.engine for row in outcome.rows}


# ---- the same model ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_it_answers_alike_before_it_is_timed(name, flair):
    outcome = answered(**MODELS[name])
    assert outcome.unequal == []
    assert engines(outcome) == {"recurra", "flair"}
    assert all(row.difference < 1e-6 for row in outcome.rows)
    assert any("flair float32: sentences made beforehand" in note for note in outcome.notes)


@pytest.mark.parametrize("name", MODELS)
def test_it_begins_with_our_losses(name, flair):
    outcome = trained(**MODELS[name])
    assert (outcome.unequal, outcome.notes) == ([], [])
    assert engines(outcome) == {"recurra", "flair"}
    assert all(row.difference < 1e-5 for row in outcome.rows)
    assert any("Flair: sentences made beforehand" in sentence for sentence in sentences(outcome))


def test_it_learns_as_ours_does(flair):
    made = lesson.lesson_of(learnt(tagger(bidirectional=True)))
    rounds = {"recurra": ours(made), "flair": flair_round(made)}
    losses = {name: [once() for _ in range(40)] for name, once in rounds.items()}
    assert np.mean(losses["flair"][-1]) < 0.9 * np.mean(losses["flair"][0])
    np.testing.assert_allclose(losses["flair"], losses["recurra"], rtol=1e-3)


def strong(options: dict[str, Any]) -> Any:
    """A tagger whose neighbours matter more than its words, and where a sentence ends, too."""
    model = tagger(**options)
    scores = np.random.default_rng(7).normal(0.0, 3.0, (len(TAGS) + 2, len(TAGS))).astype(np.float32)
    scores[-1] = 20.0 * (np.arange(len(TAGS)) == 0)
    names = (f"chain.{part}.0" for part in ("transitions", "start", "end"))
    parts = dict(zip(names, (scores[:-2], scores[-2], scores[-1]), strict=True))
    return replace(model, parameters={**model.parameters, **parts})


def check_tags(options: dict[str, Any]) -> None:
    model, lengths = strong(options), (5, 1, 12, 2, 30)
    probe = made_probe(model, lengths, 4)
    order, tags = flair_tagger._decided(flair_tagger.tagger(model, ruled=True).eval(), model, probe)()
    codes = model.codes(model.outputs_of(probe.batch), probe.batch.offsets)[:, 0]
    offsets = probe.batch.offsets
    assert order == [4, 2, 0, 3, 1]
    assert tags == [codes[offsets[place] : offsets[place + 1]].tolist() for place in order]


@pytest.mark.parametrize("schemes", [("bio",), (None,)])
def test_what_is_timed_gives_the_tags_of_the_model(schemes, flair):
    honest = flair_tagger.program().set_chain

    def turned(made: Any, chain: Any) -> None:
        honest(made, (chain[0].T, chain[1], chain[2]))

    saboteur = mock.patch.object(flair_tagger.program(), "set_chain", turned)
    assert_noticed(saboteur, lambda: check_tags({"bidirectional": True, "schemes": schemes}))


def test_it_starts_by_itself(flair, tmp_path):
    model = tagger(affixes=1)
    inputs = write_inputs(model, workload(model, [WORDS]), tmp_path)
    start_once(list(flair_tagger.contenders(model, tmp_path, inputs[1])))


# ---- who is wrong is named -----------------------------------------------------------------------------------------


def test_a_chain_that_is_walked_backwards_is_named_and_not_timed(flair):
    honest = flair_tagger.chain_of

    def turned(predictor: Any) -> Any:
        transitions, start, end = honest(predictor)
        return transitions.T, end, start

    with mock.patch.object(flair_tagger, "chain_of", turned):
        outcome = trained(schemes=(None,))
    assert ["flair: the losses of the first steps differ" in told for told in outcome.unequal] == [True]
    assert engines(outcome) == {"recurra"}


def test_answers_in_another_order_are_named_and_not_timed(flair):
    honest = flair_tagger._batch

    def shifted(*arguments: Any) -> Any:
        answer = honest(*arguments)
        return lambda: np.roll(answer(), 1, axis=0)

    with mock.patch.object(flair_tagger, "_batch", shifted):
        outcome = answered()
    assert ["flair float32 differs" in told for told in outcome.unequal] == [True]
    assert engines(outcome) == {"recurra"}


def test_vectors_that_are_kept_from_the_step_before_are_noticed(flair):
    with mock.patch.object(flair_tagger.program(), "forget"):
        made = lesson.lesson_of(learnt(tagger(bidirectional=True)))
        once = flair_round(made)
        once()
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            once()


# ---- who takes no part, and why ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_cannot_be_is_told(name):
    options, reason = REFUSED[name]
    assert any(reason in note for note in answered(**options).notes)
    outcome = trained(**options)
    assert any(reason in note for note in outcome.notes if note.startswith("left out: flair: "))
    assert engines(outcome) == {"recurra"}


def test_rules_without_a_chain_are_told_and_leave_the_training_to_it():
    assert "left out: Flair keeps no rules between tags without a chain" in answered(crf=False).notes


def test_where_it_is_missing_the_way_to_get_it_is_told():
    with not_installed("flair"):
        told = f"flair is not installed; {flair_tagger.INSTALL}"
        assert f"left out: {told}" in answered().notes
        assert f"left out: flair: {told}" in trained().notes


def test_models_that_it_is_not_for_do_not_speak_of_it():
    model = model_of(words(), "max")
    assert not flair_tagger.plays(model)
    assert not flair_tagger.plays(tagger(kind="events"))
    assert not any("flair" in note for note in bench_model(model, seconds=0.0, only=["recurra"]).notes)
    assert not any("lair" in note for note in bench_training(learnt(model), seconds=0.0).notes)


def test_the_command_measures_both(flair, tmp_path, capsys):
    model = tagger(bidirectional=True)
    save_predictor(model, tmp_path / "m", training=Training(batch_size=3).to_dict(), scores={}, data={})
    for case in ("training", "throughput"):
        asked = ["bench", str(tmp_path / "m"), "--for", case, "--only", "recurra,flair", "--seconds", "0"]
        assert run([*asked, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert {"recurra", "flair"} <= {row["engine"] for row in told["rows"]}
