"""The bench of a language model that writes: all write alike before they are timed, and who does not is named."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from typing import Any
from unittest import mock

import numpy as np
import pytest

from recurra.cli.app import run
from recurra.errors import SpecError
from recurra.runtime.bench import timing
from recurra.runtime.bench.generation import (
    Outcome,
    bench_generation,
    loops,
    sentences,
    table,
    to_json,
    winner,
)
from recurra.runtime.bench.generation import authors as writing
from recurra.runtime.bench.generation import run as running
from recurra.runtime.condition import Condition
from recurra.runtime.quantize import quantized
from recurra.runtime.store import save_predictor
from runtime.bench_saboteurs import briefly, not_installed
from runtime.language_models import TEXT, writer
from runtime.taggers import tagger
from shared import require

LENGTH = 20


@pytest.fixture(autouse=True)
def _briefly() -> Iterator[None]:
    """One turn of one call, of short texts; torch and ONNX Runtime take part."""
    for part, extra in (("torch", "train"), ("onnxruntime", "onnx")):
        require(part, find_spec(part) is not None, f"pip install 'recurra[{extra}]'")
    with briefly(), mock.patch.object(running, "LENGTH", LENGTH):
        yield


def measured(model: Any, *only: str) -> Outcome:
    return bench_generation(model, seconds=0.0, only=only)


def engines(outcome: Outcome) -> set[str]:
    return {row.engine for row in outcome.rows}


MODELS: dict[str, dict[str, Any]] = {
    "characters": {},
    "words, initial states learnt": {"unit": "words", "initial_state": "learnt"},
    "gru, one matrix for both ends, behind a layer": {
        "cell": "gru",
        "tied_embedding": True,
        "embedding_size": 8,
        "seed": 2,
    },
}


@pytest.mark.parametrize("name", MODELS)
def test_every_engine_writes_the_same_texts_before_it_is_timed(name):
    outcome = measured(writer(scale=1.5, **MODELS[name]))
    assert outcome.unequal == []
    assert outcome.notes == []
    assert {(row.engine, row.decoding) for row in outcome.rows} == {
        (engine, decoding)
        for engine in ("recurra", "onnxruntime", "torch")
        for decoding in ("greedy", "drawn", "beam")
    }
    assert {row.precision for row in outcome.rows if row.engine == "recurra"} == {
        "float32",
        "bfloat16",
        "int8",
    }
    assert all(row.difference <= 1e-5 for row in outcome.rows if row.precision == "float32")
    assert all(row.difference > 1e-5 for row in outcome.rows if row.precision != "float32")
    assert all(row.per_second * row.ms_per_token == pytest.approx(1e3) for row in outcome.rows)
    assert outcome.kinds > 5


def off(stepper: loops.Stepper, change: Any) -> loops.Stepper:
    """An engine whose scores are changed."""

    def step(ids: Any, state: Any) -> Any:
        scores, after = stepper.step(ids, state)
        return change(scores), after

    return replace(stepper, step=step)


@pytest.mark.parametrize("size", [1e-3, np.nan])
def test_an_engine_whose_numbers_are_off_is_named_and_not_timed(size):
    honest = writing.in_torch
    lifted = lambda scores: scores + size * np.arange(scores.shape[1])  # noqa: E731
    with mock.patch.object(writing, "in_torch", lambda model: off(honest(model), lifted)):
        outcome = measured(writer(scale=1.5), "float32")
    assert len(outcome.unequal) == 1
    assert "torch float32 differs by" in outcome.unequal[0]
    assert engines(outcome) == {"recurra", "onnxruntime"}


def test_a_state_that_is_not_handed_on_is_noticed():
    honest = writing.in_onnxruntime

    def forgetting(model: Any) -> loops.Stepper:
        made = honest(model)
        return replace(made, step=lambda ids, state: made.step(ids, None))

    with mock.patch.object(writing, "in_onnxruntime", forgetting):
        outcome = measured(writer(scale=1.5), "float32", "greedy")
    assert "onnxruntime float32 differs" in outcome.unequal[0]


def test_a_loop_that_takes_another_token_is_noticed():
    def least(engine: loops.Stepper, script: loops.Script, honest: Any = loops.greedy) -> list[int]:
        return honest(off(engine, np.negative), script)

    with mock.patch.object(loops, "greedy", least):
        outcome = measured(writer(scale=1.5), "float32", "greedy")
    assert outcome.unequal == [
        f"{engine} float32 writes another greedy text: it is not timed" for engine in ("onnxruntime", "torch")
    ]
    assert engines(outcome) == {"recurra"}


def test_a_beam_that_keeps_the_states_of_other_texts_is_noticed():
    honest = writing.in_torch

    def mixed(model: Any) -> loops.Stepper:
        made = honest(model)
        return replace(made, pick=lambda state, rows: made.pick(state, rows * 0))

    with mock.patch.object(writing, "in_torch", mixed):
        outcome = measured(writer(scale=1.5), "float32")
    assert outcome.unequal == ["torch float32 finds another text with a beam: it is not timed"]


def judge_of(model: Any) -> Any:
    model = replace(model, config={**model.config, "ends": False})
    return running.Judge(model, loops.Script(first=model.boundary, never=(0, model.boundary), length=LENGTH))


def test_two_tokens_that_are_as_likely_may_be_taken_for_each_other():
    model = writer(scale=1.5)
    one, other = judge_of(model).ids[0], 0
    parts = {name: np.array(model.parameters[name]) for name in ("head.weight", "head.bias")}
    for values in parts.values():
        values[other := 1 if one > 1 else 2] = values[one]
    judge = judge_of(replace(model, parameters={**model.parameters, **parts}))
    taken = {one: other, other: one}[judge.ids[0]]
    third = next(token for token in judge.ids if token not in (one, other))
    for first, expected in ((taken, None), (third, "it float32 writes another greedy text: it is not timed")):
        text = [first, *judge.ids[1:]]
        it = writing.Author(
            engine="it",
            precision="float32",
            write={"greedy": lambda text=text: text},
            along=judge.difference,
        )
        assert judge.complaint(it, 0.0, ["greedy"]) == expected
    assert judge.notes == [
        "it float32 writes the same 0 tokens, and then takes the other of two that are as likely"
    ]


def test_drawn_tokens_have_the_probabilities_of_the_model():
    scores = np.log(np.array([[0.5, 0.1, 0.3, 0.1]], np.float32))
    fixed = loops.Stepper(step=lambda ids, state: (scores.copy(), None), pick=lambda state, rows: state)
    script = loops.Script(first=0, never=(3,), length=4000)
    counts = Counter(loops.drawn(fixed, script, 0.5, np.random.default_rng(3)))
    squares = np.array([0.25, 0.01, 0.09])
    assert set(counts) == {0, 1, 2}
    shares = np.array([counts[token] for token in range(3)]) / 4000
    assert np.abs(shares - squares / squares.sum()).max() < 0.03


# ---- who takes part ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"layer_norm": True}, "torch.nn has no layer_norm"),
        (
            {"unit": "words", "head": {"cutoffs": (3, 8)}},
            "the network to compare with has one linear head, and the model an adaptive softmax",
        ),
    ],
)
def test_what_torch_cannot_compute_leaves_it_out_with_the_reason(options, reason):
    outcome = measured(writer(scale=1.5, **options), "float32")
    assert outcome.unequal == []
    assert outcome.notes == [f"left out: {reason}"]
    assert engines(outcome) == {"recurra", "onnxruntime"}


def test_a_model_under_conditions_writes_under_one_of_them(tmp_path, capsys):
    told = {"condition": Condition.fit(["red", "blue"], 2)}
    model = writer(scale=1.5, head=told, initial_state="learnt")
    save_predictor(model, tmp_path / "m", training={}, scores={}, data={})
    asked = [
        "bench",
        str(tmp_path / "m"),
        "--for",
        "generation",
        "--seconds",
        "0",
        "--only",
        "float32",
        "--json",
    ]
    assert run(asked) == 2
    assert "trained under conditions; give a --condition" in capsys.readouterr().err
    assert run([*asked, "--condition", "blue"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert {row["engine"] for row in record["rows"]} == {"recurra", "onnxruntime", "torch"}


def test_what_is_not_installed_is_told():
    with not_installed("onnxruntime"):
        outcome = measured(writer(scale=1.5), "float32", "greedy")
    assert outcome.notes == ["left out: onnxruntime is not installed; pip install 'recurra[onnx]'"]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (tagger(), "language models of tokens, and this is a tagger"),
        (quantized(writer(), "int8"), "this model has int8 weights; give the float32 model"),
    ],
)
def test_other_models_are_refused(model, message):
    with pytest.raises(SpecError, match=message):
        measured(model)


@pytest.mark.parametrize(
    ("only", "message"),
    [
        (["openvino"], "--only must be one of recurra"),
        (["gredy"], "did you mean 'greedy'"),
        (["recurra,greedy"], "need an --only each"),
        (["torch", "int8"], "keeps nobody"),
    ],
)
def test_only_that_keeps_nobody_or_means_nothing_is_refused(only, message):
    with pytest.raises(SpecError, match=message):
        measured(writer(), *only)


# ---- the command line --------------------------------------------------------------------------------------------


def asking(folder, *only):
    """The words of the command for a model in `folder`, timed as shortly as can be."""
    save_predictor(writer(scale=1.5), folder / "m", training={}, scores={}, data={})
    kept = [word for each in only for word in ("--only", each)]
    return ["bench", str(folder / "m"), "--for", "generation", "--seconds", "0", *kept]


def test_the_command_prints_one_object_or_a_table(tmp_path, capsys):
    asked = asking(tmp_path, "recurra,onnxruntime")
    assert run([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["rows"][0]) == {
        "engine", "precision", "decoding", "per_second", "ms_per_token", "difference"
    }  # fmt: skip
    assert told["winner"]["case"] == "generation"
    assert (told["unit"], told["length"]) == ("characters", LENGTH)
    assert run([*asked, "--only", "greedy"]) == 0
    out = capsys.readouterr().out
    assert "characters a second" in out
    assert "for generation: " in out


def test_a_wrong_engine_is_exit_code_1_and_unusable_options_are_2(tmp_path, capsys):
    asked = asking(tmp_path, "float32", "greedy")
    honest = writing.in_torch
    with mock.patch.object(writing, "in_torch", lambda model: off(honest(model), lambda scores: 2 * scores)):
        assert run([*asked, "--json"]) == 1
    out, err = capsys.readouterr()
    assert "torch" not in {row["engine"] for row in json.loads(out)["rows"]}
    assert "torch float32 differs" in err
    for more, message in (
        ([str(TEXT[:3])], "reads no data"),
        (["--plot", "a.svg"], "--plot has no effect"),
        (["--condition", "x"], "--condition has no effect on this model"),
    ):
        assert run([*asked, *more]) == 2
        assert message in capsys.readouterr().err


def test_nobody_left_to_be_timed_has_no_winner():
    outcome = measured(writer(scale=1.5), "recurra", "float32", "greedy")
    assert winner(outcome)["exact"] == "recurra float32"
    empty = replace(outcome, rows=())
    assert winner(empty) is None
    assert to_json(empty)["winner"] is None
    assert len(table(outcome).rows) == 1
    assert any("different ones in the greedy text" in sentence for sentence in sentences(outcome))
    assert timing.ROUNDS == (1, 1)
