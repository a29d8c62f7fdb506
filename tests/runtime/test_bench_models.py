"""The bench of a stored model: who takes part, what is compared first, what is told, who wins."""

from __future__ import annotations

import json
from importlib.util import find_spec
from unittest import mock

import numpy as np
import pytest

from contracts.models import TEXTS, predictor
from recurra.cli.app import run
from recurra.errors import DataError, SpecError
from recurra.runtime.bench.models import (
    CASES,
    bench_model,
    onnx_session,
    ours,
    table,
    to_json,
    torch_exported,
    winner,
)
from recurra.runtime.bench.models import run as running
from recurra.runtime.bench.models import workload as loads
from recurra.runtime.bench.models.cold import cold_starts, write_inputs
from recurra.runtime.bench.models.outcome import STREAM, Outcome, Row
from recurra.runtime.bench.models.torch_eager import contenders as torch_contenders
from recurra.runtime.quantize import quantized
from recurra.runtime.store import save_predictor
from recurra.spec import Network
from runtime.quick_bench import few_and_short, start_once, without_programs, without_starts
from runtime.streaming import model_of, numbers, plain_signal, words
from shared import assert_noticed, require

ROW = {
    "engine",
    "precision",
    "batch",
    "p50_ms",
    "p99_ms",
    "per_second",
    "megabytes",
    "cold_start_ms",
    "rss_mb",
}


@pytest.fixture(autouse=True)
def _small():
    """Few and short sequences."""
    with few_and_short():
        yield


@pytest.fixture
def no_starts():
    """Fresh processes are left out: most tests are about other things."""
    with without_starts():
        yield


@pytest.fixture
def no_programs():
    """No program of torch.export takes part."""
    with without_programs():
        yield


def off_by(amount):
    """Recurra's int8 contender replaced by one that answers float32 numbers that are off."""
    real = ours._batch

    def wrong(model, probe):
        answer = real(model, probe)
        first = np.float32(amount if model.precision == "int8" else 0.0) * np.eye(3, dtype=np.float32)[0]
        return lambda: answer() + first

    return mock.patch.object(ours, "_batch", wrong)


def row(engine="recurra", precision="float32", batch=1, p50=1.0, **changes):
    values = {
        "engine": engine, "precision": precision, "batch": batch, "p50_ms": p50, "p99_ms": p50,
        "per_second": 1000 / p50, "megabytes": 1.0, "cold_start_ms": None, "rss_mb": None, "calls": 3,
        "difference": 0.0,
    }  # fmt: skip
    return Row(**{**values, **changes})


def outcome(*rows):
    return Outcome(rows=rows, tolerances={}, differences={}, threads=1, lengths=(1, 2.0, 3), made=True)


# ---- the measurement ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_a_model_in_fewer_bits_is_compared_with_its_weights_in_float32(precision, no_starts, no_programs):
    require("torch", find_spec("torch") is not None, "pip install 'recurra[train]'")
    require("onnxruntime", find_spec("onnxruntime") is not None, "pip install 'recurra[onnx]'")
    stored = quantized(model_of(plain_signal(), "mean"), precision)
    data = [numbers(length, length) for length in (5, 1, 9)]

    def check() -> None:
        found = bench_model(stored, data, seconds=0.0, only=["float32," + precision])
        assert found.unequal == []
        assert {each.name for each in found.rows} >= {
            f"recurra {precision}",
            "onnxruntime float32",
            "torch float32",
        }
        assert 1e-5 < found.differences[f"recurra {precision}"] < 0.1

    assert_noticed(mock.patch.object(running, "in_float32", lambda model: model), check)


