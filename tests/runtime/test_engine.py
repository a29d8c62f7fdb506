"""`model.engine` tells which kernel answers, and why where it is not the one that was asked for."""

from __future__ import annotations

import pytest

import recurra as rc
from contracts.models import TEXTS, network, predictor
from recurra import kernels
from recurra.kernels import engines
from recurra.runtime.ensemble import Ensemble
from recurra.runtime.quantize import quantized


def native() -> str:
    if engines.native() is None:
        pytest.skip("the native kernels are not built")
    return f"native, {kernels.engine()['isa']}"


@pytest.mark.parametrize("cell", ["rnn", "rnn_relu", "lstm", "gru"])
def test_the_native_kernel_and_its_instruction_set(cell: str) -> None:
    assert predictor(network(cell, True, 2)).engine == f"{cell}: {native()}, float32"


@pytest.mark.parametrize(
    ("option", "words"),
    [({"layer_norm": True}, "float32, layer-normalised"), ({"zoneout": 0.1}, "float32, zoneout")],
)
def test_cells_that_finish_a_row_at_a_time(option: dict[str, object], words: str) -> None:
    model = predictor(network("gru", False, 1).replace(**option))
    assert model.engine == f"gru: {native()}, {words}"
    small = quantized(model, "int8")
    assert small.engine == (
        f"gru: {native()}, {words}: such cells have no kernel in int8, to which their weights are rounded"
    )


@pytest.mark.parametrize(("precision", "words"), [("int8", "int8 weights"), ("bfloat16", "bfloat16")])
def test_fewer_bits(precision: str, words: str) -> None:
    assert f"{native()}, {words}" in quantized(predictor(network("lstm", False, 1)), precision).engine


def test_another_instruction_set_is_told() -> None:
    native()
    for isa in engines.engine()["available"]:
        with engines.instruction_set(isa):
            assert predictor(network("lstm", False, 1)).engine == f"lstm: native, {isa}, float32"


def test_without_the_native_engine_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    model = predictor(network("lstm", False, 1))
    monkeypatch.setitem(engines._state, "reason", "switched off")
    with engines.reference_engine():
        assert model.engine == "lstm: the readable reference in NumPy (switched off)"


def test_an_ensemble_names_each_kernel_once() -> None:
    members = [
        predictor(network(cell, False, 1), seed=seed) for seed, cell in enumerate(["gru", "gru", "lstm"])
    ]
    found = Ensemble.of(*members).engine
    assert found == "; ".join(f"{cell}: {native()}, float32" for cell in ("gru", "lstm"))


def test_an_estimator_tells_it_once_it_has_learnt() -> None:
    model = rc.Classifier(network("gru", False, 1), rc.Training(epochs=1), rc.Words(min_count=1))
    with pytest.raises(rc.errors.NotFittedError, match="fit"):
        model.engine  # noqa: B018
    labels = ["a", "b", "a", "b"]
    model.fit(TEXTS[:4], labels, validation_data=(TEXTS[:4], labels))
    assert model.engine == f"gru: {native()}, float32"
