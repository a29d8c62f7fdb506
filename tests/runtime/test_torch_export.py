"""`torch.export`: programs that answer as the model does, loaded by another process alone, refused where wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from recurra.errors import ExportError, MissingExtraError, SpecError
from recurra.kernels import engines, reference
from recurra.ragged import Ragged
from recurra.runtime.export import (
    TOLERANCE,
    batch_program,
    export_torch,
    read_decoder,
    step_program,
    torch_nodes,
    torch_session,
)
from recurra.runtime.export.check import step_gap
from recurra.runtime.export.probes import Probe, step_feed
from recurra.runtime.export.table import TABLE, Row
from recurra.runtime.export.torch_nodes import state_sizes
from recurra.runtime.export.torch_programs import batch_refused, operators_of, ragged_feed
from recurra.runtime.export.torch_session import ProgramSession
from recurra.runtime.export.torch_writing import ragged_gap
from recurra.runtime.quantize import quantized
from runtime.export_models import predictor_of, swapped
from runtime.taggers import WORDS, tagger
from shared import assert_noticed

pytestmark = pytest.mark.skipif(engines.native() is None, reason="the native kernels were not built")


class Here:
    """A program just made, run where it was made: nothing is loaded."""

    def __init__(self, program: Any, states: Any = None) -> None:
        self.program, self.states = program.module(), states

    def run(self, feed: dict[str, Any]) -> dict[str, Any]:
        with torch.no_grad():
            found = self.program({name: torch.from_numpy(np.array(x)) for name, x in feed.items()})
        return {name: value.numpy() for name, value in found.items()}

    start = ProgramSession.start


def a_row(**options: Any) -> Row:
    return Row(**{"option": "", "kind": "signal", "batch": (), "step": (), **options})


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.option)
def test_every_option_answers_as_the_model_or_is_refused(row):
    predictor = predictor_of(row)
    program = batch_program(predictor)
    assert {"recurra.recur", "recurra.dense"} <= set(operators_of(program))
    gap = ragged_gap(predictor, Here(program))
    assert gap.logits == 0.0
    assert gap.answers < 1e-7
    if row.step is None:
        with pytest.raises(SpecError, match="train with bidirectional=False"):
            step_program(predictor)
        return
    program = step_program(predictor)
    assert all(name.startswith("aten.") for name in operators_of(program))
    gap = step_gap(predictor, Here(program, state_sizes(predictor.model)))
    assert gap.small
    assert gap.logits > 0 or "relu" in str(row.network)


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Any:
    """A model and its export, made while loading a program into this process would fail."""
    predictor = predictor_of(a_row(kind="events", pooling="attention", static=True, network={"cell": "gru"}))
    with mock.patch.object(torch.export, "load", side_effect=AssertionError("loaded here")):
        return predictor, export_torch(predictor, tmp_path_factory.mktemp("export") / "out")


def test_an_export_is_two_programs_their_record_and_the_encoder(exported):
    done = exported[1]
    names = {path.name for path in done.folder.iterdir()}
    assert names == {"batch.pt2", "step.pt2", "export.json", "README.md", "encoder.json", "manifest.json"}
    record = json.loads(done.record.read_text())
    assert 0 < done.difference == record["difference"] <= TOLERANCE == record["tolerance"]
    assert record["batch"]["difference"] == 0
    assert record["step"]["needs"] == []
    assert record["batch"]["needs"][0]["call"] == "recurra.nn.register_operators()"
    given = {each["name"]: each for each in record["batch"]["inputs"]}
    assert given["ids.day of week"] == {"name": "ids.day of week", "dtype": "int64", "shape": ["*"]}
    assert record["step"]["states"]["pool_peak"] == "pool_peak_out"
    assert record["checked"]["lengths"]["one row of length 0"] == [0]


STEP_ALONE = """
import sys
sys.modules["recurra"] = None
import torch
program = torch.export.load(sys.argv[1]).module()
states = {name: torch.zeros(2, 9) for name in ("h_l0", "h_l1", "pool")}
states |= {name: torch.zeros(2, 1) for name in ("pool_peak", "pool_total")}
states["count"] = torch.zeros(2, dtype=torch.int64)
ids = torch.ones(2, dtype=torch.int64)
for features in torch.linspace(-1, 1, 14).reshape(7, 2, 1):
    token = {"features": features, "ids.shop": ids, "ids.day of week": ids, "static": torch.ones(2, 2)}
    found = program({**token, **states})
    states = {name: found[name + "_out"] for name in states}
