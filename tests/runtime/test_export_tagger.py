"""Taggers leave the house: graphs that answer for every step, and the decoding of tags beside them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from recurra.cli.app import run
from recurra.decoding.tag_decoder import TagDecoder
from recurra.errors import CorruptBundleError, DataError, ExportError
from recurra.graph import onnx_nodes
from recurra.runtime.export import batch_graph, export_onnx, onnx_difference, read_decoder, step_graph
from recurra.runtime.export.check import Session, batch_gap, step_gap
from recurra.runtime.export.probes import batch_feed, made_probe
from recurra.runtime.store import save_predictor
from runtime.export_models import gates_in_our_order, lengths_dropped, states_not_handed_on, swapped
from runtime.taggers import STEPS, TAGS, WORDS, tagger

PLAIN: dict[str, Any] = {"crf": False, "schemes": (None,), "columns": (("D", "N", "V"),)}
TWO = {"columns": (TAGS, ("x", "y", "z")), "schemes": ("bio", None)}

KINDS: dict[str, dict[str, Any]] = {
    "words and characters, softmax": PLAIN,
    "words and characters, chain": {},
    "words and characters, rules without a chain": {"crf": False},
    "two columns, softmax": {"crf": False, "columns": (("D", "N"), ("x", "y", "z")), "schemes": (None, None)},
    "two columns, chain": TWO,
    "words with beginnings and endings": {**PLAIN, "affixes": 2},
    "words alone": {**PLAIN, "kind": "words"},
    "events": {"kind": "events"},
    "a number per step of a signal": {"signal": True},
    "two numbers per step of events": {"kind": "events", "numbers": 2},
    "learnt start, gru": {"cell": "gru", "initial_state": "learnt"},
    "layer norm": {**PLAIN, "layer_norm": True, "num_layers": 1, "scale": 1.0},
}


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_tagger_answers_as_the_model_for_every_step(kind, bidirectional):
    predictor = tagger(**{"bidirectional": bidirectional, "scale": 1.2, **KINDS[kind]})
    assert batch_gap(predictor, Session(batch_graph(predictor).SerializeToString())).small
    if not bidirectional:
        assert step_gap(predictor, Session(step_graph(predictor).SerializeToString())).small


def words_of_the_padding() -> Any:
    """What stands in the padding is read as the words that it claims to be."""

    def spell(g: Any, node: Any, parameters: Any, flow: Any, honest: Any = onnx_nodes._spell) -> None:
        column = onnx_nodes.WORD_LENGTHS
        none = g.op("Mul", flow.columns[column], g.number(0, np.int64))
        flow.columns = {**flow.columns, column: none}
        honest(g, node, parameters, flow)

    return swapped(onnx_nodes, "BATCH", {**onnx_nodes.BATCH, onnx_nodes.Spell: spell})


@pytest.mark.parametrize(
    "sabotage", [lengths_dropped, words_of_the_padding, gates_in_our_order, states_not_handed_on]
)
def test_a_wrong_graph_of_a_tagger_is_found_and_nothing_is_kept(sabotage, tmp_path):
    predictor = tagger(**PLAIN)
    with sabotage(), pytest.raises(ExportError, match=r"answers otherwise than the model|could not run"):
        export_onnx(predictor, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def exported_tags(folder: Any, predictor: Any, sentences: list[list[str]]) -> list[list[Any]]:
    """What somebody gets who has the export and ONNX Runtime alone."""
    batch = predictor.encode(sentences)
    probe = made_probe(predictor, [1], 0)
    feed = batch_feed(predictor, type(probe)(batch=batch), longer=2)
    found = Session((folder / "batch.onnx").read_bytes()).run(feed)
    name = json.loads((folder / "export.json").read_text())["decoding"]["scores"]
    return read_decoder(folder).tags(found[name][found["mask"]], batch.offsets)


@pytest.mark.parametrize("kind", ["words and characters, chain", "two columns, chain",
                                  "words and characters, rules without a chain"])  # fmt: skip
def test_tags_are_decoded_outside_of_the_graph_by_what_was_exported_beside_it(kind, tmp_path):
    predictor = tagger(bidirectional=True, **KINDS[kind])
    done = export_onnx(predictor, tmp_path / "out")
    assert "outside of the graph" in str(done.outside)
    sentences = [WORDS, ["two"], [], WORDS[::-1], ["never", "seen", "Four"]]
    assert exported_tags(done.folder, predictor, sentences) == predictor.predict(sentences)
    page = (done.folder / "README.md").read_text()
    assert "The decoding of tags" in page
    assert "`decoding.json`" in page
    record = json.loads(done.record.read_text())
    assert record["columns"] == [list(tags) for tags in predictor.target.classes]
    graph = batch_graph(predictor)
    assert "Viterbi" in {each.key: each.value for each in graph.metadata_props}["recurra.decoding"]


def test_a_pair_that_may_never_be_is_null_and_the_learnt_scores_are_exact(tmp_path):
    predictor = tagger()
    folder = export_onnx(predictor, tmp_path / "out").folder
    (column,) = json.loads((folder / "decoding.json").read_text())["columns"]
    forbidden = {
        (a, b)
        for a, row in zip(TAGS, column["transitions"], strict=True)
        for b, score in zip(TAGS, row, strict=True)
        if score is None
    }
    assert forbidden == {(a, b) for a in TAGS for b in TAGS if b[0] == "I" and (a == "O" or a[2:] != b[2:])}
    learnt = predictor.parameters["chain.transitions.0"]
    assert np.float32(column["transitions"][4][0]) == learnt[4, 0]


def test_steps_that_stand_alone_need_no_decoding(tmp_path):
    done = export_onnx(tagger(**PLAIN), tmp_path / "out")
    assert done.outside is None
    assert not (done.folder / "decoding.json").exists()
    with pytest.raises(DataError, match="complete"):
        read_decoder(done.folder)


def test_a_changed_decoding_is_refused():
    good = tagger().decoder.to_record()
    column = good["columns"][0]
    for wrong in ({"start": [0.0]}, {"scheme": "bioo"}, {"classes": None}):
        with pytest.raises(CorruptBundleError, match="how tags are decoded"):
            TagDecoder.from_record({"columns": [{**column, **wrong}]})
    decoder = TagDecoder.from_record(good)
    with pytest.raises(DataError, match=r"scores must have shape \(3, 5\), got \(3, 4\)"):
        decoder.tags(np.zeros((3, 4), np.float32), np.array([0, 3]))


def test_the_difference_is_measured_on_sentences_and_steps_of_the_user():
    assert 0 < onnx_difference(tagger(scale=1.2), [WORDS, [], WORDS[:3]]) <= 1e-5
    assert 0 < onnx_difference(tagger(scale=1.2, kind="events", numbers=2), [STEPS, STEPS[:1]]) <= 1e-5


def test_the_command_names_what_stands_outside_and_loads_no_torch(tmp_path, capsys):
    save_predictor(tagger(bidirectional=True), tmp_path / "m", training={}, scores={}, data={})
    assert run(["export", str(tmp_path / "m")]) == 0
    assert "the decoding of its tags stands outside of the graph: Viterbi" in capsys.readouterr().out
    assert run(["export", str(tmp_path / "m"), "--json"]) == 0
    assert "decoding.json" in json.loads(capsys.readouterr().out)["outside"]
    code = f"""
import sys, recurra
from recurra.runtime.export import export_onnx
export_onnx(recurra.load({str(tmp_path / "m")!r}), {str(tmp_path / "out")!r})
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
