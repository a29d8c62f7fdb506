"""Cases, filters, turns and records of the bench."""

from __future__ import annotations

import json
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest

from recurra import kernels
from recurra.cli.output import finite
from recurra.errors import SpecError
from recurra.kernels import GATES
from recurra.runtime.bench import Case, bench, chosen, full, peak, quick, sentences, table, timing, to_json
from recurra.runtime.bench.case import longest
from recurra.runtime.bench.engines import ENGINES
from recurra.runtime.bench.problem import Problem
from runtime.bench_saboteurs import briefly

ROW = {
    "cell", "mode", "dtype", "inputs", "hidden_size", "num_layers", "batch", "steps", "lengths", "bidirectional",
    "numbers", "threads", "engine", "ms", "gflops", "fraction_of_peak",
}  # fmt: skip
SMALL = Case(inputs=3, hidden_size=4, num_layers=1, batch=2, steps=5)


# ---- cases ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cell", "gates"), GATES.items())
def test_the_arithmetic_of_a_case_is_that_of_its_products(cell, gates):
    one = Case(cell=cell, inputs=10, hidden_size=8, num_layers=2, batch=3, steps=7)
    assert one.flops == 2 * gates * 8 * ((10 + 8) + (8 + 8)) * 21
    assert Case(**(one.to_dict() | {"mode": "train"})).flops == 3 * one.flops
    both = Case(**(one.to_dict() | {"bidirectional": True}))
    assert both.flops == 2 * 2 * gates * 8 * ((10 + 8) + (16 + 8)) * 21
    assert Case(**(one.to_dict() | {"mode": "step", "batch": 1, "steps": 1})).flops * 21 == one.flops


@pytest.mark.parametrize(("kind", "median"), [("short", 20), ("reviews", 230)])
def test_ragged_lengths_are_lognormal_cut_and_the_same_every_time(kind, median):
    one = Case(lengths=kind, steps=longest(kind), batch=2000)
    lengths = one.sequence_lengths
    assert np.array_equal(lengths, one.sequence_lengths)
    assert lengths.min() >= 1
    assert lengths.max() == longest(kind)
    assert abs(np.median(lengths) / median - 1) < 0.05
    assert abs(np.log(lengths[lengths < longest(kind)]).std() - 0.6) < 0.2


def test_uniform_lengths_are_the_steps():
    assert SMALL.sequence_lengths.tolist() == [5, 5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "lsmt"}, "did you mean 'lstm'"),
        ({"mode": "backward"}, "mode must be known"),
        ({"dtype": "float64"}, "dtype must be known"),
        ({"lengths": "long"}, "lengths must be known"),
        ({"hidden_size": 0}, "hidden_size must be at least 1, got 0"),
        ({"mode": "step", "batch": 2}, "one step of one stream"),
    ],
)
def test_impossible_cases_are_refused(options, message):
    with pytest.raises(SpecError, match=message):
        Case(**options)


# ---- which cases -----------------------------------------------------------------------------------------------


def test_the_quick_cases_cover_what_figures_are_promised_for():
    cases = quick(2)
    assert len(cases) == len(set(cases)) < 40
    near_zero = {(c.cell, c.mode, c.numbers) for c in cases if c.numbers != "normal"}
    assert len(near_zero) == 2 * 2 * 2
    assert {replace(c, numbers="normal") for c in cases} <= set(cases)
    kinds = {(c.cell, c.mode, c.dtype, c.hidden_size, c.batch, c.lengths, c.bidirectional) for c in cases}
    for cell in ("lstm", "gru", "rnn"):
        assert (cell, "forward", "float32", 128, 32, "uniform", False) in kinds
        assert (cell, "train", "float32", 128, 32, "uniform", False) in kinds
        assert (cell, "step", "float32", 128, 1, "uniform", False) in kinds
    for cell in ("lstm", "gru"):
        assert (cell, "forward", "float32", 512, 32, "uniform", False) in kinds
        for both in (False, True):
            assert (cell, "train", "float32", 128, 32, "reviews", both) in kinds
        assert (cell, "forward", "bfloat16", 128, 32, "uniform", False) in kinds
        assert (cell, "forward", "int8", 128, 1, "uniform", False) in kinds