@pytest.mark.parametrize(
    ("cell", "pooling"),
    [("lstm", "last"), ("lstm", "mean"), ("lstm", "attention"), ("gru", "max"), ("rnn_relu", "attention")],
)
def test_every_engine_computes_the_same_model(cell, pooling, no_starts, no_programs):
    require("torch", find_spec("torch") is not None, "pip install 'recurra[train]'")
    require("onnxruntime", find_spec("onnxruntime") is not None, "pip install 'recurra[onnx]'")
    model = model_of(plain_signal(), pooling, static=True, cell=cell, initial_state="learnt")
    data = [numbers(length, length) for length in (5, 1, 0, 9)]
    found = bench_model(model, data, np.zeros((4, 2)), seconds=0.0, only=["float32"])
    assert not found.unequal
    assert {each.engine for each in found.rows} == {"recurra", "onnxruntime", "torch"}
    assert {each.batch for each in found.rows} == {1, 8, STREAM}
    assert found.lengths == (1, 5.0, 9)
    assert all(each.p50_ms > 0 and each.p99_ms >= each.p50_ms for each in found.rows)


def test_a_program_computes_the_same_model(no_starts):
    require("torch", find_spec("torch") is not None, "pip install 'recurra[train]'")
    model = model_of(plain_signal(), "attention", static=True, num_layers=1)
    found = bench_model(model, seconds=0.0, only=["torch-export"])
    assert not found.unequal
    assert {(each.engine, each.batch) for each in found.rows} == {("torch-export", n) for n in (1, 8, STREAM)}


def test_a_bidirectional_model_of_text_has_no_stream_and_says_so(no_starts, no_programs):
    found = bench_model(model_of(words(), bidirectional=True), seconds=0.0)
    assert STREAM not in {each.batch for each in found.rows}
    assert found.made
    with pytest.raises(SpecError, match="bidirectional model, which reads from the end"):
        winner(found, "stream")


def test_an_engine_that_answers_otherwise_is_named_and_not_timed(no_starts):
    with off_by(1.0):
        found = bench_model(
            predictor(Network(cell="gru", hidden_size=9)), TEXTS, seconds=0.0, only=["recurra"]
        )
    assert {each.precision for each in found.rows} == {"float32", "bfloat16"}
    assert any("recurra int8 differs by" in note and "is not timed" in note for note in found.notes)


def test_a_float32_engine_that_answers_otherwise_is_exit_code_1(no_starts, no_programs, tmp_path, capsys):
    require("onnxruntime", find_spec("onnxruntime") is not None, "pip install 'recurra[onnx]'")
    save_predictor(model_of(plain_signal(), cell="gru"), tmp_path / "m", training={}, scores={}, data={})
    real = onnx_session._batch
    with mock.patch.object(onnx_session, "_batch", lambda *a: lambda: real(*a)() * 1.01):
        code = run(["bench", str(tmp_path / "m"), "--only", "float32", "--seconds", "0", "--json"])
    out, err = capsys.readouterr()
    assert code == 1
    assert "onnxruntime float32 differs by" in err
    assert "onnxruntime" not in {each["engine"] for each in json.loads(out)["rows"]}


def test_cold_starts_are_of_fresh_processes_that_answer(tmp_path):
    model = model_of(plain_signal())
    inputs = write_inputs(model, loads.workload(model), tmp_path)
    everybody = list(ours.contenders(model, tmp_path, inputs[0]))[:1]
    if find_spec("onnxruntime"):
        everybody += list(onnx_session.contenders(model, tmp_path, inputs[1]))[:1]
    found, notes = cold_starts(everybody, 0.0)
    assert not notes
    for each in everybody:
        assert 20 < found[each.name].ms < 30_000
        assert 10 < found[each.name].rss_mb < 1000


def test_torch_starts_and_answers_in_a_fresh_process(tmp_path):
    require("torch", find_spec("torch") is not None, "pip install 'recurra[train]'")
    model = model_of(words(), "max", bidirectional=True)
    inputs = write_inputs(model, loads.workload(model), tmp_path)
    int8 = list(torch_contenders(model, tmp_path, inputs[1]))[1]
    assert int8.name == "torch int8"
    start_once([int8])


def test_a_start_that_fails_is_a_note(tmp_path):
    model = model_of(plain_signal())
    inputs = write_inputs(model, loads.workload(model), tmp_path)
    first = next(iter(ours.contenders(model, tmp_path, inputs[0])))
    (tmp_path / "recurra-float32" / "model.safetensors").write_bytes(b"torn")
    found, notes = cold_starts([first], 0.0)
    assert not found
    assert "could not be started in a fresh process" in notes[0]