print(found["probabilities"].flatten().tolist())
"""


def test_the_step_program_runs_where_recurra_cannot_be_imported(exported):
    predictor, done = exported
    command = [sys.executable, "-c", STEP_ALONE, str(done.step)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = np.linspace(-1, 1, 14, dtype=np.float32).reshape(7, 2).T.reshape(14, 1)
    ones = np.ones(14, np.int64)
    columns = {"shop": ones, "day of week": ones}
    batch = Ragged(values=rows, offsets=np.array([0, 7, 14]), columns=columns)
    outputs = predictor.outputs_of(batch, np.ones((2, 2), np.float32))
    expected = predictor.probabilities(outputs).flatten()
    assert np.abs(np.array(json.loads(run.stdout)) - expected).max() <= TOLERANCE


@contextmanager
def gates_in_another_order() -> Iterator[None]:
    honest = reference._lstm_step

    def step(xp: Any, weights: Any, pre: Any, c: Any, clip: Any) -> Any:
        units = weights.hidden_size
        order = [
            pre[:, 2 * units : 3 * units],
            pre[:, units : 2 * units],
            pre[:, :units],
            pre[:, 3 * units :],
        ]
        return honest(xp, weights, xp.cat(order, axis=1), c, clip)

    with mock.patch.object(reference, "_lstm_step", step):
        yield


def first_steps_unnoticed() -> Any:
    def held(node: Any, parameters: Any, place: Any, kind: str, step: Any) -> Any:
        return step.held[f"{kind}_{place.suffix}"]

    return swapped(torch_nodes, "_begun", held)


def sum_for_a_mean() -> Any:
    def pool(node: Any, parameters: Any, step: Any, honest: Any = torch_nodes._pool) -> None:
        step.counts = torch.ones_like(step.counts)
        honest(node, parameters, step)

    return swapped(torch_nodes, "FORMS", {**torch_nodes.FORMS, torch_nodes.Pool: pool})


SABOTEURS = [
    (gates_in_another_order, a_row()),
    (first_steps_unnoticed, a_row(network={"initial_state": "learnt", "cell": "rnn"})),
    (sum_for_a_mean, a_row(pooling="mean")),
]


@pytest.mark.parametrize(("sabotage", "row"), SABOTEURS, ids=lambda each: getattr(each, "__name__", ""))
def test_a_wrong_step_is_found(sabotage, row):
    predictor = predictor_of(row)
    with sabotage():
        program = step_program(predictor)
    assert not step_gap(predictor, Here(program, state_sizes(predictor.model))).small


def test_a_wrong_program_is_not_kept(tmp_path):
    predictor = predictor_of(a_row(network={"layer_norm": True, "initial_state": "learnt", "cell": "rnn"}))
    wrong = pytest.raises(ExportError, match=r"step\.pt2 answers otherwise than the model")
    with first_steps_unnoticed(), wrong:
        export_torch(predictor, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_model_with_neither_program_is_refused_with_both_reasons(tmp_path):
    predictor = predictor_of(a_row(network={"zoneout": 0.1, "bidirectional": True}))
    assert batch_refused(predictor) is None
    with (
        engines.reference_engine(),
        pytest.raises(SpecError, match=r"native kernels, which were not built.*reads from the end"),
    ):
        export_torch(predictor, tmp_path / "out")


def test_a_model_in_bfloat16_is_exported_with_its_weights_and_one_in_int8_is_refused(tmp_path):
    predictor = quantized(predictor_of(a_row(network={"cell": "gru"})), "bfloat16")
    assert ragged_gap(predictor, Here(batch_program(predictor))).small
    assert step_gap(predictor, Here(step_program(predictor), state_sizes(predictor.model))).small
    with pytest.raises(SpecError, match="int8 kernels"):
        export_torch(quantized(predictor_of(a_row()), "int8"), tmp_path / "other")


def test_without_torch_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match="train"):
        export_torch(predictor_of(a_row()), tmp_path / "out")


def test_the_other_process_refuses_other_bytes_and_says_what_it_could_not_run(monkeypatch):
    predictor = predictor_of(a_row(network={"cell": "rnn"}))
    from recurra.runtime.export.torch_programs import program_bytes

    content = program_bytes(step_program(predictor))
    states = state_sizes(predictor.model)
    with monkeypatch.context() as patched:
        digest = mock.Mock(hexdigest=lambda: "0" * 64)
        patched.setattr(torch_session.hashlib, "sha256", lambda data: digest)
        with pytest.raises(ExportError, match="could not load the exported program: the file is not the one"):
            ProgramSession(content, operators=False, states=states)
    with ProgramSession(content, operators=False, states=states) as session:
        assert not session.needs_recurra
        with pytest.raises(ExportError, match="could not run the exported program"):
            session.run({"features": np.zeros((1, 4), np.float32), **session.start(1)})


def test_a_ragged_feed_is_what_the_encoder_gives():
    predictor = predictor_of(a_row(kind="tokens"))
    batch = predictor.encode(["one two three", "", "two"])
    feed = ragged_feed(predictor, batch)
    assert list(feed) == ["ids", "offsets"]
    found = Here(batch_program(predictor)).run(feed)["probabilities"]
    assert found.tobytes() == predictor.predict_proba(["one two three", "", "two"]).tobytes()


TAGGERS: dict[str, dict[str, Any]] = {
    "words and characters": {"bidirectional": True},
    "words and characters, softmax of two columns": {
        "crf": False,
        "columns": (("D", "N"), ("x", "y", "z")),
        "schemes": (None, None),
    },
    "words alone": {"kind": "words"},
    "a number per step": {"signal": True, "cell": "gru"},
    "two numbers per step": {"kind": "events", "numbers": 2},
}


@pytest.mark.parametrize("options", TAGGERS.values(), ids=TAGGERS)
def test_a_tagger_answers_for_every_step_with_its_own_bits(options):
    predictor = tagger(**options)
    gap = ragged_gap(predictor, Here(batch_program(predictor)))
    assert gap.logits == 0.0
    assert gap.answers < 1e-7
    if predictor.bidirectional:
        with pytest.raises(SpecError, match="reads from the end of a sequence"):
            step_program(predictor)
        return
    program = step_program(predictor)
    assert step_gap(predictor, Here(program, state_sizes(predictor.model))).small


def check_a_step_spells_words_of_any_length():
    predictor = tagger(crf=False)
    program = Here(step_program(predictor), state_sizes(predictor.model))
    assert step_gap(predictor, program).small
    batch = predictor.encode([["Ann", "sees"], ["antidisestablishmentarianism", "Bo"]])
    states = program.start(2)
    for step in range(2):
        found = program.run({**step_feed(predictor, Probe(batch=batch), step), **states})
        states = {name: found[f"{name}_out"] for name in states}
    expected = predictor.outputs_of(batch)[[1, 3]]
    np.testing.assert_allclose(found["logits"], expected, atol=1e-5)
    nothing = {"characters": np.zeros((2, 0), np.int64), "word_lengths": np.zeros(2, np.int64)}
    bare = program.run({**step_feed(predictor, Probe(batch=batch), 0), **nothing, **program.start(2)})
    assert np.isfinite(bare["logits"]).all()


def test_a_step_spells_words_of_any_length():
    """Words whose letters are read on into the padding would be noticed."""
    read = torch_nodes._read_word

    def read_on(node, parameters, way, letters, lengths):
        return read(node, parameters, way, letters, torch.full_like(lengths, 99))

    on = mock.patch.object(torch_nodes, "_read_word", read_on)
    assert_noticed(on, check_a_step_spells_words_of_any_length)


def test_an_exported_tagger_says_what_is_left_to_be_decoded(tmp_path):
    predictor = tagger(bidirectional=True)
    done = export_torch(predictor, tmp_path / "out")
    assert "Viterbi" in str(done.outside)
    assert "bidirectional" in done.refused["step"]
    batch = predictor.encode([WORDS, [], WORDS[:3]])
    found = Here(torch.export.load(done.batch)).run(ragged_feed(predictor, batch))["emissions"]
    tags = read_decoder(done.folder).tags(found, batch.offsets)
    assert tags == predictor.predict([WORDS, [], WORDS[:3]])