def test_the_full_grid_has_all_shapes_once_the_usual_first():
    cases = full(2)
    assert len(cases) == len(set(cases))
    assert {c.hidden_size for c in cases} == {64, 128, 256, 512}
    assert {c.batch for c in cases} == {1, 8, 32, 128}
    assert {c.threads for c in cases} == {1, 2}
    assert {c.lengths for c in cases} == {"uniform", "short", "reviews"}
    assert {c.dtype for c in cases} == {"float32", "bfloat16", "int8"}
    assert not [c for c in cases if c.mode == "train" and c.dtype == "int8"]
    assert all((c.hidden_size, c.dtype) == (128, "float32") for c in cases[:9])


@pytest.mark.parametrize(
    ("only", "check"),
    [
        (["lstm"], lambda c: c.cell == "lstm"),
        (["lstm,gru", "train"], lambda c: c.cell in ("lstm", "gru") and c.mode == "train"),
        (["hidden_size=512"], lambda c: c.hidden_size == 512),
        (["batch=1,batch=8", "int8"], lambda c: c.batch in (1, 8) and c.dtype == "int8"),
        (["lengths=reviews", "threads=1"], lambda c: (c.lengths, c.threads) == ("reviews", 1)),
        (["unidirectional"], lambda c: not c.bidirectional),
    ],
)
def test_only_keeps_what_it_names(only, check):
    cases, engines = chosen(full(2), only)
    assert cases == [c for c in full(2) if check(c)]
    assert engines == list(ENGINES)


def test_only_chooses_engines():
    cases, engines = chosen(quick(2), ["torch-packed,recurra", "bidirectional"])
    assert engines == ["recurra", "torch-packed"]
    assert all(c.bidirectional for c in cases)


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ("lsmt", "did you mean 'lstm'"),
        ("hidden_size=big", "must be a field and one of its values"),
        ("cell=train", "must be a field"),
        ("lstm,openvino", "need an --only each"),
        ("hidden_size=7", "leaves no case"),
    ],
)
def test_only_that_means_nothing_is_refused(only, message):
    with pytest.raises(SpecError, match=message):
        chosen(quick(2), [only])


# ---- turns -----------------------------------------------------------------------------------------------------


