"""Exports are kept only where they answer as the model does; what is wrong on purpose is found."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

import runtime.export_models as made
from contracts.models import TEXTS, sequences
from recurra.errors import DataError, ExportError, MissingExtraError, SpecError, StorageError
from recurra.graph.stepping import stepping_of
from recurra.runtime.export import TOLERANCE, batch_graph, export_onnx, onnx_difference, step_graph
from recurra.runtime.export.check import Session
from recurra.runtime.export.graphs import OUT
from recurra.runtime.export.probes import batch_feed, made_probe
from recurra.runtime.export.table import Row
from recurra.runtime.store import save_predictor
from runtime.export_models import predictor_of


def a_row(**options: Any) -> Row:
    return Row(**{"option": "", "kind": "signal", "batch": (), "step": (), **options})


def save(predictor: Any, folder: Any) -> Any:
    return save_predictor(predictor, folder, training={}, scores={}, data={})


def test_an_export_is_two_graphs_their_record_and_the_encoder(tmp_path):
    done = export_onnx(predictor_of(a_row(kind="tokens")), tmp_path / "out")
    names = {path.name for path in done.folder.iterdir()}
    assert names == {"batch.onnx", "step.onnx", "export.json", "README.md", "tokenizer.json", "manifest.json"}
    record = json.loads(done.record.read_text())
    assert 0 < done.difference == record["difference"] <= TOLERANCE == record["tolerance"]
    assert record["opset"] == 17
    assert record["classes"] == ["a", "b", "c"]
    assert [each["name"] for each in record["batch"]["inputs"]] == ["ids", "lengths"]
    assert record["step"]["states"]["c_l1"] == "c_l1_out"
    assert record["checked"]["lengths"]["one row of length 0"] == [0]


def test_the_same_model_exports_to_the_same_bytes(tmp_path):
    predictor = predictor_of(a_row(pooling="attention"))
    first, second = (export_onnx(predictor, tmp_path / name) for name in "ab")
    assert first.batch.read_bytes() == second.batch.read_bytes()
    assert first.record.read_bytes() == second.record.read_bytes()


def test_a_bidirectional_model_has_no_step_graph_and_says_why(tmp_path):
    predictor = predictor_of(a_row(), bidirectional=True)
    done = export_onnx(predictor, tmp_path / "out")
    assert done.step is None
    assert not (done.folder / "step.onnx").exists()
    assert "reads from the end" in json.loads(done.record.read_text())["step"]["refused"]
    with pytest.raises(SpecError, match="train with bidirectional=False"):
        step_graph(predictor)


SABOTEURS = [
    (made.lengths_dropped, a_row(pooling="mean")),
    (made.lengths_dropped, a_row(kind="tokens", network={"layer_norm": True})),
    (made.lengths_unknown_to_the_operator, a_row()),
    (made.gates_in_our_order, a_row(network={"cell": "lstm"})),
    (made.gates_in_our_order, a_row(network={"cell": "gru"})),
    (made.reset_before_product, a_row(network={"cell": "gru"})),
    (made.start_of_empty_rows_lost, a_row(network={"initial_state": "learnt"})),
    (made.mask_forgotten_by_attention, a_row(pooling="attention")),
    (made.clip_of_the_gates, a_row(network={"cell_clip": 0.1})),
    (made.states_not_handed_on, a_row()),
]


@pytest.mark.parametrize(("sabotage", "row"), SABOTEURS, ids=lambda each: getattr(each, "__name__", ""))
def test_a_wrong_graph_is_found_and_nothing_is_kept(sabotage, row, tmp_path):
    predictor = predictor_of(row)
    with sabotage(), pytest.raises(ExportError, match="answers otherwise than the model"):
        export_onnx(predictor, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    assert export_onnx(predictor, tmp_path / "out").difference <= TOLERANCE


def test_a_failed_export_leaves_the_older_one(tmp_path):
    predictor = predictor_of(a_row())
    before = export_onnx(predictor, tmp_path / "out").batch.read_bytes()
    with made.gates_in_our_order(), pytest.raises(ExportError):
        export_onnx(predictor_of(a_row(pooling="max")), tmp_path / "out")
    assert (tmp_path / "out" / "batch.onnx").read_bytes() == before


def test_a_model_is_never_replaced_by_its_export(tmp_path):
    predictor = predictor_of(a_row())
    save(predictor, tmp_path / "m")
    with pytest.raises(StorageError, match="a bundle stands there"):
        export_onnx(predictor, tmp_path / "m")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "notes.txt").write_text("mine")
    with pytest.raises(StorageError, match=r"notes\.txt"):
        export_onnx(predictor, tmp_path / "own")


@pytest.mark.parametrize("pooling", ["last", "attention"])
def test_the_step_graph_follows_the_model_over_500_steps(pooling):
    predictor = predictor_of(a_row(pooling=pooling))
    session = Session(step_graph(predictor).SerializeToString())
    stepping, states = stepping_of(predictor.model, predictor.parameters), session.start(1)
    tokens = np.random.default_rng(5).standard_normal((500, 3)).astype(np.float32)
    row = np.array([0])
    for count, token in enumerate(tokens, 1):
        found = session.run({"features": token[None], **states})
        states = {name: found[name + OUT] for name in states}
        stepping.advance(token[None], row)
        outputs = stepping.outputs(row, np.array([count]))
        assert np.abs(found["probabilities"] - predictor.probabilities(outputs)).max() <= TOLERANCE
    assert states["count"].tolist() == [500]


@pytest.mark.parametrize("network", [{}, {"cell_clip": 0.3, "bidirectional": True}])
@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
def test_not_even_nan_in_the_padding_reaches_an_answer(network, pooling):
    predictor = predictor_of(a_row(pooling=pooling, network=network))
    probe = made_probe(predictor, (4, 0, 1, 7), 0)
    feed = batch_feed(predictor, probe, longer=2)
    feed["features"][np.arange(9)[None, :] >= feed["lengths"][:, None]] = np.nan
    found = Session(batch_graph(predictor).SerializeToString()).run(feed)["probabilities"]
    assert np.abs(found - predictor.probabilities(predictor.outputs_of(probe.batch))).max() <= TOLERANCE


@pytest.mark.parametrize("lengths", [[5, 3], [2, -1]])
@pytest.mark.parametrize("network", [{}, {"layer_norm": True}])
def test_a_length_outside_of_the_batch_is_refused_by_the_graph(lengths, network):
    predictor = predictor_of(a_row(network=network))
    session = Session(batch_graph(predictor).SerializeToString())
    with pytest.raises(ExportError, match="could not run"):
        session.run({"features": np.zeros((2, 4, 3), np.float32), "lengths": np.array(lengths)})


def test_the_difference_is_measured_on_the_data_of_the_user():
    predictor = predictor_of(a_row(static=True))
    inputs, static = [each for each in sequences(9) if len(each)], np.ones((5, 2))
    assert 0 < onnx_difference(predictor, inputs, static) <= TOLERANCE
    assert 0 < onnx_difference(predictor) <= TOLERANCE
    with pytest.raises(DataError, match="static must be given"):
        onnx_difference(predictor, inputs)
    with made.gates_in_our_order():
        assert onnx_difference(predictor, inputs, static) > 1e-3
    assert onnx_difference(predictor_of(a_row(kind="tokens"), bidirectional=True), TEXTS) <= TOLERANCE
    assert onnx_difference(predictor_of(a_row(kind="tokens")), [""]) <= TOLERANCE


def test_a_number_that_is_none_is_a_difference(tmp_path):
    predictor = predictor_of(a_row())
    broken = dict(predictor.parameters)
    broken["head.bias"] = np.full_like(broken["head.bias"], np.nan)
    export = predictor_of(a_row())
    export.parameters = broken
    with pytest.raises(ExportError, match="inf"):
        _compare(predictor, export)


def _compare(predictor: Any, other: Any) -> None:
    from recurra.runtime.export import writing

    def graph_of_the_other(_: Any) -> Any:
        return batch_graph(other)

    writing._checked(predictor, "batch.onnx", graph_of_the_other, writing.batch_gap)


def test_without_onnx_the_command_that_installs_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'recurra\[onnx\]'"):
        export_onnx(predictor_of(a_row()), tmp_path / "out")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match="needs onnx, which is not installed"):
        batch_graph(predictor_of(a_row()))


def test_an_export_loads_no_torch(tmp_path):
    save(predictor_of(a_row(kind="tokens")), tmp_path / "m")
    code = f"""
import sys, recurra
from recurra.runtime.export import export_onnx
export_onnx(recurra.load({str(tmp_path / "m")!r}), {str(tmp_path / "out")!r})
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    assert json.loads((tmp_path / "out" / "export.json").read_text())["model_id"]
