"""Every option that shapes a graph: the operators it becomes, and that they answer as the model does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnxruntime")

from recurra.runtime.export import batch_graph, step_graph, step_refused
from recurra.runtime.export.check import Session, batch_gap, step_gap
from recurra.runtime.export.table import OF_LANGUAGE_MODELS, TABLE, WITHOUT_TRACE, Row
from recurra.spec import Network
from runtime.export_models import predictor_of


def operators(graph: Any) -> set[str]:
    found = {node.op_type for node in graph.node}
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                found |= operators(attribute.g)
    return found


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.option)
def test_an_option_becomes_its_operators_and_answers_as_the_model(row: Row):
    predictor = predictor_of(row)
    model = batch_graph(predictor)
    assert set(row.batch) <= operators(model.graph)
    assert batch_gap(predictor, Session(model.SerializeToString())).small
    if row.step is None:
        assert step_refused(predictor)
        return
    model = step_graph(predictor)
    assert set(row.step) <= operators(model.graph)
    assert "Scan" not in operators(model.graph)
    assert step_gap(predictor, Session(model.SerializeToString())).small


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "rnn_relu"])
@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("option", [{}, {"zoneout": 0.1}])
def test_cells_directions_poolings_and_learnt_starts_together(
    cell: str, pooling: str, option: dict[str, Any]
):
    row = Row(option="", network={"cell": cell, **option}, pooling=pooling, kind="signal", batch=(), step=())
    predictor = predictor_of(row, bidirectional=True, initial_state="learnt", hidden_size=5)
    assert batch_gap(predictor, Session(batch_graph(predictor).SerializeToString())).small
    predictor = predictor_of(row, initial_state="learnt", hidden_size=5)
    assert step_gap(predictor, Session(step_graph(predictor).SerializeToString())).small


def test_every_option_of_a_network_is_in_the_table_or_leaves_no_trace():
    swept = {name for row in TABLE for name in row.network}
    assert swept | set(WITHOUT_TRACE) | set(OF_LANGUAGE_MODELS) == set(Network.names())
    assert not swept & set(WITHOUT_TRACE)


def test_the_documentation_shows_the_table():
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
    assert [row.option for row in TABLE if row.to_markdown() not in page] == []