def test_engines_take_turns_and_each_gives_its_median(monkeypatch):
    calls: list[str] = []
    now = [0.0]
    costs = {"fast": 0.01, "slow": 0.1}

    def run(name):
        def work():
            calls.append(name)
            now[0] += costs[name]

        return work

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(timing.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(timing, "gc", mock.Mock())
    found = timing.interleaved({name: run(name) for name in costs}, seconds=3.0)
    assert {name: each.median for name, each in found.items()} == pytest.approx(costs)
    assert {name: each.fastest for name, each in found.items()} == pytest.approx(costs)
    spoken = [name for place, name in enumerate(calls) if place == 0 or calls[place - 1] != name]
    assert len(spoken) > 6
    assert calls.count("fast") > calls.count("slow") >= 2 + 2 * timing.ROUNDS[0]


def test_an_engine_that_is_far_too_slow_is_not_called_again():
    turns = timing._turns({"fast": 0.01, "slow": 100.0, "slower than its share": 3.0}, 5.0)
    assert turns["slow"] == 0
    assert turns["slower than its share"] == 1
    assert turns["fast"] >= timing.ROUNDS[0]
    assert timing._turns({"a": 1e-5, "b": 1e-5}, 1e9) == {"a": timing.ROUNDS[1], "b": timing.ROUNDS[1]}
    assert timing.interleaved({}, 1.0) == {}


# ---- records -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def outcome():
    with briefly():
        step = Case(mode="step", inputs=3, hidden_size=4, batch=1, steps=1)
        return bench([SMALL, step], ["recurra", "loop"], seconds=0.0)


def test_the_record_has_the_agreed_keys_and_its_numbers_agree(outcome):
    record = json.loads(json.dumps(finite(to_json(outcome)), allow_nan=False))
    assert {"peak_gflops", "rows"} <= set(record)
    for row, timed, check in zip(record["rows"], outcome.rows, record["checks"], strict=True):
        assert set(row) == ROW
        assert row["ms"] * row["gflops"] * 1e6 == pytest.approx(timed.case.flops)
        if kernels.engine()["native"]:
            assert row["fraction_of_peak"] == pytest.approx(row["gflops"] / check["peak_gflops"])
    checks = {(each["case"], each["engine"]) for each in record["checks"]}
    assert checks == {(row.case.label, row.engine) for row in outcome.rows}
    assert all(0 <= each["difference"] <= each["tolerance"] for each in record["checks"])


def test_ratios_are_of_our_time(outcome):
    if len(outcome.rows) < 4:
        pytest.skip("torch is not installed")
    ours, loop = outcome.rows[:2]
    assert outcome.best_peer(SMALL) is loop
    assert outcome.ratio(ours) == outcome.ratio(loop) == loop.ms / ours.ms


def test_the_table_holds_every_row_and_the_tolerance(outcome):
    from rich.console import Console

    console = Console(width=200)
    with console.capture() as capture:
        console.print(table(outcome))
    text = capture.get()
    assert text.count("recurra") == 2
    if len(outcome.rows) == 4:
        assert text.count("<= 1e-05") == 2


def test_what_a_reader_must_know_is_said():
    with briefly():
        slow = bench([SMALL] * 2, ["recurra"], seconds=0.0, minutes=0.0)
        alone = bench([SMALL], ["recurra"], seconds=0.0)
    assert "2 cases were not reached in the time given" in sentences(slow)
    assert any("nothing to compare with" in note for note in sentences(alone))
    alone.load = (9.0, 1.0)
    assert any("load average was 9.0" in note for note in sentences(alone))
    if kernels.engine()["native"]:
        alone.peaks.seen[1] = [100.0, 50.0]
        assert any("varied by 50%" in note for note in sentences(alone))


def test_without_native_kernels_no_peak_is_given(monkeypatch):
    monkeypatch.setattr(peak.kernels, "engine", lambda: {"native": False})
    with briefly():
        found = bench([SMALL], ["recurra"], seconds=0.0)
    record = to_json(found)
    assert record["peak_gflops"] is None
    assert record["rows"][0]["fraction_of_peak"] is None
    assert any("peak needs the native kernels" in note for note in record["notes"])


# ---- numbers near zero -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("numbers", ["subnormal-inputs", "subnormal-weights"])
def test_subnormal_problems_hold_nothing_that_lifts_them(numbers):
    least = np.finfo(np.float32).tiny
    problem = Problem(replace(SMALL, numbers=numbers))
    small = {
        "subnormal-inputs": [problem.x],
        "subnormal-weights": [getattr(problem.layers[0][0], name) for name in ("w_ih", "w_hh")],
    }
    for kind, arrays in small.items():
        for array in arrays:
            assert (np.abs(array) > 0).all()
            assert (np.abs(array) < least).all() == (kind == numbers)
    assert not problem.layers[0][0].b_ih.any()
    assert not problem.layers[0][0].b_hh.any()


def test_what_subnormal_numbers_cost_is_told_beside_the_same_work_on_usual_ones():
    cases = [SMALL, replace(SMALL, numbers="subnormal-inputs"), replace(SMALL, numbers="subnormal-weights")]
    with briefly():
        found = bench(cases, ["recurra"], seconds=0.0)
    found.rows = [replace(row, ms=ms) for row, ms in zip(found.rows, (2.0, 2.5, 3.0), strict=True)]
    assert found.slowed("recurra") == (1.5, cases[2].label)
    assert found.slowed("loop") is None
    told = f"at most: recurra 1.50 times ({cases[2].label})"
    assert any(told in note for note in sentences(found))
    found.rows = found.rows[1:]
    assert found.slowed("recurra") is None