def test_sequences_without_a_step_are_refused():
    with pytest.raises(DataError, match="at least one step"):
        bench_model(predictor(Network(hidden_size=3)), ["", ""], seconds=0.0)


def test_engines_that_are_not_asked_for_are_not_made(no_starts):
    with (
        mock.patch.object(onnx_session, "contenders") as made,
        mock.patch.object(torch_exported, "contenders") as traced,
    ):
        found = bench_model(model_of(plain_signal()), seconds=0.0, only=["recurra,torch", "float32"])
    assert {each.engine for each in found.rows} == {"recurra", "torch"}
    assert not made.called
    assert not traced.called


def test_nobody_left_is_refused(no_starts):
    with pytest.raises(SpecError, match="keeps no engine"):
        bench_model(predictor(Network(hidden_size=3)), seconds=0.0, only=["openvino"])


# ---- what is told ------------------------------------------------------------------------------------------------


def test_json_has_the_rows_and_the_winner(no_starts, tmp_path, capsys):
    save_predictor(model_of(plain_signal()), tmp_path / "m", training={}, scores={}, data={})
    arguments = ["bench", str(tmp_path / "m"), "--only", "recurra", "--seconds", "0", "--for", "size"]
    assert run([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["rows"][0]) >= ROW
    assert {"engine", "precision", "case", "reason"} <= set(told["winner"])
    assert told["winner"]["case"] == "size"
    assert {check["tolerance"] for check in told["checks"]} == {1e-5, 0.05, 0.1}
    card = (tmp_path / "m" / "README.md").read_text(encoding="utf-8")
    assert card.count("## Speed") == 1
    assert "| int8 | stream |" in card
    assert run([*arguments, "--no-store"]) == 0
    assert "for size: recurra" in capsys.readouterr().out
    assert (tmp_path / "m" / "README.md").read_text(encoding="utf-8") == card
    assert run(["verify", str(tmp_path / "m")]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "use recurra bench kernels, or recurra bench MODEL"),
        (["kernels", "data.csv"], "bench kernels reads no data"),
        (["MODEL", "--for", "speed"], "--for must be one of latency, throughput, stream, size"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(arguments, message, tmp_path, capsys):
    save_predictor(model_of(plain_signal()), tmp_path / "m", training={}, scores={}, data={})
    assert run(["bench", *[str(tmp_path / "m") if each == "MODEL" else each for each in arguments]]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert message in err
    assert err.count("\n") == 1


def test_a_table_has_a_line_for_every_row():
    found = outcome(row(), row(batch=8), row(batch=STREAM))
    assert len(table(found).rows) >= 3
    assert len(to_json(found, winner(found, "latency"))["rows"]) == 3


# ---- who wins ----------------------------------------------------------------------------------------------------

ROWS = (
    row("a", batch=1, p50=1.0, megabytes=4.0),
    row("b", "int8", batch=1, p50=2.0, megabytes=1.0, difference=0.01),
    row("a", batch=32, p50=8.0, per_second=4000.0),
    row("b", "int8", batch=32, p50=4.0, per_second=8000.0, difference=0.01),
    row("a", batch=STREAM, p50=0.02),
    row("c", batch=STREAM, p50=0.06),
)


@pytest.mark.parametrize(
    ("case", "engine", "exact"),
    [("latency", "a", "a"), ("throughput", "b", "a"), ("stream", "a", "a"), ("size", "b", "a")],
)
def test_each_case_has_its_winner_and_the_best_that_is_exact(case, engine, exact):
    found = winner(outcome(*ROWS), case)
    assert (found.engine, found.exact) == (engine, f"{exact} float32")
    assert ("recurra quantize" in found.reason) == (found.precision != "float32")


def test_the_cases_are_those_that_the_command_line_names():
    assert CASES == ("latency", "throughput", "stream", "size")
